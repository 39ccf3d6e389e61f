"""Regions: areas of the photo that take their style from areas of the same colour in the paintings."""

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import torch

from impasto.errors import ImageError, ImpastoWarning, SettingsError
from impasto.image.color_mask import Color, ColorMask, format_color, read_color, read_color_mask
from impasto.image.picture import Picture
from impasto.image.read import Source, read_picture
from impasto.objective.guidance_mask import GuidanceMask
from impasto.shapes import Mask
from impasto.style.automatic_regions import automatic_areas

NO_STYLE = -1
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
            `NO_STYLE`.
        inputs: the masks as read, by role.
        manifest_entries: what a manifest keeps of a mask that was found, not read.
    """

    photo: ColorMask
    paintings: tuple[ColorMask | None, ...]
    painted: tuple[int, ...]
    kept: tuple[int, ...]
    sources: tuple[tuple[int | None, ...], ...]
    inputs: dict[str, Picture]
    manifest_entries: Mapping[str, Any] = field(default_factory=dict)

    @property
    def names(self) -> tuple[str, ...]:
        """Of the regions: their colours."""
        return tuple(format_color(self.photo.colors[index]) for index in self.painted)

    @property
    def bytes(self) -> float:
        """Per pixel of the photo, of what is made of the masks: a byte for each region and for what stays."""
        return len(self.painted) + (5.0 if self.kept else 0.0)

    def photo_masks(self, height: int, width: int, device: torch.device) -> list[GuidanceMask]:
        """Each region at that size of the photo."""
        return [GuidanceMask(_bytes(self.photo.soft(index, height, width), device)) for index in self.painted]

    def style_masks(
        self, number: int, height: int, width: int, device: torch.device
    ) -> list[GuidanceMask | None]:
        """For each region, where one painting gives its style, at that size of it; None is everywhere.

        A region to which it gives nothing has None as well: see `sources`.
        """
        areas = self.paintings[number]
        if areas is None:
            return [None] * len(self.painted)
        masks: dict[int, GuidanceMask] = {}
        for source in self.sources:
            index = source[number]
            if index is not None and index != NO_STYLE and index not in masks:
                masks[index] = GuidanceMask(_bytes(areas.soft(index, height, width), device))
        chosen = [source[number] for source in self.sources]
        return [None if index is None else masks.get(index) for index in chosen]

    def kept_mask(self, height: int, width: int) -> Mask | None:
        """How much of each pixel stays as it is, (1, 1, height, width), 0..1; None if no region is kept."""
        if not self.kept:
            return None
        parts = [self.photo.soft(index, height, width) for index in self.kept]
        return torch.stack(parts).sum(0).clamp(0, 1)


def read_regions(
    masks: Sequence[Source], keep: str, photo: Picture, paintings: Sequence[Picture]
) -> Regions | None:
    """Masks for the photo and its paintings; None if there are none.

    Args:
        masks: the photo's alone, or the photo's and one for each painting in their order; or "auto:subject"
            alone: the subject is found and takes its style from the first painting, the rest from the second.
        keep: colours of the photo's areas that stay as they are, with semicolons between them; `subject`
            where there are no masks, or "auto:subject".
        photo, paintings: what the masks are of.
    Raises:
        ImageError: a mask that is none; an area of the photo without a counterpart.
        SettingsError: another number of masks, a colour that the photo's mask does not have.
    """
    if (automatic := automatic_areas(masks, keep, photo, len(paintings))) is not None:
        regions = _regions(automatic.photo, automatic.paintings, automatic.keep, automatic.inputs)
        return replace(regions, manifest_entries=automatic.manifest_entries)
    if not masks:
        if keep:
            raise SettingsError(
                f"keep is {keep!r}, but there is no mask. Give one of the photo with --regions MASK, keep "
                "the subject with --keep subject, or leave --keep out."
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
    photo_areas = areas[0]
    other_masks: tuple[ColorMask | None, ...] = tuple(areas[1:]) or (None,) * len(paintings)
    return _regions(photo_areas, other_masks, keep, inputs)


def _regions(
    photo_areas: ColorMask,
    other_masks: tuple[ColorMask | None, ...],
    keep: str,
    inputs: dict[str, Picture],
) -> Regions:
    kept = tuple(_kept(photo_areas, read_color(text)) for text in keep.split(";") if text.strip())
    painted = tuple(index for index in range(len(photo_areas.colors)) if index not in kept)
    if not painted:
        raise SettingsError(f"keep is {keep!r}, which is all of the photo: there is nothing to paint.")
    sources = tuple(_sources(photo_areas, index, other_masks) for index in painted)
    return Regions(photo_areas, other_masks, painted, kept, sources, inputs)


def _read(mask: Picture, of: Picture) -> ColorMask:
    color_mask = read_color_mask(mask)
    if (mask.height, mask.width) != (of.height, of.width):
        warnings.warn(
            f"mask '{mask.name}' is {mask.width}×{mask.height} and '{of.name}' is {of.width}×{of.height}; "
            "the mask is resized to it.",
            ImpastoWarning,
            stacklevel=3,
        )
    return color_mask


def _kept(areas: ColorMask, color: Color) -> int:
    index = areas.find(color)
    if index is None:
        raise SettingsError(
            f"keep names {format_color(color)}, but mask '{areas.name}' has "
            f"{', '.join(map(format_color, areas.colors))}. Name one of these."
        )
    return index


def _sources(
    photo_areas: ColorMask, index: int, other_masks: Sequence[ColorMask | None]
) -> tuple[int | None, ...]:
    """For each painting, which of its areas has the colour of the photo's area."""
    color = photo_areas.colors[index]
    sources: list[int | None] = []
    for areas in other_masks:
        there = None if areas is None else areas.find(color)
        sources.append(None if areas is None else NO_STYLE if there is None else there)
    if all(source == NO_STYLE for source in sources):
        have = sorted(
            {format_color(known) for areas in other_masks if areas is not None for known in areas.colors}
        )
        raise ImageError(
            f"the region {format_color(color)} of mask '{photo_areas.name}' "
            f"({photo_areas.share(index):.0%} of the photo) has no counterpart: the paintings' masks "
            f"have {', '.join(have)}. Paint it there in the same colour or leave "
            f"it as it is: --keep '{format_color(color)}'."
        )
    return tuple(sources)


def _bytes(mask: Mask, device: torch.device) -> torch.Tensor:
    return (mask[0, 0] * 255).round().to(device, torch.uint8)
