"""Guidance masks: where in a picture a style applies, transferred from pixels to each layer's grid."""

import math
from dataclasses import dataclass, replace
from functools import cached_property

import torch
import torch.nn.functional as F
from jaxtyping import UInt8
from torch import Tensor

from impasto.layers import LAYERS
from impasto.objective.style_loss import PositionWeights

STRIP = 1 << 20
"""Positions whose weights are summed at a time, which bounds the memory."""


@dataclass(frozen=True)
class GuidanceMask:
    """A soft area of a picture. The weight of a layer's position is the mean of the mask over its pixels.

    Gatys et al. 2017, "Controlling Perceptual Factors in Neural Style Transfer" (arXiv:1611.07865), Sec. 4:
    guidance channels transferred to each layer and normalised.
    Differs: a position's weight is linear in the mask, so the areas of a picture together count every
    position once, and no line between two of them is left without a style.

    Attributes:
        mask: of the whole picture, (H, W), from 0 outside to 255 inside; one byte a pixel for all layers.
        excludes_border: count only positions whose surroundings lie mostly in the area. This is for
            paintings, so that the border between two areas is not learned as style.
    """

    mask: UInt8[Tensor, "H W"]
    excludes_border: bool = False

    @cached_property
    def share(self) -> float:
        """The area's fraction of the picture's pixels, 0..1."""
        return float(self.mask.sum(dtype=torch.float64)) / (255 * self.mask.numel())

    def inner(self, layer: str) -> "GuidanceMask":
        """Return the area without its border, or with it if no position of the layer would remain."""
        inner = replace(self, excludes_border=True)
        return inner if inner.positions(layer) > 0 else self

    def whole(self, layer: str) -> PositionWeights:
        """Return the weights of a layer's whole grid, (1, 1, h, w), 0..1."""
        height, width = LAYERS[layer].grid(*self.mask.shape)
        return self.at(layer, slice(0, height), slice(0, width))

    def at(self, layer: str, rows: slice, columns: slice) -> PositionWeights:
        """Return the weights of some rows and columns of a layer's grid.

        Args:
            layer: the layer's name.
            rows, columns: on the layer's grid of the whole picture.
        Returns:
            (1, 1, h, w), 0..1.
        """
        stride = LAYERS[layer].stride
        height, width = LAYERS[layer].grid(*self.mask.shape)
        more = 1 if self.excludes_border else 0  # the 3×3 mean below looks one position further
        top, left = max(0, rows.start - more), max(0, columns.start - more)
        bottom, right = min(height, rows.stop + more), min(width, columns.stop + more)
        pixels = self.mask[top * stride : bottom * stride, left * stride : right * stride]
        weights = pixels[None, None].float() / 255
        if stride > 1:
            # A cell that reaches beyond the picture's edge takes the mean of its pixels inside.
            weights = F.avg_pool2d(weights, stride, ceil_mode=True)
        if self.excludes_border:
            weights = F.avg_pool2d(weights, 3, stride=1, padding=1, count_include_pad=False)
            weights = (2 * weights - 1).clamp(min=0)  # 0 where less than half of the surroundings is inside
        inside = (
            slice(rows.start - top, rows.stop - top),
            slice(columns.start - left, columns.stop - left),
        )
        return weights[:, :, inside[0], inside[1]]

    def positions(self, layer: str) -> float:
        """Return the sum of the weights over a layer's grid: the number of positions that it counts."""
        height, width = LAYERS[layer].grid(*self.mask.shape)
        high = max(1, STRIP // width)
        parts = (
            self.at(layer, slice(top, min(height, top + high)), slice(0, width))
            for top in range(0, height, high)
        )
        return math.fsum(float(part.sum(dtype=torch.float64)) for part in parts)
