"""Turning a match of clusters into regions: soft areas, and which painting gives each its style."""

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
"""The name of matched masks in messages and in the cache."""


def with_regions(
    paintings: StyleImages,
    photo: Picture,
    settings: StylizeSettings,
    masks: Sequence[Source],
    cache: Cache,
    entry: Mapping[str, Any] | None = None,
) -> StyleImages:
    """Prepare the paintings for one photo, with regions from masks or from matching.

    Args:
        paintings: as read.
        photo: the content image.
        settings: `match`, `keep`, the colour settings and `weights` are read.
        masks: as in `read_regions`.
        cache: keeps the newest match of pictures from files.
        entry: a match recorded in a manifest; if omitted, the pictures are matched now.
    Returns:
        The paintings with their regions. If the match is not trusted, they have no regions, and a warning
        says so.
    Raises:
        ImageError, SettingsError: as `read_regions`; or masks and matching were both given.
        CheckpointError: the recorded match is damaged.
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
    match = recorded_match(entry) if entry else _find_cached(paintings, photo, settings.weights, cache)
    if not match.doubts:
        regions = regions_of(match, photo, paintings.pictures)
        return replace(paintings, matching=match, regions=regions)
    if not entry:
        warn_of_doubts(match, photo, "Its style goes everywhere instead.")
    return replace(paintings, matching=match)


def find_match(photo: Picture, paintings: Sequence[Picture], weights: str) -> RegionMatch:
    """Match the areas of a photo and paintings.

    Args:
        photo, paintings: of any size.
        weights: as in `load_vgg19`.
    Raises:
        WeightsError: the weights are missing or damaged, or cannot be fetched.
    """
    # On the CPU in float32, so that the regions do not depend on the device and precision of the run.
    compute = Compute(torch.device("cpu"), torch.float32)
    network, _ = load_vgg19(weights, pooling="max", deepest_layer=LAYER, compute=compute)
    return match_regions(network, photo, paintings)


def warn_of_doubts(match: RegionMatch, photo: Picture, advice: str) -> None:
    """Warn if a match is not trusted; `advice` says what follows."""
    if match.doubts:
        warnings.warn(
            f"the areas of '{photo.name}' do not match the painting's: {match.doubts}. {advice}",
            ImpastoWarning,
            stacklevel=3,
        )


def regions_of(match: RegionMatch, photo: Picture, paintings: Sequence[Picture]) -> Regions:
    """Make regions of a match. Their soft borders follow each picture's luminance.

    If a painting lacks a cluster, it contributes nothing to that region. If all paintings lack it, the region
    takes their whole style.

    Args:
        match: the clusters.
        photo, paintings: the pictures that were matched.
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
    """Make the soft areas of one picture, at its size. They sum to 255 at every pixel.

    Args:
        match: the clusters.
        number: of the picture; 0 is the photo.
        picture: the picture itself, whose luminance guides the borders.
    """
    labels, pixels = match.labels[number], picture.pixels[:1].cpu()
    parts = [refine((labels == index).float()[None, None], pixels)[0, 0] for index in range(match.clusters)]
    soft = torch.stack(parts)  # (clusters, H, W)
    # The filter is linear in the mask, so the parts sum to 1 except where they were clamped. Dividing by the
    # sum repairs that and leaves the borders in place.
    levels = (soft / soft.sum(0).clamp_min(1e-6) * 255).round().to(torch.int16)
    largest = levels.argmax(0)
    rest = 255 - levels.sum(0, dtype=torch.int16)
    # The largest area absorbs the rounding errors.
    levels.scatter_add_(0, largest[None], rest[None])
    colors = tuple(map(read_color, REGION_COLORS[: match.clusters]))
    return ColorMask(colors, largest.to(torch.uint8), NAME, levels.to(torch.uint8))


def _find_cached(paintings: StyleImages, photo: Picture, weights: str, cache: Cache) -> RegionMatch:
    """Match the pictures, or take the match from the cache. All processes use that of the first."""
    # Pictures from memory have no digest, so their match is not kept.
    digests = (photo.sha256, *(picture.sha256 for picture in paintings.pictures))
    key = None if None in digests else (*digests, weights)
    match = cache.get(NAME, key, lambda: find_match(photo, paintings.pictures, weights))
    # Rounding may differ between machines, and all processes must paint the same regions.
    return recorded_match(json.loads(broadcast_text(json.dumps(match.manifest_entry))))
