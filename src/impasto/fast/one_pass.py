"""What paints in one pass: AdaIN, which takes any painting's hand, and painters that have learned theirs."""

from dataclasses import dataclass
from typing import Any, Protocol

import torch
from jaxtyping import Float
from torch import Tensor

from impasto.errors import SettingsError
from impasto.fast.adain import LAYER, STRIDE, ChannelStats, Decoder
from impasto.fast.models import Model, load
from impasto.fast.transformer_net import NormStats as PainterMoments
from impasto.image.color import grey
from impasto.layers import LAYERS
from impasto.network.vgg import VGG19
from impasto.objective.statistics import GaussianStatistic
from impasto.objective.targets import content_targets, style_means
from impasto.settings.blend import parse_blend
from impasto.settings.fast import FastSettings
from impasto.shapes import Image
from impasto.style.regions import NO_STYLE, Regions
from impasto.style.style_images import StyleImages

LEAST = 16
"""The shortest side that mirrored edges can be had for, in pixels."""

NUMBERS_PER_PIXEL = {"adain": 330, "painter": 90}
"""Numbers held at a time for each pixel of what is computed at once."""


class OnePassModel(Protocol):
    """What paints."""

    @property
    def numbers_per_pixel(self) -> int:
        """Held at a time for each pixel of what is computed at once."""

    @property
    def manifest_entries(self) -> dict[str, Any]:
        """What goes into the manifest."""

    def styled(self, image: Image, paintings: StyleImages | None, tile: int) -> Image:
        """The image painted, (1, 3, H, W), 0..1 nominal."""


class AdaINModel:
    """Any painting: the photo's responses with the painting's spread, decoded."""

    def __init__(self, network: VGG19, decoder: Decoder, settings: FastSettings, sha256: str) -> None:
        self.network, self.decoder, self.settings = network, decoder, settings
        self.numbers_per_pixel: int = NUMBERS_PER_PIXEL["adain"]
        self.manifest_entries: dict[str, Any] = {"decoder": sha256}
        self._measured: tuple[Any, list[list[ChannelStats | None]]] | None = None

    @torch.no_grad()
    def styled(self, image: Image, paintings: StyleImages | None, tile: int) -> Image:
        """See `OnePassModel`."""
        assert paintings is not None
        height, width = image.shape[2:]
        stats = self._targets(paintings, max(height, width), tile)
        target, _ = content_targets(self.network, image, [LAYER], tile=tile)[LAYER]
        grid = LAYERS[LAYER].grid(height, width)
        features = target.at(slice(0, grid[0]), slice(0, grid[1]))
        mixed = self._styled_features(features, stats, paintings.regions, (height, width))
        pixels = self.decoder.decode_by_tiles(mixed, -(-tile // STRIDE))
        return pixels[:, :, :height, :width]

    def _styled_features(
        self,
        features: Tensor,
        targets: list[ChannelStats],
        regions: Regions | None,
        size: tuple[int, int],
    ) -> Tensor:
        """The photo's responses with the spread of each region's style, as far as strength says."""
        strength = self.settings.strength
        if regions is None:
            (style,) = targets
            return torch.lerp(features, ChannelStats.of(features).adain(style, features), strength)
        mixed, left = torch.zeros_like(features), torch.ones_like(features[:, :1])
        everywhere = slice(0, features.shape[2]), slice(0, features.shape[3])
        for style, area in zip(targets, regions.photo_masks(*size, features.device), strict=True):
            share = area.at(LAYER, *everywhere).to(features.dtype)
            styled = ChannelStats.of(features, share).adain(style, features)
            mixed += share * torch.lerp(features, styled, strength)
            left -= share
        return mixed + left.clamp(min=0) * features

    def _targets(self, paintings: StyleImages, long: int, tile: int) -> list[ChannelStats]:
        """For each region, the spread of its paintings in their shares."""
        long = max(1, round(long * self.settings.style_scale))
        key = (long, tile, paintings) if paintings.regions or paintings.recolors else (long, tile)
        if self._measured is None or self._measured[0] != key:
            self._measured = (key, self._spreads(paintings, long, tile))
        shares = [share.at(LAYER) for share in paintings.shares]
        targets = []
        for region in zip(*self._measured[1], strict=True):
            weighted = [
                (s, stats) for s, stats in zip(shares, region, strict=True) if s and stats is not None
            ]
            total = sum(s for s, _ in weighted)
            mean = sum((s / total * stats.mean for s, stats in weighted), torch.zeros(()))
            deviation = sum((s / total * stats.deviation for s, stats in weighted), torch.zeros(()))
            targets.append(ChannelStats(mean, deviation))
        return targets

    def _spreads(self, paintings: StyleImages, long: int, tile: int) -> list[list[ChannelStats | None]]:
        """By painting and region."""
        regions, device = paintings.regions, self.network.device
        by_painting = []
        for number, size in enumerate(paintings.sizes(long, LEAST)):
            areas = regions.style_masks(number, *size, device) if regions else [None]
            image = paintings.at(number, size, device)
            if self.settings.colors == "photo-luminance":
                image = grey(image)
            means = style_means(self.network, image, {LAYER: GaussianStatistic()}, areas=areas, tile=tile)
            grid = LAYERS[LAYER].grid(*size)
            positions = [grid[0] * grid[1] if area is None else area.positions(LAYER) for area in areas]
            gives = [s[number] != NO_STYLE for s in regions.sources] if regions else [True]
            by_painting.append(
                [
                    ChannelStats.from_moments(mean[LAYER], count) if given else None
                    for mean, count, given in zip(means, positions, gives, strict=True)
                ]
            )
        return by_painting


@dataclass(frozen=True, eq=False)
class TrainedModel:
    """A painter, which knows its styles."""

    model: Model
    shares: Tensor
    strength: float
    device: torch.device
    dtype: torch.dtype
    numbers_per_pixel: int = NUMBERS_PER_PIXEL["painter"]

    @classmethod
    def of(cls, settings: FastSettings, device: torch.device, dtype: torch.dtype) -> "TrainedModel":
        """The settings' model on that device.

        Raises:
            WeightsError: as `load`.
            SettingsError: shares that are not one for each of its styles.
        """
        model = load(settings.model)
        several = parse_blend(settings.blend, len(model.styles))
        if any(share.layers is not None for share in several):
            raise SettingsError(
                f"blend is {settings.blend!r}; a model's styles have no layers. Give numbers, such as 1,3."
            )
        total = sum(share.weight for share in several)
        shares = torch.tensor([[share.weight / total for share in several]], device=device)
        model.network.to(device)
        return cls(model, shares, settings.strength, device, dtype)

    @property
    def manifest_entries(self) -> dict[str, Any]:
        """Of the model, for the manifest."""
        return {"styles": list(self.model.styles)}

    @torch.no_grad()
    def styled(self, image: Image, paintings: StyleImages | None, tile: int) -> Image:
        """See `OnePassModel`."""
        height, width = image.shape[2:]
        tile = tile and max(tile, HALO // 2)  # of smaller ones nearly all would be what is around them
        if not tile or tile >= max(height, width):
            painted = self._pass(image, None)
        else:
            moments = PainterMoments()
            self._pass(samples(image, tile), moments)
            painted = torch.empty_like(image)
            for rows, columns, window, inside in windows(height, width, tile):
                part = self._pass(image[:, :, window[0], window[1]], moments.again())
                painted[:, :, rows, columns] = part[:, :, inside[0], inside[1]]
        return torch.lerp(image, painted, self.strength)

    def _pass(self, image: Image, moments: PainterMoments | None) -> Image:
        image = image.contiguous(memory_format=torch.channels_last)
        with torch.autocast(self.device.type, dtype=torch.bfloat16, enabled=self.dtype != torch.float32):
            painted: Tensor = self.model.network(image, self.shares, moments)
        return painted.float()


SAMPLES = 16
"""Parts of a picture from which a painter's normalisations are taken where it does not fit whole."""

SAMPLE = 256
"""Side of such a part, in pixels."""

HALO = 128
"""Pixels around a tile: what a painter's responses inside depend on, or nearly so."""


def samples(image: Float[Tensor, "1 3 H W"], tile: int) -> Float[Tensor, "B 3 h w"]:
    """Parts at full size, evenly over the picture, (B, 3, h, w): where its statistics are taken from."""
    height, width = image.shape[2:]
    high, wide = min(SAMPLE, tile, height), min(SAMPLE, tile, width)
    count = round(SAMPLES**0.5)
    tops = [round((height - high) * i / (count - 1)) for i in range(count)]
    lefts = [round((width - wide) * i / (count - 1)) for i in range(count)]
    return torch.cat([image[:, :, y : y + high, x : x + wide] for y in tops for x in lefts])


def windows(
    height: int, width: int, tile: int
) -> list[tuple[slice, slice, tuple[slice, slice], tuple[slice, slice]]]:
    """Tiles: rows and columns of each, the window around it, and where in the window it is."""
    pairs = []
    for top in range(0, height, tile):
        for left in range(0, width, tile):
            bottom, right = min(height, top + tile), min(width, left + tile)
            # Windows begin at multiples of 4, so that the halved grids are the whole picture's.
            up, before = max(0, top - HALO) // 4 * 4, max(0, left - HALO) // 4 * 4
            window = slice(up, min(height, bottom + HALO)), slice(before, min(width, right + HALO))
            inside = slice(top - up, bottom - up), slice(left - before, right - before)
            pairs.append((slice(top, bottom), slice(left, right), window, inside))
    return pairs
