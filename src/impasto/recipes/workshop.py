"""What one job leaves for the next: the network, and the style with what was measured of it."""

import os
import weakref
from collections.abc import Hashable, Iterable
from dataclasses import replace

import torch

from impasto.device import Compute
from impasto.image.picture import Picture
from impasto.network.fetch import ByteProgress
from impasto.network.vgg import VGG19
from impasto.network.weights import Weights
from impasto.objective.targets import style_targets
from impasto.recipes.job import fitted
from impasto.recipes.machine import network_for
from impasto.recipes.settings import StylizeSettings
from impasto.recipes.styles import Sources, Styles, read_styles
from impasto.shapes import Gram, Image


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
        self._targets: dict[Hashable, dict[str, Gram]] = {}

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

    def targets(
        self,
        network: VGG19,
        paintings: Styles,
        layers: Iterable[str],
        long: int,
        least: int,
        *,
        tile: int = 0,
    ) -> dict[str, Gram]:
        """The style's Gram matrices at one size, measured once.

        Args:
            layers: the layers wanted.
            long, least: the size, as in `Styles.at`.
            tile: as in `style_targets`; it changes the last digits.
        Returns:
            as `style_targets`.
        """
        if self._measured is None or self._measured[0] is not network or self._measured[1] is not paintings:
            self._measured, self._targets = (network, paintings), {}
        key = (tuple(layers), long, least, tile)
        if key not in self._targets:
            at_size = paintings.at(long, least, network.device)
            self._targets[key] = style_targets(network, at_size, key[0], tile=tile)
        return self._targets[key]
