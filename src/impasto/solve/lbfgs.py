"""L-BFGS: a quasi-Newton solver, one step at a time over an explicit state."""

import math
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from impasto.objective.evaluate import Evaluate, Evaluation
from impasto.shapes import Point, Scalar
from impasto.system.distributed import all_sum, world_size

FIRST_MOVE = 0.02
"""Root-mean-square change of the first trial step, in units of the image's 0..1. Later steps take their scale
from the history."""

SUFFICIENT = 1e-4
"""Fraction of the decrease predicted by the slope that a step must achieve (Armijo; Nocedal and Wright 2006,
Eq. 3.4)."""

CURVED = 1e-10
"""A pair is kept if y·s > CURVED ‖y‖ ‖s‖. The bound is relative, so the scale of the loss does not matter.
torch.optim.LBFGS compares y·s with an absolute 1e-10, and silently drops every pair if the loss is small."""

TRIALS = 10
"""Step lengths tried before the line search gives up."""

RESOLUTION = 1e-7
"""Smallest predicted decrease, as a fraction of the loss. Less is lost in float32's rounding, so the solver
has converged."""


@dataclass(frozen=True)
class LBFGSState:
    """All that the next step depends on.

    Attributes:
        point: the current point; every step that moves it lowers the loss.
        evaluation: the objective at the point.
        point_changes, gradient_changes: the last changes (s and y), oldest first, each of the point's shape.
        limit: number of changes to keep.
        evaluations: evaluations of value and gradient so far.
        outcome: "moved"; "converged": any further decrease would be below float32's precision; "stalled": no
            step along the direction lowered the loss enough; "broken": the gradient is not finite.
    """

    point: Point
    evaluation: Evaluation
    point_changes: tuple[Point, ...] = ()
    gradient_changes: tuple[Point, ...] = ()
    limit: int = 20
    evaluations: int = 1
    outcome: str = "moved"


def start(evaluate: Evaluate, point: Point, *, history: int = 20) -> LBFGSState:
    """Evaluate the objective once, and return the state before the first step.

    Args:
        evaluate: gives loss and gradient at a point.
        point: where to start.
        history: past steps to keep; each costs two vectors of the point's size.
    """
    evaluation = evaluate(point)
    return LBFGSState(point, evaluation, limit=history, outcome=outcome_at(evaluation))


def step(evaluate: Evaluate, state: LBFGSState) -> LBFGSState:
    """Take one step with a backtracking line search, which mostly costs one evaluation.

    Liu and Nocedal 1989, "On the limited memory BFGS method for large scale optimization", Algorithm 2.1.
    A positive factor on the objective changes the reported loss and nothing else.

    Args:
        evaluate: gives loss and gradient at a point.
        state: before the step.
    Returns:
        the state after the step; its point has moved only if its outcome is "moved".
    """
    direction = -inverse_hessian_times(state.evaluation.gradient, state.point_changes, state.gradient_changes)
    slope = float(_dot(state.evaluation.gradient, direction))
    loss = float(state.evaluation.loss)
    if slope == 0:
        return replace(state, outcome="converged")
    if not slope < 0:  # written this way so that NaN is caught as well
        return replace(state, outcome="broken" if slope != slope else "stalled")
    # Steps 1.3 and 1.7 times as long were tried: the same loss after as many steps.
    length = 1.0
    if not state.point_changes:
        length = FIRST_MOVE * pixels(state.point) ** 0.5 / norm(state.evaluation.gradient)

    spent, outcome = 0, "converged"
    while spent < TRIALS:
        if outcome == "converged" and -length * slope < RESOLUTION * abs(loss):
            return replace(state, outcome=outcome, evaluations=state.evaluations + spent)
        move = length * direction
        trial = evaluate(state.point + move)
        spent += 1
        turn = trial.gradient - state.evaluation.gradient
        bend = norm(turn)
        value = float(trial.loss)
        if value <= loss + SUFFICIENT * length * slope and bend < float("inf"):
            return _accept(state, trial, move, turn, spent)
        if not (value < float("inf") and bend < float("inf")):
            # Steps shortened because of an overflow promise little, which is no sign of convergence.
            outcome = "stalled"
        length *= _shrink(length, loss, slope, value)
    return replace(state, outcome="stalled", evaluations=state.evaluations + spent)


def _shrink(length: float, loss: float, slope: float, value: float) -> float:
    """Return the factor for the next trial length, 0.1..0.5.

    It leads to the minimum of the parabola through the loss, its slope and the trial's value (Nocedal and
    Wright 2006, section 3.5).
    """
    # NaN and infinity give no parabola.
    rise = value - loss - length * slope
    if not rise < float("inf"):
        return 0.1
    return min(max(-length * slope / (2 * rise), 0.1), 0.5)


def _accept(state: LBFGSState, there: Evaluation, move: Point, turn: Point, spent: int) -> LBFGSState:
    """Move to the evaluated point, and append the pair of changes if its curvature is positive."""
    # Without y·s > 0, the estimate of the inverse Hessian would lose its positive definiteness.
    point_changes, gradient_changes = state.point_changes, state.gradient_changes
    if state.limit and float(_dot(turn, move)) > CURVED * norm(turn) * norm(move):
        point_changes = (*point_changes, move)[-state.limit :]
        gradient_changes = (*gradient_changes, turn)[-state.limit :]
    return LBFGSState(
        point=state.point + move,
        evaluation=there,
        point_changes=point_changes,
        gradient_changes=gradient_changes,
        limit=state.limit,
        evaluations=state.evaluations + spent,
        outcome="moved",
    )


def inverse_hessian_times(
    vector: Point, point_changes: tuple[Point, ...], gradient_changes: tuple[Point, ...]
) -> Point:
    """Multiply a vector by the estimated inverse Hessian, by the two-loop recursion.

    Nocedal and Wright 2006, Algorithm 7.4. H₀ is the identity, scaled by (s·y)/(y·y) of the newest pair
    (Eq. 7.20); without pairs it is not scaled.

    Args:
        vector: the gradient, usually.
        point_changes, gradient_changes: s and y, oldest first, each of the vector's shape.
    """
    result = vector.clone()
    shares: list[Tensor] = []
    for move, turn in zip(reversed(point_changes), reversed(gradient_changes), strict=True):
        share = _dot(move, result) / _dot(move, turn)
        result.sub_(share * turn)
        shares.append(share)
    if point_changes:
        result.mul_(
            _dot(point_changes[-1], gradient_changes[-1]) / _dot(gradient_changes[-1], gradient_changes[-1])
        )
    for move, turn, share in zip(point_changes, gradient_changes, reversed(shares), strict=True):
        result.add_((share - _dot(turn, result) / _dot(move, turn)) * move)
    return result


def outcome_at(evaluation: Evaluation) -> str:
    """Return "moved", or "broken" if the loss or the gradient is not finite. Adam uses it too."""
    # One NaN or infinity makes the norm of the whole gradient not finite, so the norm is enough.
    finite = math.isfinite(float(evaluation.loss)) and math.isfinite(norm(evaluation.gradient))
    return "moved" if finite else "broken"


def _dot(a: Point, b: Point) -> Scalar:
    """Return a · b, summed over the bands of all processes."""
    return all_sum(torch.dot(a.flatten(), b.flatten()))


def norm(point: Point) -> float:
    """Return ‖point‖ over the bands of all processes."""
    local = point.norm()
    return float(local if world_size() == 1 else all_sum(local.square()).sqrt())


def pixels(point: Point) -> int:
    """Return how many numbers the point has over the bands of all processes."""
    return int(all_sum(torch.tensor(point.numel(), device=point.device)))
