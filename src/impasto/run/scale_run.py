"""One scale of a run."""

from dataclasses import replace

from impasto.image.resize import resize
from impasto.objective.bands import Band
from impasto.objective.evaluate import Evaluate, evaluator
from impasto.objective.objective import Objective
from impasto.run.layout import Layout, smaller
from impasto.run.plan import Job
from impasto.run.scales import Scale, carry
from impasto.shapes import Image
from impasto.solve import descent
from impasto.system.memory import hand_back


class _Stage:
    """One scale of a run: its layout, and the evaluation in it, built when it is needed."""

    def __init__(self, job: Job, scale: Scale, layout: Layout, balance: float) -> None:
        self.job, self.scale, self.layout, self.balance = job, scale, layout, balance
        self.band = Band.of(scale.height, scale.width, wrap=job.network.wrap)
        self.constraint = job.constraint(scale)
        self._objective: Objective | None = None
        self._evaluate: Evaluate | None = None
        self._note, self._stale = "", False

    def begin(self, below: Image | None) -> descent.Descent:
        """The descent before its first step, from what was reached at the scale below, if there was one."""
        first = self.job.first(self.scale) if below is None or self.job.detailed or self.constraint else None
        if below is None:
            assert first is not None, "a run starts from something"
            image = first
        elif first is not None and self.job.detailed:
            image = carry(below, first)
        else:
            image = resize(below, self.scale.height, self.scale.width)
        if first is not None:
            image = self.constraint.held(image, first)
        own = self.band.own(image).clone() if not self.band.alone else image
        return descent.start(self.evaluate, own, method=self.job.optimizer, history=self.layout.history)

    @property
    def evaluate(self) -> Evaluate:
        """The objective of this scale in this layout."""
        if self._evaluate is None:
            if self._objective is None:
                self._objective = self.job.objective(self.scale, self.layout)
            objective, tile = self._objective.with_style_times(self.balance), self.layout.tile
            free = evaluator(self.job.network, objective, tile=tile, band=self.band)
            self._evaluate = self.constraint.applied(free, self.band)
        return self._evaluate

    def weighed(self, state: descent.Descent) -> descent.Descent:
        """With the style's weight brought nearer to where the content reaches its aim; from the same image.

        The content's error was seen to grow with the style's weight to the power of 0.5 where half of the
        features are given up, of 1.5 where hardly any are.
        """
        content = sum(v for name, v in state.here.by_term.items() if name.startswith("content "))
        if self.job.content_error is None or not content:
            return state
        reached = content / self.job.content_weight
        power = min(1.5, max(0.5, 0.5 * (0.5 / self.job.content_error) ** 0.45))
        factor = (self.job.content_error / reached) ** (1 / power)
        self.balance = min(4.0, max(1 / 16, self.balance * min(4.0, max(0.25, factor))))
        return self._anew(state)

    def turned(self, state: descent.Descent, index: int, step: int) -> descent.Descent:
        """With another job from here on, if there is one; from the same image."""
        other = self.job.turn(index, step)
        if other is not None:
            self.job, self._objective, self._stale = other, None, True
        if not self._stale:
            return state
        fresh = self._anew(state)  # may run out of memory, and is tried again then
        self._stale = False
        return fresh

    def _anew(self, state: descent.Descent) -> descent.Descent:
        """A descent of the objective as it is now, from where another one stood."""
        self._evaluate = None
        method, history = self.job.optimizer, self.layout.history
        fresh = descent.start(self.evaluate, state.image, method=method, history=history)
        evaluations = state.solver.evaluations + fresh.solver.evaluations
        return replace(fresh, solver=replace(fresh.solver, evaluations=evaluations))

    def step_down(self) -> bool:
        """Let go of everything and take a layout that needs less memory, if there is one."""
        self._evaluate = self._objective = None
        hand_back()
        layout = smaller(self.layout, self.scale)
        if layout is None:
            return False
        self.layout = layout
        self._note = f"the memory ran out; going on with {layout}"
        return True

    def said(self) -> str:
        """What has happened since this was last asked."""
        note, self._note = self._note, ""
        return note


def _weighings(steps: int) -> tuple[int, ...]:
    """After which steps of the coarsest scale its losses decide on the style's weight."""
    return (steps // 4, steps // 2, steps * 3 // 4) if steps >= 20 else ()
