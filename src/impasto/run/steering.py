"""A run that goes another way from some step on: how it is noted, and how it is done again."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any, TypeVar

from impasto.errors import SettingsError
from impasto.run.plan import RunPlan
from impasto.settings.base import RunSettings

STEERABLE = ("strength", "blend", "alpha", "beta", "tv", "gamut", "style_scale")
"""Settings that can change while a picture is painted: they say what is aimed at, not what is worked on."""

Settings = TypeVar("Settings", bound=RunSettings)


def changed_settings(settings: Settings, changes: Mapping[str, Any]) -> Settings:
    """The settings with changes that a run under way can take.

    Raises:
        SettingsError: one that it cannot take, or a bad value.
    """
    fixed = sorted(set(changes) - set(STEERABLE))
    if fixed:
        raise SettingsError(
            f"{', '.join(fixed)} cannot change while the picture is painted; {', '.join(STEERABLE)} can. "
            "Stop, and start again."
        )
    return replace(settings, **changes)


def steered(plan: RunPlan, other: RunPlan, scale: int, step: int, changes: Mapping[str, Any]) -> RunPlan:
    """What goes on with `job` after `step` steps at `scale` (from 0): another job, as its continuation.

    Args:
        other: the same pictures with changed settings.
        changes: what is written into the manifest's `turns`, so that the picture can be painted again.
    """
    turns = [*plan.manifest.get("turns", ()), {"scale": scale + 1, "step": step, "settings": dict(changes)}]
    return replace(other, manifest={**plan.manifest, "turns": turns}, layouts=plan.layouts, steer=plan.steer)


def merged_changes(turns: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """All changes of a manifest's `turns`, the last one of each setting."""
    return {key: value for turn in turns for key, value in turn["settings"].items()}


def replay_steering(
    plan: RunPlan, turns: Sequence[Mapping[str, Any]], again: Callable[[Mapping[str, Any]], RunPlan]
) -> RunPlan:
    """The job, turning where an earlier run of it turned.

    Args:
        turns: of the earlier run's manifest.
        again: prepares the job with all changes so far.
    """
    done: set[int] = set()
    places = {(turn["scale"] - 1, turn["step"]): number for number, turn in enumerate(turns)}
    now = plan

    def turn(scale: int, step: int) -> RunPlan | None:
        nonlocal now
        number = places.get((scale, step))
        if number is None or number in done:
            return None
        done.add(number)
        now = steered(now, again(merged_changes(turns[: number + 1])), scale, step, turns[number]["settings"])
        return now

    now = replace(plan, steer=turn)
    return now
