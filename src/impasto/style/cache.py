"""What one job leaves for the next: the network, and the style with what was measured of it."""

import os
import weakref
from collections.abc import Callable, Hashable, Iterable, Mapping
from dataclasses import replace
from typing import Any, TypeVar

import torch

from impasto.choices import Blending, StyleLoss
from impasto.image.picture import Picture
from impasto.image.resize import resized_pixels
from impasto.network.vgg import VGG19, load_vgg19
from impasto.network.weights import Weights
from impasto.objective.build import StyleTarget
from impasto.objective.neighbors import Dictionary
from impasto.objective.style_loss import Statistic
from impasto.settings.stylize import StylizeSettings
from impasto.shapes import Image
from impasto.style.style_images import StyleImages, StyleSources, read_styles
from impasto.system.device import Compute

T = TypeVar("T")


def style_key(style: StyleSources, *more: Hashable) -> Hashable:
    """What tells styles apart, if all of them are files; else None.

    Args:
        more: what else is to be the same.
    """
    several = list(style) if isinstance(style, (list, tuple)) else [style]
    files = [os.fspath(source) for source in several if isinstance(source, (str, os.PathLike))]
    return (tuple(files), *more) if len(files) == len(several) else None


class Cache:
    """A network and a style, kept from one job to the next.

    Only the newest of everything is kept: a batch goes style by style, so one style at a time is all it
    needs, and a folder of paintings does not fill the memory. A picture comes out the same with a shared
    cache as with one of its own.

    Example:
        >>> cache = Cache()
        >>> for photo in photos:  # doctest: +SKIP
        ...     plan = plan_stylize(photo, "painting.jpg", settings, cache=cache)
    """

    def __init__(self) -> None:
        self._network: tuple[Hashable, VGG19, Weights] | None = None
        self._measured: tuple[VGG19, StyleImages] | None = None
        self._resized: tuple[weakref.ref[Picture], Hashable, weakref.ref[Image]] | None = None
        self._kept: dict[str, tuple[Hashable, Any]] = {}
        self._targets: dict[Hashable, list[list[StyleTarget]]] = {}
        self._dictionaries: dict[Hashable, list[list[Dictionary]]] = {}

    def network(
        self,
        settings: StylizeSettings,
        deepest_layer: str,
        compute: Compute,
    ) -> tuple[VGG19, Weights]:
        """As `load_vgg19`; the weights come without their tensors, which the network has.

        Raises:
            WeightsError: none, damaged, or not to be had.
        """
        key = (settings.weights, settings.pooling, deepest_layer, compute)
        if self._network is None or self._network[0] != key:
            network, weights = load_vgg19(
                settings.weights,
                pooling=settings.pooling,
                deepest_layer=deepest_layer,
                compute=compute,
            )
            self._network = (key, network, replace(weights, layers={}))
        return self._network[1:]

    def styles(self, style: StyleSources, blend: str) -> StyleImages:
        """As `read_styles`; files are read once, also if they change in the meantime.

        Raises:
            ImageError, SettingsError: as `read_styles`.
        """
        return self.get("styles", style_key(style, blend), lambda: read_styles(style, blend))

    def get(self, kind: str, key: Hashable, make: Callable[[], T]) -> T:
        """What `make` gives for this key; of each kind only the newest is kept.

        Args:
            kind: names what is kept.
            key: what it depends on; None if that cannot be told, and then it is made anew.
        """
        if key is None:
            return make()
        if kind not in self._kept or self._kept[kind][0] != key:
            self._kept[kind] = (key, make())
        value: T = self._kept[kind][1]
        return value

    def resized_pixels(self, picture: Picture, height: int, width: int, device: torch.device) -> Image:
        """As `resized_pixels` in `job`; what was asked for last is not made again while it is still in use.

        A job starts each scale from the photo and measures its content there as well. Bringing a camera's
        12 megapixels to any size takes 0.25 s on two cores.
        """
        key = (height, width, device)
        if self._resized is not None:
            source, known, image = self._resized[0](), self._resized[1], self._resized[2]()
            if source is picture and known == key and image is not None:
                return image
        made = resized_pixels(picture, height, width, device)
        self._resized = (weakref.ref(picture), key, weakref.ref(made))
        return made

    def style_targets(
        self,
        network: VGG19,
        paintings: StyleImages,
        statistics: Mapping[str, Statistic] | StyleLoss,
        layers: Iterable[str],
        *,
        long: int,
        least: int,
        blending: Blending = "targets",
        tile: int = 0,
    ) -> list[list[StyleTarget]]:
        """As `Styles.targets`, measured once."""
        self._keep_targets_of(network, paintings)
        named = statistics if isinstance(statistics, str) else tuple(statistics.items())
        key = (named, tuple(layers), long, least, blending, tile)
        if key not in self._targets:
            self._targets[key] = paintings.targets(
                network, statistics, key[1], long=long, least=least, blending=blending, tile=tile
            )
        return self._targets[key]

    def dictionaries(
        self,
        network: VGG19,
        paintings: StyleImages,
        *,
        long: int,
        least: int,
        rotations: int,
        tile: int = 0,
    ) -> list[list[Dictionary]]:
        """As `StyleImages.dictionaries`; those of the last two sizes are kept."""
        self._keep_targets_of(network, paintings)
        key = (long, least, rotations, tile)
        if key not in self._dictionaries:
            # Two are in use where a scale begins. All of a 4096 px run took 1 GB.
            self._dictionaries = dict(list(self._dictionaries.items())[-1:])
            self._dictionaries[key] = paintings.dictionaries(
                network, long=long, least=least, rotations=rotations, tile=tile
            )
        return self._dictionaries[key]

    def _keep_targets_of(self, network: VGG19, paintings: StyleImages) -> None:
        """Forget what was measured of other paintings, or by another network."""
        if self._measured is None or self._measured[0] is not network or self._measured[1] is not paintings:
            self._measured, self._targets, self._dictionaries = (network, paintings), {}, {}
