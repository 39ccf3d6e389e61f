"""From a match of clusters to regions: soft areas, what gives each its style, and whether it is trusted."""

import json
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import torch

from impasto.choices import REGION_COLORS
from impasto.errors import ImpastoWarning, SettingsError
from impasto.image.color_mask import ColorMask, read_color
from impasto.image.picture import Picture
from impasto.image.read import Source
from impasto.masks.guided_filter import refine
from impasto.network.vgg import load_vgg19
from impasto.settings.stylize import StylizeSettings
from impasto.style.cache import Cache
from impasto.style.region_matching import LAYER, LEAST_SHARE, RegionMatch, match_regions, recorded_match
from impasto.style.regions import NO_STYLE, Regions
from impasto.style.style_images import StyleImages
from impasto.system.device import Compute
from impasto.system.distributed import broadcast_text

NAME = "match"
"""What messages call the masks."""


def with_regions(
    paintings: StyleImages,
    photo: Picture,
    settings: StylizeSettings,
    masks: Sequence[Source],
    cache: Cache,
    entry: Mapping[str, Any] | None = None,
) -> StyleImages:
    """The paintings as they are wanted for one photo, with regions: those of masks, or those that match.

    Args:
        masks: as in `read_regions`.
        cache: keeps the newest match of files.
        entry: a match as a manifest holds it; default found here.
    Returns:
        Without matched regions where the match is not trusted; then there is a warning.
    Raises:
        ImageError, SettingsError: as `read_regions`; masks and matching together.
        CheckpointError: the entry is damaged.
        WeightsError: as `load_vgg19`.
    """
    if settings.match != "none" and masks:
        raise SettingsError(
            f"match is {settings.match!r} and --regions has {len(masks)} masks: both divide the photo. Leave "
            "out --match or --regions. To mend a match: impasto mask PHOTO --kind like:PAINTING."
        )
    paintings = paintings.matched_to(photo, settings, masks)
    if settings.match == "none":
        return paintings
    match = recorded_match(entry) if entry else _found(paintings, photo, settings.weights, cache)
    if not match.doubts:
        regions = regions_of(match, photo, paintings.pictures)
        return replace(paintings, matching=match, regions=regions)
    if not entry:
        warn_of_doubts(match, photo, "Its style goes everywhere instead.")
    return replace(paintings, matching=match)


def find_match(photo: Picture, paintings: Sequence[Picture], weights: str) -> RegionMatch:
    """The match of a photo with paintings, on the CPU in float32, whatever paints afterwards.

    Args:
        weights: as in `load_vgg19`.
    Raises:
        WeightsError: none, damaged, or not to be had.
    """
    compute = Compute(torch.device("cpu"), torch.float32)
    network, _ = load_vgg19(weights, pooling="max", deepest_layer=LAYER, compute=compute)
    return match_regions(network, photo, paintings)


def warn_of_doubts(match: RegionMatch, photo: Picture, advice: str) -> None:
    """Warn of a match that is not trusted, and say what follows."""
    if match.doubts:
        warnings.warn(
            f"the areas of '{photo.name}' do not match the painting's: {match.doubts}. {advice}",
            ImpastoWarning,
            stacklevel=3,
        )


def regions_of(match: RegionMatch, photo: Picture, paintings: Sequence[Picture]) -> Regions:
    """The regions of a match, with soft borders that follow each picture's luminance.

    A cluster that a painting lacks takes nothing from it; one that all lack takes their whole style.
    """
    photo_areas, *style_areas = (
        color_mask(match, number, picture) for number, picture in enumerate((photo, *paintings))
    )
    painted = tuple(index for index in range(match.clusters) if photo_areas.share(index))
    has_area = match.shares[1:] >= LEAST_SHARE  # (paintings, clusters)
    sources = tuple(
        tuple(index if has else NO_STYLE for has in has_area[:, index].tolist())
        if has_area[:, index].any()
        else (None,) * len(paintings)
        for index in painted
    )
    return Regions(photo_areas, tuple(style_areas), painted, (), sources, {})


def color_mask(match: RegionMatch, number: int, picture: Picture) -> ColorMask:
    """The areas of one picture, soft, at its size; together 255 at every pixel.

    Args:
        number: of the picture: 0 is the photo.
    """
    labels, pixels = match.labels[number], picture.pixels[:1].cpu()
    parts = [refine((labels == index).float()[None, None], pixels)[0, 0] for index in range(match.clusters)]
    soft = torch.stack(parts)  # (clusters, H, W)
    # The filter is linear in the mask, so parts add up to 1 but for the clamp; borders stay where they are.
    levels = (soft / soft.sum(0).clamp_min(1e-6) * 255).round().to(torch.int16)
    largest = levels.argmax(0)
    rest = 255 - levels.sum(0, dtype=torch.int16)
    levels.scatter_add_(0, largest[None], rest[None])
    colors = tuple(map(read_color, REGION_COLORS[: match.clusters]))
    return ColorMask(colors, largest.to(torch.uint8), NAME, levels.to(torch.uint8))


def _found(paintings: StyleImages, photo: Picture, weights: str, cache: Cache) -> RegionMatch:
    """The match of these pictures; several processes take the first one's."""
    digests = (photo.sha256, *(picture.sha256 for picture in paintings.pictures))
    key = None if None in digests else (*digests, weights)
    match = cache.get(NAME, key, lambda: find_match(photo, paintings.pictures, weights))
    return recorded_match(json.loads(broadcast_text(json.dumps(match.manifest_entry))))
