"""Value and gradient of an objective at an image: whole, by tiles, by several processes."""

from collections.abc import Callable, Container, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import partial
from typing import TypeAlias

import torch
from jaxtyping import Float
from torch import Tensor

from impasto.layers import Layer, deepest
from impasto.network.vgg import KEPT, VGG19
from impasto.objective.bands import Band, HaloExchange
from impasto.objective.objective import Objective
from impasto.objective.terms import LayerTerm, PixelTerm, Term, TermPart, kind_of
from impasto.objective.tiles import Tile, halos, tile_unit
from impasto.shapes import Features, Image, Point, Scalar
from impasto.system.distributed import all_sum

WIDER = 1.4
"""Side of a tile on the way forth alone, against that of a tile whose responses are kept."""

STRIP = 1 << 20
"""Pixels that terms on the image itself work on at a time."""


@dataclass(frozen=True)
class Evaluation:
    """The objective at one image.

    Attributes:
        loss: the weighted sum, 0-dimensional, on the device (reading it as a number waits for the device).
        gradient: with respect to the image, or to the point that a solver moves; of its shape.
        names: what each summand is called.
        values: each summand, weighted, (L,); they sum to `loss`.
    """

    loss: Scalar
    gradient: Point
    names: tuple[str, ...]
    values: Float[Tensor, " L"]

    @property
    def by_term(self) -> dict[str, float]:
        """Each summand, weighted, by name."""
        return dict(zip(self.names, self.values.tolist(), strict=True))

    @property
    def by_kind(self) -> dict[str, float]:
        """The summands added up by their terms' kind: "content", "style", ..."""
        return sum_by_kind(self.by_term)


def sum_by_kind(by_term: Mapping[str, float]) -> dict[str, float]:
    """Values by term added up by the terms' kind (see `kind_of`)."""
    sums: dict[str, float] = {}
    for name, value in by_term.items():
        sums[kind_of(name)] = sums.get(kind_of(name), 0) + value
    return sums


Evaluate: TypeAlias = Callable[[Point], Evaluation]
"""What a solver sees of an objective; whether it works whole, by tiles or by ranks is no matter of its."""


def measure(network: VGG19, objective: Objective, image: Image) -> list[Tensor]:
    """Each term's total over this image, in the order of the terms."""
    sources = network.features(image, objective.layers)
    return [
        term.measure(image)
        if isinstance(term, PixelTerm)
        else torch.stack(
            [_whole(term, name, sources[name]).measure(sources[name]) for name in term.layers]
        ).sum(0)
        for term in objective.terms
    ]


def _whole(term: Term, name: str, features: Tensor) -> TermPart:
    """The term as it measures every position of a layer."""
    assert isinstance(term, LayerTerm), "a term measures layers or pixels"
    height, width = features.shape[2:]
    return term.part(name, slice(0, height), slice(0, width))


def evaluator(network: VGG19, objective: Objective, *, tile: int = 0, band: Band | None = None) -> Evaluate:
    """Measure, score, and the way back; nothing is approximate, whatever the tiles and processes.

    Two passes: totals are added up over tiles and processes and scored once; then the derivative of the
    score, now fixed, is pulled back to the pixels tile by tile. Each tile is computed with as much around it
    as its features can see. What differs from one tile is the order of sums. Where there is only one, what
    the first pass has found serves the second.

    Args:
        tile: the longest side of a tile, in pixels, without what is around it: no more features are held at a
            time than those of one tile. 0: one tile.
        band: the rows that this process holds of the image that it will be given, if not all.
    """

    @torch.no_grad()
    def evaluate(image: Image) -> Evaluation:
        mine = band or Band.of(image.shape[2], image.shape[3], circular=network.circular)
        totals = _Totals(objective)
        features, pixels = _Features.of(network, objective, mine, tile), _Pixels(objective, mine)
        around = features.frame.with_halo(image)
        kept = features.measure(around, totals)
        pixels.measure(image, totals)
        values, derivatives = _scored(objective, totals.of_all(image))

        gradient = features.frame.with_halo_adjoint(features.pull_back(around, kept, derivatives))
        pixels.pull_back(image, derivatives, gradient)
        return Evaluation(values.sum(), gradient, objective.names, values)

    return evaluate


@dataclass(frozen=True)
class _Features:
    """The terms on the network's features, over this process's tiles.

    Attributes:
        tiles: for the way back.
        wider: for the way forth of the first pass, which holds less than half as much per pixel.
    """

    network: VGG19
    objective: Objective
    frame: HaloExchange
    tiles: tuple[Tile, ...]
    wider: tuple[Tile, ...]
    last: Layer | None

    @classmethod
    def of(cls, network: VGG19, objective: Objective, band: Band, size: int) -> "_Features":
        if not objective.layers:
            return cls(network, objective, band.halo_exchange(0), (), (), None)
        last = deepest(objective.layers)
        if network.circular and band.is_whole and not size:
            flat = replace(
                band, circular=False
            )  # the network itself joins the edges: nothing is needed around
            tiles = flat.tiles(0, last)
            return cls(network, objective, flat.halo_exchange(0), tiles, tiles, last)
        # A window of a torus holds its own surroundings.
        inside = replace(network, circular=False)
        tiles = band.tiles(size, last)
        more = round(WIDER * size) if len(tiles) > 1 else size
        margin = max(halos(last, tile_unit(side, last))[0] for side in (size, more))
        return cls(inside, objective, band.halo_exchange(margin), tiles, band.tiles(more, last), last)

    def measure(self, around: Image, totals: "_Totals") -> dict[str, Features]:
        """Add to the totals; what the only tile's way back needs, or nothing."""
        kept: dict[str, Features] = {}
        keep = KEPT if len(self.tiles) == 1 else ()
        for tile in self.wider:
            kept = self._responses(around, tile, keep, partial(totals.see, tile=tile))
        return kept

    def pull_back(self, around: Image, kept: dict[str, Features], derivatives: tuple[Tensor, ...]) -> Image:
        """The gradient of the surrounded image."""
        gradient: Image | None = None
        for tile in self.tiles:
            rows, columns = self.frame.local(tile.window)
            responses = kept or self._responses(around, tile, KEPT)
            add = partial(_add_in_core, self.objective, derivatives, tile)
            part = self.network.pull_back(around[:, :, rows, columns], responses, add, tile.crops)
            if len(self.tiles) == 1 and part.shape == around.shape:
                return part
            gradient = torch.zeros_like(around) if gradient is None else gradient
            gradient[:, :, rows, columns].add_(part)
        return torch.zeros_like(around) if gradient is None else gradient

    def _responses(
        self,
        around: Image,
        tile: Tile,
        keep: Container[str],
        on_layer: Callable[[str, Features], None] | None = None,
    ) -> dict[str, Features]:
        assert self.last is not None, "without layers there are no tiles"
        rows, columns = self.frame.local(tile.window)
        return self.network.responses(around[:, :, rows, columns], self.last, keep, on_layer, tile.crops)


@dataclass(frozen=True)
class _Pixels:
    """The terms on the image itself, over strips of this process's rows."""

    objective: Objective
    band: Band

    def measure(self, image: Image, totals: "_Totals") -> None:
        """Add to the totals."""
        for index, term in self._terms:
            for count, first, pixels in self._strips(self.band.halo_exchange(1).with_halo(image)):
                totals.add(index, term.of(count, self.band.width, first=first).measure(pixels))

    def pull_back(self, image: Image, derivatives: tuple[Tensor, ...], gradient: Image) -> None:
        """Add to the image's gradient."""
        if not self._terms:
            return
        edge = self.band.halo_exchange(1)
        around = edge.with_halo(image)
        total = gradient if around is image else torch.zeros_like(around)
        for (count, first, pixels), (*_, target) in zip(
            self._strips(around), self._strips(total), strict=True
        ):
            for index, term in self._terms:
                part = term.of(count, self.band.width, first=first)
                part.pull_back(pixels, derivatives[index], target)
        if total is not gradient:
            gradient.add_(edge.with_halo_adjoint(total))

    @property
    def _terms(self) -> list[tuple[int, PixelTerm]]:
        return [
            (index, term) for index, term in enumerate(self.objective.terms) if isinstance(term, PixelTerm)
        ]

    def _strips(self, around: Image) -> Iterator[tuple[int, bool, Image]]:
        """How many rows a strip counts, whether it is the first, and its view of the surrounded band.

        The view has these rows and what follows them.
        """
        top, bottom = self.band.rows
        high = max(1, STRIP // self.band.width)
        for start in range(top, bottom, high):
            stop = min(bottom, start + high)
            window = (slice(start, stop + 1), slice(0, self.band.width + 1))
            rows, columns = self.band.halo_exchange(1).local(window)
            yield stop - start, start == 0, around[:, :, rows, columns]


class _Totals:
    """Each term's total, added up as features come."""

    def __init__(self, objective: Objective) -> None:
        self.objective = objective
        self.found: dict[int, Tensor] = {}

    def see(self, name: str, features: Tensor, tile: Tile) -> None:
        """Measure the features of a layer in a tile's window, of which the core counts."""
        rows, columns = tile.core_in_window(name)
        for index, term in _parts(self.objective, name, tile):
            self.add(index, term.measure(features[:, :, rows, columns]))

    def add(self, index: int, total: Tensor) -> None:
        """Add to the total of the term in that place."""
        self.found[index] = self.found[index] + total if index in self.found else total

    def of_all(self, image: Image) -> list[Tensor]:
        """In the order of the terms, over all processes; a process may have had nothing to measure."""
        shapes = [term.total_shape for term in self.objective.terms]
        totals = [self.found.get(index, image.new_zeros(shape)) for index, shape in enumerate(shapes)]
        if not totals:
            return totals
        row = all_sum(torch.cat([total.flatten() for total in totals]))
        parts = torch.split(row, [total.numel() for total in totals])
        return [part.view(shape) for part, shape in zip(parts, shapes, strict=True)]


def _add_in_core(
    objective: Objective,
    derivatives: tuple[Tensor, ...],
    tile: Tile,
    name: str,
    features: Tensor,
    gradient: Tensor | None,
) -> Tensor:
    """`AddDerivative` of a window: terms speak for the positions of the core alone."""
    rows, columns = tile.core_in_window(name)
    core = features[:, :, rows, columns]
    everything = core.shape == features.shape
    if gradient is None and not everything:
        gradient = torch.zeros_like(features)
    for index, term in _parts(objective, name, tile):
        if everything:
            gradient = term.pull_back(features, derivatives[index], gradient)
        else:
            assert gradient is not None
            gradient[:, :, rows, columns].add_(term.pull_back(core, derivatives[index], None))
    assert gradient is not None, "the deepest layer has a term"
    return gradient


def _parts(objective: Objective, name: str, tile: Tile) -> Iterator[tuple[int, TermPart]]:
    """The terms of one layer, with their places, as they measure the core of a tile."""
    for index, term in enumerate(objective.terms):
        if name in term.layers and isinstance(term, LayerTerm):
            yield index, term.part(name, *tile.positions(name))


def _scored(objective: Objective, totals: list[Tensor]) -> tuple[Float[Tensor, " L"], tuple[Tensor, ...]]:
    """Each term's weighted score, and the derivative of their sum with respect to each total."""
    totals = [total.detach().requires_grad_(True) for total in totals]
    with torch.enable_grad():
        values = objective.score(totals)
        derivatives = torch.autograd.grad(values.sum(), totals)
    return values.detach(), derivatives
