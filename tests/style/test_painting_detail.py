"""The painting's fine detail goes where the matches say, and is exact if a picture matches itself."""

import pytest
import torch
from torch import Tensor

from guided import halves
from impasto.image.resize import resize
from impasto.objective import neighbors
from impasto.objective.dictionaries import build_dictionaries
from impasto.objective.matching import match
from impasto.objective.neighbors import PLACES_LAYER, NeighborTerm
from impasto.objective.objective import Objective
from impasto.style.painting_detail import matched_detail, octave
from small import scene, small_network

SIZE = (44, 64)


def texture(height: int, width: int) -> Tensor:
    """A picture without two equal places."""
    noise = torch.rand(1, 3, height, width, generator=torch.Generator().manual_seed(5), dtype=torch.float64)
    return 0.5 * scene(height, width).double() + 0.5 * noise


def matched(
    image: Tensor, painting: Tensor, *, rotations: int = 1, regions: bool = False
) -> list[NeighborTerm]:
    network = small_network(dtype=torch.float64, pooling="max")
    size = (image.shape[2], image.shape[3])
    areas = halves(*size) if regions else [None]
    dictionaries = build_dictionaries(network, painting, areas=areas, rotations=rotations)
    terms = [
        NeighborTerm(columns, size, 1.0, area) for columns, area in zip(dictionaries, areas, strict=True)
    ]
    return [t for t in match(network, Objective(tuple(terms)), image).terms if isinstance(t, NeighborTerm)]


def test_an_octave_is_the_detail_that_shrinking_loses() -> None:
    fine = texture(88, 128)
    detail = octave(fine, *SIZE)
    assert torch.equal(detail + resize(resize(fine, *SIZE), 88, 128), fine)
    assert float(octave(torch.full((1, 3, 90, 120), 0.3), 45, 60).abs().max()) < 1e-6


@pytest.mark.parametrize("limit", [1 << 16, 30])
def test_a_picture_matched_with_itself_gets_its_own_detail(
    limit: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """At every pixel including the edges, and also if only places on a grid are searched."""
    monkeypatch.setattr(neighbors, "MOST_PLACES", limit)
    fine = texture(88, 128)
    (term,) = matched(resize(fine, *SIZE), resize(fine, *SIZE))
    assert term.matches is not None
    assert int((term.matches >= 0).sum()) == (176 if limit > 176 else 24)
    detail = matched_detail(term, octave(fine, *SIZE), torch.ones(term.grid))
    torch.testing.assert_close(detail, octave(fine, *SIZE), rtol=0, atol=1e-6)


@pytest.mark.parametrize("turn", [1, 2, 3])
def test_a_rotated_picture_gets_rotated_detail(turn: int) -> None:
    fine = texture(96, 128)
    rotated = torch.rot90(fine, turn, (2, 3))
    size = (rotated.shape[2] // 2, rotated.shape[3] // 2)
    (term,) = matched(
        torch.rot90(resize(fine, 48, 64), turn, (2, 3)).contiguous(), resize(fine, 48, 64), rotations=4
    )
    detail = matched_detail(term, octave(fine, 48, 64), torch.ones(term.grid))
    torch.testing.assert_close(detail, torch.rot90(octave(fine, 48, 64), turn, (2, 3)), rtol=0, atol=1e-6)
    assert detail.shape[2:] == (2 * size[0], 2 * size[1])


def test_a_region_gets_the_detail_of_its_part_of_the_painting() -> None:
    """The painting is smooth on the left and rough on the right, so the picture's detail is too."""
    fine = scene(96, 128).double()
    fine[..., 64:] = texture(96, 64)
    detail = octave(fine, 48, 64)
    terms = matched(texture(48, 64), resize(fine, 48, 64), regions=True)
    total = torch.zeros_like(detail)
    for term in terms:
        assert term.area is not None
        rows, columns = term.grid
        weights = term.area.at(PLACES_LAYER, slice(0, rows), slice(0, columns))[0, 0]
        total += matched_detail(term, detail, weights)
    rough = total[..., 88:].square().mean()
    assert float(total[..., :40].square().mean()) < 0.1 * float(rough)
    assert float(rough) > 0.2 * float(detail[..., 88:].square().mean())
