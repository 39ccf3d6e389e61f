"""Stylizing photos in one pass with AdaIN or a trained network, which stay loaded between photos."""

import time
from collections.abc import Sequence
from dataclasses import replace

import torch
from typing_extensions import Unpack

from impasto.errors import ImageError, OutOfMemoryError, SettingsError
from impasto.fast.adain import LAYER, Decoder
from impasto.fast.one_pass import LEAST, AdaINModel, OnePassModel, TrainedModel
from impasto.image.color import grey, luminance, with_luminance
from impasto.image.picture import Picture
from impasto.image.read import Source, read_single_picture
from impasto.image.resize import fit, resize, resized_pixels
from impasto.network.vgg import load_vgg19
from impasto.network.weight_records import ADAIN_DECODER
from impasto.network.weights import Weights, load
from impasto.results.manifest import new
from impasto.results.painting import Painting
from impasto.run.choose_layout import memory_limit
from impasto.settings.fast import FastSettings
from impasto.settings.keywords import FastOptions, with_options
from impasto.shapes import Image
from impasto.style.cache import Cache, style_key
from impasto.style.palettes import PhotoPalette
from impasto.style.style_images import StyleImages, StyleSources, read_styles
from impasto.system.device import compute_for_settings
from impasto.system.distributed import single_process
from impasto.system.memory import memory_errors, peak_memory, used

TILE = 1024
"""The side of the tiles in pixels, if a picture does not fit into memory."""


class FastStylizer:
    """Stylizes any number of photos in one pass, in the style of paintings or of a trained network.

    Args:
        style: one or several paintings; none if the settings name a model.
        settings: how to stylize; default: `FastSettings()`.
        options: fields of `FastSettings`, such as `size=1024`, which change the settings.
    Raises:
        SettingsError: there are both paintings and a model, or neither, or a setting does not fit a model.
        ImageError, WeightsError, DeviceError: a painting, the weights or the device cannot be used.
    Example:
        >>> stylizer = FastStylizer("great-wave.jpg", size=1024)  # doctest: +SKIP
        >>> for photo in photos:  # doctest: +SKIP
        ...     stylizer.stylize(photo).save(...)
    """

    def __init__(
        self,
        style: StyleSources = (),
        settings: FastSettings | None = None,
        **options: Unpack[FastOptions],
    ) -> None:
        self.settings = settings = with_options(FastSettings, settings, options)
        _check_style(style, settings)
        self.compute = compute_for_settings(settings)
        self.model: OnePassModel
        if settings.model:
            self.paintings: StyleImages | None = None
            trained = TrainedModel.of(settings, self.compute.device, self.compute.dtype)
            self.model = trained
            self.weights = Weights(trained.model.name, trained.model.sha256, {}, "")
        else:
            self.paintings = read_styles(style, settings.blend)
            self.paintings.check([LAYER])
            for painting in self.paintings.pictures:
                if min(painting.height, painting.width) < LEAST:
                    raise ImageError(
                        f"style image is {painting.width}×{painting.height}; at least {LEAST}×{LEAST} is "
                        "needed. Use a larger one."
                    )
            network, self.weights = load_vgg19(
                settings.weights,
                pooling=settings.pooling,
                deepest_layer=LAYER,
                compute=self.compute,
            )
            decoder = load(settings.decoder or None, record=ADAIN_DECODER)
            self.model = AdaINModel(
                network.with_padding("reflect"), Decoder.build(decoder, network), settings, decoder.sha256
            )
            # The network has its own copies: this frees 80 MB.
            self.weights = replace(self.weights, layers={})

    def stylize(self, content: Source, *, regions: Sequence[Source] = ()) -> Painting:
        """Stylize one photo.

        Args:
            content, regions: as in `stylize`.
        Returns:
            the painting, at the photo's size unless the settings give another.
        Raises:
            ImageError: the photo or a mask cannot be used, or the photo is too small.
            SettingsError: regions are given with a model.
            OutOfMemoryError: the memory is too small even for tiles.
        """
        began = time.perf_counter()
        with memory_errors("reading the photograph", "Make it smaller first."):
            photo = read_single_picture(content, "content image")
        height, width = fit(photo.height, photo.width, self.settings.size or max(photo.height, photo.width))
        if min(height, width) < LEAST:
            raise ImageError(
                f"the painting would be {width}×{height}; at least {LEAST}×{LEAST} is needed. "
                f"Use a larger --size than {max(height, width)}."
            )
        paintings = self.paintings and self.paintings.matched_to(photo, self.settings, regions)
        if paintings is not None:
            paintings.check([LAYER])
        if regions and self.paintings is None:
            raise SettingsError("a model paints everywhere alike: leave --regions out, or give paintings.")
        inputs, entries = {"content": photo}, {}
        if paintings is not None:
            inputs |= paintings.inputs
            if paintings.regions:
                inputs |= paintings.regions.inputs
                entries = dict(paintings.regions.manifest_entries)
        tile = self._tile(height, width)
        try:
            painted = self._stylize(photo, (height, width), paintings, tile)
        except OutOfMemoryError:  # the estimate in `_tile` was too low: try tiles once
            if tile:
                raise
            tile = TILE
            painted = self._stylize(photo, (height, width), paintings, tile)
        manifest = new("fast", self.settings, inputs, self.weights, self.compute) | entries
        manifest["result"] = {
            "width": width,
            "height": height,
            "complete": True,
            "seconds": round(time.perf_counter() - began, 3),
            "peak_memory": peak_memory(self.compute.device),
            "tile": tile,
        } | self.model.manifest_entries
        alpha = None if photo.alpha is None else resize(photo.alpha, height, width).clamp(0, 1)
        return Painting(Picture(pixels=painted, alpha=alpha, name="painting"), manifest)

    def _stylize(
        self, photo: Picture, size: tuple[int, int], paintings: StyleImages | None, tile: int
    ) -> Image:
        """Return the stylized pixels, (1, 3, H, W), 0..1, on the CPU."""
        what = f"a picture of {size[1]}×{size[0]}"
        # Alone, even under torchrun: every process of a run that starts from this picture needs all of it.
        with memory_errors(what, "Use a smaller --size or --tile."), single_process():
            image = resized_pixels(photo, *size, self.compute.device)
            start = grey(image) if self.settings.colors == "photo-luminance" else image
            painted = self.model.styled(start, paintings, tile).clamp(0, 1)
            if self.settings.colors == "photo-luminance":
                painted = with_luminance(image, luminance(painted))
            elif self.settings.colors == "photo-palette" and paintings is not None:
                painted = PhotoPalette.of(paintings, photo, [LAYER]).recolor(painted, image).to(image.device)
            kept = paintings.regions.kept_mask(*size) if paintings and paintings.regions else None
            return (painted if kept is None else torch.lerp(painted, image, kept.to(image.device))).cpu()

    def _tile(self, height: int, width: int) -> int:
        """Return the side of the tiles in pixels; 0 if the whole picture fits into memory."""
        if self.settings.tile:
            return self.settings.tile
        wide = 4 if self.compute.dtype == torch.float32 else 2  # bytes of a number
        needed = self.model.numbers_per_pixel * wide * height * width
        device = self.compute.device
        return 0 if needed < memory_limit(self.settings.memory, device) - used(device) else TILE


def cached_stylizer(cache: Cache, style: StyleSources, settings: FastSettings) -> FastStylizer:
    """Take the stylizer of an earlier job from the cache, or make one and keep it there.

    Args:
        cache: shared by the jobs of a process.
        style, settings: as for `FastStylizer`.
    Raises:
        ImpastoError: as `FastStylizer`.
    """
    return cache.get("stylizer", style_key(style, settings), lambda: FastStylizer(style, settings))


def _check_style(style: StyleSources, settings: FastSettings) -> None:
    """Refuse paintings with a model, neither of them, and settings that do not fit a model."""
    given = not (isinstance(style, (list, tuple)) and not style)
    if settings.model and given:
        raise SettingsError(
            f"there are paintings, and a model, {settings.model!r}, which has its own. Leave out one of them."
        )
    if not settings.model and not given:
        raise SettingsError("there is neither a painting nor a model. Name a STYLE, or --model NAME.")
    if settings.model and settings.colors in ("photo-match", "photo-palette"):
        raise SettingsError(
            f"colors is {settings.colors!r}, which needs the painting, and model is {settings.model!r}, "
            "which has none. Use photo-luminance, or give the painting instead of --model."
        )
    if settings.model and (settings.keep or settings.style_scale != 1.0):
        name = "keep" if settings.keep else "style-scale"
        raise SettingsError(f"--{name} does not go with --model. Give the painting instead.")
