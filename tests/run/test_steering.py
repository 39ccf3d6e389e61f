"""A run that is steered: it goes on from the same image, says so, and can be painted again and resumed."""

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TypeAlias

import pytest
import torch

from impasto import SettingsError, StylizeSettings
from impasto.recipes.rerun import plan_resume, rerun
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


class Steered:
    """Changes the settings at given places, as a page does."""

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
def whole(photo: str, painting: str, quick: StylizeSettings) -> list[Progress]:
    """A run that was steered and not stopped."""
    plan = plan_stylize(photo, painting, quick)
    return list(iter_run(plan, steering=Steered(photo, painting, quick, TURNS)))


def test_a_turn_changes_what_is_aimed_at_and_keeps_the_image(
    photo: str, painting: str, quick: StylizeSettings, whole: list[Progress]
) -> None:
    plain = list(iter_run(plan_stylize(photo, painting, replace(quick, finest_steps=1))))
    turning = whole
    assert [step.loss for step in turning[:4]] == [step.loss for step in plain[:4]]
    assert torch.equal(turning[3].image(), plain[3].image())
    content = [step.by_term["content conv4_2"] for step in turning]
    assert content[4] < 0.3 * content[3]  # its weight, (2 · 0.1)^1.5 = 0.09, was 1
    assert turning[4].evaluations > turning[3].evaluations + 1  # of the new loss, where the old one stood
    assert "turns" not in turning[3].manifest
    wanted = [{"scale": s + 1, "step": n, "settings": changes} for (s, n), changes in TURNS.items()]
    assert turning[-1].manifest["turns"] == wanted
    assert turning[-1].manifest["settings"]["strength"] == 0.5


def test_a_steered_picture_painted_again_is_the_same(whole: list[Progress]) -> None:
    first = whole[-1].painting()
    first.save("first.png", bits=16)
    again = rerun("first.png")
    assert torch.equal(again.picture.pixels, first.picture.pixels)
    for key in ("turns", "layouts"):
        assert again.manifest[key] == manifests.read("first.png")[key], key


@pytest.mark.parametrize("place", [3, 4, 12, 22, 24])
def test_a_steered_run_resumed_is_uninterrupted(
    photo: str, painting: str, quick: StylizeSettings, whole: list[Progress], place: int,
    saved: Callable[[Progress], str],
) -> None:  # fmt: skip
    """Stopped between any two steps; turns that are still to come are the reader's, not the checkpoint's."""
    steps, there = whole, whole[place]
    resumed, snapshot, _ = plan_resume(saved(there))
    later = {at: changes for at, changes in TURNS.items() if at >= (there.scale - 1, there.step)}
    before = [changes for at, changes in TURNS.items() if at not in later]
    now = replace(quick, **{k: v for changes in before for k, v in changes.items()})
    rest = list(iter_run(resumed, snapshot, steering=Steered(photo, painting, now, later)))
    assert [step.loss for step in rest] == [step.loss for step in steps[place:]]
    assert torch.equal(rest[-1].painting().picture.pixels, steps[-1].painting().picture.pixels)
    assert rest[-1].manifest["turns"] == steps[-1].manifest["turns"]
    assert rest[-1].manifest["settings"]["strength"] == quick.strength


@pytest.fixture
def saved(tmp_path: Path) -> Callable[[Progress], str]:
    def save(step: Progress) -> str:
        checkpoint.save(tmp_path / "c", step.snapshot(), {"manifest": step.manifest, "output": {}})
        return str(tmp_path / "c")

    return save


def test_what_cannot_change_on_the_way_is_refused(quick: StylizeSettings) -> None:
    with pytest.raises(SettingsError, match="size cannot change while the picture is painted"):
        changed_settings(quick, {"size": 128})
    with pytest.raises(SettingsError, match="strength is 2; it must be from 0 to 1"):
        changed_settings(quick, {"strength": 2})
