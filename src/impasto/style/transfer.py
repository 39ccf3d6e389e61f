"""Style transfer at any scale: its first image, its objective, what is kept of the photo."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import cast

import torch
from jaxtyping import Float
from torch import Tensor

from impasto.choices import NEIGHBORS, StyleLoss
from impasto.image.color import grey, luminance, with_luminance
from impasto.image.noise import white_noise
from impasto.image.picture import Picture
from impasto.layers import LAYERS, deepest
from impasto.network.vgg import VGG19
from impasto.objective.build import StyleTarget, content_terms, prior_terms, style_terms
from impasto.objective.constraint import Constraint
from impasto.objective.custom import TermContext, TermFactory
from impasto.objective.formulas import CONVENTIONS
from impasto.objective.guidance_mask import GuidanceMask
from impasto.objective.matching import match
from impasto.objective.neighbors import HYPERCOLUMN, PLACES_LAYER, NeighborTerm, grid_step
from impasto.objective.objective import Objective
from impasto.objective.style_loss import GRAM, StyleTerm
from impasto.run.layout import Layout
from impasto.run.scales import Scale
from impasto.settings.stylize import StylizeSettings
from impasto.shapes import Image
from impasto.style.cache import Cache
from impasto.style.painting_detail import matched_detail, octave
from impasto.style.palettes import PhotoPalette
from impasto.style.regions import Regions
from impasto.style.style_images import StyleImages
from impasto.system import distributed


def style_layers(settings: StylizeSettings) -> tuple[str, ...]:
    """The layers at which a painting is measured."""
    return (*settings.layers, *(HYPERCOLUMN if NEIGHBORS in settings.style_mix else ()))


@dataclass(frozen=True, eq=False)
class StyleTransfer:
    """What is painted, at any of its scales."""

    network: VGG19
    cache: Cache
    photo: Picture
    paintings: StyleImages
    settings: StylizeSettings
    start: Picture | None
    extra_terms: Sequence[TermFactory] = ()

    @property
    def least_style_side(self) -> int:
        """The shortest side of a painting that the deepest style layer can see, in pixels."""
        return deepest(style_layers(self.settings)).stride

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
        areas = self._regions.photo_masks(*canvas, self.network.device) if self._regions else [None]
        mix = settings.style_mix
        styles: list[StyleTerm | NeighborTerm] = []
        for name, share in mix.items():
            if name == NEIGHBORS:
                styles += self._neighbor_terms(scale, layout, areas, share)
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
            long=self.style_long_side(scale),
            least=self.least_style_side,
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

    def _neighbor_terms(
        self, scale: Scale, layout: Layout, areas: Sequence[GuidanceMask | None], share: float
    ) -> list[NeighborTerm]:
        """One term for each region and painting, with that share of the style's weight all together."""
        weight = self.settings.style_weight * share * sum(self.settings.layers.values())
        return [
            replace(term, weight=weight * part * (1.0 if term.area is None else term.area.share))
            for term, _, part in self._neighbors(scale, layout, areas)
        ]

    def _neighbors(
        self, scale: Scale, layout: Layout, areas: Sequence[GuidanceMask | None]
    ) -> Iterator[tuple[NeighborTerm, int, float]]:
        """A term of weight 1 for each region and painting, the painting's number, and its share there."""
        settings, layers = self.settings, self.settings.layers
        dictionaries = self.cache.dictionaries(
            self.network,
            self.paintings,
            long=self.style_long_side(scale),
            least=self.least_style_side,
            rotations=settings.rotations,
            tile=layout.tile,
        )
        for index, area in enumerate(areas):
            for number, by_region in enumerate(dictionaries):
                part = self.paintings.neighbor_share(index, number, layers)
                if not part or (area is not None and not area.share):
                    continue
                canvas = (scale.height, scale.width)
                label = self._neighbor_label(index, number)
                yield NeighborTerm(by_region[index], canvas, 1.0, area, label), number, part

    def painting_detail(self, scale: Scale, layout: Layout, image: Image) -> Float[Tensor, "1 3 _ _"]:
        """The paintings' detail for twice a scale's size, by the neighbours of what was reached there.

        Args:
            image: what was reached, the whole image.
        Returns:
            (1, 3, H, W), twice the scale's height and width, times the share of it that is wanted.
        """
        device = self.network.device
        areas = self._regions.photo_masks(scale.height, scale.width, device) if self._regions else [None]
        every = list(self._neighbors(scale, layout, areas))
        objective = Objective(tuple(term for term, _, _ in every))
        matched = match(self.network, objective, image, tile=layout.tile).terms
        sizes = self.paintings.sizes(self.style_long_side(scale), self.least_style_side)
        total = image.new_zeros(1, 3, 2 * scale.height, 2 * scale.width)
        for term, (_, number, part) in zip(matched, every, strict=True):
            assert isinstance(term, NeighborTerm)
            height, width = sizes[number]
            fine = octave(self.paintings.at(number, (2 * height, 2 * width), device), height, width)
            weights = image.new_full(term.grid, part)
            if term.area is not None:
                whole = (slice(0, term.grid[0]), slice(0, term.grid[1]))
                weights = weights * term.area.at(PLACES_LAYER, *whole)[0, 0]
            total += matched_detail(term, fine, weights)
        total = total * self.settings.painting_detail_share
        return grey(total) if self._grey else total

    def neighbor_grids(self, scales: Sequence[Scale]) -> dict[str, list[dict[str, int]]]:
        """For the manifest, at each scale: every how many places both ways neighbours are searched.

        1 is all of them. Nothing where no style term has neighbours.
        """
        if NEIGHBORS not in self.settings.style_mix:
            return {}
        rotations, grid = self.settings.rotations, LAYERS[PLACES_LAYER].grid
        return {
            "neighbor_grids": [
                {
                    "picture": grid_step(*grid(scale.height, scale.width)),
                    "painting": max(
                        grid_step(*grid(*size), rotations)
                        for size in self.paintings.sizes(self.style_long_side(scale), self.least_style_side)
                    ),
                }
                for scale in scales
            ]
        }

    def manifest_entries(self, scales: Sequence[Scale]) -> dict[str, object]:
        """What the manifest says besides settings: the neighbours' grids, custom losses, automatic masks."""
        extra = [factory.manifest_entry for factory in self.extra_terms]
        masks = self._regions.manifest_entries if self._regions else {}
        match = self.paintings.matching
        masks = {**masks, "matching": match.manifest_entry} if match else masks
        return {**self.neighbor_grids(scales), **({"extra_terms": extra} if extra else {}), **masks}

    def _neighbor_label(self, region: int, number: int) -> str:
        """Which region's and which painting's, where there are several."""
        names = self._regions.names if self._regions else ("",)
        painting = f"painting {number + 1}" if len(self.paintings.pictures) > 1 else ""
        return " ".join(filter(None, (names[region], painting)))

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

    @cached_property
    def _palette(self) -> PhotoPalette:
        return PhotoPalette.of(self.paintings, self.photo, self.settings.layers)

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
