"""The nearest-neighbour loss: every place of the picture is drawn towards a similar place of the painting.

It is the loss of Kolkin et al. 2022, "Neural Neighbor Style Transfer" (arXiv:2203.13215), Sec. 3.
Differs: the network is the normalised VGG-19 instead of VGG-16; each layer is divided by its root mean square
length over the painting, instead of counting by its number of channels; features are centred for the search
alone, and not in the cosine that is minimised.
"""

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor

from impasto.layers import LAYERS
from impasto.objective.guidance_mask import GuidanceMask
from impasto.objective.terms import wide
from impasto.shapes import Features, Scalar

HYPERCOLUMN = (
    "conv1_1", "conv1_2", "conv2_1", "conv2_2", "conv3_1", "conv3_2", "conv3_3", "conv3_4",
    "conv4_1", "conv4_2",
)  # fmt: skip
"""The layers whose responses at a place make up its hypercolumn of 2,432 numbers."""

STRIDE = 4
"""Pixels from one place to the next, as in block 3. Finer layers are averaged, coarser ones repeated."""

PLACES_LAYER = "conv3_1"
"""A layer whose grid is the grid of places."""

PLACES_AT_A_TIME = 4096
"""Places whose responses are compared in float32 at a time: of conv4_2, 8 MB each for F and T. All at once
took 0.4 GB at 1024×683 px."""

MOST_PLACES = 1 << 16
"""The most places that are compared of a picture, and of a painting: those of 1024×1024 pixels. Of larger
pictures a regular grid of places is compared. All places at 4096 px would take 3·10¹⁵ multiplications."""


@dataclass(frozen=True, eq=False)
class Dictionary:
    """The hypercolumns of a painting, or of an area of it.

    Attributes:
        columns: by layer, a row for each place, (P, N), in the type of the features.
        rms: by layer, the root mean square length of the responses over the painting, which divides them.
        origins: where each place is, (P, 3): quarter turns of the painting, then row and column on the turned
            painting's grid of places.
    """

    columns: Mapping[str, Float[Tensor, "P _"]]
    rms: Mapping[str, float]
    origins: Int[Tensor, "P 3"]

    @property
    def places(self) -> int:
        """The number of places P."""
        return len(self.columns[PLACES_LAYER])

    @cached_property
    def lengths(self) -> Float[Tensor, " P"]:
        """The length of each hypercolumn, with layers divided by their `rms`; at least 10⁻⁶."""
        squares = [wide(rows).square().sum(1) / self.rms[name] ** 2 for name, rows in self.columns.items()]
        return torch.stack(squares).sum(0).sqrt().clamp(min=1e-6)


@dataclass(frozen=True, eq=False)
class NeighborTerm:
    """The mean over a picture's places of 1 − cos(F, T), where F is a hypercolumn and T its nearest
    neighbour.

    `match` searches for T in the picture as it is then, and T stays fixed until the next search. So the term
    is a sum over positions like any other. Its total has two numbers for each place, F·T and F·F, because
    these add up over layers and tiles, and a cosine does not.

    Attributes:
        dictionary: the hypercolumns that may be neighbours.
        canvas: height and width of the whole picture, in pixels.
        weight: the weight in the objective.
        area: where the term applies; None: everywhere.
        label: the style's name in the report.
        matches: for each place of the picture, row by row, the index in the dictionary, or -1 where the term
            does not apply, (Q,); None before the first search.
    """

    dictionary: Dictionary
    canvas: tuple[int, int]
    weight: float
    area: GuidanceMask | None = None
    label: str = ""
    matches: Int[Tensor, " Q"] | None = None

    kind = "style"
    layers = HYPERCOLUMN

    @property
    def name(self) -> str:
        """`style neighbors`, with the label between if there is one."""
        return " ".join(filter(None, (self.kind, self.label, "neighbors")))

    @property
    def grid(self) -> tuple[int, int]:
        """The numbers of rows and columns of places."""
        return LAYERS[PLACES_LAYER].grid(*self.canvas)

    @property
    def total_shape(self) -> tuple[int, ...]:
        """F·T and F·F at each place, (2, h, w)."""
        return (2, *self.grid)

    @cached_property
    def place_weights(self) -> Float[Tensor, " Q"]:
        """How much each place counts, (Q,), with sum 1. Of too many, every k-th both ways counts."""
        height, width = self.grid
        device = self.dictionary.lengths.device
        if self.area is None:
            weights = torch.ones(height, width, device=device)
        else:
            weights = self.area.whole(PLACES_LAYER)[0, 0].to(device)
        step = grid_step(height, width)
        on_grid = torch.zeros_like(weights)
        on_grid[::step, ::step] = weights[::step, ::step]
        # An area may fall between the grid's places.
        counted = on_grid if float(on_grid.sum()) > 0 else weights
        shares: Tensor = counted.double() / counted.sum(dtype=torch.float64)
        return shares.flatten()

    def part(self, layer: str, rows: slice, columns: slice) -> "NeighborPart":
        """Return the part of the term that measures rows and columns of one layer's grid."""
        return NeighborPart(self, layer, *places_of(layer, rows, columns, self.grid))

    def score(self, total: Float[Tensor, "2 h w"]) -> Scalar:
        """Return the mean of 1 − cos over the places that count, from F·T and F·F."""
        assert self.matches is not None, "the neighbours have been searched"
        products, squares = total.flatten(1)
        # -1 takes some length, which then counts with weight 0.
        lengths = self.dictionary.lengths[self.matches.clamp(min=0)].to(total.dtype)
        cosines = products / (squares.clamp(min=1e-12).sqrt() * lengths)  # (Q,)
        mean: Scalar = (self.place_weights.to(total.dtype) * (1 - cosines)).sum()
        return mean


@dataclass(frozen=True, eq=False)
class NeighborPart:
    """The part of a `NeighborTerm` that measures a rectangle of one layer.

    Attributes:
        term: the whole term.
        layer: the layer.
        rows, columns: the rectangle on the grid of places.
    """

    term: NeighborTerm
    layer: str
    rows: slice
    columns: slice

    def measure(self, features: Features) -> Float[Tensor, "2 _ _"]:
        """Return the layer's share of F·T and F·F at its places, and 0 elsewhere."""
        responses = self._at_places(features)
        products = wide(responses.new_zeros(2, len(responses)))
        for part, rows, targets in self._chunks(responses):
            products[0, part] = (rows * targets).sum(1)
            products[1, part] = rows.square().sum(1)
        total = products.new_zeros(self.term.total_shape)
        total[:, self.rows, self.columns] = products.div_(self._scale).view(2, *self._size)
        return total

    def pull_back(
        self, features: Features, derivative: Float[Tensor, "2 _ _"], gradient: Tensor | None
    ) -> Features:
        """See `TermPart`: the derivative of F·T along d is d T, and that of F·F along e is 2 e F."""
        responses = self._at_places(features)
        of_product, of_square = derivative[:, self.rows, self.columns].flatten(1)[..., None] / self._scale
        added = torch.zeros_like(responses)
        for part, rows, targets in self._chunks(responses):
            added[part] = (targets * of_product[part]).addcmul_(rows, 2 * of_square[part]).to(added.dtype)
        grid = added.view(1, *self._size, -1).permute(0, 3, 1, 2)
        added = at_places_adjoint(grid, features, self.layer)
        return added if gradient is None else gradient.add_(added)

    @property
    def _size(self) -> tuple[int, int]:
        """The rectangle's numbers of rows and columns of places."""
        return self.rows.stop - self.rows.start, self.columns.stop - self.columns.start

    @property
    def _scale(self) -> float:
        """The divisor of products of two responses of the layer."""
        return self.term.dictionary.rms[self.layer] ** 2

    def _at_places(self, features: Features) -> Float[Tensor, "Q N"]:
        """Return the layer's responses at each place, in the type of the features."""
        return at_places(features, self.layer, self._size)[0].permute(1, 2, 0).flatten(0, 1)

    def _chunks(self, responses: Float[Tensor, "Q N"]) -> Iterator[tuple["slice | Tensor", Tensor, Tensor]]:
        """Yield some places at a time: their indices, responses, and targets T, in float32 at least.

        Parts bound the memory. Places without a match are left out: each of three regions has two thirds of
        them.
        """
        matches = self.term.matches
        assert matches is not None, "the neighbours have been searched"
        indices = matches.view(self.term.grid)[self.rows, self.columns].flatten()
        columns = self.term.dictionary.columns[self.layer]
        counted = (indices >= 0).nonzero().flatten()
        if len(counted) == len(responses):  # slices are quicker
            for begin in range(0, len(responses), PLACES_AT_A_TIME):
                part = slice(begin, begin + PLACES_AT_A_TIME)
                yield part, wide(responses[part]), wide(columns.index_select(0, indices[part]))
            return
        for places in torch.split(counted, PLACES_AT_A_TIME):
            yield places, wide(responses[places]), wide(columns.index_select(0, indices[places]))


def at_places(features: Features, layer: str, size: tuple[int, int]) -> Float[Tensor, "B N _ _"]:
    """Bring a layer's responses to the grid of places: a place has the mean of its positions, or lies in one.

    Args:
        features: (B, N, h, w).
        layer: the layer's name.
        size: rows and columns of places to return.
    """
    stride = LAYERS[layer].stride
    if stride < STRIDE:
        return F.avg_pool2d(features, STRIDE // stride, ceil_mode=True)
    if stride > STRIDE:
        # Block 4: each position covers 2×2 places.
        features = features.repeat_interleave(stride // STRIDE, 2).repeat_interleave(stride // STRIDE, 3)
    return features[:, :, : size[0], : size[1]]


def at_places_adjoint(gradient: Tensor, features: Features, layer: str) -> Features:
    """Return the transpose of `at_places`: from the gradient at places to that with respect to the responses.

    Args:
        gradient: (B, N, rows, columns) of places.
        features: the responses, (B, N, h, w), whose shape the result has.
        layer: the layer's name.
    """
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
        # A position collects the sum over the places that repeat it, those beyond the edge as 0.
        padded = F.pad(gradient, (0, width - gradient.shape[3], 0, height - gradient.shape[2]))
        return F.avg_pool2d(padded, side) * side**2
    return gradient


def grid_step(height: int, width: int, copies: int = 1) -> int:
    """Return the step between the compared places of a grid: the smallest that leaves at most `MOST_PLACES`.

    Args:
        height, width: rows and columns of places.
        copies: the number of turned copies of the grid, which share the limit.
    Returns:
        the step in places, the same both ways, at least 1.
    """
    step = 1
    while copies * math.ceil(height / step) * math.ceil(width / step) > MOST_PLACES:
        step += 1
    return step


def places_of(layer: str, rows: slice, columns: slice, grid: tuple[int, int]) -> tuple[slice, slice]:
    """Convert rows and columns of a layer's grid to rows and columns of places.

    Args:
        layer: the layer's name.
        rows, columns: on the layer's grid of the whole image, beginning at the start of a place.
        grid: rows and columns of places of the whole image.
    """
    stride = LAYERS[layer].stride
    down, along = (
        slice(part.start * stride // STRIDE, min(length, -(-part.stop * stride // STRIDE)))
        for part, length in zip((rows, columns), grid, strict=True)
    )
    return down, along
