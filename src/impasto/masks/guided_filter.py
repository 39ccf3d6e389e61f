"""The guided filter: a mask whose edges follow the photo's."""

from typing import TypeAlias

import numpy as np
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
"""The longest side at which the filter's coefficients are computed, in pixels."""

EPSILON = 1e-2
"""A variance of luminance (0..1). A window with less counts as flat, and there the mask is only smoothed.

From 1e-5 to 1e-2 the mean intersection over union of benchmarks/masks.py goes from 0.901 to 0.902.
"""


Plane: TypeAlias = Float64[np.ndarray, "h w"]
"""One number for each pixel, in NumPy. The filter consists of many small steps. PyTorch divides each among
its threads, which took twenty times as long while other programs used the processor."""


def guided_filter(guide: Plane, mask: Plane, radius: int, epsilon: float) -> tuple[Plane, Plane]:
    """Compute the coefficients a and b of the filtered mask, a·guide + b.

    He, Sun and Tang 2013, "Guided Image Filtering", Eq. 5, 6 and 8. In each window the mask is fitted by a
    linear function of the guide, with a ridge epsilon. A pixel takes the mean of the coefficients of all
    windows that it lies in.

    Args:
        guide: luminance, 0..1.
        mask: 0..1, of the same size.
        radius: pixels from the middle of a window to its side; at the picture's borders windows are cut off.
        epsilon: see `EPSILON`.
    Returns:
        a and b, each of the same size.
    """
    mean_guide, mean_mask = _box(guide, radius), _box(mask, radius)
    covariance = _box(guide * mask, radius) - mean_guide * mean_mask
    variance = _box(guide * guide, radius) - mean_guide**2
    slope = covariance / (variance + epsilon)
    return _box(slope, radius), _box(mean_mask - slope * mean_guide, radius)


def refine(mask: Float[Tensor, "1 1 h w"], photo: Image) -> Mask:
    """Enlarge a mask to the photo's size, and move its edges to those of the photo's luminance.

    The coefficients are computed at a long side of at most `SIDE` pixels and enlarged (He and Sun 2015, "Fast
    Guided Filter", arXiv:1505.00996). So the window grows with the photo, and the time does not.

    Args:
        mask: (1, 1, h, w), 0..1, of any size.
        photo: (1, 3, H, W), 0..1.
    Returns:
        (1, 1, H, W), 0..1.
    """
    height, width = photo.shape[2:]
    small = fit(height, width, min(SIDE, max(height, width)))
    # In float64: differences of nearly equal squares decide, and all machines should get the same levels.
    guide, soft = (
        resize(part, *small).clamp(0, 1)[0, 0].double().numpy() for part in (luminance(photo), mask)
    )
    radius = max(1, round(RADIUS * max(small) / SIDE))
    coefficients = guided_filter(guide, soft, radius, EPSILON)
    slope, offset = (_enlarged(part, height, width) for part in coefficients)
    return (slope * luminance(photo) + offset).clamp(0, 1)


def _box(values: Plane, radius: int) -> Plane:
    """The mean over the window around each pixel, of the pixels that are inside the picture."""
    # By running sums, so that the time does not depend on the radius.
    for axis in (0, 1):
        index = np.arange(values.shape[axis])
        first, after = np.maximum(index - radius, 0), np.minimum(index + radius + 1, len(index))
        sums = np.insert(values.cumsum(axis), 0, 0, axis)
        totals = sums.take(after, axis) - sums.take(first, axis)
        values = totals / np.expand_dims(after - first, 1 - axis)
    return values


def _enlarged(values: Plane, height: int, width: int) -> Mask:
    """Enlarge coefficients to (1, 1, height, width), float32."""
    image = torch.from_numpy(values)[None, None]
    return F.interpolate(image, (height, width), mode="bilinear", align_corners=False).float()
