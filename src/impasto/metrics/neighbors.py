"""Nearest neighbours: how far a picture's patches are from the painting's, and the reverse."""

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from impasto.shapes import Features

PATCH = 3
"""The side of a patch, in positions."""

BLOCK = 1024
"""Patches of either picture compared at a time, which bounds the extra memory to a few megabytes."""

_EPSILON = 1e-8


def neighbor_distance(image: Features, painting: Float[Tensor, "B N _ _"]) -> float:
    """Return the relaxed earth mover's distance between the patches of two pictures, with cosines as ground
    distance.

    max(mean_i min_j d_ij, mean_j min_i d_ij), d_ij = 1 − cos(a_i, b_j), where a and b are all 3×3 patches of
    the responses. The first mean asks whether everything in the picture occurs in the painting, and the
    second whether everything in the painting occurs in the picture. So a single stroke, repeated everywhere,
    scores badly.

    STROTSS (Kolkin, Salavon and Shakhnarovich 2019, arXiv:1904.12785, Eq. 3 to 5), on patches as in Li and
    Wand 2016 (arXiv:1601.04589, Eq. 2).
    Differs: one layer and every position, instead of hypercolumns at random positions.

    Args:
        image, painting: responses, (1, N, h, w), ≥ 0, at least 3 positions a side.
    Returns:
        0..1; 0 if each patch equals one of the other picture's up to its length.
    """
    # Not centred on the painting's mean: with centring, the untouched photo was nearer than any stylized one.
    lengths_a, lengths_b = _patch_lengths(image), _patch_lengths(painting)
    nearest_a = torch.full_like(lengths_a, -1.0)
    nearest_b = torch.full_like(lengths_b, -1.0)
    for begin_a in range(0, len(lengths_a), BLOCK):
        part_a = slice(begin_a, begin_a + BLOCK)
        patches_a = _patches(image, part_a) / lengths_a[part_a, None]
        for begin_b in range(0, len(lengths_b), BLOCK):
            part_b = slice(begin_b, begin_b + BLOCK)
            cosines = patches_a @ (_patches(painting, part_b) / lengths_b[part_b, None]).T
            nearest_a[part_a] = torch.maximum(nearest_a[part_a], cosines.amax(1))
            nearest_b[part_b] = torch.maximum(nearest_b[part_b], cosines.amax(0))
    means = [float((1 - nearest).mean(dtype=torch.float64)) for nearest in (nearest_a, nearest_b)]
    return max(0.0, *means)


def _patches(features: Features, part: slice) -> Float[Tensor, "K _"]:
    """Return some of the patches, row by row, each as 9·N numbers."""
    width = features.shape[3] - PATCH + 1
    count = (features.shape[2] - PATCH + 1) * width
    index = torch.arange(part.start, min(part.stop, count), device=features.device)
    down, across = index // width, index % width
    columns = [features[0, :, down + y, across + x] for y in range(PATCH) for x in range(PATCH)]
    return torch.cat(columns).T.contiguous()


def _patch_lengths(features: Features) -> Float[Tensor, " M"]:
    """Return the Euclidean length of every patch, at least `_EPSILON`, so that it can divide."""
    squares = features.square().sum(1, keepdim=True)
    return (PATCH**2 * F.avg_pool2d(squares, PATCH, 1)).flatten().sqrt().clamp(min=_EPSILON)
