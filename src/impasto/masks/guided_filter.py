"""The guided filter: a mask whose edges follow the photo's."""

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from impasto.image.color import luminance
from impasto.image.guided_filter import Plane, guided_lines
from impasto.image.resize import fit_within, resize
from impasto.shapes import Image, Mask

RADIUS = 8
"""Pixels from the middle of a window to its side, at a long side of `SIDE`: for light and for clusters."""

SIDE = 512
"""The longest side at which the filter's coefficients are computed, in pixels."""

EPSILON = 1e-2
"""A variance of luminance (0..1). A window with less counts as flat, and there the mask is only smoothed.

From 1e-5 to 1e-2 the mean intersection over union of benchmarks/masks.py goes from 0.901 to 0.902.
"""


def refine(mask: Float[Tensor, "1 1 h w"], photo: Image, window: int = RADIUS) -> Mask:
    """Enlarge a mask to the photo's size, and move its edges to those of the photo's luminance.

    The coefficients are computed at a long side of at most `SIDE` pixels and enlarged (He and Sun 2015, "Fast
    Guided Filter", arXiv:1505.00996). So the window grows with the photo, and the time does not.

    Args:
        mask: (1, 1, h, w), 0..1, of any size.
        photo: (1, 3, H, W), 0..1.
        window: pixels from the middle of a window to its side, at a long side of `SIDE`.
    Returns:
        (1, 1, H, W), 0..1.
    """
    height, width = photo.shape[2:]
    small = fit_within(height, width, SIDE)
    # In float64: differences of nearly equal squares decide, and all machines should get the same levels.
    guide, soft = (
        resize(part, *small).clamp(0, 1)[0, 0].double().numpy() for part in (luminance(photo), mask)
    )
    radius = max(1, round(window * max(small) / SIDE))
    coefficients = guided_lines(guide, soft, radius, EPSILON)
    slope, offset = (_enlarged(part, height, width) for part in coefficients)
    return (slope * luminance(photo) + offset).clamp(0, 1)


def _enlarged(values: Plane, height: int, width: int) -> Mask:
    """Enlarge coefficients to (1, 1, height, width), float32."""
    image = torch.from_numpy(values)[None, None]
    return F.interpolate(image, (height, width), mode="bilinear", align_corners=False).float()
