"""The paintings that give the style, their shares, and their statistics."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, TypeAlias

import torch
from torch import Tensor

from impasto.choices import Blending, StyleLoss
from impasto.errors import SettingsError
from impasto.image.color import Recolor, match_colors, match_luminance
from impasto.image.picture import Picture
from impasto.image.read import Source, read_single_picture
from impasto.image.resize import fit, long_side, resized_pixels
from impasto.layers import find_layer
from impasto.network.vgg import VGG19
from impasto.objective.build import StyleTarget
from impasto.objective.dictionaries import build_dictionaries
from impasto.objective.neighbors import Dictionary
from impasto.objective.statistics import STATISTICS, HistogramStatistic
from impasto.objective.style_loss import Statistic
from impasto.objective.targets import style_means
from impasto.settings.base import LookSettings
from impasto.settings.blend import BlendShare, parse_blend
from impasto.shapes import Image
from impasto.style.region_matching import RegionMatch
from impasto.style.regions import NO_STYLE, Regions, read_regions

StyleSources: TypeAlias = Source | Sequence[Source]
"""One picture, or a list or tuple of several."""


@dataclass(frozen=True, eq=False)
class StyleImages:
    """The paintings of a job, with the share of each.

    Attributes:
        pictures: as read, in the order given.
        shares: for each painting, its share at each layer.
        recolors: for each painting, a function that changes its colours; empty: colours stay.
        regions: which areas of the paintings are for which areas of the photo; None: no regions.
        matching: the automatic match, trusted or not; None if matching was not asked for.
    """

    pictures: tuple[Picture, ...]
    shares: tuple[BlendShare, ...]
    recolors: tuple[Recolor, ...] = ()
    regions: Regions | None = None
    matching: RegionMatch | None = None

    @property
    def inputs(self) -> dict[str, Picture]:
        """The paintings by their roles in the manifest: `style`, `style-2`, `style-3` and so on."""
        names = ["style", *(f"style-{number}" for number in range(2, len(self.pictures) + 1))]
        return dict(zip(names, self.pictures, strict=True))

    def sizes(self, long: int, least: int) -> list[tuple[int, int]]:
        """Return height and width of each painting for a long side, in pixels.

        A painting is larger if its short side would be less than `least` pixels.
        """
        return [fit(p.height, p.width, long_side(p, long, least)) for p in self.pictures]

    def at(self, number: int, size: tuple[int, int], device: torch.device) -> Image:
        """Return a painting at a height and width, (1, 3, *size), recoloured."""
        image = resized_pixels(self.pictures[number], *size, device)
        return self.recolors[number](image) if self.recolors else image

    def matched_to(self, photo: Picture, settings: LookSettings, masks: Sequence[Source]) -> "StyleImages":
        """Prepare the paintings for one photo: recoloured if the settings say so, and with regions.

        Args:
            photo: the content image.
            settings: `colors`, `color_match` and `keep` are read.
            masks: as in `read_regions`.
        Raises:
            ImageError, SettingsError, WeightsError: as `read_regions`.
        """
        # "photo-palette" changes the finished picture instead (see `StyleTransfer.finish`).
        styles = self
        if settings.colors in ("photo-match", "photo-luminance"):
            how = settings.color_match
            recolors = tuple(
                match_colors(picture.pixels, photo.pixels, how)
                if settings.colors == "photo-match"
                else match_luminance(picture.pixels, photo.pixels)
                for picture in self.pictures
            )
            styles = replace(styles, recolors=recolors)
        regions = read_regions(masks, settings.keep, photo, self.pictures)
        return replace(styles, regions=regions) if regions else styles

    def check(self, layers: Iterable[str]) -> None:
        """Check that in every region, every layer gets its style from some painting.

        Args:
            layers: the style layers.
        Raises:
            SettingsError: a layer has no painting.
        """
        for name in layers:
            for index, region in enumerate(self._regions):
                if not any(self._share(index, number, name) for number in range(len(self.pictures))):
                    where = f" for the region {region}" if region else ""
                    raise SettingsError(
                        f"no painting has a share of style layer {name}{where}. Give one of them a share "
                        "there with --blend, or leave the layer out of --layers."
                    )

    def targets(
        self,
        network: VGG19,
        statistics: Mapping[str, Statistic] | StyleLoss,
        layers: Iterable[str],
        *,
        long: int,
        least: int,
        blending: Blending = "targets",
        tile: int = 0,
    ) -> list[list[StyleTarget]]:
        """Measure the paintings, and make the style targets of each region (of one, if there are no regions).

        Args:
            network: VGG-19, deep enough for the layers.
            statistics: the statistic of each layer, or the name of one for all layers.
            layers: the style layers.
            long, least: see `sizes`.
            blending: "targets": one target per region, the mean of the paintings' statistics in their shares.
                "losses": a target for each painting, weighted by its share.
            tile: see `each_tile`.
        """
        names = [find_layer(name).name for name in layers]
        if isinstance(statistics, str):
            statistics = self._statistics(network, statistics, names, long, least, tile)
        means = self._means(network, statistics, long, least, tile)
        by_region = []
        for index, region in enumerate(self._regions):
            shares = {
                name: [self._share(index, number, name) for number in range(len(self.pictures))]
                for name in names
            }
            # A painting without any share was not measured.
            region_means = [measured[index] if measured else {} for measured in means]
            by_region.append(
                [
                    replace(
                        blended, label=" ".join(filter(None, (region, blended.label))), statistics=statistics
                    )
                    for blended in _blend(region_means, shares, blending)
                ]
            )  # fmt: skip
        return by_region

    def dictionaries(
        self, network: VGG19, *, long: int, least: int, rotations: int, tile: int = 0
    ) -> list[list[Dictionary]]:
        """Build, for each painting and region, the dictionary in which nearest neighbours are searched for.

        Args:
            network: VGG-19, up to the deepest layer of a hypercolumn.
            long, least: see `sizes`.
            rotations, tile: see `build_dictionaries`.
        """
        by_painting = []
        for number, size in enumerate(self.sizes(long, least)):
            areas = self.regions.style_masks(number, *size, network.device) if self.regions else [None]
            image = self.at(number, size, network.device)
            by_painting.append(
                build_dictionaries(network, image, areas=areas, rotations=rotations, tile=tile)
            )
        return by_painting

    def neighbor_share(self, region: int, number: int, layers: Iterable[str]) -> float:
        """Return a painting's share of a region in terms that span several layers.

        It is the mean share over the style layers, normalised over the paintings.

        Args:
            region, number: of the region and of the painting, from 0.
            layers: the style layers.
        """
        names = [find_layer(name).name for name in layers]
        shares = [[self._share(region, other, name) for name in names] for other in range(len(self.pictures))]
        return sum(shares[number]) / max(1e-12, sum(map(sum, shares)))

    @cached_property
    def _regions(self) -> tuple[str, ...]:
        return self.regions.names if self.regions else ("",)

    def _share(self, index: int, number: int, name: str) -> float:
        """Return the share of a painting in a region at a layer."""
        if self.regions and self.regions.sources[index][number] == NO_STYLE:
            return 0.0
        return self.shares[number].at(name)

    def _means(
        self, network: VGG19, statistics: Mapping[str, Statistic], long: int, least: int, tile: int
    ) -> list[list[dict[str, Tensor]]]:
        """Measure each painting by region and layer; an empty list for a painting without any share."""
        by_painting: list[list[dict[str, Tensor]]] = []
        for number, size in enumerate(self.sizes(long, least)):
            # Only at layers where the painting has a share: the others need no pass through the network.
            used = {name: statistic for name, statistic in statistics.items() if self.shares[number].at(name)}
            if not used:
                by_painting.append([])
                continue
            areas = self.regions.style_masks(number, *size, network.device) if self.regions else [None]
            image = self.at(number, size, network.device)
            by_painting.append(style_means(network, image, used, areas=areas, tile=tile))
        return by_painting

    def _statistics(
        self, network: VGG19, name: StyleLoss, layers: Sequence[str], long: int, least: int, tile: int
    ) -> dict[str, Statistic]:
        """Return the statistic of each layer, by the name of one for all layers."""
        if name in STATISTICS:
            return dict.fromkeys(layers, STATISTICS[name])
        # A histogram's bins follow from the mean and the spread of the whole paintings' responses.
        whole = replace(self, regions=None)
        ((target,),) = whole.targets(network, "gaussian", layers, long=long, least=least, tile=tile)
        return {name: HistogramStatistic.around(mean) for name, mean in target.means.items()}


def read_styles(style: StyleSources, blend: str) -> StyleImages:
    """Read one or several paintings.

    Args:
        style: a picture, or a list or tuple of several.
        blend: their shares in order, as text; if empty, equal.
    Raises:
        ImageError: as `read_single_picture`.
        SettingsError: as `parse_blend`.
    """
    several: list[Any] = list(style) if isinstance(style, (list, tuple)) else [style]
    shares = parse_blend(blend, len(several))
    return StyleImages(tuple(read_single_picture(source, "style image") for source in several), shares)


def _blend(
    means: Sequence[Mapping[str, Tensor]], shares: Mapping[str, Sequence[float]], blending: Blending
) -> list[StyleTarget]:
    """Make the targets of one region: the mean of several paintings, or a weighted target for each.

    Args:
        means: the measured statistics of each painting, by layer.
        shares: the share of each painting, by layer.
        blending: as in `StyleImages.targets`.
    """
    parts = {name: [share / sum(several) for share in several] for name, several in shares.items()}
    if blending == "targets" or len(means) == 1:
        mixed: dict[str, Tensor] = {}
        for name, several in parts.items():
            for layer_means, share in zip(means, several, strict=True):
                # A painting without a share was not measured, so it has no mean to multiply by 0.
                if share:
                    part = layer_means[name] * share
                    mixed[name] = mixed[name] + part if name in mixed else part
        return [StyleTarget(mixed)]
    return [
        StyleTarget(
            layer_means,
            {name: several[number] for name, several in parts.items()},
            label=f"painting {number + 1}",
        )
        for number, layer_means in enumerate(means)
        if layer_means
    ]
