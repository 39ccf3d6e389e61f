"""The paintings whose style is wanted: one, or several in shares, and what is measured of them."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, TypeAlias

import torch
from torch import Tensor

from impasto.choices import Blending, StyleLoss
from impasto.errors import SettingsError
from impasto.image.color import Recolor, matched, matched_luminance
from impasto.image.picture import Picture
from impasto.image.read import Source, read_picture
from impasto.image.resize import fit, fitted, long_side
from impasto.layers import layer
from impasto.network.vgg import VGG19
from impasto.objective.build import Wanted
from impasto.objective.statistics import Histogram, Moments
from impasto.objective.style import GRAM, Statistic
from impasto.objective.targets import style_means
from impasto.settings.base import LookSettings
from impasto.settings.blend import Share, blend_shares
from impasto.shapes import Image
from impasto.style.regions import NOTHING, Regions, read_regions

Sources: TypeAlias = Source | Sequence[Source]
"""One picture, or a list or tuple of several."""


@dataclass(frozen=True, eq=False)
class Styles:
    """Paintings with what each has to say.

    Attributes:
        pictures: as read, in the order given.
        shares: how much each has to say, at which layers.
        recolors: what is done to each one's colours; nothing if empty.
        regions: which parts of them are for which parts of the photo.
    """

    pictures: tuple[Picture, ...]
    shares: tuple[Share, ...]
    recolors: tuple[Recolor, ...] = ()
    regions: Regions | None = None

    @property
    def inputs(self) -> dict[str, Picture]:
        """By role, for the manifest: `style`, `style-2`, `style-3`."""
        names = ["style", *(f"style-{number}" for number in range(2, len(self.pictures) + 1))]
        return dict(zip(names, self.pictures, strict=True))

    def sizes(self, long: int, least: int) -> list[tuple[int, int]]:
        """Height and width in pixels at that long side; larger if the short one would be below `least`."""
        return [fit(p.height, p.width, long_side(p, long, least)) for p in self.pictures]

    def at(self, number: int, size: tuple[int, int], device: torch.device) -> Image:
        """One painting at that height and width, recoloured."""
        image = fitted(self.pictures[number], *size, device)
        return self.recolors[number](image) if self.recolors else image

    def for_photo(self, photo: Picture, settings: LookSettings, masks: Sequence[Source]) -> "Styles":
        """The paintings as they are wanted for one photo: recoloured to it, with the regions they are for.

        Raises:
            ImageError, SettingsError: as `read_regions`.
        """
        found = self
        if settings.colors != "style":
            how = settings.color_match
            recolors = tuple(
                matched(one.pixels, photo.pixels, how)
                if settings.colors == "photo-match"
                else matched_luminance(one.pixels, photo.pixels)
                for one in self.pictures
            )
            found = replace(found, recolors=recolors)
        regions = read_regions(masks, settings.keep, photo, self.pictures)
        return replace(found, regions=regions) if regions else found

    def check(self, layers: Iterable[str]) -> None:
        """Refuse shares that leave a layer of a region without any painting.

        Raises:
            SettingsError: naming the layer and the way out.
        """
        for name in layers:
            for place, region in enumerate(self._regions):
                if not any(self._share(place, number, name) for number in range(len(self.pictures))):
                    where = f" for the region {region}" if region else ""
                    raise SettingsError(
                        f"no painting has a share of style layer {name}{where}. Give one of them a share "
                        "there with --blend, or leave the layer out of --layers."
                    )

    def wanted(
        self,
        network: VGG19,
        statistics: Mapping[str, Statistic] | StyleLoss,
        layers: Iterable[str],
        *,
        long: int,
        least: int,
        blending: Blending = "targets",
        tile: int = 0,
    ) -> list[list[Wanted]]:
        """What is wanted in each region; there is one region if none are told apart.

        Args:
            statistics: what is measured, by layer; or the name of one of ours.
            layers: where.
            long, least: see `sizes`.
            blending: "targets", one style for a region, the shares of the paintings' means; "losses", the
                style of every painting, each counting by its share.
            tile: see `each_tile`.
        """
        names = [layer(name).name for name in layers]
        if isinstance(statistics, str):
            statistics = self._statistics(network, statistics, names, long, least, tile)
        means = self._means(network, statistics, long, least, tile)
        found = []
        for place, region in enumerate(self._regions):
            shares = {
                name: [self._share(place, number, name) for number in range(len(self.pictures))]
                for name in names
            }
            own = [by_region[place] if by_region else {} for by_region in means]
            found.append(
                [replace(one, label=" ".join(filter(None, (region, one.label))), statistics=statistics)
                 for one in _blended(own, shares, blending)]
            )  # fmt: skip
        return found

    @cached_property
    def _regions(self) -> tuple[str, ...]:
        return self.regions.names if self.regions else ("",)

    def _share(self, place: int, number: int, name: str) -> float:
        """Of one painting in one region at one layer."""
        if self.regions and self.regions.sources[place][number] == NOTHING:
            return 0.0
        return self.shares[number].at(name)

    def _means(
        self, network: VGG19, statistics: Mapping[str, Statistic], long: int, least: int, tile: int
    ) -> list[list[dict[str, Tensor]]]:
        """For each painting that has anything to say, by region, what is measured."""
        found: list[list[dict[str, Tensor]]] = []
        for number, size in enumerate(self.sizes(long, least)):
            own = {name: one for name, one in statistics.items() if self.shares[number].at(name)}
            if not own:
                found.append([])
                continue
            areas = self.regions.of_painting(number, *size, network.device) if self.regions else [None]
            image = self.at(number, size, network.device)
            found.append(style_means(network, image, own, areas=areas, tile=tile))
        return found

    def _statistics(
        self, network: VGG19, name: StyleLoss, layers: Sequence[str], long: int, least: int, tile: int
    ) -> dict[str, Statistic]:
        """By layer. Histograms need to know first where the responses lie."""
        if name != "histogram":
            return dict.fromkeys(layers, GRAM if name == "gram" else Moments())
        apart = replace(self, regions=None)
        ((one,),) = apart.wanted(network, "gaussian", layers, long=long, least=least, tile=tile)
        return {name: Histogram.around(mean) for name, mean in one.means.items()}


def read_styles(style: Sources, blend: str) -> Styles:
    """Read one painting or several.

    Args:
        blend: shares in the order of the paintings, as text; equal if empty.
    Raises:
        ImageError: as `read_picture`.
        SettingsError: as `blend_shares`.
    """
    several: list[Any] = list(style) if isinstance(style, (list, tuple)) else [style]
    wanted = blend_shares(blend, len(several))
    return Styles(tuple(read_picture(one, role="style image") for one in several), wanted)


def _blended(
    means: Sequence[Mapping[str, Tensor]], shares: Mapping[str, Sequence[float]], blending: Blending
) -> list[Wanted]:
    """One style between those of several paintings, or all of them in shares."""
    parts = {name: [share / sum(several) for share in several] for name, several in shares.items()}
    if blending == "targets" or len(means) == 1:
        mixed: dict[str, Tensor] = {}
        for name, several in parts.items():
            for own, share in zip(means, several, strict=True):
                if share:
                    part = own[name] * share
                    mixed[name] = mixed[name] + part if name in mixed else part
        return [Wanted(mixed)]
    return [
        Wanted(
            own, {name: several[number] for name, several in parts.items()}, label=f"painting {number + 1}"
        )
        for number, own in enumerate(means)
        if own
    ]
