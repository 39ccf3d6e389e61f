"""Resizing, and the arithmetic of fitting a picture to a size."""

import math

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from impasto.errors import SettingsError
from impasto.image.picture import Picture
from impasto.shapes import Image
from impasto.system import process as process  # before anything is computed


def resize(image: Float[Tensor, "B C H W"], height: int, width: int) -> Float[Tensor, "B C h w"]:
    """Resample with a bicubic filter that widens as it shrinks, so that nothing aliases.

    Keys' cubic with a = -0.5 both ways, which is what Pillow's BICUBIC does; each direction is shrunk or
    enlarged on its own. The encoded sRGB values are averaged, not linear light: the network was trained on
    pictures shrunk that way, every other program shrinks that way, and the filter's undershoot beside a
    bright edge stays small in the shadows. A picture of the size asked for comes back as it is.

    Args:
        image: (B, C, H, W), float32, any range, any device; pictures and masks alike.
        height: rows wanted, at least 1.
        width: columns wanted, at least 1.
    Returns:
        (B, C, height, width). Not clamped: beside sharp edges values go past the input's range by up to 15 %
        of the step.
    Raises:
        SettingsError: a side below 1.
    Example:
        >>> import torch
        >>> resize(torch.zeros(1, 3, 40, 60), 20, 30).shape
        torch.Size([1, 3, 20, 30])
    """
    if height < 1 or width < 1:
        raise SettingsError(f"cannot resize to {width}×{height}; both sides need at least 1 pixel.")
    if (height, width) == tuple(image.shape[-2:]):
        return image
    # antialias=True when enlarging too: without it torch takes a = -0.75, which rings more
    return F.interpolate(image, size=(height, width), mode="bicubic", align_corners=False, antialias=True)


def fit(height: int, width: int, size: int) -> tuple[int, int]:
    """Height and width of the picture when its long side is `size` pixels.

    Args:
        height: rows now, at least 1.
        width: columns now, at least 1.
        size: pixels of the long side, at least 1. Larger than now means enlarging.
    Returns:
        (height, width): the long side is exactly `size`; the other keeps the aspect ratio, rounded to the
        nearest pixel (halves up), at least 1.
    Raises:
        SettingsError: a size below 1, or a picture without pixels.
    Example:
        >>> fit(3000, 4000, 512)
        (384, 512)
    """
    if size < 1:
        raise SettingsError(f"size is {size}; the long side of a picture needs at least 1 pixel.")
    if height < 1 or width < 1:
        raise SettingsError(f"a picture of {width}×{height} pixels cannot be fitted to a size.")
    long, short = max(height, width), min(height, width)
    other = max(1, (2 * short * size + long) // (2 * long))  # whole numbers: exact at any size
    return (size, other) if height >= width else (other, size)


def resized_pixels(picture: Picture, height: int, width: int, device: torch.device) -> Image:
    """The picture's pixels at that size, (1, 3, height, width), 0..1, on the device."""
    return resize(picture.pixels.to(device), height, width).clamp(0, 1)


def long_side(picture: Picture, long: int, least: int) -> int:
    """That long side in pixels, or more if the picture's short side would be below `least`."""
    short = min(picture.height, picture.width)
    return max(long, math.ceil(least * max(picture.height, picture.width) / short))
