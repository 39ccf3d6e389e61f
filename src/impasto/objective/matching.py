"""The search for nearest neighbours, towards which the places of a picture are drawn."""

import math
from collections.abc import Iterator, Mapping, Sequence
from functools import partial

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor

from impasto.layers import deepest
from impasto.network.vgg import VGG19
from impasto.objective.bands import Band
from impasto.objective.coherence import Coherence
from impasto.objective.neighbors import (
    HYPERCOLUMN,
    PLACES_LAYER,
    NeighborTerm,
    at_places,
    grid_step,
)
from impasto.objective.objective import Objective
from impasto.objective.terms import wide
from impasto.objective.tiles import Tile
from impasto.shapes import Features, Image
from impasto.system.distributed import all_sum

CANDIDATES = 8
"""The number of candidates that a matrix product in the features' type selects for each place. Sums in
float32 decide between them: bfloat16 alone chose another place in one of 1000 cases at 256 px."""

PLACES_AT_A_TIME = 256
"""Places of a picture that are compared with the dictionary at a time, which bounds the memory."""


def search_bytes(places: int, numbers: int, size: int) -> int:
    """Return the bytes of a search besides dictionaries and unit vectors: cosines, and float32 candidates.

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
def match(
    network: VGG19, objective: Objective, image: Image, *, coherence: float = 0.0, tile: int = 0
) -> Objective:
    """Search for the nearest neighbours of an image's places, and put them into the objective.

    The neighbour of a hypercolumn is the one in the dictionary with the largest cosine, after the mean of the
    image's hypercolumns has been subtracted from the first and the dictionary's mean from the second. Among
    equal ones it is the first. Each process searches for its own rows.

    Args:
        network: VGG-19 up to conv4_2 at least.
        objective: the terms, of which only `NeighborTerm`s are searched for.
        image: the whole image, (1, 3, H, W).
        coherence: how much a match that continues its neighbours' may be less similar; see `Coherence`. 0:
            the nearest neighbours.
        tile: see `each_tile`.
    Returns:
        the objective with new matches.
    """
    terms = [term for term in objective.terms if isinstance(term, NeighborTerm)]
    if not terms:
        return objective
    means = _means(network, terms, image, tile)
    searches = [_Search(term, mean, coherence) for term, mean in zip(terms, means, strict=True)]
    for down, along, columns in _hypercolumns(network, image, tile):
        for search in searches:
            search.see(down, along, columns)
    return objective.with_matches([search.result() for search in searches])


def _hypercolumns(
    network: VGG19, image: Image, tile: int
) -> Iterator[tuple[slice, slice, dict[str, Float[Tensor, "Q _"]]]]:
    """Yield each tile's rows and columns of places, and their responses by layer, of this process's part."""
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
    """Return, for each term, the mean response over its places, by layer."""
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
        coherence: see `match`.
    """

    def __init__(
        self, term: NeighborTerm, mean: Mapping[str, Float[Tensor, " N"]], coherence: float = 0.0
    ) -> None:
        self.term, dictionary, self._coherence = term, term.dictionary, coherence
        self.matches = torch.zeros(math.prod(term.grid), dtype=torch.int64, device=dictionary.lengths.device)
        # Of the places seen so far: their numbers and unit hypercolumns.
        self._places: list[Tensor] = []
        self._queries: list[Tensor] = []
        self._mean = torch.cat([mean[name] / dictionary.rms[name] for name in HYPERCOLUMN])
        means = [wide(dictionary.columns[name]).mean(0) / dictionary.rms[name] for name in HYPERCOLUMN]
        self._their_mean = torch.cat(means)
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
            queries = self._joined(columns, places) - self._mean
            nearest[places] = self._nearest(queries)
            if self._coherence:
                self._queries.append(F.normalize(queries).to(self._directions.dtype))
        if self._coherence:
            numbers = torch.arange(math.prod(self.term.grid), device=indices.device).view(self.term.grid)
            self._places.append(numbers[down, along].flatten()[indices])
        size = (down.stop - down.start, along.stop - along.start)
        # Kept with 1 added, so that the sum over processes, each 0 outside its rows, gives all of them.
        self.matches.view(self.term.grid)[down, along] = nearest.view(size) + 1

    def result(self) -> Int[Tensor, " Q"]:
        """Return the neighbours of all processes' places."""
        nearest = all_sum(self.matches) - 1
        if self._coherence:
            nearest = self._coherent(nearest.view(self.term.grid)).flatten()
        return nearest.to(torch.int32)

    def _coherent(self, nearest: Int[Tensor, "h w"]) -> Int[Tensor, "h w"]:
        """Choose matches that continue those of the neighbouring places."""
        dictionary = self.term.dictionary
        rows = torch.full((nearest.numel(),), -1, device=nearest.device)  # of the queries, by place
        places = torch.cat([*self._places, rows[:0]])
        rows[places] = torch.arange(len(places), device=rows.device)
        queries = torch.cat([*self._queries, self._directions[:0]])

        def cosines(places: Int[Tensor, " n"], entries: Int[Tensor, "n k"]) -> Float[Tensor, "n k"]:
            pieces = zip(
                torch.split(places, PLACES_AT_A_TIME), torch.split(entries, PLACES_AT_A_TIME), strict=True
            )
            parts = [
                (wide(queries[rows[some], None]) * wide(self._directions[candidates])).sum(2)
                for some, candidates in pieces
            ]
            return torch.cat([*parts, wide(queries[:0, : entries.shape[1]])])

        step = grid_step(*self.term.grid)
        local = (rows >= 0).view_as(nearest)
        return Coherence(dictionary.origins, cosines, local, self._coherence, step).choose(nearest)

    def _nearest(self, queries: Float[Tensor, "q _"]) -> Int[Tensor, " q"]:
        """Return the index in the dictionary of the nearest neighbour of each centred hypercolumn."""
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
