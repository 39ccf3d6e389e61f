"""A run that is resumed with other inputs starts its descent again, from the same picture."""

from collections.abc import Callable
from pathlib import Path
from typing import TypeAlias

import pytest
import torch

from impasto import CheckpointError, StylizeSettings
from impasto.objective.evaluate import evaluator
from impasto.recipes.rerun import plan_rerun
from impasto.recipes.resume import plan_resume
from impasto.recipes.stylize import plan_stylize
from impasto.run import checkpoint
from impasto.run.checkpoint import Snapshot
from impasto.run.loop import iter_run
from impasto.run.plan import RunPlan
from impasto.shapes import Image
from small import save, scene, stripes

Resumed: TypeAlias = tuple[RunPlan, Snapshot]


@pytest.fixture
def stopped(small_file: str, tmp_path: Path) -> Callable[[str, Image], Resumed]:
    """Stop a run after several steps, change a file, and plan to resume."""

    def stop_and_resume(name: str, changed: Image) -> Resumed:
        settings = StylizeSettings(
            weights=small_file, size=48, scales=1, steps=30, finest_steps=30, precision="float32"
        )
        files = [
            save(scene(36, 48), tmp_path / "photo.png"),
            save(stripes(40, 40), tmp_path / "painting.png"),
        ]
        for progress in iter_run(plan_stylize(*files, settings)):
            if progress.step == 8:
                facts = {"manifest": progress.manifest, "output": {}}
                checkpoint.save(tmp_path / "run", progress.snapshot(), facts)
                break
        save(changed, tmp_path / name)
        plan, snapshot, _ = plan_resume(tmp_path / "run", changed=True)
        return plan, snapshot

    return stop_and_resume


@pytest.mark.parametrize(
    ("name", "changed"),
    [("photo.png", 1 - scene(36, 48, seed=5)), ("painting.png", scene(24, 20, seed=3))],
    ids=["another photo", "a smaller painting"],
)
def test_the_descent_starts_again_with_the_new_objective(
    name: str, changed: Image, stopped: Callable[[str, Image], Resumed]
) -> None:
    plan, snapshot = stopped(name, changed)
    assert snapshot.descent is not None
    steps = list(iter_run(plan, snapshot))
    assert steps[0].step == 8
    # The loss is that of the new objective, and L-BFGS goes on to lower it.
    objective = plan.problem.objective(plan.scales[0], plan.layouts[0]).with_matches(snapshot.matches)
    evaluate = evaluator(plan.problem.network, objective.scale_style(snapshot.style_factor))
    assert snapshot.space is not None
    image = snapshot.space.whole_image(snapshot.descent.point)
    assert steps[0].loss == pytest.approx(float(evaluate(image).loss), rel=1e-5)
    assert steps[-1].step == 30
    assert steps[-1].loss < 0.8 * steps[0].loss


def test_a_photo_of_another_shape_is_refused(stopped: Callable[[str, Image], Resumed]) -> None:
    with pytest.raises(CheckpointError, match=r"does not fit the changed inputs, which give 24×48 px in 1"):
        stopped("photo.png", scene(48, 24))


def test_its_picture_cannot_be_painted_again(
    stopped: Callable[[str, Image], Resumed], tmp_path: Path
) -> None:
    plan, snapshot = stopped("painting.png", torch.rand(1, 3, 40, 40))
    *_, last = iter_run(plan, snapshot)
    last.painting().save(tmp_path / "out.png")
    with pytest.raises(CheckpointError, match="cannot be painted again: its inputs or the weights changed"):
        plan_rerun(tmp_path / "out.png")
