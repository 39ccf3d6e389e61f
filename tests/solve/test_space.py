"""The solver's space: the levels of a pyramid add up to the image, and gradients agree."""

import math
from dataclasses import replace

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from impasto.objective.bands import Band
from impasto.objective.constraint import Constraint
from impasto.objective.evaluate import evaluator
from impasto.run.scales import FINEST_LEVELS, LEVELS
from impasto.solve import descent
from impasto.solve.space import Space, double, halve
from tiled import SUBSETS, objective_for

SIZES = [(16, 17), (31, 47), (64, 96), (77, 33), (101, 140)]
CHROMA = (0.25, 0.5)


def space_of(size: tuple[int, int], steps: tuple[float, ...] = FINEST_LEVELS) -> Space:
    return Space(Band.of(*size), steps, chroma_steps=CHROMA)


def random(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def image_at(point: Tensor, space: Space) -> Tensor:
    """The image at a point, computed independently: PyTorch enlarges each level, which is then added.

    A matrix keeps the mean of the channels, and multiplies what is perpendicular to it by the chroma step.
    """
    counts = [3 * height * width for height, width in space.sizes]
    mean, levels = torch.full((3, 3), 1 / 3, dtype=point.dtype), []
    chroma = (*space.chroma_steps, *[1.0] * len(space.level_steps))
    for part, size, step, factor in zip(
        point[0].split(counts), space.sizes, space.level_steps, chroma, strict=False
    ):
        matrix = step * (mean + factor * (torch.eye(3, dtype=point.dtype) - mean))
        levels.append(torch.einsum("cd,bdhw->bchw", matrix, part.view(1, 3, *size)))
    image = levels[-1]
    for level in reversed(levels[:-1]):
        height, width = level.shape[2:]
        image = F.interpolate(image, scale_factor=2, mode="bilinear")[:, :, :height, :width] + level
    return image


@pytest.mark.parametrize("size", SIZES)
def test_the_levels_of_an_image_add_up_to_it(size: tuple[int, int]) -> None:
    space, image = space_of(size), random(1, 3, *size)
    point = space.point(image)
    assert point.shape == space.whole_shape(point)
    torch.testing.assert_close(space.image(point), image, rtol=0, atol=1e-14)
    torch.testing.assert_close(image_at(point, space), image, rtol=0, atol=1e-14)


def test_sizes_are_halved_and_rounded_up_to_a_short_side_of_eight_or_more() -> None:
    assert space_of((384, 512)).sizes == ((384, 512), (192, 256), (96, 128), (48, 64), (24, 32), (12, 16))
    assert space_of((37, 53)).sizes == ((37, 53), (19, 27), (10, 14))
    assert space_of((384, 512), (1.0, 1.0)).sizes == ((384, 512), (192, 256))


@pytest.mark.parametrize("size", SIZES)
def test_halving_is_the_transpose_of_doubling(size: tuple[int, int]) -> None:
    half = (math.ceil(size[0] / 2), math.ceil(size[1] / 2))
    coarse, fine = random(1, 3, *half), random(1, 3, *size, seed=1)
    doubled, halved = double(coarse, *size), halve(fine, 1.0)
    assert float((doubled * fine).sum()) == pytest.approx(float((coarse * halved).sum()), rel=1e-12)
    assert torch.allclose(halve(torch.ones(1, 3, *size)), torch.ones(1, 3, *half))


def test_doubling_some_rows_equals_those_rows_of_the_whole() -> None:
    coarse = random(1, 3, 19, 27)
    whole = double(coarse, 37, 53)
    for rows in [(0, 16), (16, 37), (1, 2), (35, 37), (7, 7)]:
        assert torch.equal(double(coarse, 37, 53, rows), whole[:, :, slice(*rows)])


@pytest.mark.parametrize("size", [(31, 47), (65, 97)])
def test_the_gradient_in_the_levels_equals_finite_differences(size: tuple[int, int]) -> None:
    """Central differences along random directions; the image is computed independently."""
    network, objective, image = objective_for(size, "average", SUBSETS[4], torch.float64)
    space, plain = space_of(size), evaluator(network, objective)
    point = space.point(image)
    gradient = space.evaluator(plain)(point).gradient
    for seed in range(4):
        direction = random(*point.shape, seed=seed)
        step = 1e-6 / float(direction.norm())
        after, before = (plain(image_at(point + sign * step * direction, space)).loss for sign in (1, -1))
        difference = float(after - before) / (2 * step)
        assert float((gradient * direction).sum()) == pytest.approx(difference, rel=1e-5)


@pytest.mark.parametrize("method", ["lbfgs", "adam"])
def test_tiles_give_the_same_steps_as_the_whole(method: str) -> None:
    size = (65, 97)
    points = []
    for tile in (0, 48):
        network, objective, image = objective_for(size, "average", SUBSETS[4], torch.float64, tile=tile)
        space = space_of(size)
        evaluate = space.evaluator(evaluator(network, objective, tile=tile))
        state = descent.start(evaluate, space.point(image), descent.Solver(method), history=4)  # type: ignore[arg-type]
        for _ in range(5):
            state = descent.step(evaluate, state)
        points.append(state.point)
    assert float((points[1] - points[0]).norm() / points[0].norm()) < 1e-9


@pytest.mark.parametrize("method", ["lbfgs", "adam"])
@pytest.mark.parametrize("steps", [(), LEVELS])
def test_fixed_pixels_stay_and_have_no_gradient(steps: tuple[float, ...], method: str) -> None:
    size = (48, 64)
    network, objective, image = objective_for(size, "average", SUBSETS[2], torch.float64)
    fixed = torch.zeros(size, dtype=torch.bool)
    fixed[10:31, 21:50] = True
    space = replace(space_of(size, steps), constraint=Constraint(fixed), fixed_pixels=image)
    evaluate = space.evaluator(evaluator(network, objective))
    state = descent.start(evaluate, space.point(image), descent.Solver(method))  # type: ignore[arg-type]
    for _ in range(4):
        state = descent.step(evaluate, state)
    painted = space.image(state.point)
    assert torch.equal(painted[:, :, fixed], image[:, :, fixed])
    assert float((painted - image)[:, :, ~fixed].abs().mean()) > 1e-3
    # The objective sees the composed image, so the gradient of the fixed pixels is 0.
    plain = evaluator(network, objective)(painted).gradient.masked_fill(fixed, 0.0)
    torch.testing.assert_close(evaluate(state.point).gradient, space.pull_back(plain))


@pytest.mark.parametrize("steps", [(), LEVELS])
def test_a_grey_image_stays_grey(steps: tuple[float, ...]) -> None:
    size = (48, 64)
    network, objective, image = objective_for(size, "average", SUBSETS[2], torch.float64)
    grey = image.mean(1, keepdim=True).expand_as(image).contiguous()
    space = replace(space_of(size, steps), constraint=Constraint(grey=True))
    evaluate = space.evaluator(evaluator(network, objective))
    state = descent.start(evaluate, space.point(grey), descent.Solver("adam"))
    for _ in range(4):
        state = descent.step(evaluate, state)
    painted = space.image(state.point)
    torch.testing.assert_close(painted[:, :1].expand_as(painted), painted, rtol=0, atol=1e-13)
    assert float((painted - grey).abs().mean()) > 1e-3
