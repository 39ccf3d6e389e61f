"""A finest scale without steps is enlarged from the scale below, in every way of running."""

from dataclasses import replace

import pytest
import torch

from checkpoints import load as load_checkpoint
from impasto import StylizeSettings
from impasto.image.read import read_picture
from impasto.image.resize import resize
from impasto.recipes.rerun import rerun
from impasto.recipes.stylize import plan_stylize
from impasto.run import checkpoint, estimate
from impasto.run.loop import complete, iter_run
from impasto.run.progress import Progress


@pytest.fixture
def settings(small_file: str) -> StylizeSettings:
    return StylizeSettings(
        effort="draft", size=128, scales=3, steps=8, weights=small_file, precision="float32", history=4
    )


def result(step: Progress) -> torch.Tensor:
    """The image of a step, not clamped."""
    state = step.snapshot()
    assert state.descent is not None
    assert state.space is not None
    return state.space.whole_image(state.descent.point)


def test_it_is_the_scale_below_with_the_photos_detail(
    photo: str, painting: str, settings: StylizeSettings
) -> None:
    """Against the formula: up(result) + share · (photo − up(down(photo))), in float64."""
    plain = replace(settings, detail=0.7, contours=0.0, painting_detail=0.0, recolor=0.0)
    plan = plan_stylize(photo, painting, plain)
    assert [scale.steps for scale in plan.scales] == [8, 2, 0]
    *_, last = iter_run(plan)
    assert (last.scale, last.scales, last.eta, (last.width, last.height)) == (2, 2, 0, (64, 48))
    below = result(last).double()
    large = resize(read_picture(photo).pixels.double(), 96, 128)
    detail = large - resize(resize(large, 48, 64), 96, 128)
    expected = (resize(below, 96, 128) + 0.7 * detail).clamp(0, 1)
    painted = last.painting()
    torch.testing.assert_close(painted.picture.pixels.double(), expected, atol=1e-5, rtol=0)
    assert painted.manifest["result"]["complete"]


def test_the_paintings_detail_is_added_when_the_run_is_complete(
    photo: str, painting: str, settings: StylizeSettings
) -> None:
    """The whole run adds what a finer scale would begin with; a run that is stopped shows less."""
    plan = plan_stylize(photo, painting, settings)
    *_, before, last = iter_run(plan)
    below, (_, coarse, fine) = result(last), plan.stages
    begun = plan.problem.next_image(below, coarse.scale, fine.scale, fine.layout).clamp(0, 1)
    assert torch.equal(last.painting().picture.pixels, begun)
    shown = plan.problem.enlarged(below, fine.scale).clamp(0, 1)
    assert float((begun - shown).abs().mean()) > 1e-3
    shown = plan.problem.enlarged(result(before), fine.scale)
    stopped = before.painting()
    assert torch.equal(stopped.picture.pixels, shown.clamp(0, 1))
    assert not stopped.manifest["result"]["complete"]


def test_a_resumed_run_and_a_rerun_give_the_same_picture(
    photo: str, painting: str, settings: StylizeSettings
) -> None:
    plan = plan_stylize(photo, painting, settings)
    steps = list(iter_run(plan))
    expected = steps[-1].painting()
    for stop in (3, len(steps) - 2, len(steps) - 1):
        checkpoint.save("c", steps[stop].snapshot(), {})
        resumed = complete(plan, load_checkpoint("c", plan.space, torch.device("cpu")))
        assert torch.equal(resumed.picture.pixels, expected.picture.pixels)
        assert resumed.manifest["result"]["complete"]
    expected.save("first.png")
    assert torch.equal(rerun("first.png").picture.pixels, expected.picture.pixels)


def test_a_budget_leaves_out_what_it_has_no_time_for(
    photo: str, painting: str, settings: StylizeSettings
) -> None:
    """One step at the coarsest of three scales. The next one adds detail, and the finest only enlarges."""
    plan = replace(plan_stylize(photo, painting, settings), budget=0.0)
    *_, last = iter_run(plan)
    assert (last.scale, last.step) == (1, 1)
    coarse, middle, fine = plan.stages
    begun = plan.problem.next_image(result(last), coarse.scale, middle.scale, middle.layout)
    painted = last.painting()
    expected = plan.problem.enlarged(begun, fine.scale).clamp(0, 1)
    assert torch.equal(painted.picture.pixels, expected)
    assert painted.manifest["result"]["complete"]


def test_it_takes_no_time_in_the_estimate(photo: str, painting: str, settings: StylizeSettings) -> None:
    plan = plan_stylize(photo, painting, settings)
    shorter = replace(plan, stages=plan.stages[:2])
    assert estimate.seconds(plan, 1e-6) == estimate.seconds(shorter, 1e-6)
    solved = plan_stylize(photo, painting, replace(settings, finest_steps=1))
    assert estimate.seconds(solved, 1e-6) > estimate.seconds(plan, 1e-6)
