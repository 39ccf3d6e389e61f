"""A run's clock: the time taken, the time remaining, and when the budget ends a scale."""

import time
from collections.abc import Callable

from impasto.run.scales import Scale


class Clock:
    """Measures the time of a run, estimates the remaining time, and keeps to a budget.

    The estimate assumes that a pixel costs as much in every later step as it does at this scale.

    With a budget, scales take as many steps as there is time for. Each scale gets the share of the time that
    its planned steps would take, and the time that coarser scales left over. A scale without time is not
    begun, except the coarsest, which takes at least one step.

    Args:
        scales: the plan, coarse to fine.
        now: returns the time in seconds.
        elapsed: seconds that the run took before it was stopped and resumed.
        budget: seconds for the whole run; None: take the planned steps.
    Attributes:
        eta: estimated seconds remaining.
        per_pixel: seconds of a step per pixel at the newest scale.
    """

    def __init__(
        self,
        scales: tuple[Scale, ...],
        now: Callable[[], float] = time.perf_counter,
        elapsed: float = 0.0,
        budget: float | None = None,
    ) -> None:
        self.scales, self.now, self.budget = scales, now, budget
        self.scale_began = self.last = now()
        self.began = self.last - elapsed
        self.index, self.before, self.eta = -1, 0, 0.0
        self.per_pixel = 0.0

    @property
    def seconds(self) -> float:
        """Seconds since the run began."""
        return self.now() - self.began

    def resume(self, index: int, step: int) -> None:
        """Continue after step `step` (from 1) at scale `index` (from 0).

        The time so far predicts the time remaining.
        """
        work = [scale.steps * scale.pixels for scale in self.scales]
        done = sum(work[:index]) + step * self.scales[index].pixels
        self.eta = self.seconds * (sum(work) - done) / done
        self.per_pixel = self.seconds / done

    def tick(self, index: int, step: int) -> None:
        """Note that step `step` (from 1) at scale `index` (from 0) is done."""
        now = self.now()
        if index != self.index:
            self.index, self.before, self.scale_began = index, step - 1, self.last
        self.last = now
        scale = self.scales[index]
        # Averaged over this scale alone: a coarser scale says little about the cost of this one.
        per_step = (now - self.scale_began) / (step - self.before)
        later = sum(s.steps * s.pixels for s in self.scales[index + 1 :]) / scale.pixels
        self.eta = per_step * (scale.steps - step + later)
        self.per_pixel = per_step / scale.pixels
        if self.budget is not None:
            self.eta = max(0.0, self.budget - self.seconds)

    def is_over(self, index: int, step: int) -> bool:
        """Return whether scale `index` ends after `step` steps: all are taken, or its time is up."""
        scale = self.scales[index]
        if self.budget is None:
            return step >= scale.steps
        if step >= scale.steps * MORE:
            return True
        if step == 0 and index == 0:
            return False
        steps = 1 if step else BEGINNING
        # Time that the reader of the stream spends between steps counts from the next step on.
        elapsed = self.last - self.began
        return elapsed + steps * self.per_pixel * scale.pixels > self._until(index)

    def _until(self, index: int) -> float:
        """When scale `index` should be done, in seconds since the run began.

        The time of scales that could hardly be begun is given to the coarser ones.
        """
        assert self.budget is not None
        work = [scale.steps * scale.pixels for scale in self.scales]
        count = len(work)
        while count > index + 1:
            share = self.budget * work[count - 1] / sum(work[:count])
            if share >= BEGINNING * self.per_pixel * self.scales[count - 1].pixels:
                break
            count -= 1
        return self.budget * sum(work[: index + 1]) / sum(work[:count])


MORE = 10
"""With a budget, a scale takes at most this many times its planned steps."""

BEGINNING = 4
"""Time to begin a scale, in steps, the first step included."""
