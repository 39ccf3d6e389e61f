"""A run that is steered: it goes on from the same image, says so, and can be painted again and resumed."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from impasto import SettingsError, StylizeSettings
from impasto.recipes.rerun import plan_rerun, plan_resume
from impasto.recipes.stylize import plan_stylize
from impasto.results import manifest as manifests
from impasto.run import checkpoint
from impasto.run.loop import complete, iter_run
from impasto.run.plan import RunPlan
from impasto.run.progress import Progress
from impasto.run.steering import changed_settings, steered
from impasto.style.cache import Cache


@pytest.fixture(scope="module", params=["gram", "gram=1,neighbors=1"])
def quick(small_file: str, request: pytest.FixtureRequest) -> StylizeSettings:
    return StylizeSettings(
        size=64, scales=2, steps=20, finest_steps=6, weights=small_file, precision="float32", history=4,
        style_loss=request.param,
    )  # fmt: skip


TURNS = {(0, 4): {"strength": 0.9}, (1, 2): {"strength": 0.2, "style_scale": 0.8}}


def steered_twice(photo: str, painting: str, quick: StylizeSettings) -> RunPlan:
    """A job that is steered twice."""
    now, workshop = quick, Cache()
    job = plan_stylize(photo, painting, quick, cache=workshop)

    def turn(scale: int, step: int) -> RunPlan | None:
        nonlocal now, job
        changes = TURNS.get((scale, step))
        if changes is None:
            return None
        now = changed_settings(now, changes)
        job = steered(job, plan_stylize(photo, painting, now, cache=workshop), scale, step, changes)
        return job

    job = replace(job, steer=turn)
    return job


@pytest.fixture(scope="module")
def whole(photo: str, painting: str, quick: StylizeSettings) -> tuple[RunPlan, list[Progress]]:
    """A run that was steered and not stopped."""
    job = steered_twice(photo, painting, quick)
    return job, list(iter_run(job))


def test_a_turn_changes_what_is_aimed_at_and_keeps_the_image(
    photo: str, painting: str, quick: StylizeSettings, whole: tuple[RunPlan, list[Progress]]
) -> None:
    plain = list(iter_run(plan_stylize(photo, painting, replace(quick, finest_steps=1))))
    turning = whole[1]
    assert [step.loss for step in turning[:4]] == [step.loss for step in plain[:4]]
    assert torch.equal(turning[3].image(), plain[3].image())
    content = [step.by_term["content conv4_2"] for step in turning]
    assert content[4] < 0.3 * content[3]  # its weight, (2 · 0.1)^1.5 = 0.09, was 1
    assert turning[4].evaluations > turning[3].evaluations + 1  # of the new loss, where the old one stood
    assert "turns" not in turning[3].manifest
    wanted = [{"scale": s + 1, "step": n, "settings": changes} for (s, n), changes in TURNS.items()]
    assert turning[-1].manifest["turns"] == wanted
    assert turning[-1].manifest["settings"]["strength"] == 0.5


def test_a_steered_picture_painted_again_is_the_same(whole: tuple[RunPlan, list[Progress]]) -> None:
    first = whole[1][-1].painting()
    first.save("first.png", bits=16)
    again = complete(plan_rerun("first.png"))
    assert torch.equal(again.picture.pixels, first.picture.pixels)
    for key in ("turns", "layouts"):
        assert again.manifest[key] == manifests.read("first.png")[key], key


@pytest.mark.parametrize("place", [3, 4, 12, 22, 24])
def test_a_steered_run_resumed_is_uninterrupted(
    photo: str, painting: str, quick: StylizeSettings, whole: tuple[RunPlan, list[Progress]], place: int,
    saved: Callable[[RunPlan, Progress], str],
) -> None:  # fmt: skip
    """Stopped between any two steps; turns that are still to come are the reader's, not the checkpoint's."""
    job, steps = whole
    there = steps[place]
    resumed, snapshot, _ = plan_resume(saved(job, there))
    later = {at: changes for at, changes in TURNS.items() if at >= (there.scale - 1, there.step)}
    workshop, now = Cache(), replace(quick, **{k: v for t in TURNS.values() for k, v in t.items()})
    if later:
        before = [changes for at, changes in TURNS.items() if at not in later]
        now = replace(quick, **{k: v for changes in before for k, v in changes.items()})

    def turn(scale: int, step: int) -> RunPlan | None:
        nonlocal now, resumed
        if (scale, step) not in later:
            return None
        now = changed_settings(now, later[scale, step])
        other = plan_stylize(photo, painting, now, cache=workshop)
        resumed = steered(resumed, other, scale, step, later[scale, step])
        return resumed

    resumed = replace(resumed, steer=turn)
    rest = list(iter_run(resumed, snapshot))
    assert [step.loss for step in rest] == [step.loss for step in steps[place:]]
    assert torch.equal(rest[-1].painting().picture.pixels, steps[-1].painting().picture.pixels)
    assert rest[-1].manifest["turns"] == steps[-1].manifest["turns"]
    assert rest[-1].manifest["settings"]["strength"] == quick.strength


@pytest.fixture
def saved(tmp_path: Path) -> Callable[[RunPlan, Progress], str]:
    def save(job: RunPlan, step: Progress) -> str:
        checkpoint.save(tmp_path / "c", step.snapshot(), {"manifest": step.manifest, "output": {}})
        return str(tmp_path / "c")

    return save


def test_what_cannot_change_on_the_way_is_refused(quick: StylizeSettings) -> None:
    with pytest.raises(SettingsError, match="size cannot change while the picture is painted"):
        changed_settings(quick, {"size": 128})
    with pytest.raises(SettingsError, match="strength is 2; it must be from 0 to 1"):
        changed_settings(quick, {"strength": 2})
