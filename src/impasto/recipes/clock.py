"""How long a run has taken, and how long it will."""

import time
from collections.abc import Callable

from impasto.solve.pyramid import Scale


class Clock:
    """Seconds gone, and seconds to go if a pixel costs as much in each later step as it has at this scale.

    Args:
        scales: the plan, coarse to fine.
        now: gives the time in seconds.
        gone: seconds that the run took before it was stopped and resumed.
    """

    def __init__(
        self,
        scales: tuple[Scale, ...],
        now: Callable[[], float] = time.perf_counter,
        gone: float = 0.0,
    ) -> None:
        self.scales, self.now = scales, now
        self.scale_began = self.last = now()
        self.began = self.last - gone
        self.index, self.before, self.eta = -1, 0, 0.0

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
