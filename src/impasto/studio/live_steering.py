"""Changes of a job's settings that arrive while it is painted."""

from collections.abc import Callable, Sequence
from typing import Any

from impasto.errors import ImpastoError
from impasto.run.layout import Layout
from impasto.run.plan import RunPlan
from impasto.run.steering import changed_settings, continued
from impasto.settings.stylize import StylizeSettings


class LiveSteering:
    """Turns what a page has changed since the last step into the plan to go on with.

    Args:
        settings: of the job, with the changes made before it was last paused.
        changes: settings that the page has changed. The worker adds to them; each step empties them.
        plan_with: plans the job with other settings and with given layouts.
        tell: shows a text on the page.
    """

    def __init__(
        self,
        settings: StylizeSettings,
        changes: dict[str, Any],
        plan_with: Callable[[StylizeSettings, Sequence[Layout]], RunPlan],
        tell: Callable[[str], None],
    ) -> None:
        self._settings, self._changes = settings, changes
        self._plan_with, self._tell = plan_with, tell

    def next_plan(self, plan: RunPlan, scale: int, step: int) -> RunPlan | None:
        """Return the plan after the page's changes, or None. A refused change is told to the page."""
        # Only real changes, because each costs the solver its history.
        changes = {
            name: new for name, new in self._changes.items() if getattr(self._settings, name, None) != new
        }
        self._changes.clear()
        if not changes:
            return None
        try:
            settings = changed_settings(self._settings, changes)
            other = self._plan_with(settings, plan.layouts)
        except ImpastoError as error:
            self._tell(str(error))
            return None
        self._settings = settings
        words = ", ".join(f"{name.replace('_', ' ')} {value}" for name, value in changes.items())
        self._tell(f"Going on with {words}.")
        return continued(plan, other, scale, step, changes)
