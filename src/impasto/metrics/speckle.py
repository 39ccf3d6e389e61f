"""Speckle, and a check that low speckle does not come from blur.

`benchmarks/speckle.py` subtracts a box filter, and so it counts strokes as well as specks. The median of 3×3
pixels, used here, removes specks and lines of one pixel's width, but hardly any strokes or edges.
"""

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from impasto.image.quantile import quantile
from impasto.shapes import Image

FLAT_SHARE = 0.25
"""The fraction of the photo's pixels that counts as flat."""

FLAT_WINDOW = 17
"""The side of the square over which variance is taken, in pixels."""

CONTOUR_SHARE = 0.1
"""The fraction of a picture's pixels, those with the largest gradients, that counts as contours."""

_LUMINANCE = (0.2126, 0.7152, 0.0722)
"""Weights of R, G and B in the luminance of Rec. 709."""

_STRIP = 64
"""Rows whose medians are computed at a time, which bounds the memory."""


def speckle(image: Image, photo: Image) -> float:
    """Return the root mean square of brightness minus its 3×3 median, where the photo is flat, in 1/255.

    The flat part is the quarter of the photo whose brightness varies least over 17×17 pixels. The picture
    must not be resized first: shrinking removes specks.

    Args:
        image, photo: (1, 3, H, W), RGB, 0..1, of the same size.
    """
    light = _brightness(photo)
    variance = _surroundings(light.square()) - _surroundings(light).square()
    flat = variance <= quantile(variance, FLAT_SHARE)
    light = 255 * _brightness(image)
    return float((light - _median(light))[flat].square().mean().sqrt())


def crispness(image: Image, photo: Image, painting: Float[Tensor, "B 3 _ _"]) -> float:
    """Measure how steep the picture is at the photo's contours, relative to the softer of photo and painting.

    This is the mean gradient of the picture's brightness at the photo's contours (the tenth of its pixels
    with the largest gradients), divided by the smaller of two: the photo's mean gradient there, and the
    painting's at its own contours. Below 0.8 the picture is blurred, and its speckle means nothing.

    Args:
        image, photo: (1, 3, H, W), RGB, 0..1, of the same size.
        painting: (1, 3, h, w), with the same long side.
    Returns:
        ≥ 0; 1 for the photo itself if the painting is not softer; 0 if one of the two has no contours.
    """
    gradients = _gradient(_brightness(photo))
    contours = gradients >= quantile(gradients, 1 - CONTOUR_SHARE)
    painted = _gradient(_brightness(painting))
    painted = painted[painted >= quantile(painted, 1 - CONTOUR_SHARE)]
    softer = min(float(gradients[contours].mean()), float(painted.mean()))
    return float(_gradient(_brightness(image))[contours].mean()) / softer if softer else 0.0


def _brightness(image: Image) -> Float[Tensor, "1 1 H W"]:
    """Return the luminance of Rec. 709, of encoded values."""
    weights = torch.tensor(_LUMINANCE, device=image.device).view(1, 3, 1, 1)
    return (image * weights).sum(1, keepdim=True)


def _surroundings(light: Float[Tensor, "1 1 H W"]) -> Float[Tensor, "1 1 H W"]:
    """Return the mean over the square around each pixel, with edges repeated outward."""
    return F.avg_pool2d(F.pad(light, (FLAT_WINDOW // 2,) * 4, mode="replicate"), FLAT_WINDOW, 1)


def _median(light: Float[Tensor, "1 1 H W"]) -> Float[Tensor, "1 1 H W"]:
    """Return the median over the 3×3 pixels around each, with edges repeated outward."""
    padded = F.pad(light, (1, 1, 1, 1), mode="replicate")
    height, width = light.shape[2:]
    median = torch.empty_like(light)
    for top in range(0, height, _STRIP):
        rows = min(_STRIP, height - top)
        shifted = [padded[0, 0, top + y : top + y + rows, x : x + width] for y in range(3) for x in range(3)]
        median[0, 0, top : top + rows] = torch.stack(shifted).median(0).values
    return median


def _gradient(light: Float[Tensor, "1 1 H W"]) -> Float[Tensor, "1 1 H W"]:
    """Return the length of the gradient by central differences, per pixel."""
    padded = F.pad(light, (1, 1, 1, 1), mode="replicate")
    across = (padded[..., 1:-1, 2:] - padded[..., 1:-1, :-2]) / 2
    down = (padded[..., 2:, 1:-1] - padded[..., :-2, 1:-1]) / 2
    return torch.hypot(across, down)
