"""Colour masks: pictures of a few areas, each painted in one plain colour."""

import math
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from jaxtyping import Bool, UInt8
from PIL import ImageColor
from torch import Tensor

from impasto.errors import ImageError, SettingsError
from impasto.image.picture import Picture
from impasto.shapes import Image, Mask

Color = tuple[int, int, int]
"""Red, green and blue, 0..255."""

LEAST = 0.001
"""The smallest area, as a fraction of the mask's pixels; only pixels away from edges are counted."""

STRANGE = 0.25
"""The largest fraction of a mask's pixels, such as those on soft edges, that no area's colour may match."""

MOST = 16
"""The largest number of areas in a mask."""

NEAR = 60.0
"""Colours closer than this, on a scale of 0..255, count as one: JPEG and soft brushes blur them."""


@dataclass(frozen=True)
class ColorMask:
    """A mask that has been read.

    Attributes:
        colors: the areas' colours, the largest area first.
        labels: the index of each pixel's area, (H, W).
        name: what the user typed, for messages.
        shares: each area's share of every pixel, (N, H, W), 0..255, if borders are soft; None: `labels` alone
            count.
    """

    colors: tuple[Color, ...]
    labels: UInt8[Tensor, "H W"]
    name: str
    shares: UInt8[Tensor, "N H W"] | None = None

    def find(self, color: Color) -> int | None:
        """Return the index of the area whose colour is nearest; None if no colour is within `NEAR`."""
        near = [(math.dist(color, known), index) for index, known in enumerate(self.colors)]
        distance, index = min(near)
        return index if distance < NEAR else None

    def share(self, index: int) -> float:
        """Return the fraction of the mask's pixels that belong to an area."""
        return float((self.labels == index).double().mean())

    def soft(self, index: int, height: int, width: int) -> Mask:
        """Resize one area to (1, 1, height, width), 0..1. The areas of a mask sum to 1 at every pixel."""
        hard = (self.labels == index).float()[None, None]
        if self.shares is not None:
            hard = self.shares[index].float()[None, None] / 255
        if hard.shape[2:] == (height, width):
            return hard
        soft = F.interpolate(hard, (height, width), mode="bilinear", align_corners=False, antialias=True)
        return soft.clamp_(0, 1)


def read_color_mask(picture: Picture, *, role: str = "mask") -> ColorMask:
    """Find the areas of a mask. Pixels of in-between colours, as on soft edges, go to the nearest area.

    Args:
        picture: the mask, of any size.
        role: what to call it in messages.
    Raises:
        ImageError: it has too many colours, as a photograph has.
    """
    levels = (picture.pixels[0] * 255).round().clamp(0, 255).long()  # (3, H, W)
    # Each colour becomes one number, so that equal colours can be counted.
    codes, where = torch.unique((levels[0] << 16) | (levels[1] << 8) | levels[2], return_inverse=True)
    counts = torch.bincount(where.flatten(), minlength=len(codes))
    flat = torch.bincount(where[_flat(picture.pixels)], minlength=len(codes))
    every = torch.stack([codes >> 16, (codes >> 8) & 255, codes & 255], dim=1).double()  # (colours, 3)
    palette: list[int] = []
    for index in flat.argsort(descending=True, stable=True).tolist():
        if int(flat[index]) < LEAST * where.numel():
            break
        if all(float((every[index] - every[known]).norm()) >= NEAR for known in palette):
            palette.append(index)
    far = torch.ones(len(codes), dtype=torch.bool)
    nearest = torch.zeros(len(codes), dtype=torch.uint8)
    if palette:
        distances = torch.cdist(every, every[palette])
        far, nearest = distances.amin(1) >= NEAR, distances.argmin(1).to(torch.uint8)
    strange = float(counts[far].sum()) / where.numel()
    if len(palette) > MOST or strange > STRANGE:
        raise ImageError(
            f"{role} '{picture.name}' has {len(palette)} main colours, and {strange:.0%} of its pixels have "
            f"none of them. A mask has at most {MOST} areas, each painted in one plain colour."
        )
    colors = tuple((int(r), int(g), int(b)) for r, g, b in every[palette].tolist())
    return ColorMask(colors, nearest[where], picture.name)


def read_color(text: str) -> Color:
    """Parse a colour as people write it: black, #ff0000, rgb(255, 0, 0).

    Raises:
        SettingsError: the text is not a colour.
    """
    try:
        red, green, blue = ImageColor.getrgb(text.strip())[:3]
    except ValueError:
        raise SettingsError(
            f"{text!r} is no colour. Write it like black, red or #ff0000; several with semicolons."
        ) from None
    return red, green, blue


def format_color(color: Color) -> str:
    """Write a colour in the form #ff0000."""
    return "#{:02x}{:02x}{:02x}".format(*color)


def _flat(pixels: Image) -> Bool[Tensor, "H W"]:
    """Return where a pixel and its neighbours have nearly the same colour, that is, away from any edge."""
    most, least = F.max_pool2d(pixels, 3, 1, 1), -F.max_pool2d(-pixels, 3, 1, 1)  # over 3×3 pixels
    return ((most - least) < 0.1).all(1)[0]
