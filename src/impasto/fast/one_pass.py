"""Models that stylize in one pass: AdaIN, for any painting, and networks trained for some."""

from dataclasses import dataclass
from typing import Any, Protocol

import torch
from jaxtyping import Float
from torch import Tensor

from impasto.fast.adain import LAYER, STRIDE, ChannelStats, Decoder
from impasto.fast.models import Model, load
from impasto.fast.transformer_net import NormStats
from impasto.image.color import grey
from impasto.layers import LAYERS
from impasto.network.vgg import VGG19
from impasto.objective.statistics import GaussianStatistic
from impasto.objective.targets import content_targets, style_means
from impasto.settings.fast import FastSettings
from impasto.shapes import Image
from impasto.style.regions import NO_STYLE, Regions
from impasto.style.style_images import StyleImages

LEAST = 16
"""The shortest side in pixels for which reflecting the edges is possible at every layer."""


class OnePassModel(Protocol):
    """A model that stylizes an image in one pass."""

    @property
    def numbers_per_pixel(self) -> int:
        """The numbers in memory at a time for each pixel that is computed at once."""

    @property
    def manifest_entries(self) -> dict[str, Any]:
        """The model's entries in the manifest's result."""

    def styled(self, image: Image, paintings: StyleImages | None, tile: int) -> Image:
        """Stylize an image.

        Args:
            image: the photo, (1, 3, H, W), 0..1.
            paintings: the styles; None for a model that has its own.
            tile: the side of the tiles, in pixels; 0: the whole image at once.
        Returns:
            (1, 3, H, W), nominally 0..1.
        """


class AdaINModel:
    """AdaIN, for any painting: the photo's responses get the painting's statistics and are decoded.

    Args:
        network: VGG-19 up to conv4_1, with reflected edges.
        decoder: the decoder that belongs to it.
        settings: how to stylize.
        sha256: the digest of the decoder's weights, for the manifest.
    """

    numbers_per_pixel = 330

    def __init__(self, network: VGG19, decoder: Decoder, settings: FastSettings, sha256: str) -> None:
        self.network, self.decoder, self.settings = network, decoder, settings
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
        return pixels[:, :, :height, :width]  # the grid was rounded up

    def _styled_features(
        self,
        features: Tensor,
        targets: list[ChannelStats],
        regions: Regions | None,
        size: tuple[int, int],
    ) -> Tensor:
        """Give each region of the photo's responses the statistics of its style, blended by strength."""
        strength = self.settings.strength
        if regions is None:
            (style,) = targets
            return torch.lerp(features, ChannelStats.of(features).adain(style, features), strength)
        # `left` is what no region claims: there the photo's responses stay.
        mixed, left = torch.zeros_like(features), torch.ones_like(features[:, :1])
        for style, area in zip(targets, regions.photo_masks(*size, features.device), strict=True):
            share = area.whole(LAYER).to(features.dtype)
            styled = ChannelStats.of(features, share).adain(style, features)
            mixed += share * torch.lerp(features, styled, strength)
            left -= share
        return mixed + left.clamp(min=0) * features

    def _targets(self, paintings: StyleImages, long: int, tile: int) -> list[ChannelStats]:
        """Return the statistics of each region's style: its paintings' statistics in their shares."""
        long = max(1, round(long * self.settings.style_scale))
        # Measured once for all photos of a size, unless masks or recolouring depend on the photo.
        key = (long, tile, paintings) if paintings.regions or paintings.recolors else (long, tile)
        if self._measured is None or self._measured[0] != key:
            self._measured = (key, self._spreads(paintings, long, tile))
        shares = [share.at(LAYER) for share in paintings.shares]
        targets = []
        for region in zip(*self._measured[1], strict=True):
            weighted = [
                (s, stats) for s, stats in zip(shares, region, strict=True) if s and stats is not None
            ]
            total = sum(s for s, _ in weighted)  # of those paintings that this region takes its style from
            mean = sum((s / total * stats.mean for s, stats in weighted), torch.zeros(()))
            deviation = sum((s / total * stats.deviation for s, stats in weighted), torch.zeros(()))
            targets.append(ChannelStats(mean, deviation))
        return targets

    def _spreads(self, paintings: StyleImages, long: int, tile: int) -> list[list[ChannelStats | None]]:
        """Measure the paintings: by painting and region, or None where a painting gives nothing."""
        regions, device = paintings.regions, self.network.device
        by_painting = []
        for number, size in enumerate(paintings.sizes(long, LEAST)):
            areas = regions.style_masks(number, *size, device) if regions else [None]
            image = paintings.at(number, size, device)
            # The photo is grey then, too, and its statistics are to be compared with these.
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
    """A network trained for certain styles.

    Attributes:
        model: the network with its facts.
        shares: of its styles, (1, S), with sum 1.
        strength: from 0 (the photo) to 1 (the network's result).
        device, dtype: where and in which type to compute.
        numbers_per_pixel: see `OnePassModel`.
    """

    model: Model
    shares: Tensor
    strength: float
    device: torch.device
    dtype: torch.dtype
    numbers_per_pixel: int = 90

    @classmethod
    def of(cls, settings: FastSettings, device: torch.device, dtype: torch.dtype) -> "TrainedModel":
        """Load the model that the settings name.

        Args:
            settings: `model`, `blend` and `strength` are read.
            device, dtype: where and in which type to compute.
        Raises:
            WeightsError: as `load`.
            SettingsError: the shares do not fit the model's styles.
        """
        model = load(settings.model)
        shares = model.shares(settings.blend).to(device)
        model.network.to(device)
        return cls(model, shares, settings.strength, device, dtype)

    @property
    def manifest_entries(self) -> dict[str, Any]:
        """See `OnePassModel`."""
        return {"styles": list(self.model.styles)}

    @torch.no_grad()
    def styled(self, image: Image, paintings: StyleImages | None, tile: int) -> Image:
        """See `OnePassModel`."""
        height, width = image.shape[2:]
        tile = tile and max(tile, HALO // 2)  # smaller tiles would consist mostly of their margins
        if not tile or tile >= max(height, width):
            painted = self._pass(image, None)
        else:
            # The normalisations need means over the whole picture: they are taken from samples of it first.
            moments = NormStats()
            self._pass(samples(image, tile), moments)
            painted = torch.empty_like(image)
            for rows, columns, window, inside in windows(height, width, tile):
                part = self._pass(image[:, :, window[0], window[1]], moments.again())
                painted[:, :, rows, columns] = part[:, :, inside[0], inside[1]]
        return torch.lerp(image, painted, self.strength)

    def _pass(self, image: Image, moments: NormStats | None) -> Image:
        """Run the network, in mixed precision if the features' type is not float32."""
        # The network's weights are channels-last, too (see `load`).
        image = image.contiguous(memory_format=torch.channels_last)
        with torch.autocast(self.device.type, dtype=torch.bfloat16, enabled=self.dtype != torch.float32):
            painted: Tensor = self.model.network(image, self.shares, moments)
        return painted.float()


SAMPLES = 16
"""The number of samples from which normalisations are taken, if a picture does not fit into memory."""

SAMPLE = 256
"""The side of a sample, in pixels."""

HALO = 128
"""The margin of a tile in pixels, on which nearly all of what a network computes inside depends."""


def samples(image: Float[Tensor, "1 3 H W"], tile: int) -> Float[Tensor, "B 3 h w"]:
    """Cut samples at full size, evenly spaced over a picture.

    Args:
        image: the picture.
        tile: the side of the tiles; no sample is larger.
    Returns:
        (`SAMPLES`, 3, h, w).
    """
    height, width = image.shape[2:]
    high, wide = min(SAMPLE, tile, height), min(SAMPLE, tile, width)
    # A grid of 4×4 samples, of which the outer ones touch the picture's edges.
    count = round(SAMPLES**0.5)
    tops = [round((height - high) * i / (count - 1)) for i in range(count)]
    lefts = [round((width - wide) * i / (count - 1)) for i in range(count)]
    return torch.cat([image[:, :, y : y + high, x : x + wide] for y in tops for x in lefts])


def windows(
    height: int, width: int, tile: int
) -> list[tuple[slice, slice, tuple[slice, slice], tuple[slice, slice]]]:
    """Cut a picture into tiles with margins of `HALO` pixels.

    Args:
        height, width: of the picture, in pixels.
        tile: the side of a tile without its margin, in pixels.
    Returns:
        for each tile: its rows, its columns, the rows and columns of the window around it, and the tile's
        rows and columns in the window.
    """
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
