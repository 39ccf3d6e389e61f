"""How long a run has taken, how long it will, and how long it may."""

import time
from collections.abc import Callable

from impasto.run.scales import Scale


class Clock:
    """Seconds gone, and seconds to go if a pixel costs as much in each later step as it has at this scale.

    With a budget, scales take as many steps as there is time for: each has the share of the time that its
    planned steps would take, and what a coarser scale has left over. A scale for which there is no time is
    not begun. The coarsest takes one step whatever the time.

    Args:
        scales: the plan, coarse to fine.
        now: gives the time in seconds.
        elapsed: seconds that the run took before it was stopped and resumed.
        budget: seconds that it may take in all; None: the steps that are planned.
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
        """Since the run began."""
        return self.now() - self.began

    def resume(self, index: int, step: int) -> None:
        """The run goes on after step `step` at scale `index`; what is gone says how long the rest takes."""
        work = [scale.steps * scale.height * scale.width for scale in self.scales]
        here = self.scales[index]
        done = sum(work[:index]) + step * here.height * here.width
        self.eta = self.seconds * (sum(work) - done) / done
        self.per_pixel = self.seconds / done

    def tick(self, index: int, step: int) -> None:
        """Step `step` (from 1) at scale `index` (from 0) is done."""
        now = self.now()
        if index != self.index:
            self.index, self.before, self.scale_began = index, step - 1, self.last
        self.last = now
        here = self.scales[index]
        per_step = (now - self.scale_began) / (step - self.before)
        pixels = here.height * here.width
        later = sum(s.steps * s.height * s.width for s in self.scales[index + 1 :]) / pixels
        self.eta = per_step * (here.steps - step + later)
        self.per_pixel = per_step / pixels
        if self.budget is not None:
            self.eta = max(0.0, self.budget - self.seconds)

    def is_over(self, index: int, step: int) -> bool:
        """Whether scale `index` ends after `step` steps: they are all taken, or its time is up."""
        here = self.scales[index]
        if self.budget is None:
            return step >= here.steps
        if step >= here.steps * MORE:
            return True
        if step == 0 and index == 0:
            return False
        steps = 1 if step else BEGINNING
        elapsed = self.last - self.began  # the reader's time counts from the next step on
        return elapsed + steps * self.per_pixel * here.height * here.width > self._until(index)

    def _until(self, index: int) -> float:
        """When scale `index` should be done, in seconds since the run began.

        The time of scales that could hardly be begun is the coarser ones'.
        """
        assert self.budget is not None
        pixels = [scale.height * scale.width for scale in self.scales]
        work = [scale.steps * each for scale, each in zip(self.scales, pixels, strict=True)]
        count = len(work)
        while count > index + 1:
            share = self.budget * work[count - 1] / sum(work[:count])
            if share >= BEGINNING * self.per_pixel * pixels[count - 1]:
                break
            count -= 1
        return self.budget * sum(work[: index + 1]) / sum(work[:count])


MORE = 10
"""How many times the planned steps are taken at most when there is time."""

BEGINNING = 4
"""Steps that the beginning of a scale takes the time of, the first step included."""
