"""Steering: changing the settings of a run between two steps, and repeating the changes in a rerun."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any, Protocol, TypeVar, runtime_checkable

from impasto.errors import SettingsError
from impasto.run.plan import RunPlan
from impasto.settings.base import RunSettings

STEERABLE = ("strength", "blend", "alpha", "beta", "tv", "gamut", "style_scale")
"""Settings that can change during a run. All of them belong to the problem, not to the way it is solved."""

Settings = TypeVar("Settings", bound=RunSettings)


@runtime_checkable
class Steering(Protocol):
    """Decides between two steps of a run whether to switch to another plan."""

    def next_plan(self, plan: RunPlan, scale: int, step: int) -> RunPlan | None:
        """Return the plan to continue with, made by `continued`; None: keep the current plan.

        `iter_run` calls this before every step except the first of a scale, and again if memory ran out
        during the step.

        Args:
            plan: the current plan.
            scale: index of the scale, from 0.
            step: steps taken at this scale.
        """


def changed_settings(settings: Settings, changes: Mapping[str, Any]) -> Settings:
    """Apply changes to the settings of a run that has begun.

    Args:
        settings: the current settings.
        changes: new values by field.
    Raises:
        SettingsError: a setting that cannot change during a run, or a bad value.
    """
    fixed = sorted(set(changes) - set(STEERABLE))
    if fixed:
        raise SettingsError(
            f"{', '.join(fixed)} cannot change while the picture is painted; {', '.join(STEERABLE)} can. "
            "Stop the run and start a new one."
        )
    return replace(settings, **changes)


def continued(plan: RunPlan, other: RunPlan, scale: int, step: int, changes: Mapping[str, Any]) -> RunPlan:
    """Return the plan with another plan's problem, from a step on.

    Args:
        plan: the current plan.
        other: a plan of the same pictures with changed settings.
        scale: index of the scale, from 0.
        step: steps taken at that scale.
        changes: the changed settings. They are recorded in the manifest's `turns`, so that a rerun can repeat
            them.
    """
    turns = [*plan.manifest.get("turns", ()), {"scale": scale + 1, "step": step, "settings": dict(changes)}]
    return replace(plan, problem=other.problem, manifest={**plan.manifest, "turns": turns})


def merged_changes(turns: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Merge the changes in a manifest's `turns`; the last change of each setting wins."""
    return {key: value for turn in turns for key, value in turn["settings"].items()}


class ReplayedSteering:
    """Repeats the changes of an earlier run at the same steps. An instance serves one run.

    Args:
        turns: the `turns` of the earlier run's manifest.
        plan_with: makes the run's plan with changed settings.
    """

    def __init__(
        self, turns: Sequence[Mapping[str, Any]], plan_with: Callable[[Mapping[str, Any]], RunPlan]
    ) -> None:
        self._turns, self._plan_with = turns, plan_with
        self._done = 0

    def next_plan(self, plan: RunPlan, scale: int, step: int) -> RunPlan | None:
        """Return the plan after the recorded changes that are due at this step, or None."""
        left = self._turns[self._done :]
        # Manifests count scales from 1.
        due = [turn for turn in left if (turn["scale"] - 1, turn["step"]) == (scale, step)]
        if not due:
            return None
        self._done += len(due)
        other = self._plan_with(merged_changes(self._turns[: self._done]))
        return continued(plan, other, scale, step, merged_changes(due))
