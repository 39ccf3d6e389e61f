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
from impasto.run.trace import trace_row
from impasto.settings.strength import rebalance_steps
from impasto.shapes import Image, Point
from impasto.solve import descent
from impasto.system.distributed import world_size
from impasto.system.memory import memory_errors, return_freed_memory

ADVICE = "Use a smaller --size, a shorter --history or --precision bfloat16."
"""The way out named in the error when memory runs out in the smallest layout."""


class ScaleRun:
    """One scale of a run, step by step.

    It holds what the next step needs besides the plan: the solver's state, the factor on the style's weight,
    and the evaluator, which is built when it is first used.

    Args:
        plan: the plan of the run.
        snapshot: the state of the run, at the beginning of a scale or between two of its steps.
        below: the result of the coarser scale, (1, 3, h, w); None at the coarsest, or between two steps.
    """

    def __init__(self, plan: RunPlan, snapshot: Snapshot, below: Image | None = None) -> None:
        self.plan, self.index, self._below = plan, snapshot.scale, below
        self.scale, self.layout = plan.scales[snapshot.scale], snapshot.layouts[snapshot.scale]
        self.state, self.step = snapshot.descent, snapshot.step
        self.style_factor, self.matches = snapshot.style_factor, snapshot.matches
        self.space = plan.space(snapshot.scale)
        self._objective: Objective | None = None
        self._evaluate: Evaluate | None = None
        self._note, self._stale = "", False
        self._rebalanced_at = self._rematched_at = 0

    @property
    def finished(self) -> bool:
        """Whether further steps at this scale would gain nothing."""
        return self.state is not None and self.state.finished

    def advance(self, steering: Steering | None) -> bool:
        """Take a step, or switch to a smaller layout if memory runs out.

        Args:
            steering: may change the plan before the step.
        Returns:
            Whether a step was taken. If not, call this again.
        Raises:
            OutOfMemoryError: memory ran out in the smallest layout, or several processes share the picture
                (they would have to change their layouts together).
            DeviceError: the first loss of the scale is not finite.
        """
        try:
            with memory_errors(f"a picture of {self.scale.width}×{self.scale.height}", ADVICE):
                if self.state is None:
                    self.state = self._begin()
                else:
                    self.state = self._steered(self.state, steering)
                # Each of these sets the state when it succeeds, so the next try does not repeat it if memory
                # runs out later on.
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
        """Start the descent from the result of the coarser scale, or from the problem's initial image."""
        problem = self.plan.problem
        if self._below is None:
            image = problem.initial_image(self.scale)
        else:
            below = self.plan.scales[self.index - 1]
            image = problem.next_image(self._below, below, self.scale, self.layout)
        self._match(image)
        begun = self._start(self.space.point(image))
        self._below = None  # no longer needed, so its memory is freed
        return begun

    def _match(self, image: Image) -> None:
        """Search for the image's nearest neighbours in the paintings, if a term needs them."""
        objective = self._objective or self.plan.problem.objective(self.scale, self.layout)
        self._objective = match(self.plan.problem.network, objective, image, tile=self.layout.tile)
        self.matches = self._objective.matches

    def _rematch(self, state: descent.DescentState) -> None:
        """Repeat the search for the current image, if a term needs it, at most once before a step."""
        if self.matches and self._rematched_at != self.step:
            self._match(self.space.whole_image(state.point))
            self.state = self._restarted(state)
        self._rematched_at = self.step

    @property
    def evaluate(self) -> Evaluate:
        """The objective of this scale, as a function of the point. It is built when first used."""
        if self._evaluate is None:
            problem, tile = self.plan.problem, self.layout.tile
            if self._objective is None:
                self._objective = problem.objective(self.scale, self.layout).with_matches(self.matches)
            objective = self._objective.scale_style(self.style_factor)
            of_image = evaluator(problem.network, objective, tile=tile, band=self.space.band)
            self._evaluate = self.space.evaluator(of_image)
        return self._evaluate

    def _rebalance(self, state: descent.DescentState) -> None:
        """Adjust the style's weight to the content error aimed at, at most once before a step.

        The descent restarts from the same image.
        """
        aim, content = self.plan.problem.content_aim, state.evaluation.by_kind.get("content", 0.0)
        if aim is not None and content and self._rebalanced_at != self.step:
            self.style_factor = aim.rebalanced(self.style_factor, content)
            self.state = self._restarted(state)
        self._rebalanced_at = self.step

    def _steered(self, state: descent.DescentState, steering: Steering | None) -> descent.DescentState:
        """Switch to steering's plan, if it has one, and restart from the same image."""
        other = steering.next_plan(self.plan, self.index, self.step) if steering is not None else None
        if other is not None:
            self.plan, self._objective, self._stale = other, None, True
        if not self._stale:
            return state
        # If this runs out of memory, `_stale` is still set, and the next try repeats it.
        fresh = self.matched_anew(state)
        self._stale = False
        return fresh

    def matched_anew(self, state: descent.DescentState) -> descent.DescentState:
        """Restart the descent from the same point, and search for its nearest neighbours before."""
        self.matches = ()
        if self.plan.problem.objective(self.scale, self.layout).has_neighbors:
            self._match(self.space.whole_image(state.point))
        return self._restarted(state)

    def _restarted(self, state: descent.DescentState) -> descent.DescentState:
        """Restart the descent with the current objective, from the same point."""
        # The history belongs to the old objective, so the solver starts without it.
        self._evaluate = None
        fresh = self._start(state.point)
        evaluations = state.solver.evaluations + fresh.solver.evaluations
        return replace(fresh, solver=replace(fresh.solver, evaluations=evaluations))

    def _start(self, point: Point) -> descent.DescentState:
        """Start a descent from a point, in the current layout."""
        return descent.start(self.evaluate, point, self.plan.solver, history=self.layout.history)

    def _use_smaller_layout(self) -> bool:
        """Free everything that can be rebuilt, and switch to a smaller layout. False if there is none."""
        self._evaluate = self._objective = None
        return_freed_memory()
        layout = next_smaller(self.layout, self.scale)
        if layout is None:
            return False
        self.layout = layout
        self.state = self.state and descent.with_history(self.state, layout.history)
        self._note = f"the memory ran out; going on with {layout}"
        return True

    def snapshot(self, before: Snapshot, seconds: float) -> Snapshot:
        """Return the state of the run after a step.

        Args:
            before: the state before the step.
            seconds: duration of the run so far.
        """
        assert self.state is not None, "a step has been taken"
        # Steering may remove terms and add others, but every row has the same columns.
        terms = tuple(dict.fromkeys((*before.terms, *self.state.evaluation.by_term)))
        row = trace_row(self.index, self.step, seconds, self.state.evaluation, terms)
        trace = before.trace if terms == before.terms else before.trace.widened(len(row))
        layouts = list(before.layouts)
        layouts[self.index] = self.layout
        return replace(
            before,
            step=self.step,
            seconds=seconds,
            layouts=tuple(layouts),
            descent=self.state,
            space=self.space,
            trace=trace.with_row(row),
            terms=terms,
            style_factor=self.style_factor,
            matches=self.matches,
        )

    def take_note(self) -> str:
        """Return the note on what has happened since the last call, and clear it."""
        note, self._note = self._note, ""
        return note


def restarted(plan: RunPlan, snapshot: Snapshot) -> Snapshot:
    """Return the state of a run whose inputs have changed, at the same image.

    The solver's history and the nearest neighbours of the old state belong to another objective. With them,
    L-BFGS stopped at once, and matches were places of another painting.
    """
    if snapshot.descent is None:
        return snapshot
    scale_run = ScaleRun(plan, snapshot)
    descent_state = scale_run.matched_anew(snapshot.descent)
    return replace(snapshot, descent=descent_state, matches=scale_run.matches)


def rematch_at(step: int, scale: Scale, every: int) -> bool:
    """Return whether the neighbours are searched again after `step` steps of a scale.

    Args:
        step: steps taken.
        scale: says how many steps there are.
        every: steps between two searches; 0: never.
    """
    # A search just before the end of a scale would not pay: too few steps remain to follow it.
    return every > 0 and step > 0 and step % every == 0 and step + every // 4 <= scale.steps
