"""The photo with the colours of the paintings, which is what gets painted.

Not in Gatys et al. 2015. Style terms alone leave colours that the painting does not have, because the
photo's features ask for them: an orange wing stays orange in the manner of a blue painting. So the photo is
recoloured first (`image/color_transfer.py`), region by region if there are any.
The changes of colour are smoothed within the photo's contours: in each window they become a linear function
of its lightness. Only these functions are kept. They are found once, on a small version of the photo, so the
colours are the same at every scale.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from impasto.image.color_transfer import Colors, Shares, move_colors
from impasto.image.guided_filter import guided_lines
from impasto.image.oklab import to_oklab, to_srgb
from impasto.image.picture import Picture
from impasto.image.resize import fit_within, resize, resized_pixels
from impasto.shapes import Image
from impasto.style.style_images import StyleImages

MEASURED = 256
"""Colours are measured on pictures with at most this long side, in pixels."""

RADIUS = 1 / 40
"""The radius of the window in which the changes are smoothed, relative to the photo's long side."""

SOFTNESS = 1e-3
"""A variance of L: contours are followed where L varies by more than its root, 0.03."""

LIGHTNESS_WEIGHT = 2.0
"""How much further apart colours count that differ in lightness. With 1, light things turned dark."""

LIGHTNESS_SHARE = 0.5
"""The part of the change in lightness that is kept. With all of it, a white flower vanished in a sky that had
become as light (dandelion after *Great Wave*); half keeps the two apart."""

CPU = torch.device("cpu")


@dataclass(frozen=True, eq=False)
class RecoloredPhoto:
    """How a photo's colours change.

    Attributes:
        slope, offset: the change of L, a and b at each place, as slope·L + offset, (1, 3, h, w) each.
    """

    slope: Float[Tensor, "1 3 h w"]
    offset: Float[Tensor, "1 3 h w"]

    @classmethod
    def of(
        cls, photo: Picture, paintings: StyleImages, layers: Iterable[str], amount: float
    ) -> "RecoloredPhoto":
        """Find how a photo's colours become those of its paintings.

        Args:
            photo: the content image.
            paintings: with their shares and regions. Several give their colours by their mean shares.
            layers: the style layers, over which shares are averaged.
            amount: how far the colours move, 0..1. At 1, a and b get the paintings' distribution.
        Returns:
            Slope and offset at no more than `MEASURED` pixels; all 0 for an amount of 0.
        """
        names, regions = list(layers), paintings.regions
        lab = to_oklab(_small(photo))[0].double().numpy()
        inside = [np.ones(lab.shape[1:], dtype=bool)]
        if regions:
            inside = [
                regions.photo.soft(index, *lab.shape[1:])[0, 0].numpy() >= 0.5 for index in regions.painted
            ]
        change, weights = np.zeros_like(lab), np.array([[LIGHTNESS_WEIGHT], [1.0], [1.0]])
        for region, area in enumerate(inside):
            shares = [paintings.neighbor_share(region, n, names) for n in range(len(paintings.pictures))]
            others, counts = _colors(paintings, region, shares)
            if area.any() and others.size:
                colors = lab[:, area]  # (3, pixels of the region)
                change[:, area] = move_colors(colors * weights, others * weights, counts) / weights - colors
        change *= np.array([LIGHTNESS_SHARE, 1, 1])[:, None, None] * amount
        # Neighbouring pixels of nearly equal colours may move apart, which would show as specks. A linear
        # function of L in each window cannot do that.
        radius = max(1, round(RADIUS * max(lab.shape[1:])))
        lines = [guided_lines(lab[0], part, radius, SOFTNESS) for part in change]
        slope, offset = (
            torch.stack([torch.from_numpy(line[k]) for line in lines])[None].float() for k in (0, 1)
        )
        return cls(slope, offset)

    def apply(self, image: Image) -> Image:
        """Recolour the photo at any size.

        Args:
            image: the photo, (1, 3, H, W), sRGB-encoded, 0..1, on any device.
        Returns:
            (1, 3, H, W), on the same device. A colour that sRGB cannot show loses chroma.
        """
        lab = to_oklab(image.cpu())
        lightness = lab[:, :1].clone()
        for channel in range(3):  # one at a time, which bounds the memory
            slope, offset = (
                resize(part[:, channel : channel + 1], *image.shape[2:]) for part in (self.slope, self.offset)
            )
            lab[:, channel : channel + 1] += slope * lightness + offset
        return to_srgb(lab).to(image)


def _small(picture: Picture) -> Image:
    """Return a picture at the size where its colours are measured; a smaller one is not enlarged."""
    return resized_pixels(picture, *fit_within(picture.height, picture.width, MEASURED), CPU)


def _colors(paintings: StyleImages, region: int, shares: Sequence[float]) -> tuple[Colors, Shares]:
    """Return the paintings' colours for a region, and how much each counts: a painting's share in all."""
    colors, counts = [], []
    for number, share in enumerate(shares):
        if share > 0:
            image = _small(paintings.pictures[number])
            pixels = to_oklab(image)[0].double().flatten(1).numpy()
            regions = paintings.regions
            area = regions.style_area(region, number, *image.shape[2:]) if regions else None
            if area is not None and (area >= 0.5).any():
                pixels = pixels[:, area.flatten().numpy() >= 0.5]
            colors.append(pixels)
            counts.append(np.full(pixels.shape[1], share / pixels.shape[1]))
    return np.concatenate([np.empty((3, 0)), *colors], axis=1), np.concatenate([np.empty(0), *counts])
