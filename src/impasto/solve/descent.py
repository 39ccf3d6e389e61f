"""A descent at one image size, which notices when the solver fails and recovers."""

from dataclasses import dataclass, replace

from impasto.choices import Optimizer
from impasto.errors import DeviceError
from impasto.objective.evaluate import Evaluate, Evaluation
from impasto.shapes import Point
from impasto.solve import adam, lbfgs

PATIENCE = 10
"""Steps of L-BFGS over which the decrease of the loss is judged."""

MOST_RESTARTS = 4
"""Restarts of Adam at most. Each cuts the rate to a quarter. After four of them, 50 steps of the
default rate move a pixel by about 1/255, so more restarts would change nothing visible."""


@dataclass(frozen=True)
class Solver:
    """Which solver takes the steps of a run, and its parameters.

    Attributes:
        optimizer: L-BFGS or Adam.
        rate: Adam's step length, in units of the image's 0..1. It also holds if Adam takes over from L-BFGS.
        tolerance: L-BFGS finishes when `PATIENCE` steps together lower the loss by less than this fraction;
            0: never. Adam ignores it, because its loss goes up and down.
    """

    optimizer: Optimizer = "lbfgs"
    rate: float = adam.RATE
    tolerance: float = 0.0


@dataclass(frozen=True)
class DescentState:
    """The state of a descent between two steps.

    Attributes:
        solver: the state of the solver that takes the next step.
        point: the best point so far.
        evaluation: the objective at that point.
        restarts: restarts of Adam so far.
        note: what went wrong in the last step and how the descent recovered; "" if nothing did.
        finished: whether further steps would gain nothing, or too little.
        losses: L-BFGS's last `PATIENCE` + 1 losses, oldest first.
        rate: Adam's step length, in units of the image's 0..1, should it take over from L-BFGS.
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
    """Evaluate the objective once, and return the state before the first step.

    Args:
        evaluate: gives loss and gradient at a point.
        point: where to start.
        solver: L-BFGS or Adam, with its parameters.
        history: past steps L-BFGS keeps.
    Raises:
        DeviceError: the loss or the gradient at the start is not finite, so no solver can take a step.
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
    """Take one step. A failed step keeps the best point, explains itself in `note`, and prepares a recovery.

    When L-BFGS fails, it drops its history; when it fails again at once, Adam takes over. When Adam fails, it
    restarts from the best point with a quarter of its rate. After `MOST_RESTARTS` restarts the descent is
    finished.

    Args:
        evaluate: gives loss and gradient at a point.
        descent: the state before the step.
        tolerance: as in `Solver`.
    """
    solver = descent.solver
    if not isinstance(solver, lbfgs.LBFGSState):
        return _after_adam(descent, adam.step(evaluate, solver))
    after = _after_lbfgs(descent, lbfgs.step(evaluate, solver))
    losses = (*descent.losses, float(after.evaluation.loss))[-PATIENCE - 1 :]
    settled = len(losses) > PATIENCE and losses[0] - losses[-1] < tolerance * losses[0]
    return replace(after, losses=losses, finished=after.finished or settled)


def with_history(descent: DescentState, history: int) -> DescentState:
    """Limit L-BFGS to fewer past steps, now and later. Adam keeps none, so its state stays as it is.

    Args:
        descent: the state between two steps.
        history: past steps to keep, at least 1.
    """
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
    """Accept the step of L-BFGS, drop its history, or switch to Adam."""
    if state.outcome == "moved":
        return replace(descent, solver=state, point=state.point, evaluation=state.evaluation, note="")
    if state.outcome == "converged":
        return replace(descent, solver=state, note="", finished=True)
    # Without a history, the next step goes along the negative gradient, which always is a descent direction.
    if state.point_changes:
        fresh = replace(state, point_changes=(), gradient_changes=(), outcome="moved")
        return replace(descent, solver=fresh, note=f"L-BFGS {state.outcome}; its history is started anew")
    # The best point is evaluated already, so Adam takes over without another evaluation.
    other = adam.start_at(descent.point, descent.evaluation, rate=descent.rate)
    other = replace(other, evaluations=state.evaluations)
    return replace(descent, solver=other, note=f"L-BFGS {state.outcome} again; Adam goes on")


def _after_adam(descent: DescentState, state: adam.AdamState) -> DescentState:
    """Accept the step of Adam, remembering the best point, or restart it with a quarter of its rate."""
    if state.outcome == "moved":
        # Adam may go uphill, so its current point and the best point differ.
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
