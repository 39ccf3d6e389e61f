"""Speckle, and the check that it was not cured by blurring.

`benchmarks/speckle.py` measures what a box filter leaves, which strokes raise as well as specks. What the
median of 3×3 pixels takes away is specks, lines and ends of a pixel, and hardly strokes or edges.
"""

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from impasto.shapes import Image
from impasto.system import process as process  # before anything is computed

FLAT_SHARE = 0.25
"""The share of the photo's pixels that counts as flat."""

FLAT_WINDOW = 17
"""Pixels on the side of the square in which variance is taken."""

CONTOUR_SHARE = 0.1
"""The share of a picture's pixels, those with the largest gradients, that counts as contours."""

CRISP_ENOUGH = 0.8
"""`crispness` below which a picture is blurred."""

_LUMINANCE = (0.2126, 0.7152, 0.0722)
"""Of R, G and B, Rec. 709."""

_STRIP = 64
"""Rows whose medians are found at a time: bounds the memory."""


def speckle(image: Image, photo: Image) -> float:
    """Root mean square of brightness less its 3×3 median, where the photo is flat, in 1/255.

    Flat is the quarter of the photo with the least variance of brightness in 17×17 pixels. At the size of
    the picture as it is: shrinking takes specks away.

    Args:
        image, photo: (1, 3, H, W), RGB, 0..1, of one size.
    """
    light = _brightness(photo)
    variance = _surroundings(light.square()) - _surroundings(light).square()
    flat = variance <= _quantile(variance, FLAT_SHARE)
    light = 255 * _brightness(image)
    return float((light - _median(light))[flat].square().mean().sqrt())


def crispness(image: Image, photo: Image, painting: Float[Tensor, "B 3 _ _"]) -> float:
    """How steep the picture is at the photo's contours, against the softer of photo and painting.

    Mean gradient of the picture's brightness where the photo's is largest (a tenth of its pixels), divided by
    the smaller of two: the photo's mean gradient there, and the painting's at its own contours. Below 0.8
    the picture is blurred, and its speckle says nothing. At the size of the picture as it is.

    Args:
        image, photo: (1, 3, H, W), RGB, 0..1, of one size.
        painting: (1, 3, h, w), with the same long side.
    Returns:
        ≥ 0; 1 for the photo itself if the painting is not softer; 0 where neither has contours.
    """
    gradients = _gradient(_brightness(photo))
    contours = gradients >= _quantile(gradients, 1 - CONTOUR_SHARE)
    own = _gradient(_brightness(painting))
    softer = min(
        float(gradients[contours].mean()), float(own[own >= _quantile(own, 1 - CONTOUR_SHARE)].mean())
    )
    return float(_gradient(_brightness(image))[contours].mean()) / softer if softer else 0.0


def _brightness(image: Image) -> Float[Tensor, "1 1 H W"]:
    weights = torch.tensor(_LUMINANCE, device=image.device).view(1, 3, 1, 1)
    return (image * weights).sum(1, keepdim=True)


def _surroundings(light: Float[Tensor, "1 1 H W"]) -> Float[Tensor, "1 1 H W"]:
    """Mean over the square around each pixel; edges are repeated outward."""
    return F.avg_pool2d(F.pad(light, (FLAT_WINDOW // 2,) * 4, mode="replicate"), FLAT_WINDOW, 1)


def _median(light: Float[Tensor, "1 1 H W"]) -> Float[Tensor, "1 1 H W"]:
    """Median over the 3×3 pixels around each; edges are repeated outward."""
    padded = F.pad(light, (1, 1, 1, 1), mode="replicate")
    height, width = light.shape[2:]
    median = torch.empty_like(light)
    for top in range(0, height, _STRIP):
        rows = min(_STRIP, height - top)
        shifted = [padded[0, 0, top + y : top + y + rows, x : x + width] for y in range(3) for x in range(3)]
        median[0, 0, top : top + rows] = torch.stack(shifted).median(0).values
    return median


def _gradient(light: Float[Tensor, "1 1 H W"]) -> Float[Tensor, "1 1 H W"]:
    """Length of the gradient by central differences, per pixel."""
    padded = F.pad(light, (1, 1, 1, 1), mode="replicate")
    across = (padded[..., 1:-1, 2:] - padded[..., 1:-1, :-2]) / 2
    down = (padded[..., 2:, 1:-1] - padded[..., :-2, 1:-1]) / 2
    return torch.hypot(across, down)


def _quantile(values: Float[Tensor, "1 1 H W"], share: float) -> float:
    """The value that this share of values does not exceed. (`Tensor.quantile` takes 16 million at most.)"""
    flat = values.flatten()
    return float(flat.kthvalue(max(1, round(share * len(flat)))).values)
