"""What one job leaves for the next: the network, and the style with what was measured of it."""

import os
import weakref
from collections.abc import Hashable, Iterable, Mapping
from dataclasses import replace

import torch

from impasto.choices import Blending, StyleLoss
from impasto.device import Compute
from impasto.image.picture import Picture
from impasto.network.fetch import ByteProgress
from impasto.network.vgg import VGG19
from impasto.network.weights import Weights
from impasto.objective.objective import Wanted
from impasto.objective.style import Statistic
from impasto.recipes.fast import FastPainter
from impasto.recipes.fast_settings import FastSettings
from impasto.recipes.job import fitted
from impasto.recipes.machine import network_for
from impasto.recipes.settings import StylizeSettings
from impasto.recipes.styles import Sources, Styles, read_styles
from impasto.shapes import Image


class Workshop:
    """A network and a style, kept from one job to the next.

    Only the newest of everything is kept: a batch goes style by style, so one style at a time is all it
    needs, and a folder of paintings does not fill the memory. A picture comes out the same with a shared
    workshop as with one of its own.

    Example:
        >>> workshop = Workshop()
        >>> for photo in photos:  # doctest: +SKIP
        ...     job = prepare(photo, "painting.jpg", settings, workshop=workshop)
    """

    def __init__(self) -> None:
        self._network: tuple[Hashable, VGG19, Weights] | None = None
        self._styles: tuple[Hashable, Styles] | None = None
        self._measured: tuple[VGG19, Styles] | None = None
        self._fitted: tuple[weakref.ref[Picture], Hashable, weakref.ref[Image]] | None = None
        self._fast: tuple[Hashable, FastPainter] | None = None
        self._wanted: dict[Hashable, list[list[Wanted]]] = {}

    def network(
        self,
        settings: StylizeSettings,
        deepest_layer: str,
        compute: Compute,
        on_download: ByteProgress | None,
    ) -> tuple[VGG19, Weights]:
        """As `network_for`; the weights come without their tensors, which the network has.

        Raises:
            WeightsError: none, damaged, or not to be had.
        """
        key = (settings.weights, settings.pooling, deepest_layer, compute)
        if self._network is None or self._network[0] != key:
            network, weights = network_for(settings, deepest_layer, compute, on_download)
            self._network = (key, network, replace(weights, layers={}))
        return self._network[1:]

    def styles(self, style: Sources, blend: str) -> Styles:
        """As `read_styles`; files are read once, also if they change in the meantime.

        Raises:
            ImageError, SettingsError: as `read_styles`.
        """
        several = list(style) if isinstance(style, (list, tuple)) else [style]
        files = [os.fspath(one) for one in several if isinstance(one, (str, os.PathLike))]
        if len(files) < len(several):
            return read_styles(style, blend)
        key = (tuple(files), blend)
        if self._styles is None or self._styles[0] != key:
            self._styles = (key, read_styles(style, blend))
        return self._styles[1]

    def fast(self, style: Sources, settings: FastSettings, on_download: ByteProgress | None) -> FastPainter:
        """What paints that style in one pass.

        Raises:
            ImpastoError: as `FastPainter`.
        """
        several = list(style) if isinstance(style, (list, tuple)) else [style]
        files = [os.fspath(one) for one in several if isinstance(one, (str, os.PathLike))]
        key = (tuple(files), settings)
        if len(files) < len(several):
            return FastPainter(style, settings, on_download=on_download)
        if self._fast is None or self._fast[0] != key:
            self._fast = (key, FastPainter(style, settings, on_download=on_download))
        return self._fast[1]

    def fitted(self, picture: Picture, height: int, width: int, device: torch.device) -> Image:
        """As `fitted` in `job`; what was asked for last is not made again while it is still in use.

        A job starts each scale from the photo and measures its content there as well. Bringing a camera's
        12 megapixels to any size takes 0.25 s on two cores.
        """
        key = (height, width, device)
        if self._fitted is not None:
            source, known, image = self._fitted[0](), self._fitted[1], self._fitted[2]()
            if source is picture and known == key and image is not None:
                return image
        made = fitted(picture, height, width, device)
        self._fitted = (weakref.ref(picture), key, weakref.ref(made))
        return made

    def wanted(
        self,
        network: VGG19,
        paintings: Styles,
        statistics: Mapping[str, Statistic] | StyleLoss,
        layers: Iterable[str],
        *,
        long: int,
        least: int,
        blending: Blending = "targets",
        tile: int = 0,
    ) -> list[list[Wanted]]:
        """As `Styles.wanted`, measured once."""
        if self._measured is None or self._measured[0] is not network or self._measured[1] is not paintings:
            self._measured, self._wanted = (network, paintings), {}
        named = statistics if isinstance(statistics, str) else tuple(statistics.items())
        key = (named, tuple(layers), long, least, blending, tile)
        if key not in self._wanted:
            self._wanted[key] = paintings.wanted(
                network, statistics, key[1], long=long, least=least, blending=blending, tile=tile
            )
        return self._wanted[key]
