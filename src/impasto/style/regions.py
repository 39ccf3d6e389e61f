"""Regions: areas of the photo that take their style from areas of the same colour in the paintings."""

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import torch

from impasto.errors import ImageError, ImpastoWarning, SettingsError
from impasto.image.color_mask import Color, ColorMask, format_color, read_color, read_color_mask
from impasto.image.picture import Picture
from impasto.image.read import Source, read_single_picture
from impasto.objective.guidance_mask import GuidanceMask
from impasto.shapes import Mask
from impasto.style.automatic_regions import automatic_areas

NO_STYLE = -1
"""In `Regions.sources`: the painting has no area of that colour."""


@dataclass(frozen=True, eq=False)
class Regions:
    """The masks of a photo and its paintings, and the areas from which each region takes its style.

    Attributes:
        photo: the photo's areas.
        paintings: the areas of each painting; None for a painting whose whole style goes to every region.
        painted: for each region, the index of its area in the photo.
        kept: indices of the photo's areas that stay as they are.
        sources: for each region and painting, the index of the area that gives the style. None: the whole
            painting. `NO_STYLE`: nothing.
        inputs: the masks as read, by their roles in the manifest.
        manifest_entries: the manifest's record of an automatic mask.
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
        """The name of each region: its colour, such as #ff0000."""
        return tuple(format_color(self.photo.colors[index]) for index in self.painted)

    @property
    def bytes(self) -> float:
        """Bytes that the masks take, per pixel of the picture: 1 for each region, and 5 if areas are kept."""
        return len(self.painted) + (5.0 if self.kept else 0.0)

    def photo_masks(self, height: int, width: int, device: torch.device) -> list[GuidanceMask]:
        """Return the mask of each region at a size of the photo, in pixels."""
        return [GuidanceMask(_bytes(self.photo.soft(index, height, width), device)) for index in self.painted]

    def style_masks(
        self, number: int, height: int, width: int, device: torch.device
    ) -> list[GuidanceMask | None]:
        """Return, for each region, the mask of the area of a painting that gives its style.

        Args:
            number: of the painting.
            height, width: size of the painting, in pixels.
            device: where the masks go.
        Returns:
            A mask for each region; None: the whole painting. A region to which the painting gives nothing has
            None as well (see `sources`).
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

    def style_area(self, region: int, number: int, height: int, width: int) -> Mask | None:
        """Return the area of a painting that gives a region its colours, (1, 1, height, width), 0..1.

        Args:
            region, number: of the region and of the painting, from 0.
            height, width: size of the painting, in pixels.
        Returns:
            None for the whole painting, also if it gives nothing to the region (see `sources`).
        """
        areas, index = self.paintings[number], self.sources[region][number]
        if areas is None or index is None or index == NO_STYLE:
            return None
        return areas.soft(index, height, width)

    def kept_mask(self, height: int, width: int) -> Mask | None:
        """Return how much of each pixel stays as it is, (1, 1, height, width), 0..1; None if nothing does."""
        if not self.kept:
            return None
        parts = [self.photo.soft(index, height, width) for index in self.kept]
        return torch.stack(parts).sum(0).clamp(0, 1)


def read_regions(
    masks: Sequence[Source], keep: str, photo: Picture, paintings: Sequence[Picture]
) -> Regions | None:
    """Read the masks of a photo and its paintings.

    Args:
        masks: the photo's mask alone; or the photo's, followed by one for each painting in order; or
            "auto:subject" alone, for which the subject takes its style from the first painting and the rest
            from the second.
        keep: colours of the photo's areas that stay as they are, separated by semicolons. `subject` is
            allowed with "auto:subject" and without masks.
        photo, paintings: the pictures to which the masks belong.
    Returns:
        The regions, or None if there are no masks.
    Raises:
        ImageError: a picture that is no mask; an area of the photo without a counterpart in the paintings.
        SettingsError: a wrong number of masks; a colour that the photo's mask does not have; nothing left to
            paint.
        WeightsError: as `automatic_mask`.
    """
    if (automatic := automatic_areas(masks, keep, photo, len(paintings))) is not None:
        regions = _regions(automatic.photo, automatic.paintings, automatic.keep, automatic.inputs)
        return replace(regions, manifest_entries=automatic.manifest_entries)
    if not masks:
        if keep:
            raise SettingsError(
                f"keep is {keep!r}, but there is no mask. Give the photo's mask with --regions MASK, keep "
                "the subject with --keep subject, or leave --keep out."
            )
        return None
    if len(masks) not in (1, 1 + len(paintings)):
        raise SettingsError(
            f"{len(masks)} masks were given for one photo and {len(paintings)} paintings. Give the photo's "
            f"alone, or {1 + len(paintings)}: the photo's first, then one for each painting in order."
        )
    # The manifest's names of the inputs: the photo's mask, then one for each painting.
    roles = ["regions", "style-regions", *(f"style-{n}-regions" for n in range(2, len(paintings) + 1))]
    inputs = {role: read_single_picture(mask, role="mask") for role, mask in zip(roles, masks, strict=False)}
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
    """Divide the photo's areas into kept and painted, and find the source of each painted area."""
    # Without duplicates: `kept_mask` adds areas up, so the soft border of one named twice would count double.
    colors = [read_color(text) for text in keep.split(";") if text.strip()]
    kept = tuple(dict.fromkeys(_kept(photo_areas, color) for color in colors))
    painted = tuple(index for index in range(len(photo_areas.colors)) if index not in kept)
    if not painted:
        raise SettingsError(
            f"keep is {keep!r}, which is all of the photo: there is nothing to paint. Keep fewer areas."
        )
    sources = tuple(_sources(photo_areas, index, other_masks) for index in painted)
    return Regions(photo_areas, other_masks, painted, kept, sources, inputs)


def _read(mask: Picture, of: Picture) -> ColorMask:
    """Read the areas of a mask, and warn if its size differs from its picture's."""
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
    """Return the index of the area with a colour."""
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
    """Return, for each painting, the index of the area with the colour of the photo's area `index`."""
    color = photo_areas.colors[index]
    sources: list[int | None] = []
    for areas in other_masks:
        source = None if areas is None else areas.find(color)
        sources.append(None if areas is None else NO_STYLE if source is None else source)
    # One painting with the colour is enough: the others give nothing to this region.
    if all(source == NO_STYLE for source in sources):
        have = sorted(
            {format_color(known) for areas in other_masks if areas is not None for known in areas.colors}
        )
        raise ImageError(
            f"the region {format_color(color)} of mask '{photo_areas.name}' "
            f"({photo_areas.share(index):.0%} of the photo) has no counterpart: the paintings' masks "
            f"have {', '.join(have)}. Add an area of this colour to one of them, or keep the region "
            f"as it is: --keep '{format_color(color)}'."
        )
    return tuple(sources)


def _bytes(mask: Mask, device: torch.device) -> torch.Tensor:
    """Convert a mask, (1, 1, H, W), 0..1, to bytes, (H, W), a quarter of the memory."""
    return (mask[0, 0] * 255).round().to(device, torch.uint8)
