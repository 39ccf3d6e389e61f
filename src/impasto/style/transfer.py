"""Style transfer at any scale: its first image, its objective, what is kept of the photo."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import cast

import torch
from jaxtyping import Float
from torch import Tensor

from impasto.choices import NEIGHBORS, StyleLoss
from impasto.errors import SettingsError
from impasto.image.color import grey, luminance, with_luminance
from impasto.image.noise import white_noise
from impasto.image.picture import Picture
from impasto.image.resize import resize
from impasto.network.vgg import VGG19
from impasto.objective.build import StyleTarget, content_terms, prior_terms, style_terms
from impasto.objective.constraint import Constraint
from impasto.objective.custom import TermContext, TermFactory
from impasto.objective.formulas import CONVENTIONS
from impasto.objective.guidance_mask import GuidanceMask
from impasto.objective.neighbors import NeighborTerm
from impasto.objective.objective import Objective
from impasto.objective.style_loss import GRAM, StyleTerm
from impasto.objective.terms import IMAGE
from impasto.run.layout import Layout
from impasto.run.memory_model import MemoryModel
from impasto.run.scales import Scale, carry_detail
from impasto.settings.strength import ContentAim
from impasto.settings.stylize import BUILT_IN_STARTS, StylizeSettings
from impasto.shapes import Image, Mask
from impasto.style.cache import Cache
from impasto.style.neighbor_style import NeighborStyle
from impasto.style.palettes import PhotoPalette
from impasto.style.regions import Regions
from impasto.style.style_images import StyleImages
from impasto.style.style_sizes import least_style_side, style_layers, style_long_side, style_sizes
from impasto.system import distributed

PALETTE_BYTES = 86.0
"""Bytes a pixel that photo-palette's colours take at the end; measured at 2048×2048."""


@dataclass(frozen=True, eq=False)
class StyleTransfer:
    """A photo repainted in the style of paintings: the `Problem` of `stylize`.

    Attributes:
        network, cache: VGG-19 as deep as any term needs it, and what earlier jobs have left.
        photo: the content image.
        paintings: with their shares, recoloured for the photo, and with its regions.
        settings: resolved.
        start: the picture that the run starts from; None: white noise.
        extra_terms: custom losses.
    """

    network: VGG19
    cache: Cache
    photo: Picture
    paintings: StyleImages
    settings: StylizeSettings
    start: Picture | None
    extra_terms: Sequence[TermFactory] = ()

    @cached_property
    def inputs(self) -> dict[str, Picture]:
        """The photo, the paintings, the start if it is a file, and the masks."""
        inputs = {"content": self.photo, **self.paintings.inputs}
        if self.start is not None and self.settings.init not in BUILT_IN_STARTS:
            inputs["init"] = self.start
        return inputs | (self._regions.inputs if self._regions else {})

    @property
    def alpha(self) -> Mask | None:
        """The photo's."""
        return self.photo.alpha

    @property
    def content_aim(self) -> ContentAim | None:
        """Strength's; None with drawn regions, because areas that are kept change what can be reached."""
        drawn = self._regions and not self.paintings.matching
        return None if drawn else self.settings.content_aim

    @cached_property
    def memory_model(self) -> MemoryModel:
        """Of all terms, the paintings' hypercolumns, the masks, and the palettes."""
        settings = self.settings
        layers = [*style_layers(settings), *settings.content_layers, *extra_layers(self.extra_terms)]
        model = MemoryModel.of(self.network, layers, settings.content_layers, settings.schedule.optimizer)
        return replace(
            model,
            rotations=settings.rotations if NEIGHBORS in settings.style_mix else 0,
            extra_bytes_per_pixel=(self._regions.bytes if self._regions else 0.0)
            + (PALETTE_BYTES if settings.colors == "photo-palette" else 0.0),
        )

    def style_sizes(self, scale: Scale) -> list[tuple[int, int]]:
        """Height and width of each painting, in pixels."""
        return style_sizes(self.paintings, self.settings, scale)

    def initial_image(self, scale: Scale) -> Image:
        """The image to start from, with what is fixed as it is in the photo."""
        size, device = (scale.height, scale.width), self.network.device
        if self.start is None:
            image = self._noise(scale)
        else:
            image = self.cache.resized_pixels(self.start, *size, device)
            if self.start is self.photo and self.settings.noise_share:
                image = torch.lerp(image, self._noise(scale), self.settings.noise_share)
        image = grey(image) if self._grey else image
        constraint = self.constraint(scale)
        return (
            constraint.restore_fixed(image, self._content(scale)) if constraint.fixed is not None else image
        )

    def next_image(
        self, image: Float[Tensor, "B 3 _ _"], below: Scale, scale: Scale, layout: Layout
    ) -> Image:
        """What was reached below, enlarged, with some of the photo's and of the painting's fine detail."""
        detail, constraint = self._photo_detail, self.constraint(scale)
        if detail:
            following = carry_detail(image, self.initial_image(scale), detail)
        else:
            following = resize(image, scale.height, scale.width)
        if self.settings.painting_detail_share:
            octave = self._neighbors.detail(below, layout, self._areas(below), image)
            octave = octave * self.settings.painting_detail_share
            octave = grey(octave) if self._grey else octave
            following = following + resize(octave, scale.height, scale.width)
        if constraint.fixed is None:
            return following
        return constraint.restore_fixed(following, self.initial_image(scale))

    def enlarged(self, image: Float[Tensor, "B 3 _ _"], scale: Scale) -> Image:
        """With the photo's fine detail, if the run started from it: that of noise is not to be seen."""
        noisy = self.start is self.photo and self.settings.noise_share > 0
        if noisy or not self._photo_detail:
            return resize(image.cpu().clamp(0, 1), scale.height, scale.width)
        return carry_detail(image, self.initial_image(scale), self._photo_detail)

    @property
    def _photo_detail(self) -> float:
        """How much of the start's fine detail finer scales take up; none of noise."""
        return self.settings.schedule.detail if self.start is not None else 0.0

    def _noise(self, scale: Scale) -> Image:
        settings, device = self.settings, self.network.device
        return white_noise(
            scale.height, scale.width, seed=settings.seed, contrast=settings.noise, device=device
        )

    def constraint(self, scale: Scale) -> Constraint:
        """Regions that are kept, and one luminance instead of three colours."""
        fixed = self._regions.kept_mask(scale.height, scale.width) if self._regions else None
        return Constraint(None if fixed is None else fixed[0, 0] > 0.5, self._grey)

    def objective(self, scale: Scale, layout: Layout) -> Objective:
        """Targets of this scale: the paintings keep their shape and are brought to their long side."""
        settings, canvas = self.settings, (scale.height, scale.width)
        contents = content_terms(
            self.network,
            self._content(scale),
            settings.content_layers,
            weight=settings.content_weight,
            formula=settings.formula,
            tile=layout.tile,
            keep=layout.keep,
        )
        areas = self._areas(scale)
        mix = settings.style_mix
        styles: list[StyleTerm | NeighborTerm] = []
        for name, share in mix.items():
            if name == NEIGHBORS:
                styles += self._neighbors.terms(scale, layout, areas, share)
            else:
                styles += self._style_terms(
                    scale, layout, areas, name, share, named=len(mix) > 1 and name != "gram"
                )
        priors = prior_terms(
            canvas,
            variation=settings.variation_weight,
            gamut=settings.gamut_weight,
            formula=settings.formula,
        )
        context = TermContext(
            *canvas, self.network, self._content(scale), layout.tile, distributed.world_size()
        )
        extra = [factory.make(context) for factory in self.extra_terms]
        return Objective((*contents, *styles, *priors, *extra))

    def _style_terms(
        self,
        scale: Scale,
        layout: Layout,
        areas: Sequence[GuidanceMask | None],
        name: str,
        share: float,
        *,
        named: bool,
    ) -> tuple[StyleTerm, ...]:
        """The terms of one statistic, with that share of the style's weight.

        Args:
            named: whether the report tells which statistic it is.
        """
        settings = self.settings
        statistic = CONVENTIONS[settings.formula].statistic
        theirs = name == "gram" and statistic is not GRAM
        by_region = self.cache.style_targets(
            self.network,
            self.paintings,
            dict.fromkeys(settings.layers, statistic) if theirs else cast(StyleLoss, name),
            settings.layers,
            long=style_long_side(settings, scale),
            least=least_style_side(settings),
            blending=settings.blending,
            tile=layout.tile,
        )
        targets = [
            _restrict_to_region(target, area)
            for area, several in zip(areas, by_region, strict=True)
            for target in several
        ]
        if named:
            targets = [replace(t, label=" ".join(filter(None, (t.label, name)))) for t in targets]
        return style_terms(
            targets,
            settings.layers,
            canvas=(scale.height, scale.width),
            weight=settings.style_weight * share,
            formula=settings.formula,
        )

    def manifest_entries(self, scales: Sequence[Scale]) -> dict[str, object]:
        """What the manifest says besides settings: the neighbours' grids, custom losses, automatic masks."""
        extra = [factory.manifest_entry for factory in self.extra_terms]
        masks = self._regions.manifest_entries if self._regions else {}
        match = self.paintings.matching
        masks = {**masks, "matching": match.manifest_entry} if match else masks
        return {**self._neighbors.grids(scales), **({"extra_terms": extra} if extra else {}), **masks}

    def finish(self, image: Image) -> Image:
        """The picture with the photo's colours, if they are wanted, and with its kept regions."""
        size = (image.shape[2], image.shape[3])
        kept = self._regions.kept_mask(*size) if self._regions else None
        mapped = self.settings.colors == "photo-palette"
        if not self._grey and not mapped and kept is None:
            return image
        photo = self.cache.resized_pixels(self.photo, *size, torch.device("cpu"))
        if self._grey:
            image = with_luminance(photo, luminance(image))
        elif mapped:
            image = self._palette.recolor(image, photo)
        return image if kept is None else torch.lerp(image, photo, kept)

    def report(self, image: Image) -> dict[str, float]:
        """Nothing."""
        return {}

    @cached_property
    def _palette(self) -> PhotoPalette:
        return PhotoPalette.of(self.paintings, self.photo, self.settings.layers)

    @property
    def _grey(self) -> bool:
        return self.settings.colors == "photo-luminance"

    @property
    def _regions(self) -> Regions | None:
        return self.paintings.regions

    def _areas(self, scale: Scale) -> Sequence[GuidanceMask | None]:
        """Where each region is in the picture; a single None without regions."""
        if not self._regions:
            return [None]
        return self._regions.photo_masks(scale.height, scale.width, self.network.device)

    @cached_property
    def _neighbors(self) -> NeighborStyle:
        return NeighborStyle(self.network, self.cache, self.paintings, self.settings)

    def _content(self, scale: Scale) -> Image:
        image = self.cache.resized_pixels(self.photo, scale.height, scale.width, self.network.device)
        return grey(image) if self._grey else image


def _restrict_to_region(target: StyleTarget, area: GuidanceMask | None) -> StyleTarget:
    """A style in its region; it counts by the region's share of the picture, so that each pixel counts."""
    if area is None:
        return target
    shares = {name: target.shares.get(name, 1.0) * area.share for name in target.means}
    return replace(target, area=area, shares=shares)


def extra_layers(extra_terms: Sequence[TermFactory]) -> list[str]:
    """The layers that custom losses need.

    Raises:
        SettingsError: two terms of one name.
    """
    names = [factory.name for factory in extra_terms]
    for name in names:
        if names.count(name) > 1:
            raise SettingsError(f"{names.count(name)} extra terms are called {name!r}. Name them apart.")
    return [layer for factory in extra_terms for layer in factory.layers if layer != IMAGE]
