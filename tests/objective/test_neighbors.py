"""Nearest neighbours: search and loss against brute force, tiles = whole, areas, grids, turned copies."""

import math
from collections.abc import Sequence

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from guided import halves
from impasto.layers import LAYERS
from impasto.network.vgg import VGG19
from impasto.objective import matching, neighbors
from impasto.objective.evaluate import evaluator, measure
from impasto.objective.guidance_mask import GuidanceMask
from impasto.objective.matching import build_dictionaries, match
from impasto.objective.neighbors import HYPERCOLUMN, Dictionary, NeighborTerm
from impasto.objective.objective import Objective
from small import scene, small_network, stripes
from tiled import distance

SIZES = [(16, 17), (31, 47), (65, 97), (101, 40)]
PAINTING = (52, 70)


def place_by_place(network: VGG19, image: Tensor) -> dict[str, Tensor]:
    """By layer, the mean of its responses over the 4×4 pixels of each place, one by one."""
    features = network.features(image, HYPERCOLUMN)
    height, width = math.ceil(image.shape[2] / 4), math.ceil(image.shape[3] / 4)
    by_layer = {}
    for name, response in features.items():
        stride = LAYERS[name].stride
        rows = []
        for i in range(height):
            down = slice(4 * i // stride, max(4 * i // stride + 1, 4 * (i + 1) // stride))
            for j in range(width):
                along = slice(4 * j // stride, max(4 * j // stride + 1, 4 * (j + 1) // stride))
                rows.append(response[0, :, down, along].mean((1, 2)))
        by_layer[name] = torch.stack(rows)
    return by_layer


def lengths_of(network: VGG19, painting: Tensor) -> dict[str, float]:
    features = network.features(painting, HYPERCOLUMN)
    return {name: float(f.square().sum(1).mean().sqrt()) for name, f in features.items()}


def joined(columns: dict[str, Tensor], lengths: dict[str, float]) -> Tensor:
    return torch.cat([columns[name] / lengths[name] for name in HYPERCOLUMN], 1)


def centred(rows: Tensor, weights: Tensor | None = None) -> Tensor:
    weights = torch.ones(len(rows), dtype=rows.dtype) if weights is None else weights
    return F.normalize(rows - (weights[:, None] * rows).sum(0) / weights.sum())


def objective_for(
    network: VGG19, size: tuple[int, int], areas: Sequence[GuidanceMask | None] = (None,), *, tile: int = 0
) -> Objective:
    painting = stripes(*PAINTING).to(network.dtype)
    theirs = halves(*PAINTING) if areas[0] is not None else (None,)
    dictionaries = build_dictionaries(network, painting, areas=theirs, tile=tile)
    return Objective(
        tuple(
            NeighborTerm(dictionary, size, 1.0 + index, area, f"{index}")
            for index, (dictionary, area) in enumerate(zip(dictionaries, areas, strict=True))
        )
    )


@pytest.mark.parametrize("size", SIZES)
def test_neighbours_and_loss_are_those_of_brute_force(size: tuple[int, int]) -> None:
    network = small_network(dtype=torch.float64, pooling="max")
    image, painting = scene(*size).double(), stripes(*PAINTING).double()
    lengths = lengths_of(network, painting)
    mine, theirs = (joined(place_by_place(network, x), lengths) for x in (image, painting))
    cosines = centred(mine) @ centred(theirs).T
    objective = match(network, objective_for(network, size), image)
    assert torch.equal(objective.matches[0].long(), cosines.argmax(1))
    assert len(set(objective.matches[0].tolist())) > len(mine) // 20  # not one place for all

    image.requires_grad_(True)
    mine = joined(place_by_place(network, image), lengths)
    loss = (1 - F.cosine_similarity(mine, theirs[cosines.argmax(1)], dim=1)).mean()
    loss.backward()
    found = evaluator(network, objective)(image.detach())
    assert float(found.loss) == pytest.approx(float(loss.detach()), rel=1e-12)
    assert image.grad is not None
    assert distance(found.gradient, image.grad) < 1e-10
    (total,) = measure(network, objective, image.detach())
    assert float(objective.score([total])[0]) == pytest.approx(float(loss.detach()), rel=1e-12)


@pytest.mark.parametrize("pooling", ["average", "max"])
@pytest.mark.parametrize("tile", [16, 48])
@pytest.mark.parametrize(("size", "regions"), [(SIZES[1], True), (SIZES[2], False), (SIZES[3], True)])
def test_tiles_are_the_whole(size: tuple[int, int], tile: int, pooling: str, regions: bool) -> None:
    network = small_network(dtype=torch.float64, pooling=pooling)
    areas = halves(*size) if regions else (None,)
    image = 1.2 * scene(*size).double() - 0.1
    whole = match(network, objective_for(network, size, areas), image)
    parts = match(network, objective_for(network, size, areas, tile=tile), image, tile=tile)
    for here, there in zip(whole.matches, parts.matches, strict=True):
        assert torch.equal(here, there)
    expected, found = evaluator(network, whole)(image), evaluator(network, parts, tile=tile)(image)
    torch.testing.assert_close(found.values, expected.values, rtol=1e-10, atol=0)
    assert distance(found.gradient, expected.gradient) < 1e-10


def test_an_area_is_drawn_towards_its_own_part_of_the_painting() -> None:
    size, network = (64, 96), small_network(dtype=torch.float64, pooling="max")
    image, painting = scene(*size).double(), stripes(*PAINTING).double()
    objective = match(network, objective_for(network, size, halves(*size)), image)
    lengths = lengths_of(network, painting)
    mine, theirs = (joined(place_by_place(network, x), lengths) for x in (image, painting))
    for index, (here, there) in enumerate(zip(halves(*size), halves(*PAINTING), strict=True)):
        weights = F.avg_pool2d(here.mask[None, None].double() / 255, 4, ceil_mode=True).flatten()
        inner = F.avg_pool2d(there.mask[None, None].double() / 255, 4, ceil_mode=True)
        inner = (2 * F.avg_pool2d(inner, 3, 1, 1, count_include_pad=False) - 1).flatten()
        inside = (inner > 0.5).nonzero().flatten()
        cosines = centred(mine, weights) @ centred(theirs[inside]).T
        expected = torch.where(weights > 0, cosines.argmax(1), -1)
        assert torch.equal(objective.matches[index].long(), expected)
        assert 0 < len(inside) < len(theirs)
        apart = 1 - F.cosine_similarity(mine, theirs[inside][expected.clamp(min=0)], dim=1)
        loss = (weights * apart).sum() / weights.sum() * (1 + index)
        values = evaluator(network, objective)(image).values
        assert float(values[index]) == pytest.approx(float(loss.detach()), rel=1e-6)  # masks are float32


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_half_precision_decides_as_float32(dtype: torch.dtype) -> None:
    """Of the same responses in half precision, the same neighbours as a search in float64 alone."""
    generator = torch.Generator().manual_seed(3)
    widths = dict.fromkeys(HYPERCOLUMN, 12)
    theirs = {n: torch.rand(900, c, generator=generator).to(dtype) for n, c in widths.items()}
    mine = {n: torch.rand(48, c, generator=generator).to(dtype) for n, c in widths.items()}
    rms, origins = dict.fromkeys(HYPERCOLUMN, 1.3), torch.zeros(900, 3, dtype=torch.int64)
    found = []
    for kind in (dtype, torch.float64):
        term = NeighborTerm(
            Dictionary({n: rows.to(kind) for n, rows in theirs.items()}, rms, origins), (24, 32), 1.0
        )
        means = {
            n: rows.double().mean(0).to(torch.promote_types(kind, torch.float32)) for n, rows in mine.items()
        }
        search = matching._Search(term, means)
        search.see(slice(0, 6), slice(0, 8), {n: rows.to(kind) for n, rows in mine.items()})
        found.append(search.result())
    assert torch.equal(*found)
    assert len(set(found[0].tolist())) > 20


def test_of_equal_places_the_first_is_taken() -> None:
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


def test_a_picture_is_its_own_neighbour() -> None:
    size, network = (64, 64), small_network(dtype=torch.float64, pooling="max")
    image = scene(*size).double()
    (dictionary,) = build_dictionaries(network, image)
    objective = match(network, Objective((NeighborTerm(dictionary, size, 1.0),)), image)
    inside = slice(1, 15)  # a border of one place in 16 is left out of the dictionary
    neighbors_of = objective.matches[0].view(16, 16)[inside, inside]
    assert torch.equal(neighbors_of, torch.arange(196, dtype=torch.int32).view(14, 14))


def test_places_are_compared_in_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    """Parts that do not divide the rows, against all places at once."""
    network, image = small_network(dtype=torch.float64, pooling="max"), scene(48, 40).double()
    (dictionary,) = build_dictionaries(network, stripes(*PAINTING).double())
    objective = match(network, Objective((NeighborTerm(dictionary, (48, 40), 1.0),)), image)
    whole = evaluator(network, objective)(image)
    monkeypatch.setattr(neighbors, "PLACES_AT_A_TIME", 7)
    parts = evaluator(network, objective)(image)
    torch.testing.assert_close(parts.loss, whole.loss, rtol=1e-12, atol=0)
    assert distance(parts.gradient, whole.gradient) < 1e-12


def test_no_neighbour_lies_on_the_border_of_the_painting() -> None:
    """Unless the painting is a torus, which has none, or an area lies there alone."""
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


def test_above_the_limit_places_lie_on_a_grid(monkeypatch: pytest.MonkeyPatch) -> None:
    """Places that are searched and counted, and those of the dictionary, are every third both ways."""
    size, network = (65, 97), small_network(dtype=torch.float64, pooling="max")
    image, painting = scene(*size).double(), stripes(*PAINTING).double()
    (full,) = build_dictionaries(network, painting)
    monkeypatch.setattr(neighbors, "MOST_PLACES", 60)
    (few,) = build_dictionaries(network, painting, tile=16)
    kept = torch.arange(full.places).view(13, 18)[::3, ::3].flatten()
    assert few.places == len(kept) == 30
    for name in HYPERCOLUMN:
        torch.testing.assert_close(few.columns[name], full.columns[name][kept])
    term = NeighborTerm(few, size, 1.0)
    objective = match(network, Objective((term,)), image)
    counted = torch.zeros(17, 25, dtype=torch.bool)
    counted[::3, ::3] = True
    assert torch.equal(objective.matches[0] >= 0, counted.flatten())
    lengths = lengths_of(network, painting)
    mine = joined(place_by_place(network, image), lengths)[counted.flatten()]
    theirs = joined(few.columns, lengths)  # type: ignore[arg-type]
    nearest = (centred(mine) @ centred(theirs).T).argmax(1)
    assert torch.equal(objective.matches[0][counted.flatten()].long(), nearest)
    loss = (1 - F.cosine_similarity(mine, theirs[nearest], dim=1)).mean()
    assert float(evaluator(network, objective)(image).loss) == pytest.approx(float(loss.detach()), rel=1e-12)


def test_turned_copies_of_the_painting_are_searched_as_well() -> None:
    network = small_network(dtype=torch.float64, pooling="max")
    painting = stripes(*PAINTING).double()
    (four,) = build_dictionaries(network, painting, rotations=4)
    alone = [build_dictionaries(network, torch.rot90(painting, turn, (2, 3)))[0] for turn in range(4)]
    for name in HYPERCOLUMN:
        expected = torch.cat([dictionary.columns[name] for dictionary in alone])
        torch.testing.assert_close(four.columns[name], expected)
    assert four.rms == alone[0].rms
    (left, right) = build_dictionaries(network, painting, areas=halves(*PAINTING), rotations=4)
    (upright, _) = build_dictionaries(network, painting, areas=halves(*PAINTING))
    assert 4 * upright.places == pytest.approx(left.places, rel=0.1)
    assert left.places + right.places < four.places
