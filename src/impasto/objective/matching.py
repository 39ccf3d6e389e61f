"""The search for nearest neighbours, towards which the places of a picture are drawn."""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor

from impasto.layers import LAYERS, deepest
from impasto.network.vgg import VGG19
from impasto.objective.bands import Band
from impasto.objective.guidance_mask import GuidanceMask
from impasto.objective.neighbors import (
    HYPERCOLUMN,
    PLACES_LAYER,
    Dictionary,
    NeighborTerm,
    at_places,
    grid_step,
    places_of,
)
from impasto.objective.objective import Objective
from impasto.objective.targets import each_tile
from impasto.objective.terms import wide
from impasto.objective.tiles import Tile
from impasto.shapes import Features, Image
from impasto.system.distributed import all_sum

CANDIDATES = 8
"""The number of candidates that a matrix product in the features' type selects for each place. Sums in
float32 decide between them: bfloat16 alone chose another place in one of 1000 cases at 256 px."""

BORDER = 4
"""Places along a painting's border that are no neighbours: 16 px, and at most a sixteenth of a side.

Hypercolumns there contain the network's zero padding, as do those at the picture's border. They matched each
other, so the edge of The Scream became a band at both sides of the sky. With 2 places a faint one stayed."""

PLACES_AT_A_TIME = 256
"""Places of a picture that are compared with the dictionary at a time, which bounds the memory."""


def build_dictionaries(
    network: VGG19,
    painting: Image,
    *,
    areas: Sequence[GuidanceMask | None] = (None,),
    rotations: int = 1,
    tile: int = 0,
) -> list[Dictionary]:
    """Build a dictionary of a painting's hypercolumns for each of several areas.

    Every process computes all of them, because sending them would take longer.

    Args:
        network: VGG-19 up to conv4_2 at least.
        painting: (1, 3, H, W), RGB, 0..1.
        areas: the areas; None: the whole painting.
        rotations: 1, 2 or 4: the number of copies of the painting, turned by equal parts of a full turn.
        tile: see `each_tile`.
    Returns:
        a dictionary for each area.
    """
    grid = LAYERS[PLACES_LAYER].grid(*painting.shape[2:])
    step = grid_step(*grid, rotations)
    turns = [4 // rotations * number for number in range(rotations)]
    parts, squares = [], dict.fromkeys(HYPERCOLUMN, 0.0)
    for turn in turns:
        columns, totals = _columns(network, torch.rot90(painting, turn, (2, 3)).contiguous(), step, tile)
        parts.append(columns)
        squares = totals if turn == 0 else squares  # lengths are those of the upright painting
    rms = {
        name: max(1e-6, math.sqrt(total / math.prod(LAYERS[name].grid(*painting.shape[2:]))))
        for name, total in squares.items()
    }
    origins = _origins(grid, turns, step).to(painting.device)
    border = 0 if network.circular else min(BORDER, min(grid) // 16)
    by_area = [_inside(area, grid, origins, border) for area in areas]
    chosen: list[dict[str, Tensor]] = [{} for _ in areas]
    for name in HYPERCOLUMN:
        rows = torch.cat([columns.pop(name) for columns in parts])
        for columns, places in zip(chosen, by_area, strict=True):
            columns[name] = rows[places]
    return [
        Dictionary(columns, rms, origins[places]) for columns, places in zip(chosen, by_area, strict=True)
    ]


def _origins(grid: tuple[int, int], turns: Sequence[int], step: int) -> Int[Tensor, "P 3"]:
    """The quarter turns, row and column of every `step`-th place of a painting and its turned copies."""
    parts = []
    for turn in turns:
        rows, columns = grid if turn % 2 == 0 else grid[::-1]
        sides = (torch.tensor([turn]), torch.arange(0, rows, step), torch.arange(0, columns, step))
        parts.append(torch.cartesian_prod(*sides))
    return torch.cat(parts)


def _columns(
    network: VGG19, painting: Image, step: int, tile: int
) -> tuple[dict[str, Float[Tensor, "P _"]], dict[str, float]]:
    """The hypercolumns at every `step`-th place, and each layer's sum of squares over all its positions."""
    height, width = LAYERS[PLACES_LAYER].grid(*painting.shape[2:])
    rows, columns = math.ceil(height / step), math.ceil(width / step)
    by_layer: dict[str, Tensor] = {}  # (rows, columns, N) of places
    squares = dict.fromkeys(HYPERCOLUMN, 0.0)

    def on_layer(tile: Tile, name: str, features: Features) -> None:
        if name not in HYPERCOLUMN:
            return
        core = tile.core(name, features)
        squares[name] += float(wide(core).square().sum(dtype=torch.float64))
        down, along = places_of(name, *tile.positions(name), (height, width))
        here = at_places(core, name, (down.stop - down.start, along.stop - along.start))
        here = here[:, :, -down.start % step :: step, -along.start % step :: step]
        if name not in by_layer:
            by_layer[name] = here.new_empty(rows, columns, here.shape[1])
        top, left = -(-down.start // step), -(-along.start // step)
        by_layer[name][top : top + here.shape[2], left : left + here.shape[3]] = here[0].permute(1, 2, 0)

    band = Band(painting.shape[2], painting.shape[3], (0, painting.shape[2]))
    each_tile(network, painting, deepest(HYPERCOLUMN), tile, on_layer, band=band)
    return {name: rows.flatten(0, 1) for name, rows in by_layer.items()}, squares


def _inside(
    area: GuidanceMask | None, grid: tuple[int, int], origins: Int[Tensor, "P 3"], border: int
) -> Int[Tensor, " _"]:
    """The indices of the places that may be neighbours.

    They lie in the area and off the painting's border; in the area alone if it has none off the border. An
    area in which no place lies gets the place that it covers most.

    Args:
        area: of the upright painting; None: all of it.
        grid: rows and columns of places of the upright painting.
        origins: see `Dictionary`.
        border: the number of places along the border.
    """
    turn, row, column = origins.unbind(1)
    last = torch.tensor([grid, grid[::-1]], device=origins.device)[turn % 2] - 1  # (P, 2)
    off_border = (torch.minimum(row, last[:, 0] - row) >= border) & (
        torch.minimum(column, last[:, 1] - column) >= border
    )
    if area is None:
        return off_border.nonzero().flatten()
    inner = area.inner(PLACES_LAYER)
    covered = torch.zeros(len(origins), device=origins.device)
    for number in torch.unique(turn).tolist():
        turned = replace(inner, mask=torch.rot90(inner.mask, number, (0, 1)))
        here = turn == number
        covered[here] = turned.whole(PLACES_LAYER)[0, 0, row[here], column[here]].to(covered)
    inside = covered > 0.5
    for places in (inside & off_border, inside):
        if places.any():
            return places.nonzero().flatten()
    return covered.argmax()[None]


def search_bytes(places: int, numbers: int, size: int) -> int:
    """The memory of a search besides dictionaries and unit vectors: its cosines, and candidates in float32.

    Args:
        places: the number of places in the dictionary.
        numbers: the numbers in a hypercolumn.
        size: the bytes of each number.
    Returns:
        bytes.
    """
    at_a_time = places * (size + 4) + 3 * CANDIDATES * numbers * 4
    return PLACES_AT_A_TIME * at_a_time


@torch.no_grad()
def match(network: VGG19, objective: Objective, image: Image, *, tile: int = 0) -> Objective:
    """Search for the nearest neighbours of an image's places, and put them into the objective.

    The neighbour of a hypercolumn is the one in the dictionary with the largest cosine, after the mean of the
    image's hypercolumns has been subtracted from the first and the dictionary's mean from the second. Among
    equal ones it is the first. Each process searches for its own rows.

    Args:
        network: VGG-19 up to conv4_2 at least.
        objective: the terms, of which only `NeighborTerm`s are searched for.
        image: the whole image, (1, 3, H, W).
        tile: see `each_tile`.
    Returns:
        the objective with new matches.
    """
    terms = [term for term in objective.terms if isinstance(term, NeighborTerm)]
    if not terms:
        return objective
    means = _means(network, terms, image, tile)
    searches = [_Search(term, mean) for term, mean in zip(terms, means, strict=True)]
    for down, along, columns in _hypercolumns(network, image, tile):
        for search in searches:
            search.see(down, along, columns)
    return objective.with_matches([search.result() for search in searches])


def _hypercolumns(
    network: VGG19, image: Image, tile: int
) -> Iterator[tuple[slice, slice, dict[str, Float[Tensor, "Q _"]]]]:
    """For each tile of this process's part: rows and columns of places, and the responses there by layer."""
    last = deepest(HYPERCOLUMN)
    for part in Band.of(image.shape[2], image.shape[3]).tiles(tile, last):
        down, along = part.positions(PLACES_LAYER)
        columns: dict[str, Tensor] = {}
        # Brought to the places as they come, so that no layer is held at its own size.
        on_layer = partial(_put_columns, columns, part, (down.stop - down.start, along.stop - along.start))
        rows, window = part.window
        network.responses(image[:, :, rows, window], last, (), on_layer, part.crops)
        yield down, along, columns


def _put_columns(
    columns: dict[str, Tensor], part: Tile, size: tuple[int, int], name: str, features: Features
) -> None:
    """Put a layer's responses at a tile's places into `columns`, (Q, N), if it is one of the hypercolumn."""
    if name in HYPERCOLUMN:
        core = part.core(name, features)
        columns[name] = at_places(core, name, size)[0].permute(1, 2, 0).flatten(0, 1).contiguous()


def _means(
    network: VGG19, terms: Sequence[NeighborTerm], image: Image, tile: int
) -> list[dict[str, Float[Tensor, " N"]]]:
    """For each term, the mean response over its places, by layer."""
    sums: list[dict[str, Tensor]] = [{} for _ in terms]
    for down, along, columns in _hypercolumns(network, image, tile):
        for term, total in zip(terms, sums, strict=True):
            weights = term.place_weights.view(term.grid)[down, along].flatten()
            for name, rows in columns.items():
                rows = wide(rows)
                part = weights.to(rows.dtype) @ rows
                total[name] = total[name] + part if name in total else part
    if not sums[0]:  # this process has no rows, but takes part in the sums
        sums = [
            {name: wide(rows.new_zeros(rows.shape[1])) for name, rows in term.dictionary.columns.items()}
            for term in terms
        ]
    return [{name: all_sum(total[name]) for name in HYPERCOLUMN} for total in sums]


class _Search:
    """The search for one term's neighbours.

    Args:
        term: the term.
        mean: by layer, the mean of the picture's responses at the term's places.
    """

    def __init__(self, term: NeighborTerm, mean: Mapping[str, Float[Tensor, " N"]]) -> None:
        self.term, dictionary = term, term.dictionary
        self.matches = torch.zeros(math.prod(term.grid), dtype=torch.int64, device=dictionary.lengths.device)
        self._mean = torch.cat([mean[name] / dictionary.rms[name] for name in HYPERCOLUMN])
        theirs = [wide(dictionary.columns[name]).mean(0) / dictionary.rms[name] for name in HYPERCOLUMN]
        self._their_mean = torch.cat(theirs)
        half = dictionary.columns[PLACES_LAYER].dtype
        self._directions = torch.empty(
            dictionary.places, len(self._their_mean), dtype=half, device=self._mean.device
        )
        # Unit vectors once per search, in the features' type: with them a cosine is a matrix product.
        for begin in range(0, dictionary.places, 4096):
            part = slice(begin, begin + 4096)
            self._directions[part] = F.normalize(
                self._joined(dictionary.columns, part) - self._their_mean
            ).to(half)

    def see(self, down: slice, along: slice, columns: Mapping[str, Float[Tensor, "Q _"]]) -> None:
        """Search for the neighbours of some rows and columns of places."""
        counted = (self.term.place_weights > 0).view(self.term.grid)[down, along].flatten()
        indices = counted.nonzero().flatten()
        nearest = torch.full((len(columns[PLACES_LAYER]),), -1, dtype=torch.int64, device=indices.device)
        for places in torch.split(indices, PLACES_AT_A_TIME):
            nearest[places] = self._nearest(self._joined(columns, places) - self._mean)
        size = (down.stop - down.start, along.stop - along.start)
        # Kept with 1 added, so that the sum over processes, each 0 outside its rows, gives all of them.
        self.matches.view(self.term.grid)[down, along] = nearest.view(size) + 1

    def result(self) -> Int[Tensor, " Q"]:
        """The neighbours of all processes' places."""
        return (all_sum(self.matches) - 1).to(torch.int32)

    def _nearest(self, queries: Float[Tensor, "q _"]) -> Int[Tensor, " q"]:
        """The index in the dictionary of the nearest neighbour of each centred hypercolumn."""
        if not len(queries):
            return torch.empty(0, dtype=torch.int64, device=queries.device)
        scores = (queries.to(self._directions.dtype) @ self._directions.T).float()
        count = min(CANDIDATES, scores.shape[1])
        candidates = scores.topk(count, 1, sorted=False).indices.sort(1).values  # (q, 8), ascending
        rows = self._joined(self.term.dictionary.columns, candidates.flatten()) - self._their_mean
        # A matrix product would round equal places differently, because its sums depend on the row's
        # position.
        cosines = (F.normalize(rows).view(*candidates.shape, -1) * queries[:, None]).sum(2)
        return candidates.gather(1, cosines.argmax(1, keepdim=True))[:, 0]

    def _joined(self, columns: Mapping[str, Tensor], rows: "Tensor | slice") -> Float[Tensor, "q _"]:
        """Join some rows of all layers, each layer divided by its `rms`."""
        rms = self.term.dictionary.rms
        return torch.cat([wide(columns[name][rows]) / rms[name] for name in HYPERCOLUMN], 1)
