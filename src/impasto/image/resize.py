"""Resizing pictures, and computing the size they should have."""

import math

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from impasto.errors import SettingsError
from impasto.image.picture import Picture
from impasto.shapes import Image


def resize(image: Float[Tensor, "B C H W"], height: int, width: int) -> Float[Tensor, "B C h w"]:
    """Resample with a bicubic filter, which widens when it shrinks a picture, so that nothing aliases.

    The filter is Keys' cubic with a = -0.5 in both directions, as in Pillow's BICUBIC; each direction is
    shrunk or enlarged separately. It averages encoded sRGB values, not linear light: the network was trained
    on pictures shrunk that way, other programs do the same, and the filter's undershoot beside a bright edge
    stays small in the shadows. An image that already has the size is returned as it is.

    Args:
        image: (B, C, H, W), float32, a picture or a mask, of any range and on any device.
        height: the new number of rows, at least 1.
        width: the new number of columns, at least 1.
    Returns:
        (B, C, height, width), not clamped: beside sharp edges values leave the input's range by up to 15 % of
        the step.
    Raises:
        SettingsError: a side is below 1.
    Example:
        >>> import torch
        >>> resize(torch.zeros(1, 3, 40, 60), 20, 30).shape
        torch.Size([1, 3, 20, 30])
    """
    if height < 1 or width < 1:
        raise SettingsError(f"cannot resize to {width}×{height}; both sides need at least 1 pixel.")
    if (height, width) == tuple(image.shape[-2:]):
        return image
    # antialias=True even for enlarging: without it torch uses a = -0.75, which rings more.
    return F.interpolate(image, size=(height, width), mode="bicubic", align_corners=False, antialias=True)


def fit(height: int, width: int, size: int) -> tuple[int, int]:
    """Compute a picture's height and width for a given long side.

    Args:
        height: the current number of rows, at least 1.
        width: the current number of columns, at least 1.
        size: the new long side in pixels, at least 1; it may be larger than the current one.
    Returns:
        (height, width): the long side is exactly `size`; the other keeps the aspect ratio, rounded to the
        nearest pixel (halves up), at least 1.
    Raises:
        SettingsError: `size` is below 1, or the picture has no pixels.
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


def fit_within(height: int, width: int, size: int) -> tuple[int, int]:
    """Compute a picture's height and width for a long side of at most `size`: `fit`, but never enlarged."""
    return fit(height, width, min(size, max(height, width)))


def resized_pixels(picture: Picture, height: int, width: int, device: torch.device) -> Image:
    """Resize a picture on a device: (1, 3, height, width), clamped to 0..1."""
    return resize(picture.pixels.to(device), height, width).clamp(0, 1)


def long_side(picture: Picture, long: int, least: int) -> int:
    """Return the long side in pixels, raised if the picture's short side would be below `least`."""
    short = min(picture.height, picture.width)
    return max(long, math.ceil(least * max(picture.height, picture.width) / short))
