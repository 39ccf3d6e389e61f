"""Steering a run: it continues from the same image, records the changes, and can be rerun and resumed."""

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TypeAlias

import pytest
import torch

from impasto import SettingsError, StylizeSettings
from impasto.recipes.rerun import rerun
from impasto.recipes.resume import plan_resume
from impasto.recipes.stylize import plan_stylize
from impasto.results import manifest as manifests
from impasto.run import checkpoint
from impasto.run.loop import iter_run
from impasto.run.plan import RunPlan
from impasto.run.progress import Progress
from impasto.run.steering import changed_settings, continued
from impasto.style.cache import Cache


@pytest.fixture(scope="module", params=["gram", "gram=1,neighbors=1"])
def quick(small_file: str, request: pytest.FixtureRequest) -> StylizeSettings:
    return StylizeSettings(
        size=64, scales=2, steps=20, finest_steps=6, weights=small_file, precision="float32", history=4,
        style_loss=request.param,
    )  # fmt: skip


Turns: TypeAlias = dict[tuple[int, int], dict[str, float]]

TURNS: Turns = {(0, 4): {"strength": 0.9}, (1, 2): {"strength": 0.2, "style_scale": 0.8}}


class ScriptedSteering:
    """Changes the settings after given steps, as the studio's page does."""

    def __init__(self, photo: str, painting: str, settings: StylizeSettings, turns: Turns) -> None:
        self.settings, self.turns = settings, turns
        self.plan_with = partial(plan_stylize, photo, painting, cache=Cache())

    def next_plan(self, plan: RunPlan, scale: int, step: int) -> RunPlan | None:
        if (scale, step) not in self.turns:
            return None
        changes = self.turns[scale, step]
        self.settings = changed_settings(self.settings, changes)
        return continued(plan, self.plan_with(self.settings), scale, step, changes)


@pytest.fixture(scope="module")
def steered(photo: str, painting: str, quick: StylizeSettings) -> list[Progress]:
    """The steps of a steered run that was not stopped."""
    plan = plan_stylize(photo, painting, quick)
    return list(iter_run(plan, steering=ScriptedSteering(photo, painting, quick, TURNS)))


def test_a_change_of_settings_changes_the_loss_and_keeps_the_image(
    photo: str, painting: str, quick: StylizeSettings, steered: list[Progress]
) -> None:
    plain = list(iter_run(plan_stylize(photo, painting, replace(quick, finest_steps=1))))
    assert [step.loss for step in steered[:4]] == [step.loss for step in plain[:4]]
    assert torch.equal(steered[3].image(), plain[3].image())
    content = [step.by_term["content conv4_2"] for step in steered]
    assert content[4] < 0.3 * content[3]  # its weight, (2 · 0.1)^1.5 = 0.09, was 1
    assert steered[4].evaluations > steered[3].evaluations + 1  # one for the new loss of the old image
    assert "turns" not in steered[3].manifest
    expected = [{"scale": s + 1, "step": n, "settings": changes} for (s, n), changes in TURNS.items()]
    assert steered[-1].manifest["turns"] == expected
    assert steered[-1].manifest["settings"]["strength"] == 0.5


def test_a_rerun_of_a_steered_run_gives_the_same_picture(steered: list[Progress]) -> None:
    first = steered[-1].painting()
    first.save("first.png", bits=16)
    repeated = rerun("first.png")
    assert torch.equal(repeated.picture.pixels, first.picture.pixels)
    for key in ("turns", "layouts"):
        assert repeated.manifest[key] == manifests.read("first.png")[key], key


@pytest.mark.parametrize("stop", [3, 4, 12, 22, 24])
def test_a_steered_run_that_is_resumed_equals_an_uninterrupted_one(
    photo: str, painting: str, quick: StylizeSettings, steered: list[Progress], stop: int,
    saved: Callable[[Progress], str],
) -> None:  # fmt: skip
    """A checkpoint holds past changes only; those still to come are given to the resumed run."""
    last = steered[stop]
    resumed, snapshot, _ = plan_resume(saved(last))
    later_turns = {at: changes for at, changes in TURNS.items() if at >= (last.scale - 1, last.step)}
    past_changes = [changes for at, changes in TURNS.items() if at not in later_turns]
    settings = replace(quick, **{k: v for changes in past_changes for k, v in changes.items()})
    rest = list(
        iter_run(resumed, snapshot, steering=ScriptedSteering(photo, painting, settings, later_turns))
    )
    assert [step.loss for step in rest] == [step.loss for step in steered[stop:]]
    assert torch.equal(rest[-1].painting().picture.pixels, steered[-1].painting().picture.pixels)
    assert rest[-1].manifest["turns"] == steered[-1].manifest["turns"]
    assert rest[-1].manifest["settings"]["strength"] == quick.strength


@pytest.fixture
def saved(tmp_path: Path) -> Callable[[Progress], str]:
    def save(step: Progress) -> str:
        checkpoint.save(tmp_path / "c", step.snapshot(), {"manifest": step.manifest, "output": {}})
        return str(tmp_path / "c")

    return save


def test_settings_that_cannot_change_during_a_run_are_refused(quick: StylizeSettings) -> None:
    with pytest.raises(SettingsError, match="size cannot change while the picture is painted"):
        changed_settings(quick, {"size": 128})
    with pytest.raises(SettingsError, match="strength is 2; it must be from 0 to 1"):
        changed_settings(quick, {"strength": 2})
