"""Style by nearest neighbours: the terms of the objective, and the painting's fine detail."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from jaxtyping import Float
from torch import Tensor

from impasto.choices import NEIGHBORS
from impasto.layers import LAYERS
from impasto.network.vgg import VGG19
from impasto.objective.guidance_mask import GuidanceMask
from impasto.objective.matching import match
from impasto.objective.neighbors import PLACES_LAYER, NeighborTerm, grid_step
from impasto.objective.objective import Objective
from impasto.run.layout import Layout
from impasto.run.scales import Scale
from impasto.settings.stylize import StylizeSettings
from impasto.shapes import Image
from impasto.style.cache import Cache
from impasto.style.painting_detail import matched_detail, octave
from impasto.style.style_images import StyleImages
from impasto.style.style_sizes import least_style_side, style_long_side, style_sizes


@dataclass(frozen=True, eq=False)
class NeighborStyle:
    """The paintings as dictionaries in which the places of a picture find their nearest neighbours.

    Attributes:
        network: VGG-19, up to the deepest layer of a hypercolumn.
        cache: keeps the dictionaries for the next job.
        paintings: with their shares and regions.
        settings: resolved.
    """

    network: VGG19
    cache: Cache
    paintings: StyleImages
    settings: StylizeSettings

    def terms(
        self, scale: Scale, layout: Layout, areas: Sequence[GuidanceMask | None], share: float
    ) -> list[NeighborTerm]:
        """Build a term for each region and painting.

        Args:
            scale, layout: the size of the picture, and how it is computed.
            areas: where each region is in the picture; None: everywhere.
            share: fraction of the style's weight that all these terms get together.
        """
        weight = self.settings.style_weight * share * sum(self.settings.layers.values())
        return [
            replace(term, weight=weight * part * (1.0 if term.area is None else term.area.share))
            for term, _, part in self._unweighted(scale, layout, areas)
        ]

    def _unweighted(
        self, scale: Scale, layout: Layout, areas: Sequence[GuidanceMask | None]
    ) -> Iterator[tuple[NeighborTerm, int, float]]:
        """Yield, for each region and painting, a term of weight 1, the painting's number and its share."""
        settings, layers = self.settings, self.settings.layers
        dictionaries = self.cache.dictionaries(
            self.network,
            self.paintings,
            long=style_long_side(settings, scale),
            least=least_style_side(settings),
            rotations=settings.rotations,
            tile=layout.tile,
        )
        for index, area in enumerate(areas):
            for number, by_region in enumerate(dictionaries):
                part = self.paintings.neighbor_share(index, number, layers)
                if not part or (area is not None and not area.share):
                    continue
                canvas = (scale.height, scale.width)
                label = self._label(index, number)
                yield NeighborTerm(by_region[index], canvas, 1.0, area, label), number, part

    def detail(
        self, scale: Scale, layout: Layout, areas: Sequence[GuidanceMask | None], image: Image
    ) -> Float[Tensor, "1 3 _ _"]:
        """Make the paintings' fine detail for twice the size of a scale (see `painting_detail`).

        Args:
            scale, layout: the coarser scale and its layout.
            areas: as in `terms`, at that scale.
            image: the result of that scale, the whole image, (1, 3, h, w).
        Returns:
            (1, 3, H, W), twice the scale's height and width.
        """
        device = self.network.device
        unweighted = list(self._unweighted(scale, layout, areas))
        # The matches of the last step are not reused: the picture has changed since they were searched for.
        objective = Objective(tuple(term for term, _, _ in unweighted))
        coherence = self.settings.schedule.coherence
        matched = match(self.network, objective, image, coherence=coherence, tile=layout.tile).terms
        sizes = style_sizes(self.paintings, self.settings, scale)
        total = image.new_zeros(1, 3, 2 * scale.height, 2 * scale.width)
        for term, (_, number, part) in zip(matched, unweighted, strict=True):
            assert isinstance(term, NeighborTerm)
            height, width = sizes[number]
            fine = octave(self.paintings.at(number, (2 * height, 2 * width), device), height, width)
            weights = image.new_full(term.grid, part)
            if term.area is not None:
                # Each region's detail is laid only where the region is, in proportion to its mask.
                whole = (slice(0, term.grid[0]), slice(0, term.grid[1]))
                weights = weights * term.area.at(PLACES_LAYER, *whole)[0, 0]
            total += matched_detail(term, fine, weights)
        return total

    def grids(self, scales: Sequence[Scale]) -> dict[str, list[dict[str, int]]]:
        """Return the manifest's entry on searches: at each scale, the step of the grid of searched places.

        It is empty if the style does not use neighbours. A step of 1 is an exact search.
        """
        if NEIGHBORS not in self.settings.style_mix:
            return {}
        # Turned copies multiply a painting's places, so its grid may have to be coarser than the picture's.
        rotations, grid = self.settings.rotations, LAYERS[PLACES_LAYER].grid
        return {
            "neighbor_grids": [
                {
                    "picture": grid_step(*grid(scale.height, scale.width)),
                    "painting": max(
                        grid_step(*grid(*size), rotations)
                        for size in style_sizes(self.paintings, self.settings, scale)
                    ),
                }
                for scale in scales
            ]
        }

    def _label(self, region: int, number: int) -> str:
        """Name the region and the painting of a term, where there are several."""
        names = self.paintings.regions.names if self.paintings.regions else ("",)
        painting = f"painting {number + 1}" if len(self.paintings.pictures) > 1 else ""
        return " ".join(filter(None, (names[region], painting)))
