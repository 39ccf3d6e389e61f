"""Nearest neighbours: search and loss equal brute force, in tiles, by region, on a grid, with rotations."""

from collections.abc import Sequence

import pytest
import torch
import torch.nn.functional as F

from guided import halves
from hypercolumns import averaged_responses, centred, hypercolumns, rms_lengths
from impasto.network.vgg import VGG19
from impasto.objective import matching, neighbors
from impasto.objective.dictionaries import build_dictionaries
from impasto.objective.evaluate import evaluator, measure
from impasto.objective.guidance_mask import GuidanceMask
from impasto.objective.matching import match
from impasto.objective.neighbors import HYPERCOLUMN, Dictionary, NeighborTerm
from impasto.objective.objective import Objective
from small import scene, small_network, stripes
from tiled import distance

SIZES = [(16, 17), (31, 47), (65, 97), (101, 40)]
PAINTING = (52, 70)


def objective_for(
    network: VGG19, size: tuple[int, int], areas: Sequence[GuidanceMask | None] = (None,), *, tile: int = 0
) -> Objective:
    painting = stripes(*PAINTING).to(network.dtype)
    painting_areas = halves(*PAINTING) if areas[0] is not None else (None,)
    dictionaries = build_dictionaries(network, painting, areas=painting_areas, tile=tile)
    return Objective(
        tuple(
            NeighborTerm(dictionary, size, 1.0 + index, area, f"{index}")
            for index, (dictionary, area) in enumerate(zip(dictionaries, areas, strict=True))
        )
    )


@pytest.mark.parametrize("size", SIZES)
def test_neighbours_and_loss_equal_brute_force(size: tuple[int, int]) -> None:
    network = small_network(dtype=torch.float64, pooling="max")
    image, painting = scene(*size).double(), stripes(*PAINTING).double()
    lengths = rms_lengths(network, painting)
    columns, candidates = (hypercolumns(averaged_responses(network, x), lengths) for x in (image, painting))
    cosines = centred(columns) @ centred(candidates).T
    objective = match(network, objective_for(network, size), image)
    assert torch.equal(objective.matches[0].long(), cosines.argmax(1))
    assert len(set(objective.matches[0].tolist())) > len(columns) // 20  # not the same neighbour everywhere

    image.requires_grad_(True)
    columns = hypercolumns(averaged_responses(network, image), lengths)
    loss = (1 - F.cosine_similarity(columns, candidates[cosines.argmax(1)], dim=1)).mean()
    loss.backward()
    evaluation = evaluator(network, objective)(image.detach())
    assert float(evaluation.loss) == pytest.approx(float(loss.detach()), rel=1e-12)
    assert image.grad is not None
    assert distance(evaluation.gradient, image.grad) < 1e-10
    (total,) = measure(network, objective, image.detach())
    assert float(objective.score([total])[0]) == pytest.approx(float(loss.detach()), rel=1e-12)


@pytest.mark.parametrize("pooling", ["average", "max"])
@pytest.mark.parametrize("tile", [16, 48])
@pytest.mark.parametrize(("size", "regions"), [(SIZES[1], True), (SIZES[2], False), (SIZES[3], True)])
def test_tiles_give_the_same_as_the_whole(
    size: tuple[int, int], tile: int, pooling: str, regions: bool
) -> None:
    network = small_network(dtype=torch.float64, pooling=pooling)
    areas = halves(*size) if regions else (None,)
    image = 1.2 * scene(*size).double() - 0.1
    whole = match(network, objective_for(network, size, areas), image)
    parts = match(network, objective_for(network, size, areas, tile=tile), image, tile=tile)
    for matches, tiled_matches in zip(whole.matches, parts.matches, strict=True):
        assert torch.equal(matches, tiled_matches)
    expected, tiled = evaluator(network, whole)(image), evaluator(network, parts, tile=tile)(image)
    torch.testing.assert_close(tiled.values, expected.values, rtol=1e-10, atol=0)
    assert distance(tiled.gradient, expected.gradient) < 1e-10


def test_a_region_matches_only_its_part_of_the_painting() -> None:
    size, network = (64, 96), small_network(dtype=torch.float64, pooling="max")
    image, painting = scene(*size).double(), stripes(*PAINTING).double()
    objective = match(network, objective_for(network, size, halves(*size)), image)
    lengths = rms_lengths(network, painting)
    columns, candidates = (hypercolumns(averaged_responses(network, x), lengths) for x in (image, painting))
    for index, (image_area, painting_area) in enumerate(zip(halves(*size), halves(*PAINTING), strict=True)):
        weights = F.avg_pool2d(image_area.mask[None, None].double() / 255, 4, ceil_mode=True).flatten()
        inner = F.avg_pool2d(painting_area.mask[None, None].double() / 255, 4, ceil_mode=True)
        inner = (2 * F.avg_pool2d(inner, 3, 1, 1, count_include_pad=False) - 1).flatten()
        inside = (inner > 0.5).nonzero().flatten()
        cosines = centred(columns, weights) @ centred(candidates[inside]).T
        expected = torch.where(weights > 0, cosines.argmax(1), -1)
        assert torch.equal(objective.matches[index].long(), expected)
        assert 0 < len(inside) < len(candidates)
        distances = 1 - F.cosine_similarity(columns, candidates[inside][expected.clamp(min=0)], dim=1)
        loss = (weights * distances).sum() / weights.sum() * (1 + index)
        values = evaluator(network, objective)(image).values
        assert float(values[index]) == pytest.approx(float(loss.detach()), rel=1e-6)  # masks are float32


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_a_search_in_half_precision_chooses_the_neighbours_of_float64(dtype: torch.dtype) -> None:
    """The responses are the same numbers, so only the precision of the search differs."""
    generator = torch.Generator().manual_seed(3)
    widths = dict.fromkeys(HYPERCOLUMN, 12)
    candidates = {n: torch.rand(900, c, generator=generator).to(dtype) for n, c in widths.items()}
    columns = {n: torch.rand(48, c, generator=generator).to(dtype) for n, c in widths.items()}
    rms, origins = dict.fromkeys(HYPERCOLUMN, 1.3), torch.zeros(900, 3, dtype=torch.int64)
    matches = []
    for kind in (dtype, torch.float64):
        term = NeighborTerm(
            Dictionary({n: rows.to(kind) for n, rows in candidates.items()}, rms, origins), (24, 32), 1.0
        )
        means = {
            n: rows.double().mean(0).to(torch.promote_types(kind, torch.float32))
            for n, rows in columns.items()
        }
        search = matching._Search(term, means)
        search.see(slice(0, 6), slice(0, 8), {n: rows.to(kind) for n, rows in columns.items()})
        matches.append(search.result())
    assert torch.equal(*matches)
    assert len(set(matches[0].tolist())) > 20


def test_of_equal_candidates_the_first_is_chosen() -> None:
    network = small_network(dtype=torch.float64, pooling="max")
    painting = stripes(32, 32).double()
    (single,) = build_dictionaries(network, painting)
    rows = {name: columns.repeat(2, 1) for name, columns in single.columns.items()}
    for dictionary in (
        Dictionary(rows, single.rms, single.origins.repeat(2, 1)),
        Dictionary({n: r.half() for n, r in rows.items()}, single.rms, single.origins.repeat(2, 1)),
    ):
        term = NeighborTerm(dictionary, (48, 48), 1.0)
        objective = match(network, Objective((term,)), scene(48, 48).double())
        assert int(objective.matches[0].max()) < single.places


def test_a_picture_matched_with_itself_gives_the_identity() -> None:
    size, network = (64, 64), small_network(dtype=torch.float64, pooling="max")
    image = scene(*size).double()
    (dictionary,) = build_dictionaries(network, image)
    objective = match(network, Objective((NeighborTerm(dictionary, size, 1.0),)), image)
    inside = slice(1, 15)  # the dictionary omits a border of one place in 16
    neighbors_of = objective.matches[0].view(16, 16)[inside, inside]
    assert torch.equal(neighbors_of, torch.arange(196, dtype=torch.int32).view(14, 14))


def test_comparing_places_in_parts_changes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """Parts of 7 places do not divide the rows evenly."""
    network, image = small_network(dtype=torch.float64, pooling="max"), scene(48, 40).double()
    (dictionary,) = build_dictionaries(network, stripes(*PAINTING).double())
    objective = match(network, Objective((NeighborTerm(dictionary, (48, 40), 1.0),)), image)
    whole = evaluator(network, objective)(image)
    monkeypatch.setattr(neighbors, "PLACES_AT_A_TIME", 7)
    parts = evaluator(network, objective)(image)
    torch.testing.assert_close(parts.loss, whole.loss, rtol=1e-12, atol=0)
    assert distance(parts.gradient, whole.gradient) < 1e-12


def test_the_dictionary_omits_the_border_of_the_painting() -> None:
    """A torus has no border, and a region that lies on the border alone keeps its places."""
    network, painting = small_network(dtype=torch.float64, pooling="max"), stripes(320, 256).double()
    for rotations in (1, 4):
        (dictionary,) = build_dictionaries(network, painting, rotations=rotations)
        turn, row, column = dictionary.origins.unbind(1)
        upright = turn % 2 == 0
        assert (row[upright].min(), row[upright].max()) == (4, 75)
        assert (column[upright].min(), column[upright].max()) == (4, 59)
        assert rotations == 1 or (row[~upright].max(), column[~upright].max()) == (59, 75)
    (torus,) = build_dictionaries(network.with_padding("circular"), painting)
    assert torus.places == 80 * 64
    frame = torch.zeros(320, 256, dtype=torch.uint8)
    frame[:, :16] = 255
    (edge,) = build_dictionaries(network, painting, areas=[GuidanceMask(frame)])
    assert int(edge.origins[:, 2].max()) < 4 <= edge.places


def test_above_the_limit_every_third_place_is_used(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every third place in both directions, of the image and of the dictionary."""
    size, network = (65, 97), small_network(dtype=torch.float64, pooling="max")
    image, painting = scene(*size).double(), stripes(*PAINTING).double()
    (full,) = build_dictionaries(network, painting)
    monkeypatch.setattr(neighbors, "MOST_PLACES", 60)
    (sparse,) = build_dictionaries(network, painting, tile=16)
    kept = torch.arange(full.places).view(13, 18)[::3, ::3].flatten()
    assert sparse.places == len(kept) == 30
    for name in HYPERCOLUMN:
        torch.testing.assert_close(sparse.columns[name], full.columns[name][kept])
    term = NeighborTerm(sparse, size, 1.0)
    objective = match(network, Objective((term,)), image)
    on_grid = torch.zeros(17, 25, dtype=torch.bool)
    on_grid[::3, ::3] = True
    assert torch.equal(objective.matches[0] >= 0, on_grid.flatten())
    lengths = rms_lengths(network, painting)
    columns = hypercolumns(averaged_responses(network, image), lengths)[on_grid.flatten()]
    candidates = hypercolumns(sparse.columns, lengths)  # type: ignore[arg-type]
    nearest = (centred(columns) @ centred(candidates).T).argmax(1)
    assert torch.equal(objective.matches[0][on_grid.flatten()].long(), nearest)
    loss = (1 - F.cosine_similarity(columns, candidates[nearest], dim=1)).mean()
    assert float(evaluator(network, objective)(image).loss) == pytest.approx(float(loss.detach()), rel=1e-12)


def test_with_rotations_the_dictionary_holds_four_rotated_copies() -> None:
    network = small_network(dtype=torch.float64, pooling="max")
    painting = stripes(*PAINTING).double()
    (four,) = build_dictionaries(network, painting, rotations=4)
    single = [build_dictionaries(network, torch.rot90(painting, turn, (2, 3)))[0] for turn in range(4)]
    for name in HYPERCOLUMN:
        expected = torch.cat([dictionary.columns[name] for dictionary in single])
        torch.testing.assert_close(four.columns[name], expected)
    assert four.rms == single[0].rms
    (left, right) = build_dictionaries(network, painting, areas=halves(*PAINTING), rotations=4)
    (upright, _) = build_dictionaries(network, painting, areas=halves(*PAINTING))
    assert 4 * upright.places == pytest.approx(left.places, rel=0.1)
    assert left.places + right.places < four.places
