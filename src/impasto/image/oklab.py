"""Oklab, a colour space that separates lightness from colour, and the conversion back to sRGB.

Björn Ottosson, "A perceptual color space for image processing" (2020, https://bottosson.github.io/posts/oklab/).
L is lightness, from 0 (black) to 1 (white); a runs from green to red, b from blue to yellow. Both are 0 for
greys and at most about 0.3 in magnitude for the colours of sRGB.
"""

from collections.abc import Callable, Sequence
from typing import TypeAlias

import torch
from jaxtyping import Float
from torch import Tensor

from impasto.shapes import Image

Lab: TypeAlias = Float[Tensor, "B 3 H W"]
"""L, a and b of Oklab."""

Pixels: TypeAlias = Float[Tensor, "B 3 _ _"]
"""Rows of a picture, in any colour space."""

RGB_TO_LMS = (
    (0.4122214708, 0.5363325363, 0.0514459929),
    (0.2119034982, 0.6806995451, 0.1073969566),
    (0.0883024619, 0.2817188376, 0.6299787005),
)
"""Linear sRGB to cone responses (Ottosson's numbers)."""

LMS_TO_LAB = (
    (0.2104542553, 0.7936177850, -0.0040720468),
    (1.9779984951, -2.4285922050, 0.4505937099),
    (0.0259040371, 0.7827717662, -0.8086757660),
)
"""Cube roots of the cone responses to L, a and b (Ottosson's numbers)."""

BISECTIONS = 16
"""Steps in the search for the largest chroma that sRGB can show, which is exact to 2⁻¹⁶ of the original."""

TOLERANCE = 1e-6
"""Overshoot, relative to the pixel's largest linear value, that counts as rounding and is clamped."""

STRIP = 1 << 20
"""Pixels converted at a time, which bounds the extra memory that a large picture needs."""


def to_oklab(image: Image) -> Lab:
    """Convert sRGB-encoded pixels, (B, 3, H, W), 0..1, to L, a and b of Oklab."""
    return _by_rows(_to_oklab, image)


def to_srgb(lab: Lab) -> Image:
    """Convert L, a and b of Oklab, (B, 3, H, W), to sRGB-encoded pixels, 0..1.

    A colour that sRGB cannot show keeps its lightness and hue, and loses chroma until sRGB can show it.
    Lightness outside 0..1 becomes black or white.
    """
    return _by_rows(_to_srgb, lab)


def to_linear(image: Pixels) -> Pixels:
    """Convert sRGB-encoded values to linear light (IEC 61966-2-1); the inverse is in `_to_srgb`."""
    return torch.where(image <= 0.04045, image / 12.92, ((image + 0.055) / 1.055).clamp(min=0).pow(2.4))


def _to_oklab(rows: Pixels) -> Pixels:
    return _mix(_mix(to_linear(rows), _matrix(RGB_TO_LMS)).clamp(min=0).pow(1 / 3), _matrix(LMS_TO_LAB))


def _to_srgb(rows: Pixels) -> Pixels:
    linear = _linear(rows)
    flat = rows.transpose(0, 1).flatten(1)  # (3, B·h·w)
    outside = ~_is_shown(linear).flatten()
    if bool(outside.any()):  # only these pixels pay for the search
        corrected = linear.transpose(0, 1).flatten(1)
        corrected[:, outside] = _linear(_reduce_chroma(flat[:, outside].T[:, :, None, None]))[:, :, 0, 0].T
        linear = corrected.reshape(3, rows.shape[0], *rows.shape[2:]).transpose(0, 1)
    linear = linear.clamp(0, 1)
    return torch.where(linear <= 0.0031308, linear * 12.92, 1.055 * linear.pow(1 / 2.4) - 0.055)


def _reduce_chroma(lab: Pixels) -> Pixels:
    """Reduce chroma to the most that sRGB can show at the same lightness and hue, by bisection."""
    low, high = torch.zeros_like(lab[:, :1]), torch.ones_like(lab[:, :1])
    for _ in range(BISECTIONS):
        middle = (low + high) / 2
        shown = _is_shown(_linear(_with_chroma(lab, middle)))
        low, high = torch.where(shown, middle, low), torch.where(shown, high, middle)
    return _with_chroma(lab, low)


def _with_chroma(lab: Pixels, factor: Float[Tensor, "B 1 _ _"]) -> Pixels:
    return torch.cat([lab[:, :1], lab[:, 1:] * factor], dim=1)


def _is_shown(linear: Pixels) -> Tensor:
    """Return whether sRGB can show the colour, (B, 1, H, W)."""
    least, most = linear.amin(1, keepdim=True), linear.amax(1, keepdim=True)
    return (least >= -TOLERANCE * most) & (most <= 1 + TOLERANCE)


def _linear(lab: Pixels) -> Pixels:
    """Convert Oklab to linear sRGB, which leaves 0..1 where sRGB cannot show the colour."""
    return _mix(
        _mix(lab, torch.linalg.inv(_matrix(LMS_TO_LAB))).pow(3), torch.linalg.inv(_matrix(RGB_TO_LMS))
    )


def _matrix(rows: Sequence[Sequence[float]]) -> Float[Tensor, "3 3"]:
    # float64: the matrices are also inverted
    return torch.tensor(rows, dtype=torch.float64)


def _mix(pixels: Pixels, matrix: Float[Tensor, "3 3"]) -> Pixels:
    return torch.einsum("dc,bchw->bdhw", matrix.to(pixels), pixels)


def _by_rows(
    convert: Callable[[Pixels], Pixels], pixels: Float[Tensor, "B 3 H W"]
) -> Float[Tensor, "B 3 H W"]:
    """Apply a conversion of single pixels some rows at a time."""
    rows = max(1, STRIP // max(1, pixels.shape[0] * pixels.shape[3]))
    parts = [convert(pixels[:, :, top : top + rows]) for top in range(0, pixels.shape[2], rows)]
    return torch.cat(parts, dim=2)
