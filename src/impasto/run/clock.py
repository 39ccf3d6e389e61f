"""A run's clock: the time taken, the time remaining, and when the budget ends a scale."""

import time
from collections.abc import Callable

from impasto.run.scales import Scale


class Clock:
    """Measures the time of a run, estimates the remaining time, and keeps to a budget.

    The estimate assumes that a pixel costs as much in every later step as it does at this scale.

    With a budget, scales take as many steps as there is time for. Each gets the share of the time that its
    planned steps would take, and the time that coarser scales left over. Where the time is short, the finest
    scales get none (see `LEAST_SHARE`), and are begun only if time is left over. The coarsest takes at least
    one step.

    Args:
        scales: the plan, coarse to fine.
        now: returns the time in seconds.
        elapsed: seconds that the run took before it was stopped and resumed.
        budget: seconds for the whole run; None: take the planned steps.
    Attributes:
        eta: estimated seconds remaining.
        per_pixel: seconds of a step per pixel at the newest scale, without the time to begin the scale.
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
        self.first = self.last  # when the first step at this scale was done
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
            self.index, self.before, self.scale_began, self.first = index, step - 1, self.last, now
        self.last = now
        scale, later_steps = self.scales[index], step - self.before - 1
        # Averaged over this scale alone: a coarser scale says little about the cost of this one.
        per_step = (now - self.scale_began) / (step - self.before)
        later = sum(s.steps * s.pixels for s in self.scales[index + 1 :]) / scale.pixels
        self.eta = per_step * (scale.steps - step + later)
        spent = (now - self.first) / later_steps if later_steps else (now - self.scale_began) / BEGINNING
        self.per_pixel = spent / scale.pixels
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

    def _affordable(self) -> int:
        """Return the number of scales that get a share of the budget, at least 1."""
        assert self.budget is not None
        needed = 0.0
        for index, scale in enumerate(self.scales):
            needed += (scale.steps + BEGINNING) * scale.pixels * self.per_pixel
            if index > 0 and (scale.steps == 0 or self.budget < LEAST_SHARE * needed):
                return index
        return len(self.scales)

    def _until(self, index: int) -> float:
        """When scale `index` should be done, in seconds since the run began.

        If finer scales are left out, the time to enlarge the last one is set aside.
        """
        assert self.budget is not None
        count = max(index + 1, self._affordable())
        work = [scale.steps * scale.pixels for scale in self.scales[:count]]
        left_out = count < len(self.scales)
        enlarging = BEGINNING * self.per_pixel * self.scales[count - 1].pixels if left_out else 0.0
        return (self.budget - enlarging) * sum(work[: index + 1]) / sum(work)


MORE = 10
"""With a budget, a scale takes at most this many times its planned steps."""

BEGINNING = 4
"""Time to begin a scale, in steps, the first step included. Enlarging the last scale takes about as long."""

LEAST_SHARE = 0.5
"""With a budget, scales are left out, finest first, until this part of the planned steps of the others fits.

A few steps at the full size add little, and they cost the coarse scales the steps that settle colours. Two
pairs at 512 px had tinted skies after 10 s at three sizes, and none after 10 s at the two smaller ones."""
