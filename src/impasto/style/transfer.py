"""Style transfer at any scale: the first image, the objective, and what is kept of the photo."""

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
from impasto.run.scales import Scale
from impasto.settings.strength import ContentAim
from impasto.settings.stylize import BUILT_IN_STARTS, StylizeSettings
from impasto.shapes import Image, Mask
from impasto.style.cache import Cache
from impasto.style.neighbor_style import NeighborStyle
from impasto.style.palettes import PhotoPalette
from impasto.style.photo_detail import carry_detail
from impasto.style.recolored_photo import RecoloredPhoto
from impasto.style.regions import Regions
from impasto.style.style_images import StyleImages
from impasto.style.style_sizes import least_style_side, style_layers, style_long_side, style_sizes
from impasto.system import distributed

PALETTE_BYTES = 86.0
"""Bytes per pixel that `colors="photo-palette"` takes at the end, measured at 2048×2048 px."""


@dataclass(frozen=True, eq=False)
class StyleTransfer:
    """A photo repainted in the style of paintings: the `Problem` of `stylize`.

    Attributes:
        network: VGG-19, up to the deepest layer of any term.
        cache: results of earlier jobs that this one can use.
        photo: the content image.
        paintings: with their shares and regions, recoloured for the photo.
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
        """The photo, the paintings, the initial image if it is a file, and the masks, by role."""
        inputs = {"content": self.photo, **self.paintings.inputs}
        if self.start is not None and self.settings.init not in BUILT_IN_STARTS:
            inputs["init"] = self.start
        return inputs | (self._regions.inputs if self._regions else {})

    @property
    def alpha(self) -> Mask | None:
        """The photo's alpha channel."""
        return self.photo.alpha

    @property
    def content_aim(self) -> ContentAim | None:
        """The content error that strength aims at; None with drawn regions.

        Areas that are kept change which error can be reached. Matched regions keep nothing.
        """
        drawn = self._regions and not self.paintings.matching
        return None if drawn else self.settings.content_aim

    @cached_property
    def memory_model(self) -> MemoryModel:
        """Predicts the memory of all terms, the paintings' hypercolumns, the masks and the palettes."""
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
        """Return height and width at which each painting is measured for a scale, in pixels."""
        return style_sizes(self.paintings, self.settings, scale)

    def initial_image(self, scale: Scale) -> Image:
        """Make the image to start from, (1, 3, H, W), with fixed pixels as they are in the photo."""
        size, device = (scale.height, scale.width), self.network.device
        if self.start is None:
            image = self._noise(scale)
        else:
            image = (
                self._content(scale)
                if self.start is self.photo
                else (self.cache.resized_pixels(self.start, *size, device))
            )
            # At high strength, weights alone do not remove the photo in the available steps.
            if self.start is self.photo and self.settings.noise_share:
                image = torch.lerp(image, self._noise(scale), self.settings.noise_share)
        image = grey(image) if self._grey else image
        constraint = self.constraint(scale)
        if constraint.fixed is None:
            return image
        return constraint.restore_fixed(image, self._resized_photo(scale))

    def next_image(
        self, image: Float[Tensor, "B 3 _ _"], below: Scale, scale: Scale, layout: Layout
    ) -> Image:
        """Enlarge the coarser scale's result, and add some of the photo's and the painting's fine detail."""
        detail, constraint = self._photo_detail, self.constraint(scale)
        if any(detail):
            following = carry_detail(image, self.initial_image(scale), *detail)
        else:
            following = resize(image, scale.height, scale.width)
        # It does most for the texture (docs/decisions.md); the objective removes the seams.
        if self.settings.painting_detail_share:
            octave = self._neighbors.detail(below, layout, self._areas(below), image)
            octave = octave * self.settings.painting_detail_share
            octave = grey(octave) if self._grey else octave
            following = following + resize(octave, scale.height, scale.width)
        if constraint.fixed is None:
            return following
        return constraint.restore_fixed(following, self.initial_image(scale))

    def enlarged(self, image: Float[Tensor, "B 3 _ _"], scale: Scale) -> Image:
        """Enlarge a coarser result for display, with the photo's fine detail if the run started from it."""
        # A start that was mixed with noise would show the noise as detail.
        noisy = self.start is self.photo and self.settings.noise_share > 0
        if noisy or not any(self._photo_detail):
            return resize(image.cpu().clamp(0, 1), scale.height, scale.width)
        return carry_detail(image, self.initial_image(scale), *self._photo_detail)

    @property
    def _photo_detail(self) -> tuple[float, float]:
        """How much of the start's fine detail and of its contours finer scales add; 0 if it is noise."""
        schedule = self.settings.schedule
        return (schedule.detail, schedule.contours) if self.start is not None else (0.0, 0.0)

    def _noise(self, scale: Scale) -> Image:
        """White noise for a scale, the same for the same seed and size."""
        settings, device = self.settings, self.network.device
        return white_noise(
            scale.height, scale.width, seed=settings.seed, contrast=settings.noise, device=device
        )

    def constraint(self, scale: Scale) -> Constraint:
        """Fix the regions that are kept, and paint luminance alone if the settings say so."""
        fixed = self._regions.kept_mask(scale.height, scale.width) if self._regions else None
        # A pixel either stays or is painted; `finish` blends the soft border.
        return Constraint(None if fixed is None else fixed[0, 0] > 0.5, self._grey)

    def objective(self, scale: Scale, layout: Layout) -> Objective:
        """Measure the targets of a scale, and build all terms: content, style, priors and custom losses."""
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
        mix = settings.style_shares(scale.neighbors)
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
        # Custom losses are made anew at every scale, because their targets depend on the size.
        context = TermContext(
            *canvas, self.network, self._resized_photo(scale), layout.tile, distributed.world_size()
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
        """Build the terms of one statistic.

        Args:
            scale, layout: the size of the picture, and how it is computed.
            areas: where each region is in the picture; None: everywhere.
            name: of the statistic.
            share: fraction of the style's weight that these terms get.
            named: whether the terms' labels name the statistic.
        """
        settings = self.settings
        statistic = CONVENTIONS[settings.formula].statistic
        # Another tool's formula may compare another statistic under the name of its Gram matrix.
        foreign = name == "gram" and statistic is not GRAM
        by_region = self.cache.style_targets(
            self.network,
            self.paintings,
            dict.fromkeys(settings.layers, statistic) if foreign else cast(StyleLoss, name),
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
        """Return the manifest's entries besides settings: neighbour grids, custom losses, automatic masks."""
        extra = [factory.manifest_entry for factory in self.extra_terms]
        masks = self._regions.manifest_entries if self._regions else {}
        match = self.paintings.matching
        masks = {**masks, "matching": match.manifest_entry} if match else masks
        return {**self._neighbors.grids(scales), **({"extra_terms": extra} if extra else {}), **masks}

    def finish(self, image: Image) -> Image:
        """Give the picture the photo's colours, if the settings say so, and put kept regions back."""
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
        """Return no further numbers."""
        return {}

    @cached_property
    def _palette(self) -> PhotoPalette:
        """Maps the photo's colours to the paintings' palettes. It is measured when first used."""
        return PhotoPalette.of(self.paintings, self.photo, self.settings.layers)

    @property
    def _grey(self) -> bool:
        """Whether luminance alone is painted."""
        return self.settings.colors == "photo-luminance"

    @property
    def _regions(self) -> Regions | None:
        """The regions of photo and paintings, if there are any."""
        return self.paintings.regions

    def _areas(self, scale: Scale) -> Sequence[GuidanceMask | None]:
        """Return the mask of each region in the picture; a single None if there are no regions."""
        if not self._regions:
            return [None]
        return self._regions.photo_masks(scale.height, scale.width, self.network.device)

    @cached_property
    def _neighbors(self) -> NeighborStyle:
        """Makes the terms and the detail that nearest neighbours give."""
        return NeighborStyle(self.network, self.cache, self.paintings, self.settings)

    @cached_property
    def _recolored(self) -> RecoloredPhoto:
        """How the photo is recoloured. It is found when first used."""
        settings = self.settings
        return RecoloredPhoto.of(self.photo, self.paintings, settings.layers, settings.recolor_share)

    def _content(self, scale: Scale) -> Image:
        """Return what is painted at a scale: the photo, recoloured if the settings say so, (1, 3, H, W)."""
        image = self._resized_photo(scale)
        return self._recolored.apply(image) if self.settings.recolor_share else image

    def _resized_photo(self, scale: Scale) -> Image:
        """Return the photo at a scale, (1, 3, H, W), grey if luminance alone is painted."""
        image = self.cache.resized_pixels(self.photo, scale.height, scale.width, self.network.device)
        return grey(image) if self._grey else image


def _restrict_to_region(target: StyleTarget, area: GuidanceMask | None) -> StyleTarget:
    """Restrict a style to a region. Its weight is the region's share, so all pixels count equally."""
    if area is None:
        return target
    shares = {name: target.shares.get(name, 1.0) * area.share for name in target.means}
    return replace(target, area=area, shares=shares)


def extra_layers(extra_terms: Sequence[TermFactory]) -> list[str]:
    """Return the layers that custom losses need.

    Args:
        extra_terms: the custom losses.
    Raises:
        SettingsError: two terms have the same name.
    """
    names = [factory.name for factory in extra_terms]
    for name in names:
        if names.count(name) > 1:
            raise SettingsError(
                f"{names.count(name)} extra terms are called {name!r}. Give each its own name."
            )
    return [layer for factory in extra_terms for layer in factory.layers if layer != IMAGE]
