"""A run of one solver on one image size, which notices when it goes wrong and recovers."""

from dataclasses import dataclass, replace

from impasto.choices import Optimizer
from impasto.errors import DeviceError
from impasto.objective.evaluate import Evaluate, Evaluation
from impasto.shapes import Point
from impasto.solve import adam, lbfgs

PATIENCE = 10
"""Steps of L-BFGS over which the fall of the loss is judged."""

MOST_RESTARTS = 4
"""Adam's rate is cut to a quarter at each; after these, 50 steps move a pixel by less than 1/255."""


@dataclass(frozen=True)
class Solver:
    """What takes the steps of a run.

    Attributes:
        optimizer: L-BFGS or Adam.
        rate: Adam's step length, in units of the image's 0..1, also where it takes over from L-BFGS.
        tolerance: L-BFGS is finished when `PATIENCE` steps together lower the loss by less than this fraction
            of it; 0: never. (Adam's loss goes up and down, so ten steps without gain prove nothing.)
    """

    optimizer: Optimizer = "lbfgs"
    rate: float = adam.RATE
    tolerance: float = 0.0


@dataclass(frozen=True)
class DescentState:
    """Where a run stands.

    Attributes:
        solver: the solver's own state.
        point: the best point so far.
        evaluation: the objective there.
        restarts: Adam's so far.
        note: what went wrong in the last step and what was done about it, else "".
        finished: nothing further can be gained, or too little.
        losses: the last `PATIENCE` + 1, oldest first.
        rate: Adam's, also where it takes over from L-BFGS.
    """

    solver: lbfgs.LBFGSState | adam.AdamState
    point: Point
    evaluation: Evaluation
    restarts: int = 0
    note: str = ""
    finished: bool = False
    losses: tuple[float, ...] = ()
    rate: float = adam.RATE


LBFGS = Solver()


def start(evaluate: Evaluate, point: Point, solver: Solver = LBFGS, *, history: int = 20) -> DescentState:
    """The state before the first step; evaluates once.

    Args:
        history: pairs of changes that L-BFGS keeps.
    Raises:
        DeviceError: loss or gradient at the start is not finite, which no solver can mend.
    """
    state = (
        lbfgs.start(evaluate, point, history=history)
        if solver.optimizer == "lbfgs"
        else adam.start(evaluate, point, rate=solver.rate)
    )
    if state.outcome == "broken":
        raise DeviceError(
            f"the loss of the first image is {float(state.evaluation.loss)} or its gradient is not finite. "
            "Use --precision float32 or smaller weights."
        )
    return DescentState(state, point, state.evaluation, rate=solver.rate)


def step(evaluate: Evaluate, descent: DescentState, *, tolerance: float = 0.0) -> DescentState:
    """One step. A step that fails leaves the best point as it was, says so in `note`, and prepares the next.

    L-BFGS first forgets its history; failing again, it gives way to Adam. Adam, failing, goes back to the
    best point with a quarter of its rate, and after `MOST_RESTARTS` of these the run is finished.

    Args:
        tolerance: L-BFGS is finished when `PATIENCE` steps together lower the loss by less than this share
            of it. (Adam's loss goes up and down, so that a rest proves nothing.)
    """
    solver = descent.solver
    if not isinstance(solver, lbfgs.LBFGSState):
        return _after_adam(descent, adam.step(evaluate, solver))
    after = _after_lbfgs(descent, lbfgs.step(evaluate, solver))
    losses = (*descent.losses, float(after.evaluation.loss))[-PATIENCE - 1 :]
    settled = len(losses) > PATIENCE and losses[0] - losses[-1] < tolerance * losses[0]
    return replace(after, losses=losses, finished=after.finished or settled)


def with_history(descent: DescentState, history: int) -> DescentState:
    """The same, with no more than that many pairs of L-BFGS's history, now and later."""
    solver = descent.solver
    if not isinstance(solver, lbfgs.LBFGSState):
        return descent
    shorter = replace(
        solver,
        limit=history,
        point_changes=solver.point_changes[-history:],
        gradient_changes=solver.gradient_changes[-history:],
    )
    return replace(descent, solver=shorter)


def _after_lbfgs(descent: DescentState, state: lbfgs.LBFGSState) -> DescentState:
    if state.outcome == "moved":
        return replace(descent, solver=state, point=state.point, evaluation=state.evaluation, note="")
    if state.outcome == "converged":
        return replace(descent, solver=state, note="", finished=True)
    if state.point_changes:
        fresh = replace(state, point_changes=(), gradient_changes=(), outcome="moved")
        return replace(descent, solver=fresh, note=f"L-BFGS {state.outcome}; its history is started anew")
    other = adam.start_at(descent.point, descent.evaluation, rate=descent.rate)
    other = replace(other, evaluations=state.evaluations)
    return replace(descent, solver=other, note=f"L-BFGS {state.outcome} again; Adam goes on")


def _after_adam(descent: DescentState, state: adam.AdamState) -> DescentState:
    if state.outcome == "moved":
        better = float(state.evaluation.loss) < float(descent.evaluation.loss)
        point, evaluation = (state.point, state.evaluation) if better else (descent.point, descent.evaluation)
        return replace(descent, solver=state, point=point, evaluation=evaluation, note="")
    if descent.restarts == MOST_RESTARTS:
        return replace(descent, note="Adam broke once more; the best image is kept", finished=True)
    fresh = adam.start_at(descent.point, descent.evaluation, rate=state.rate / 4)
    return replace(
        descent,
        solver=replace(fresh, evaluations=state.evaluations),
        restarts=descent.restarts + 1,
        note=f"Adam broke; it goes back to the best image with rate {fresh.rate:g}",
    )
