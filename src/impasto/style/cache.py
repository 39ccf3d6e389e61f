"""Keeps the network, the paintings and what was measured of them from one run to the next."""

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
    """Return a key that is equal for equal files, or None if a painting is not a file.

    A picture in memory has no key, because its pixels may change between two runs.

    Args:
        style: one painting or several.
        more: further values that the key depends on.
    """
    several = list(style) if isinstance(style, (list, tuple)) else [style]
    files = [os.fspath(source) for source in several if isinstance(source, (str, os.PathLike))]
    return (tuple(files), *more) if len(files) == len(several) else None


class Cache:
    """A network and paintings, kept from one run to the next.

    Of each kind only the newest is kept, so a folder of paintings does not fill the memory. A batch needs no
    more, because it paints all photos after one painting before the next. A shared cache changes no pixel.

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
        """Load VGG-19, or return the one that the last run used with the same settings.

        Args:
            settings: name the weights and the pooling.
            deepest_layer: the last layer that is needed.
            compute: device and precision.
        Returns:
            The network, and its weights' description. Their tensors are left out: the network has them.
        Raises:
            WeightsError: the weights are missing or damaged, or cannot be fetched.
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
        """Read paintings with `read_styles`. Files are read once, even if they change between two runs.

        Raises:
            ImageError, SettingsError: see `read_styles`.
        """
        return self.get("styles", style_key(style, blend), lambda: read_styles(style, blend))

    def get(self, kind: str, key: Hashable, make: Callable[[], T]) -> T:
        """Return the result of `make`, or the last one of this kind if its key was the same.

        Args:
            kind: the name under which the result is kept.
            key: what the result depends on; None if that is not known, and then `make` is always called.
            make: computes the result.
        """
        if key is None:
            return make()
        if kind not in self._kept or self._kept[kind][0] != key:
            self._kept[kind] = (key, make())
        value: T = self._kept[kind][1]
        return value

    def resized_pixels(self, picture: Picture, height: int, width: int, device: torch.device) -> Image:
        """Resize a picture with `resized_pixels`. The last result is shared while it is in use.

        Each scale needs the photo twice, as its start and as its content, and resizing a camera's 12
        megapixels takes 0.25 s on two cores.
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
        """Measure paintings with `StyleImages.targets`, once for the same arguments."""
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
        """Make the dictionaries with `StyleImages.dictionaries`. Those of the last two sizes are kept."""
        self._keep_targets_of(network, paintings)
        key = (long, least, rotations, tile)
        if key not in self._dictionaries:
            # A scale begins with its own and the coarser scale's. To keep all of a 4096 px run took 1 GB.
            self._dictionaries = dict(list(self._dictionaries.items())[-1:])
            self._dictionaries[key] = paintings.dictionaries(
                network, long=long, least=least, rotations=rotations, tile=tile
            )
        return self._dictionaries[key]

    def _keep_targets_of(self, network: VGG19, paintings: StyleImages) -> None:
        """Forget targets and dictionaries of other paintings or of another network."""
        if self._measured is None or self._measured[0] is not network or self._measured[1] is not paintings:
            self._measured, self._targets, self._dictionaries = (network, paintings), {}, {}
