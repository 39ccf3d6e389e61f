"""Evaluating an objective and its gradient at an image: whole, by tiles, or by several processes."""

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
"""The side of a tile in the first pass, which keeps no responses, relative to the second, which does."""

STRIP = 1 << 20
"""Pixels that terms on the image itself process at a time, which bounds the memory."""


@dataclass(frozen=True)
class Evaluation:
    """The value and gradient of the objective at one image.

    Attributes:
        loss: the weighted sum, 0-dimensional, on the device. (Reading it as a number waits for the device.)
        gradient: the gradient with respect to the image or to the solver's variables, of the same shape.
        names: the names of the terms.
        values: the weighted scores of the terms, (L,), which sum to `loss`.
    """

    loss: Scalar
    gradient: Point
    names: tuple[str, ...]
    values: Float[Tensor, " L"]

    @property
    def by_term(self) -> dict[str, float]:
        """Each term's weighted score by name."""
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
"""An objective as a solver sees it. It may work on the whole image, by tiles or by several processes."""


def measure(network: VGG19, objective: Objective, image: Image) -> list[Tensor]:
    """Measure each term's total over a whole image, in one piece. Autograd can differentiate the totals.

    Args:
        network: VGG-19, deep enough for the objective.
        objective: the terms.
        image: (1, 3, H, W), RGB, 0..1.
    Returns:
        the totals in the order of the terms, each of its term's `total_shape`.
    Raises:
        SettingsError: a layer is unknown, or deeper than the network.
        ImageError: the image is too small for the deepest layer.
    """
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
    """Return the part of a term that measures every position of a layer."""
    assert isinstance(term, LayerTerm), "a term measures layers or pixels"
    height, width = features.shape[2:]
    return term.part(name, slice(0, height), slice(0, width))


def evaluator(network: VGG19, objective: Objective, *, tile: int = 0, band: Band | None = None) -> Evaluate:
    """Make the function that computes an objective and its gradient, exactly for any tiles and processes.

    It works in two passes. The first sums the totals over tiles and processes, and scores them once. The
    second takes the derivative of the score, which is now fixed, back to the pixels tile by tile. Each tile
    is computed with a margin as wide as its features see, so tiles change nothing but the order of sums. If
    there is only one tile, the second pass uses the responses of the first.

    Args:
        network: VGG-19, deep enough for the objective.
        objective: the terms.
        tile: the longest side of a tile without its margin, in pixels; features of one tile are held at a
            time. 0: one tile.
        band: the rows of the image that this process holds; default: its share, or all.
    Returns:
        a function of the image, (1, 3, H, W), or of this process's rows of it.
    """

    @torch.no_grad()
    def evaluate(image: Image) -> Evaluation:
        rows = band or Band.of(image.shape[2], image.shape[3], circular=network.circular)
        totals = _Totals(objective)
        features, pixels = _Features.of(network, objective, rows, tile), _Pixels(objective, rows)
        around = features.frame.with_halo(image)  # borrowed once for both passes
        kept = features.measure(around, totals)
        pixels.measure(image, totals)
        values, derivatives = _scored(objective, totals.of_all(image))
        # The second pass: from here on the derivatives are constants.
        gradient = features.frame.with_halo_adjoint(features.pull_back(around, kept, derivatives))
        pixels.pull_back(image, derivatives, gradient)
        return Evaluation(values.sum(), gradient, objective.names, values)

    return evaluate


@dataclass(frozen=True)
class _Features:
    """The terms on the network's features, over this process's tiles.

    Attributes:
        frame: the exchange of the rows around the band.
        tiles: the tiles of the second pass.
        wider: the tiles of the first pass, which holds less than half as much memory per pixel.
        last: the deepest layer needed; None without layers.
    """

    network: VGG19
    objective: Objective
    frame: HaloExchange
    tiles: tuple[Tile, ...]
    wider: tuple[Tile, ...]
    last: Layer | None

    @classmethod
    def of(cls, network: VGG19, objective: Objective, band: Band, size: int) -> "_Features":
        """Choose tiles of at most `size` pixels for a band."""
        if not objective.layers:
            return cls(network, objective, HaloExchange(band, 0), (), (), None)
        last = deepest(objective.layers)
        if network.circular and band.is_whole and not size:
            flat = replace(band, circular=False)  # the network joins the edges itself: no margin is needed
            tiles = flat.tiles(0, last)
            return cls(network, objective, HaloExchange(flat, 0), tiles, tiles, last)
        # A tile of a torus brings the opposite edges along in its margin.
        inside = replace(network, circular=False)
        tiles = band.tiles(size, last)
        more = round(WIDER * size) if len(tiles) > 1 else size
        margin = max(halos(last, tile_unit(side, last))[0] for side in (size, more))
        return cls(inside, objective, HaloExchange(band, margin), tiles, band.tiles(more, last), last)

    def measure(self, around: Image, totals: "_Totals") -> dict[str, Features]:
        """Add to the totals; return the responses for the second pass if there is one tile, else nothing."""
        kept: dict[str, Features] = {}
        # One tile computes its responses once; of several, each is computed again in the second pass.
        keep = KEPT if len(self.tiles) == 1 else ()
        for tile in self.wider:
            kept = self._responses(around, tile, keep, partial(totals.see, tile=tile))
        return kept

    def pull_back(self, around: Image, kept: dict[str, Features], derivatives: tuple[Tensor, ...]) -> Image:
        """Return the gradient with respect to the image with its margin."""
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
        """Compute a tile's responses."""
        assert self.last is not None, "without layers there are no tiles"
        rows, columns = self.frame.local(tile.window)
        return self.network.responses(around[:, :, rows, columns], self.last, keep, on_layer, tile.crops)


@dataclass(frozen=True)
class _Pixels:
    """The terms on the image itself, computed over strips of this process's rows."""

    objective: Objective
    band: Band

    def measure(self, image: Image, totals: "_Totals") -> None:
        """Add to the totals."""
        for index, term in self._terms:
            for count, first, pixels in self._strips(self._frame.with_halo(image)):
                totals.add(index, term.of(count, self.band.width, first=first).measure(pixels))

    def pull_back(self, image: Image, derivatives: tuple[Tensor, ...], gradient: Image) -> None:
        """Add to the image's gradient."""
        if not self._terms:
            return
        around = self._frame.with_halo(image)
        # In place where nothing is borrowed.
        total = gradient if around is image else torch.zeros_like(around)
        for (count, first, pixels), (*_, target) in zip(
            self._strips(around), self._strips(total), strict=True
        ):
            for index, term in self._terms:
                part = term.of(count, self.band.width, first=first)
                part.pull_back(pixels, derivatives[index], target)
        if total is not gradient:
            gradient.add_(self._frame.with_halo_adjoint(total))

    @property
    def _frame(self) -> HaloExchange:
        """The exchange of the one row that terms on neighbouring pixels need."""
        return HaloExchange(self.band, 1)

    @property
    def _terms(self) -> list[tuple[int, PixelTerm]]:
        """The terms on pixels, with their indices in the objective."""
        return [
            (index, term) for index, term in enumerate(self.objective.terms) if isinstance(term, PixelTerm)
        ]

    def _strips(self, around: Image) -> Iterator[tuple[int, bool, Image]]:
        """Return, for each strip, its rows, whether it is the image's first, and a view of its pixels.

        The view has one more row and column, if the image has them, for terms that compare neighbours.
        """
        top, bottom = self.band.rows
        high = max(1, STRIP // self.band.width)
        for start in range(top, bottom, high):
            stop = min(bottom, start + high)
            window = (slice(start, stop + 1), slice(0, self.band.width + 1))
            rows, columns = self._frame.local(window)
            yield stop - start, start == 0, around[:, :, rows, columns]


class _Totals:
    """Each term's total, summed as the features are computed."""

    def __init__(self, objective: Objective) -> None:
        self.objective = objective
        self.sums: dict[int, Tensor] = {}  # by the term's index in the objective

    def see(self, name: str, features: Tensor, tile: Tile) -> None:
        """Measure the features of a layer in a tile, counting only the tile's core."""
        for index, term in _parts(self.objective, name, tile):
            self.add(index, term.measure(tile.core(name, features)))

    def add(self, index: int, total: Tensor) -> None:
        """Add to the total of the term with this index."""
        self.sums[index] = self.sums[index] + total if index in self.sums else total

    def of_all(self, image: Image) -> list[Tensor]:
        """Return the totals over all processes, in the order of the terms."""
        shapes = [term.total_shape for term in self.objective.terms]
        # A process without rows has measured nothing.
        totals = [self.sums.get(index, image.new_zeros(shape)) for index, shape in enumerate(shapes)]
        if not totals:
            return totals
        # All totals travel as one row: one message for all terms.
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
    """`AddDerivative` for a tile: terms add their derivatives at the positions of the core alone."""
    core = tile.core(name, features)
    everything = core.shape == features.shape  # one tile: no copies
    if gradient is None and not everything:
        gradient = torch.zeros_like(features)
    for index, term in _parts(objective, name, tile):
        if everything:
            gradient = term.pull_back(features, derivatives[index], gradient)
        else:
            assert gradient is not None
            tile.core(name, gradient).add_(term.pull_back(core, derivatives[index], None))
    assert gradient is not None, "the deepest layer has a term"
    return gradient


def _parts(objective: Objective, name: str, tile: Tile) -> Iterator[tuple[int, TermPart]]:
    """Yield the terms of a layer, with their indices, restricted to the core of a tile."""
    for index, term in enumerate(objective.terms):
        if name in term.layers and isinstance(term, LayerTerm):
            yield index, term.part(name, *tile.positions(name))


def _scored(objective: Objective, totals: list[Tensor]) -> tuple[Float[Tensor, " L"], tuple[Tensor, ...]]:
    """Return each term's weighted score, and the derivative of their sum with respect to each total."""
    # Autograd from the totals on: their size does not depend on the image's.
    totals = [total.detach().requires_grad_(True) for total in totals]
    with torch.enable_grad():
        values = objective.score(totals)
        derivatives = torch.autograd.grad(values.sum(), totals)
    return values.detach(), derivatives
