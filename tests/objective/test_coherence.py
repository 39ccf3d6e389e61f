"""Coherent matches equal a plain computation, in tiles, by region and on a grid, and continue one another."""

import pytest
import torch
from torch import Tensor

from guided import halves
from hypercolumns import averaged_responses, centred, hypercolumns, rms_lengths
from impasto.objective import neighbors
from impasto.objective.coherence import SWEEPS
from impasto.objective.dictionaries import build_dictionaries
from impasto.objective.matching import match
from impasto.objective.neighbors import NeighborTerm
from impasto.objective.objective import Objective
from small import scene, small_network, stripes

SIZE, PAINTING = (47, 64), (52, 70)
WEIGHT = 0.6
AROUND = [(down, along) for down in (-1, 0, 1) for along in (-1, 0, 1) if (down, along) != (0, 0)]


def chosen(
    nearest: Tensor, cosines: Tensor, origins: Tensor, weight: float, step: int = 1
) -> list[list[int]]:
    """Place by place: the match with the largest sum of similarity and bonus, as `Coherence` defines it."""
    index = {tuple(origin): number for number, origin in enumerate(origins.tolist())}
    now: list[list[int]] = nearest.tolist()
    height, width = len(now), len(now[0])
    for turn in range(2 * SWEEPS):
        before = [list(row) for row in now]
        for row in range(0, height, step):
            for column in range(0, width, step):
                if before[row][column] < 0 or (row // step + column // step) % 2 != turn % 2:
                    continue
                continued = []
                for down, along in AROUND:
                    y, x = row + step * down, column + step * along
                    beside = before[y][x] if 0 <= y < height and 0 <= x < width else -1
                    turned, top, left = origins[beside].tolist() if beside >= 0 else (9, 0, 0)
                    continued.append(index.get((turned, top - step * down, left - step * along), -1))
                candidates = [int(nearest[row, column]), before[row][column], *continued]
                scores = [
                    float(cosines[row, column, c]) + weight * continued.count(c) / 8 if c >= 0 else -9.0
                    for c in candidates
                ]
                now[row][column] = candidates[scores.index(max(scores))]
    return now


def continued_share(matches: Tensor, origins: Tensor) -> float:
    """The fraction of horizontal pairs of places whose matches lie side by side in the painting."""
    places = origins[matches.long()]
    beside = places[:, 1:] - places[:, :-1]
    return float((beside == torch.tensor([0, 0, 1])).all(2).float().mean())


@pytest.mark.parametrize(("rotations", "limit"), [(1, 1 << 16), (4, 1 << 16), (1, 64)])
def test_coherent_matches_equal_a_plain_computation(
    rotations: int, limit: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With turned copies of the painting, and where only places on a grid are searched."""
    monkeypatch.setattr(neighbors, "MOST_PLACES", limit)
    network = small_network(dtype=torch.float64, pooling="max")
    image, painting = scene(*SIZE).double(), stripes(*PAINTING).double()
    (dictionary,) = build_dictionaries(network, painting, rotations=rotations)
    term = NeighborTerm(dictionary, SIZE, 1.0)
    (nearest,) = match(network, Objective((term,)), image).matches
    (coherent,) = match(network, Objective((term,)), image, coherence=WEIGHT).matches
    lengths = rms_lengths(network, painting)
    searched = nearest >= 0
    places = hypercolumns(averaged_responses(network, image), lengths)
    mean = places[searched].mean(0)
    columns = torch.nn.functional.normalize(places - mean)
    cosines = columns @ centred(hypercolumns(dict(dictionary.columns), lengths)).T
    step = 2 if limit == 64 else 1
    expected = chosen(nearest.view(term.grid), cosines.view(*term.grid, -1), dictionary.origins, WEIGHT, step)
    assert coherent.view(term.grid).tolist() == expected
    assert not torch.equal(coherent, nearest)
    assert torch.equal(coherent >= 0, searched)


@pytest.mark.parametrize("tile", [16, 48])
def test_tiles_choose_the_same_matches_as_the_whole(tile: int) -> None:
    network = small_network(dtype=torch.float64, pooling="max")
    image, painting = scene(*SIZE).double(), stripes(*PAINTING).double()
    areas = halves(*SIZE)
    dictionaries = build_dictionaries(network, painting, areas=halves(*PAINTING))
    terms = [NeighborTerm(d, SIZE, 1.0, area) for d, area in zip(dictionaries, areas, strict=True)]
    whole, tiled = (
        match(network, Objective(tuple(terms)), image, coherence=WEIGHT, tile=side) for side in (0, tile)
    )
    for matches, from_tiles, term in zip(whole.matches, tiled.matches, terms, strict=True):
        assert torch.equal(matches, from_tiles)
        assert int(matches.max()) < term.dictionary.places


def test_more_weight_gives_larger_whole_pieces_of_the_painting() -> None:
    network = small_network(dtype=torch.float64, pooling="max")
    image, painting = scene(*SIZE).double(), stripes(*PAINTING).double()
    (dictionary,) = build_dictionaries(network, painting)
    term = NeighborTerm(dictionary, SIZE, 1.0)
    shares = []
    for weight in (0.0, 0.3, 1.0, 3.0):
        (matches,) = match(network, Objective((term,)), image, coherence=weight).matches
        shares.append(continued_share(matches.view(term.grid), dictionary.origins))
    assert shares == sorted(shares)
    assert shares[-1] > 2 * shares[0]


def test_a_part_of_the_painting_stays_itself() -> None:
    """Its nearest neighbours are coherent already, so nothing changes."""
    network = small_network(dtype=torch.float64, pooling="max")
    painting = scene(64, 64).double()
    (dictionary,) = build_dictionaries(network, painting)
    term = NeighborTerm(dictionary, (64, 64), 1.0)
    (nearest,) = match(network, Objective((term,)), painting).matches
    (coherent,) = match(network, Objective((term,)), painting, coherence=WEIGHT).matches
    inside = slice(2, 14)
    assert torch.equal(coherent.view(16, 16)[inside, inside], nearest.view(16, 16)[inside, inside])
