"""Steering: a run that goes on with other settings from some step on, and is painted again like that."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any, Protocol, TypeVar, runtime_checkable

from impasto.errors import SettingsError
from impasto.run.plan import RunPlan
from impasto.settings.base import RunSettings

STEERABLE = ("strength", "blend", "alpha", "beta", "tv", "gamut", "style_scale")
"""Settings that can change while a picture is painted: they belong to the problem, not to its solution."""

Settings = TypeVar("Settings", bound=RunSettings)


@runtime_checkable
class Steering(Protocol):
    """Decides between two steps of a run whether it goes on with another plan."""

    def next_plan(self, plan: RunPlan, scale: int, step: int) -> RunPlan | None:
        """The plan to go on with, from `continued`; None: the one there is.

        `iter_run` asks before every step but the first one of a scale, and once more if memory ran out there.

        Args:
            plan: the one in use.
            scale: from 0.
            step: steps taken at this scale.
        """


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


def continued(plan: RunPlan, other: RunPlan, scale: int, step: int, changes: Mapping[str, Any]) -> RunPlan:
    """The plan with another one's problem, after `step` steps at `scale` (from 0).

    Args:
        other: plans the same pictures with changed settings.
        changes: for the manifest's `turns`, so that the picture can be painted again.
    """
    turns = [*plan.manifest.get("turns", ()), {"scale": scale + 1, "step": step, "settings": dict(changes)}]
    return replace(plan, problem=other.problem, manifest={**plan.manifest, "turns": turns})


def merged_changes(turns: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """All changes of a manifest's `turns`, the last one of each setting."""
    return {key: value for turn in turns for key, value in turn["settings"].items()}


class ReplayedSteering:
    """Changes the settings where an earlier run changed them; for one run.

    Args:
        turns: of the earlier run's manifest.
        plan_with: plans the run with changes of its settings.
    """

    def __init__(
        self, turns: Sequence[Mapping[str, Any]], plan_with: Callable[[Mapping[str, Any]], RunPlan]
    ) -> None:
        self._turns, self._plan_with = turns, plan_with
        self._done = 0

    def next_plan(self, plan: RunPlan, scale: int, step: int) -> RunPlan | None:
        """As `Steering.next_plan`."""
        left = self._turns[self._done :]
        due = [turn for turn in left if (turn["scale"] - 1, turn["step"]) == (scale, step)]
        if not due:
            return None
        self._done += len(due)
        other = self._plan_with(merged_changes(self._turns[: self._done]))
        return continued(plan, other, scale, step, merged_changes(due))
