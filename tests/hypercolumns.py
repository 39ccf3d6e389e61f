"""Hypercolumns, the features of nearest neighbours, computed place by place."""

import math

import torch
import torch.nn.functional as F
from torch import Tensor

from impasto.layers import LAYERS
from impasto.network.vgg import VGG19
from impasto.objective.neighbors import HYPERCOLUMN


def averaged_responses(network: VGG19, image: Tensor) -> dict[str, Tensor]:
    """By layer, the mean response (positions, channels) over each cell of 4×4 pixels, cell by cell."""
    features = network.features(image, HYPERCOLUMN)
    height, width = math.ceil(image.shape[2] / 4), math.ceil(image.shape[3] / 4)
    by_layer = {}
    for name, response in features.items():
        stride = LAYERS[name].stride
        rows = []
        for i in range(height):
            down = slice(4 * i // stride, max(4 * i // stride + 1, 4 * (i + 1) // stride))
            for j in range(width):
                along = slice(4 * j // stride, max(4 * j // stride + 1, 4 * (j + 1) // stride))
                rows.append(response[0, :, down, along].mean((1, 2)))
        by_layer[name] = torch.stack(rows)
    return by_layer


def rms_lengths(network: VGG19, painting: Tensor) -> dict[str, float]:
    """By layer, the root mean square length of the painting's responses."""
    features = network.features(painting, HYPERCOLUMN)
    return {name: float(f.square().sum(1).mean().sqrt()) for name, f in features.items()}


def hypercolumns(columns: dict[str, Tensor], lengths: dict[str, float]) -> Tensor:
    return torch.cat([columns[name] / lengths[name] for name in HYPERCOLUMN], 1)


def centred(rows: Tensor, weights: Tensor | None = None) -> Tensor:
    """The rows minus their weighted mean, each scaled to length 1."""
    weights = torch.ones(len(rows), dtype=rows.dtype) if weights is None else weights
    return F.normalize(rows - (weights[:, None] * rows).sum(0) / weights.sum())
