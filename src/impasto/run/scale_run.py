"""One scale of a run."""

from dataclasses import replace

from jaxtyping import Int
from torch import Tensor

from impasto.image.resize import resize
from impasto.objective.evaluate import Evaluate, evaluator
from impasto.objective.matching import match
from impasto.objective.objective import Objective
from impasto.run.layout import Layout, next_smaller
from impasto.run.plan import RunPlan
from impasto.run.scales import Scale, carry_detail
from impasto.shapes import Image, Point
from impasto.solve import descent
from impasto.system.memory import return_freed_memory


class ScaleRun:
    """One scale of a run: its layout, its space, and the evaluation in it, built when it is needed."""

    def __init__(
        self,
        plan: RunPlan,
        index: int,
        layout: Layout,
        style_factor: float,
        matches: tuple[Int[Tensor, " Q"], ...] = (),
    ) -> None:
        self.job, self.scale, self.layout, self.style_factor = plan, plan.scales[index], layout, style_factor
        self.matches = matches
        self._scale_below = plan.scales[max(0, index - 1)]
        self.space = plan.space(index)
        self._objective: Objective | None = None
        self._evaluate: Evaluate | None = None
        self._note, self._stale = "", False

    def begin(self, below: Image | None) -> descent.DescentState:
        """The descent before its first step, from what was reached at the scale below, if there was one."""
        first = (
            self.job.initial_image(self.scale)
            if below is None or self.job.detail or self.space.constraint
            else None
        )
        if below is None:
            assert first is not None, "a run starts from something"
            image = first
        elif first is not None and self.job.detail:
            image = carry_detail(below, first, self.job.detail)
        else:
            image = resize(below, self.scale.height, self.scale.width)
        if below is not None and self.job.painting_detail is not None:
            detail = self.job.painting_detail(self._scale_below, self.layout, below)
            image = image + resize(detail, self.scale.height, self.scale.width)
        if first is not None:
            image = self.space.constraint.restore_fixed(image, first)
        self._match(image)
        return self._start(self.space.point(image))

    def _match(self, image: Image) -> None:
        """Search for the image's nearest neighbours in the paintings, if the objective has any."""
        objective = self._objective or self.job.objective(self.scale, self.layout)
        self._objective = match(self.job.network, objective, image, tile=self.layout.tile)
        self.matches = self._objective.matches

    def rematch(self, state: descent.DescentState) -> descent.DescentState:
        """With the neighbours of the image as it is now; the same where there are none to search."""
        if not self.matches:
            return state
        self._match(self.space.whole_image(state.point))
        return self._restart(state)

    @property
    def evaluate(self) -> Evaluate:
        """The objective of this scale in this layout."""
        if self._evaluate is None:
            if self._objective is None:
                fresh = self.job.objective(self.scale, self.layout)
                self._objective = fresh.with_matches(self.matches)
            objective, tile = self._objective.scale_style(self.style_factor), self.layout.tile
            of_image = evaluator(self.job.network, objective, tile=tile, band=self.space.band)
            self._evaluate = self.space.evaluator(of_image)
        return self._evaluate

    def rebalance(self, state: descent.DescentState) -> descent.DescentState:
        """With the style's weight brought nearer to where the content reaches its aim; from the same image.

        The content's error was seen to grow with the style's weight to the power of 0.5 where half of the
        features are given up, of 1.5 where hardly any are.
        """
        content = sum(v for name, v in state.evaluation.by_term.items() if name.startswith("content "))
        if self.job.content_error is None or not content:
            return state
        reached = content / self.job.content_weight
        power = min(1.5, max(0.5, 0.5 * (0.5 / self.job.content_error) ** 0.45))
        factor = (self.job.content_error / reached) ** (1 / power)
        self.style_factor = min(4.0, max(1 / 16, self.style_factor * min(4.0, max(0.25, factor))))
        return self._restart(state)

    def steered(self, state: descent.DescentState, index: int, step: int) -> descent.DescentState:
        """With another job from here on, if there is one; from the same image."""
        other = self.job.steer(index, step)
        if other is not None:
            self.job, self._objective, self._stale = other, None, True
        if not self._stale:
            return state
        if self.job.objective(self.scale, self.layout).has_neighbors:
            self._match(self.space.whole_image(state.point))  # of other paintings perhaps
        fresh = self._restart(state)  # may run out of memory, and is tried again then
        self._stale = False
        return fresh

    def _restart(self, state: descent.DescentState) -> descent.DescentState:
        """A descent of the objective as it is now, from where another one stood."""
        self._evaluate = None
        fresh = self._start(state.point)
        evaluations = state.solver.evaluations + fresh.solver.evaluations
        return replace(fresh, solver=replace(fresh.solver, evaluations=evaluations))

    def _start(self, point: Point) -> descent.DescentState:
        return descent.start(
            self.evaluate,
            point,
            method=self.job.optimizer,
            history=self.layout.history,
            rate=self.job.rate,
        )

    def use_smaller_layout(self) -> bool:
        """Let go of everything and take a layout that needs less memory, if there is one."""
        self._evaluate = self._objective = None
        return_freed_memory()
        layout = next_smaller(self.layout, self.scale)
        if layout is None:
            return False
        self.layout = layout
        self._note = f"the memory ran out; going on with {layout}"
        return True

    def take_note(self) -> str:
        """What has happened since this was last asked."""
        note, self._note = self._note, ""
        return note


def rematch_at(step: int, scale: Scale, every: int) -> bool:
    """Whether neighbours are searched again after so many steps of a scale: not just before its end."""
    return every > 0 and step > 0 and step % every == 0 and step + every // 4 <= scale.steps


def rebalance_steps(steps: int) -> tuple[int, ...]:
    """After which steps of the coarsest scale its losses decide on the style's weight."""
    return (steps // 4, steps // 2, steps * 3 // 4) if steps >= 20 else ()
