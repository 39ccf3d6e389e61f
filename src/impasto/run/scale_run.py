"""One scale of a run."""

from dataclasses import replace

from impasto.errors import OutOfMemoryError
from impasto.objective.evaluate import Evaluate, evaluator
from impasto.objective.matching import match
from impasto.objective.objective import Objective
from impasto.run.checkpoint import Snapshot
from impasto.run.layout import next_smaller
from impasto.run.plan import RunPlan
from impasto.run.scales import Scale
from impasto.run.steering import Steering
from impasto.settings.strength import rebalance_steps
from impasto.shapes import Image, Point
from impasto.solve import descent
from impasto.system.distributed import world_size
from impasto.system.memory import memory_errors, return_freed_memory

ADVICE = "Use a smaller --size, a shorter --history or --precision bfloat16."
"""When memory runs out in the smallest layout."""


class ScaleRun:
    """One scale of a run, step by step.

    It holds what the next step needs besides the plan: the solver's state, the factor on the style's weight,
    and the evaluation, which is built when it is first used.

    Args:
        plan: of the run.
        here: where the run stands: at the beginning of a scale, or between two of its steps.
        below: the image that the scale below has reached; None at the coarsest, or between two steps.
    """

    def __init__(self, plan: RunPlan, here: Snapshot, below: Image | None = None) -> None:
        self.plan, self.index, self._below = plan, here.scale, below
        self.scale, self.layout = plan.scales[here.scale], here.layouts[here.scale]
        self.state, self.step = here.descent, here.step
        self.style_factor, self.matches = here.style_factor, here.matches
        self.space = plan.space(here.scale)
        self._objective: Objective | None = None
        self._evaluate: Evaluate | None = None
        self._note, self._stale = "", False
        self._rebalanced_at = self._rematched_at = 0

    @property
    def finished(self) -> bool:
        """Whether nothing further can be gained at this scale."""
        return self.state is not None and self.state.finished

    def advance(self, steering: Steering | None) -> bool:
        """Take a step; False where memory ran out, and it is to be tried again in a smaller layout.

        Raises:
            OutOfMemoryError: in the smallest layout, or where several processes share the picture: they would
                have to change their layouts together.
        """
        try:
            with memory_errors(f"a picture of {self.scale.width}×{self.scale.height}", ADVICE):
                if self.state is None:
                    self.state = self._begin()
                else:
                    self.state = self._steered(self.state, steering)
                # What is done stays done when memory runs out further on: the next try goes on from there.
                if self.index == 0 and self.step in rebalance_steps(self.scale.steps):
                    self._rebalance(self.state)
                if rematch_at(self.step, self.scale, self.plan.rematch):
                    self._rematch(self.state)
                self.state = descent.step(self.evaluate, self.state, tolerance=self.plan.solver.tolerance)
        except OutOfMemoryError:
            if world_size() > 1 or not self._use_smaller_layout():
                raise
            return False
        self.step += 1
        return True

    def _begin(self) -> descent.DescentState:
        """The descent before its first step, from what was reached at the scale below, if there was one."""
        problem = self.plan.problem
        if self._below is None:
            image = problem.initial_image(self.scale)
        else:
            below = self.plan.scales[self.index - 1]
            image = problem.next_image(self._below, below, self.scale, self.layout)
        self._match(image)
        begun = self._start(self.space.point(image))
        self._below = None  # an image that is held for nothing from now on
        return begun

    def _match(self, image: Image) -> None:
        """Search for the image's nearest neighbours in the paintings, if the objective has any."""
        objective = self._objective or self.plan.problem.objective(self.scale, self.layout)
        self._objective = match(self.plan.problem.network, objective, image, tile=self.layout.tile)
        self.matches = self._objective.matches

    def _rematch(self, state: descent.DescentState) -> None:
        """Search for the neighbours of the image as it is now, if there are any, once at a step."""
        if self.matches and self._rematched_at != self.step:
            self._match(self.space.whole_image(state.point))
            self.state = self._restarted(state)
        self._rematched_at = self.step

    @property
    def evaluate(self) -> Evaluate:
        """The objective of this scale in this layout."""
        if self._evaluate is None:
            problem, tile = self.plan.problem, self.layout.tile
            if self._objective is None:
                self._objective = problem.objective(self.scale, self.layout).with_matches(self.matches)
            objective = self._objective.scale_style(self.style_factor)
            of_image = evaluator(problem.network, objective, tile=tile, band=self.space.band)
            self._evaluate = self.space.evaluator(of_image)
        return self._evaluate

    def _rebalance(self, state: descent.DescentState) -> None:
        """Adjust the style's weight to what the content is to reach, once at a step; from the same image."""
        aim, content = self.plan.problem.content_aim, state.evaluation.by_kind.get("content", 0.0)
        if aim is not None and content and self._rebalanced_at != self.step:
            self.style_factor = aim.rebalanced(self.style_factor, content)
            self.state = self._restarted(state)
        self._rebalanced_at = self.step

    def _steered(self, state: descent.DescentState, steering: Steering | None) -> descent.DescentState:
        """With another plan from here on, if steering has one; from the same image."""
        other = steering.next_plan(self.plan, self.index, self.step) if steering is not None else None
        if other is not None:
            self.plan, self._objective, self._stale = other, None, True
        if not self._stale:
            return state
        if self.plan.problem.objective(self.scale, self.layout).has_neighbors:
            self._match(self.space.whole_image(state.point))  # of other paintings perhaps
        fresh = self._restarted(state)  # may run out of memory, and is tried again then
        self._stale = False
        return fresh

    def _restarted(self, state: descent.DescentState) -> descent.DescentState:
        """A descent of the objective as it is now, from where another one stood."""
        self._evaluate = None
        fresh = self._start(state.point)
        evaluations = state.solver.evaluations + fresh.solver.evaluations
        return replace(fresh, solver=replace(fresh.solver, evaluations=evaluations))

    def _start(self, point: Point) -> descent.DescentState:
        return descent.start(self.evaluate, point, self.plan.solver, history=self.layout.history)

    def _use_smaller_layout(self) -> bool:
        """Let go of everything and take a layout that needs less memory, if there is one."""
        self._evaluate = self._objective = None
        return_freed_memory()
        layout = next_smaller(self.layout, self.scale)
        if layout is None:
            return False
        self.layout = layout
        self.state = self.state and descent.with_history(self.state, layout.history)
        self._note = f"the memory ran out; going on with {layout}"
        return True

    def snapshot(self, before: Snapshot) -> Snapshot:
        """Where the run stands now.

        Args:
            before: where it stood a step ago; its seconds and trace are the caller's to bring forward.
        """
        layouts = list(before.layouts)
        layouts[self.index] = self.layout
        return replace(
            before,
            step=self.step,
            layouts=tuple(layouts),
            descent=self.state,
            space=self.space,
            style_factor=self.style_factor,
            matches=self.matches,
        )

    def take_note(self) -> str:
        """What has happened since this was last asked."""
        note, self._note = self._note, ""
        return note


def rematch_at(step: int, scale: Scale, every: int) -> bool:
    """Whether neighbours are searched again after so many steps of a scale: not just before its end."""
    return every > 0 and step > 0 and step % every == 0 and step + every // 4 <= scale.steps
