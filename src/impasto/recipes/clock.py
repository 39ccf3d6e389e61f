"""How long a run has taken, and how long it will."""

import time
from collections.abc import Callable

from impasto.solve.pyramid import Scale


class Clock:
    """Seconds gone, and seconds to go if a pixel costs as much in each later step as it has at this scale.

    Args:
        scales: the plan, coarse to fine.
        now: gives the time in seconds.
    """

    def __init__(self, scales: tuple[Scale, ...], now: Callable[[], float] = time.perf_counter) -> None:
        self.scales, self.now = scales, now
        self.began = self.scale_began = self.last = now()
        self.index, self.eta = 0, 0.0

    @property
    def seconds(self) -> float:
        """Since the run began."""
        return self.now() - self.began

    def tick(self, index: int, step: int) -> None:
        """Step `step` (from 1) at scale `index` (from 0) is done."""
        now = self.now()
        if index != self.index:
            self.index, self.scale_began = index, self.last
        self.last = now
        here = self.scales[index]
        per_step = (now - self.scale_began) / step
        pixels = here.height * here.width
        later = sum(s.steps * s.height * s.width for s in self.scales[index + 1 :]) / pixels
        self.eta = per_step * (here.steps - step + later)
