"""The guided filter: a mask whose edges follow the photo's."""

import torch
import torch.nn.functional as F
from jaxtyping import Float, Float64
from torch import Tensor

from impasto.image.color import luminance
from impasto.image.resize import fit, resize
from impasto.shapes import Image, Mask

RADIUS = 8
"""Pixels from the middle of a window to its side, at a long side of `SIDE`."""

SIDE = 512
"""Longest side at which the filter's coefficients are found, in pixels."""

EPSILON = 1e-2
"""Variance of luminance, of 0..1, below which a window counts as flat and the mask is only smoothed there.

From 1e-5 to 1e-2 the mean intersection over union of benchmarks/masks.py goes from 0.901 to 0.902.
"""


def guided_filter(
    guide: Float64[Tensor, "1 1 H W"],
    mask: Float64[Tensor, "1 1 H W"],
    radius: int,
    epsilon: float,
) -> tuple[Float64[Tensor, "1 1 H W"], Float64[Tensor, "1 1 H W"]]:
    """The coefficients a and b of a mask that is a·guide + b.

    He, Sun and Tang 2013, "Guided Image Filtering", Eq. 5, 6 and 8: in each window the mask is fitted by a
    line in the guide, with a ridge epsilon; a pixel takes the mean of the lines of all windows it lies in.

    Args:
        guide: luminance, 0..1.
        mask: 0..1, of the same size.
        radius: pixels from the middle of a window to its side; at the picture's borders windows are cut off.
        epsilon: see `EPSILON`.
    """
    mean_guide, mean_mask = _box(guide, radius), _box(mask, radius)
    covariance = _box(guide * mask, radius) - mean_guide * mean_mask
    variance = _box(guide * guide, radius) - mean_guide.square()
    slope = covariance / (variance + epsilon)
    return _box(slope, radius), _box(mean_mask - slope * mean_guide, radius)


def refine(mask: Float[Tensor, "1 1 h w"], photo: Image) -> Mask:
    """The mask at the photo's size, its edges where the photo's luminance has them.

    The coefficients are found at a long side of at most `SIDE` pixels and enlarged (He and Sun 2015, "Fast
    Guided Filter", arXiv:1505.00996), so that the window grows with the photo and the time does not.

    Args:
        mask: (1, 1, h, w), 0..1, of any size.
        photo: (1, 3, H, W), 0..1.
    Returns:
        (1, 1, H, W), 0..1.
    """
    height, width = photo.shape[2:]
    small = fit(height, width, min(SIDE, max(height, width)))
    # In float64: differences of nearly equal squares decide, and all machines should get the same levels.
    guide = resize(luminance(photo), *small).double()
    radius = max(1, round(RADIUS * max(small) / SIDE))
    slope, offset = guided_filter(guide, resize(mask, *small).clamp(0, 1).double(), radius, EPSILON)
    slope, offset = (_enlarged(part, height, width) for part in (slope, offset))
    return (slope * luminance(photo) + offset).clamp(0, 1)


def _box(values: Float64[Tensor, "1 1 H W"], radius: int) -> Float64[Tensor, "1 1 H W"]:
    """The mean over the window around each pixel, of the pixels that are inside the picture."""
    # Differences of running sums: avg_pool2d in float64 takes twenty times as long.
    for dimension in (2, 3):
        length = values.shape[dimension]
        place = torch.arange(length)
        first, after = (place - radius).clamp_min(0), (place + radius + 1).clamp_max(length)
        padding = (0, 0, 1, 0) if dimension == 2 else (1, 0)
        sums = F.pad(values.cumsum(dimension), padding)
        total = sums.index_select(dimension, after) - sums.index_select(dimension, first)
        values = total / (after - first).double().view((-1, 1) if dimension == 2 else (1, -1))
    return values


def _enlarged(values: Float64[Tensor, "1 1 h w"], height: int, width: int) -> Mask:
    return F.interpolate(values, (height, width), mode="bilinear", align_corners=False).to(torch.float32)
