"""The paintings whose style is wanted: one, or several in shares."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import torch
from jaxtyping import Float
from torch import Tensor

from impasto.image.files import Source, read_picture
from impasto.image.picture import Picture
from impasto.image.resize import fit
from impasto.recipes.fields import shares
from impasto.recipes.job import fitted, long_side

Sources: TypeAlias = Source | Sequence[Source]
"""One picture, or a list or tuple of several."""


@dataclass(frozen=True)
class Styles:
    """Paintings with their shares, which sum to 1.

    Attributes:
        pictures: as read, in the order given.
        shares: how much of each.
    """

    pictures: tuple[Picture, ...]
    shares: tuple[float, ...]

    @property
    def inputs(self) -> dict[str, Picture]:
        """By role, for the manifest: `style`, `style-2`, `style-3`."""
        names = ["style", *(f"style-{number}" for number in range(2, len(self.pictures) + 1))]
        return dict(zip(names, self.pictures, strict=True))

    def at(self, long: int, least: int, device: torch.device) -> list[tuple[Float[Tensor, "1 3 _ _"], float]]:
        """Each painting with its share, at that long side; larger if its short one would be below `least`."""
        return [
            (fitted(picture, *size, device), share)
            for picture, share, size in zip(self.pictures, self.shares, self.sizes(long, least), strict=True)
            if share
        ]

    def sizes(self, long: int, least: int) -> list[tuple[int, int]]:
        """Height and width in pixels of what `at` gives."""
        return [fit(p.height, p.width, long_side(p, long, least)) for p in self.pictures]


def read_styles(style: Sources, blend: str) -> Styles:
    """Read one painting or several.

    Args:
        blend: shares in the order of the paintings, as text; equal if empty.
    Raises:
        ImageError: as `read_picture`.
        SettingsError: as `shares`.
    """
    several: list[Any] = list(style) if isinstance(style, (list, tuple)) else [style]
    wanted = shares(blend, len(several))
    return Styles(tuple(read_picture(one, role="style image") for one in several), wanted)
