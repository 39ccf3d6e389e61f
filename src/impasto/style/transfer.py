"""Style transfer at any scale: its first image, its objective, what is kept of the photo."""

from dataclasses import dataclass, replace

import torch

from impasto.image.color import grey, luminance, with_luminance
from impasto.image.noise import white_noise
from impasto.image.picture import Picture
from impasto.layers import deepest
from impasto.network.vgg import VGG19
from impasto.objective.build import StyleTarget, content_terms, prior_terms, style_terms
from impasto.objective.constraint import Constraint
from impasto.objective.formulas import CONVENTIONS
from impasto.objective.guidance_mask import GuidanceMask
from impasto.objective.objective import Objective
from impasto.objective.style_loss import GRAM
from impasto.run.layout import Layout
from impasto.run.scales import Scale
from impasto.settings.stylize import StylizeSettings
from impasto.shapes import Image
from impasto.style.cache import Cache
from impasto.style.regions import Regions
from impasto.style.style_images import StyleImages


@dataclass(frozen=True, eq=False)
class StyleTransfer:
    """What is painted, at any of its scales."""

    network: VGG19
    cache: Cache
    photo: Picture
    paintings: StyleImages
    settings: StylizeSettings
    start: Picture | None

    @property
    def least_style_side(self) -> int:
        """The shortest side of a painting that the deepest style layer can see, in pixels."""
        return deepest(self.settings.layers).stride

    def style_long_side(self, scale: Scale) -> int:
        """The long side of the paintings for a scale, in pixels."""
        return max(1, round(max(scale.height, scale.width) * self.settings.style_scale))

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
        statistic = CONVENTIONS[settings.formula].statistic
        theirs = settings.style_loss == "gram" and statistic is not GRAM
        by_region = self.cache.style_targets(
            self.network,
            self.paintings,
            dict.fromkeys(settings.layers, statistic) if theirs else settings.style_loss,
            settings.layers,
            long=self.style_long_side(scale),
            least=self.least_style_side,
            blending=settings.blending,
            tile=layout.tile,
        )
        areas = self._regions.photo_masks(*canvas, self.network.device) if self._regions else [None]
        styles = style_terms(
            [
                _restrict_to_region(target, area)
                for area, several in zip(areas, by_region, strict=True)
                for target in several
            ],
            settings.layers,
            canvas=canvas,
            weight=settings.style_weight,
            formula=settings.formula,
        )
        priors = prior_terms(
            canvas,
            variation=settings.variation_weight,
            gamut=settings.gamut_weight,
            formula=settings.formula,
        )
        return Objective((*contents, *styles, *priors))

    def finish(self, image: Image) -> Image:
        """The photo's chroma, if its colours are kept, and its kept regions, over what was painted."""
        size = (image.shape[2], image.shape[3])
        kept = self._regions.kept_mask(*size) if self._regions else None
        if not self._grey and kept is None:
            return image
        photo = self.cache.resized_pixels(self.photo, *size, torch.device("cpu"))
        if self._grey:
            image = with_luminance(photo, luminance(image))
        return image if kept is None else torch.lerp(image, photo, kept)

    @property
    def _grey(self) -> bool:
        return self.settings.colors == "photo-luminance"

    @property
    def _regions(self) -> Regions | None:
        return self.paintings.regions

    def _content(self, scale: Scale) -> Image:
        image = self.cache.resized_pixels(self.photo, scale.height, scale.width, self.network.device)
        return grey(image) if self._grey else image


def _restrict_to_region(target: StyleTarget, area: GuidanceMask | None) -> StyleTarget:
    """A style in its region; it counts by the region's share of the picture, so that each pixel counts."""
    if area is None:
        return target
    shares = {name: target.shares.get(name, 1.0) * area.share for name in target.means}
    return replace(target, area=area, shares=shares)
