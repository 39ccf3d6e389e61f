"""Regions: areas of the photo that take their style from areas of the same colour in the paintings."""

import warnings
from collections.abc import Sequence
from dataclasses import dataclass

import torch

from impasto.errors import ImageError, ImpastoWarning, SettingsError
from impasto.image.color_mask import Areas, Color, read_areas, read_color, written
from impasto.image.picture import Picture
from impasto.image.read import Source, read_picture
from impasto.objective.guidance import Area
from impasto.shapes import Mask

NOTHING = -1
"""In `Regions.sources`: the painting has no area of that colour."""


@dataclass(frozen=True, eq=False)
class Regions:
    """Masks that belong together, each region with what it takes its style from.

    Attributes:
        photo: the photo's areas.
        paintings: each painting's, or None for one that gives its whole style to every region.
        painted: by region, which of the photo's areas it is.
        kept: the photo's areas that stay as they are.
        sources: by region and painting, which area of the painting gives the style: None is all of it, or
            `NOTHING`.
        inputs: the masks as read, by role.
    """

    photo: Areas
    paintings: tuple[Areas | None, ...]
    painted: tuple[int, ...]
    kept: tuple[int, ...]
    sources: tuple[tuple[int | None, ...], ...]
    inputs: dict[str, Picture]

    @property
    def names(self) -> tuple[str, ...]:
        """Of the regions: their colours."""
        return tuple(written(self.photo.colors[place]) for place in self.painted)

    @property
    def bytes(self) -> float:
        """Per pixel of the photo, of what is made of the masks: a byte for each region and for what stays."""
        return len(self.painted) + (5.0 if self.kept else 0.0)

    def of_photo(self, height: int, width: int, device: torch.device) -> list[Area]:
        """Each region at that size of the photo."""
        return [Area(_bytes(self.photo.soft(place, height, width), device)) for place in self.painted]

    def of_painting(self, number: int, height: int, width: int, device: torch.device) -> list[Area | None]:
        """For each region, where one painting gives its style, at that size of it; None is everywhere.

        A region to which it gives nothing has None as well: see `sources`.
        """
        areas = self.paintings[number]
        if areas is None:
            return [None] * len(self.painted)
        found: dict[int, Area] = {}
        for source in self.sources:
            place = source[number]
            if place is not None and place != NOTHING and place not in found:
                found[place] = Area(_bytes(areas.soft(place, height, width), device))
        chosen = [source[number] for source in self.sources]
        return [None if place is None else found.get(place) for place in chosen]

    def fixed(self, height: int, width: int) -> Mask | None:
        """How much of each pixel stays as it is, (1, 1, height, width), 0..1; None if no region is kept."""
        if not self.kept:
            return None
        parts = [self.photo.soft(place, height, width) for place in self.kept]
        return torch.stack(parts).sum(0).clamp(0, 1)


def read_regions(
    masks: Sequence[Source], keep: str, photo: Picture, paintings: Sequence[Picture]
) -> Regions | None:
    """Masks for the photo and its paintings; None if there are none.

    Args:
        masks: the photo's alone, or the photo's and one for each painting in their order.
        keep: colours of the photo's areas that stay as they are, with semicolons between them.
        photo, paintings: what the masks are of.
    Raises:
        ImageError: a mask that is none; an area of the photo without a counterpart.
        SettingsError: another number of masks, a colour that the photo's mask does not have.
    """
    if not masks:
        if keep:
            raise SettingsError(
                f"keep is {keep!r}, but there is no mask. Give one of the photo with --regions MASK, or "
                "leave --keep out."
            )
        return None
    if len(masks) not in (1, 1 + len(paintings)):
        raise SettingsError(
            f"{len(masks)} masks were given for one photo and {len(paintings)} paintings. Give the photo's "
            f"alone, or {1 + len(paintings)}: the photo's first, then one for each painting in their order."
        )
    roles = ["regions", "style-regions", *(f"style-{n}-regions" for n in range(2, len(paintings) + 1))]
    inputs = {role: read_picture(mask, role="mask") for role, mask in zip(roles, masks, strict=False)}
    areas = [_read(mask, of) for mask, of in zip(inputs.values(), [photo, *paintings], strict=False)]
    own = areas[0]
    others: tuple[Areas | None, ...] = tuple(areas[1:]) or (None,) * len(paintings)
    kept = tuple(_kept(own, read_color(text)) for text in keep.split(";") if text.strip())
    painted = tuple(place for place in range(len(own.colors)) if place not in kept)
    if not painted:
        raise SettingsError(f"keep is {keep!r}, which is all of the photo: there is nothing to paint.")
    sources = tuple(_sources(own, place, others) for place in painted)
    return Regions(own, others, painted, kept, sources, inputs)


def _read(mask: Picture, of: Picture) -> Areas:
    found = read_areas(mask)
    if (mask.height, mask.width) != (of.height, of.width):
        warnings.warn(
            f"mask '{mask.name}' is {mask.width}×{mask.height} and '{of.name}' is {of.width}×{of.height}; "
            "the mask is resized to it.",
            ImpastoWarning,
            stacklevel=3,
        )
    return found


def _kept(areas: Areas, color: Color) -> int:
    place = areas.find(color)
    if place is None:
        raise SettingsError(
            f"keep names {written(color)}, but mask '{areas.name}' has "
            f"{', '.join(map(written, areas.colors))}. Name one of these."
        )
    return place


def _sources(own: Areas, place: int, others: Sequence[Areas | None]) -> tuple[int | None, ...]:
    """For each painting, which of its areas has the colour of the photo's area."""
    color = own.colors[place]
    found: list[int | None] = []
    for areas in others:
        there = None if areas is None else areas.find(color)
        found.append(None if areas is None else NOTHING if there is None else there)
    if all(source == NOTHING for source in found):
        have = sorted({written(known) for areas in others if areas is not None for known in areas.colors})
        raise ImageError(
            f"the region {written(color)} of mask '{own.name}' ({own.share(place):.0%} of the photo) has no "
            f"counterpart: the paintings' masks have {', '.join(have)}. Paint it there in the same colour "
            f"or leave it as it is: --keep '{written(color)}'."
        )
    return tuple(found)


def _bytes(mask: Mask, device: torch.device) -> torch.Tensor:
    return (mask[0, 0] * 255).round().to(device, torch.uint8)
