"""Nearest neighbours: every place of the picture is drawn towards one place of the painting.

The term of Kolkin et al. 2022, "Neural Neighbor Style Transfer" (arXiv:2203.13215), Sec. 3.
Differs: the normalised VGG-19 instead of VGG-16; each layer counts by its mean length over the painting
instead of its number of channels; the cosine that is minimised is not centred, only that of the search is.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor

from impasto.layers import LAYERS
from impasto.objective.guidance_mask import GuidanceMask
from impasto.shapes import Features, Scalar

HYPERCOLUMN = (
    "conv1_1", "conv1_2", "conv2_1", "conv2_2", "conv3_1", "conv3_2", "conv3_3", "conv3_4",
    "conv4_1", "conv4_2",
)  # fmt: skip
"""The layers whose responses at one place make its hypercolumn: 2,432 numbers."""

STRIDE = 4
"""Pixels from one place to the next: those of block 3. Finer layers are averaged, coarser ones repeated."""

PLACES_LAYER = "conv3_1"
"""A layer whose grid is that of the places."""

MOST_PLACES = 1 << 16
"""Places of a picture, and of a painting, that are compared at most: 1024×1024 pixels. Of larger ones, places
on a regular grid: all of them at 4096 px would take 3·10¹⁵ multiplications a search."""


@dataclass(frozen=True, eq=False)
class Dictionary:
    """The hypercolumns of a painting, or of an area of it.

    Attributes:
        columns: by layer, a row for each place, (P, N), in the type of the features.
        rms: by layer, the root mean square length of its responses over the painting; each layer is divided
            by it.
        origins: where each place is: quarter turns of the painting, row and column on the turned painting's
            grid of places.
    """

    columns: Mapping[str, Float[Tensor, "P _"]]
    rms: Mapping[str, float]
    origins: Int[Tensor, "P 3"]

    @property
    def places(self) -> int:
        """P."""
        return len(self.columns[PLACES_LAYER])

    @cached_property
    def lengths(self) -> Float[Tensor, " P"]:
        """Of each hypercolumn, its layers divided by their `rms`; at least 10⁻⁶."""
        squares = [wide(rows).square().sum(1) / self.rms[name] ** 2 for name, rows in self.columns.items()]
        return torch.stack(squares).sum(0).sqrt().clamp(min=1e-6)

    def only(self, places: Tensor) -> "Dictionary":
        """The same with those rows alone."""
        columns = {name: rows[places] for name, rows in self.columns.items()}
        return Dictionary(columns, self.rms, self.origins[places])


@dataclass(frozen=True, eq=False)
class NeighborTerm:
    """The mean over a picture's places of 1 − cos(F, T), F its hypercolumn there and T its neighbour's.

    T is found by `match`, from the picture as it is then, and stays until the next search. So the term is a
    sum over positions like any other. Its total is two numbers for each place, F·T and F·F, because these
    add up over layers and tiles, and a cosine does not.

    Attributes:
        dictionary: what may be a neighbour.
        canvas: height and width of the whole picture, in pixels.
        weight: in the objective.
        area: where; None is everywhere.
        label: what the report calls it besides `style neighbors`.
        matches: for each place of the picture, row by row, the place in the dictionary, or -1 where none is
            wanted; None before the first search.
    """

    dictionary: Dictionary
    canvas: tuple[int, int]
    weight: float
    area: GuidanceMask | None = None
    label: str = ""
    matches: Int[Tensor, " Q"] | None = None

    @property
    def name(self) -> str:
        """`style neighbors`, and the label."""
        return " ".join(filter(None, (self.kind, self.label, "neighbors")))

    @property
    def kind(self) -> str:
        """`style`."""
        return "style"

    @property
    def layers(self) -> tuple[str, ...]:
        """Those of the hypercolumn."""
        return HYPERCOLUMN

    @property
    def grid(self) -> tuple[int, int]:
        """Rows and columns of places."""
        return LAYERS[PLACES_LAYER].grid(*self.canvas)

    @property
    def total_shape(self) -> tuple[int, ...]:
        """(2, h, w)."""
        return (2, *self.grid)

    @cached_property
    def place_weights(self) -> Float[Tensor, " Q"]:
        """How much each place counts; their sum is 1. Every k-th place both ways where there are too many."""
        height, width = self.grid
        device = self.dictionary.lengths.device
        if self.area is None:
            weights = torch.ones(height, width, device=device)
        else:
            weights = self.area.at(PLACES_LAYER, slice(0, height), slice(0, width))[0, 0].to(device).clone()
        step = grid_step(height, width)
        on_grid = torch.zeros_like(weights)
        on_grid[::step, ::step] = weights[::step, ::step]
        counted = on_grid if float(on_grid.sum()) > 0 else weights  # an area that lies between the grid's
        shares: Tensor = counted.double() / counted.sum(dtype=torch.float64)
        return shares.flatten()

    def part(self, layer: str, rows: slice, columns: slice) -> "NeighborPart":
        """The term as it measures those rows and columns of one layer's grid."""
        return NeighborPart(self, layer, *places_of(layer, rows, columns, self.grid))

    def score(self, total: Float[Tensor, "2 h w"]) -> Scalar:
        """The mean of 1 − cos, from F·T and F·F."""
        assert self.matches is not None, "the neighbours have been searched"
        products, squares = total.flatten(1)
        lengths = self.dictionary.lengths[self.matches.clamp(min=0)].to(total.dtype)
        cosines = products / (squares.clamp(min=1e-12).sqrt() * lengths)
        mean: Scalar = (self.place_weights.to(total.dtype) * (1 - cosines)).sum()
        return mean


@dataclass(frozen=True, eq=False)
class NeighborPart:
    """A `NeighborTerm` as it measures a part of one layer.

    Attributes:
        layer: which.
        rows, columns: of the grid of places.
    """

    term: NeighborTerm
    layer: str
    rows: slice
    columns: slice

    def measure(self, features: Features) -> Float[Tensor, "2 _ _"]:
        """F·T and F·F of the layer at its places, 0 elsewhere."""
        here = wide(at_places(features, self.layer, self._size))[0].permute(1, 2, 0).flatten(0, 1)
        products = torch.stack([(here * self._targets).sum(1), here.square().sum(1)])
        total = products.new_zeros(self.term.total_shape)
        total[:, self.rows, self.columns] = products.div_(self._scale).view(2, *self._size)
        return total

    def pull_back(
        self, features: Features, derivative: Float[Tensor, "2 _ _"], gradient: Tensor | None
    ) -> Features:
        """Of F·T along d: d T; of F·F along e: 2 e F."""
        size = self._size
        here = wide(at_places(features, self.layer, size))[0].permute(1, 2, 0).flatten(0, 1)
        of_product, of_square = derivative[:, self.rows, self.columns].flatten(1)[..., None] / self._scale
        added = (self._targets * of_product).addcmul_(here, 2 * of_square)
        grid = added.to(features.dtype).view(1, *size, -1).permute(0, 3, 1, 2)
        added = at_places_adjoint(grid, features, self.layer)
        return added if gradient is None else gradient.add_(added)

    @property
    def _size(self) -> tuple[int, int]:
        return self.rows.stop - self.rows.start, self.columns.stop - self.columns.start

    @property
    def _scale(self) -> float:
        return self.term.dictionary.rms[self.layer] ** 2

    @property
    def _targets(self) -> Float[Tensor, "Q N"]:
        matches = self.term.matches
        assert matches is not None, "the neighbours have been searched"
        mine = matches.view(self.term.grid)[self.rows, self.columns].flatten().clamp(min=0)
        return wide(self.term.dictionary.columns[self.layer].index_select(0, mine))


def at_places(features: Features, layer: str, size: tuple[int, int]) -> Float[Tensor, "B N _ _"]:
    """A layer's responses on the grid of places: the mean of the positions there, or the one it lies in."""
    stride = LAYERS[layer].stride
    if stride < STRIDE:
        return F.avg_pool2d(features, STRIDE // stride, ceil_mode=True)
    if stride > STRIDE:
        features = features.repeat_interleave(stride // STRIDE, 2).repeat_interleave(stride // STRIDE, 3)
    return features[:, :, : size[0], : size[1]]


def at_places_adjoint(gradient: Tensor, features: Features, layer: str) -> Features:
    """The transpose of `at_places`: from the gradient at places that with respect to `features`."""
    stride = LAYERS[layer].stride
    if stride < STRIDE:
        side = STRIDE // stride
        spread: Tensor = torch.ops.aten.avg_pool2d_backward(
            gradient, features, [side, side], [side, side], [0, 0], True, True, None
        )
        return spread
    if stride > STRIDE:
        side = stride // STRIDE
        height, width = (side * length for length in features.shape[2:])
        padded = F.pad(gradient, (0, width - gradient.shape[3], 0, height - gradient.shape[2]))
        return F.avg_pool2d(padded, side) * side**2
    return gradient


def grid_step(height: int, width: int, copies: int = 1) -> int:
    """The least k so that every k-th place both ways makes no more than `MOST_PLACES`."""
    step = 1
    while copies * math.ceil(height / step) * math.ceil(width / step) > MOST_PLACES:
        step += 1
    return step


def places_of(layer: str, rows: slice, columns: slice, grid: tuple[int, int]) -> tuple[slice, slice]:
    """Rows and columns of places that lie in those of a layer's grid, which begin with a whole place.

    Args:
        grid: rows and columns of places of the whole image.
    """
    stride = LAYERS[layer].stride
    down, along = (
        slice(part.start * stride // STRIDE, min(length, -(-part.stop * stride // STRIDE)))
        for part, length in zip((rows, columns), grid, strict=True)
    )
    return down, along


def wide(features: Tensor) -> Tensor:
    """In float32 at least."""
    return features.to(torch.promote_types(features.dtype, torch.float32))
