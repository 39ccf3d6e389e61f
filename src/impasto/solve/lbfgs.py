"""L-BFGS: a quasi-Newton solver, one step at a time over an explicit state."""

import math
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from impasto.objective.evaluate import Evaluate, Evaluation
from impasto.shapes import Point, Scalar
from impasto.system.distributed import all_sum, world_size

FIRST_MOVE = 0.02
"""Root-mean-square change of the first trial step, in units of the image's 0..1. With a history, the solver
knows the scale by itself."""

SUFFICIENT = 1e-4
"""A step must gain this share of what the slope promises (Armijo; Nocedal and Wright 2006, Eq. 3.4)."""

CURVED = 1e-10
"""A pair is kept if y·s > CURVED ‖y‖ ‖s‖: relative, so that the scale of the loss does not matter.
torch.optim.LBFGS compares y·s with an absolute 1e-10 and with small losses silently drops every pair."""

TRIALS = 10
"""Step lengths tried before a line search is called stalled."""

RESOLUTION = 1e-7
"""A promised gain below this share of the loss is below what float32 can show: the solver has converged."""


@dataclass(frozen=True)
class LBFGSState:
    """All that the next step depends on.

    Attributes:
        point: the point reached; every step that moves lowers the loss.
        evaluation: the objective there.
        point_changes, gradient_changes: the last changes (s and y), oldest first, each of the point's shape.
        limit: how many of them are kept.
        evaluations: value-and-gradients spent so far.
        outcome: "moved"; "converged": no further gain can be seen; "stalled": no step along a direction of
            descent lowered the loss; "broken": the gradient is not finite.
    """

    point: Point
    evaluation: Evaluation
    point_changes: tuple[Point, ...] = ()
    gradient_changes: tuple[Point, ...] = ()
    limit: int = 20
    evaluations: int = 1
    outcome: str = "moved"


def start(evaluate: Evaluate, point: Point, *, history: int = 20) -> LBFGSState:
    """The state before the first step; evaluates once.

    Args:
        history: pairs kept; each costs two images of memory.
    """
    evaluation = evaluate(point)
    finite = math.isfinite(float(evaluation.loss)) and math.isfinite(norm(evaluation.gradient))
    return LBFGSState(point, evaluation, limit=history, outcome="moved" if finite else "broken")


def step(evaluate: Evaluate, state: LBFGSState) -> LBFGSState:
    """One step with a backtracking line search; mostly one evaluation.

    Liu and Nocedal 1989, "On the limited memory BFGS method for large scale optimization", Algorithm 2.1.
    Multiplying the objective by any positive number changes nothing but the loss that is reported.
    """
    direction = -inverse_hessian_times(state.evaluation.gradient, state.point_changes, state.gradient_changes)
    slope = float(_dot(state.evaluation.gradient, direction))
    loss = float(state.evaluation.loss)
    if slope == 0:
        return replace(state, outcome="converged")
    if not slope < 0:  # also when not a number
        return replace(state, outcome="broken" if slope != slope else "stalled")
    length = 1.0
    if not state.point_changes:
        length = FIRST_MOVE * pixels(state.point) ** 0.5 / norm(state.evaluation.gradient)

    spent, outcome = 0, "converged"
    while spent < TRIALS:
        if outcome == "converged" and -length * slope < RESOLUTION * abs(loss):
            return replace(state, outcome=outcome, evaluations=state.evaluations + spent)
        move = length * direction
        there = evaluate(state.point + move)
        spent += 1
        turn = there.gradient - state.evaluation.gradient
        bend = norm(turn)
        value = float(there.loss)
        if value <= loss + SUFFICIENT * length * slope and bend < float("inf"):
            return _accept(state, there, move, turn, spent)
        if not (value < float("inf") and bend < float("inf")):
            outcome = "stalled"  # something broke: that no gain is left to be seen proves nothing
        length *= _shrink(length, loss, slope, value)
    return replace(state, outcome="stalled", evaluations=state.evaluations + spent)


def _shrink(length: float, loss: float, slope: float, value: float) -> float:
    """How much shorter the next trial is: to the minimum of the parabola through what is known."""
    rise = value - loss - length * slope
    if not rise < float("inf"):
        return 0.1
    return min(max(-length * slope / (2 * rise), 0.1), 0.5)


def _accept(state: LBFGSState, there: Evaluation, move: Point, turn: Point, spent: int) -> LBFGSState:
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
    """H · vector by the two-loop recursion (Nocedal and Wright 2006, Algorithm 7.4).

    H₀ is the scaled identity (s·y)/(y·y) of the newest pair (Eq. 7.20), the identity without pairs.
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


def _dot(a: Point, b: Point) -> Scalar:
    """a · b, over the bands of all processes."""
    return all_sum(torch.dot(a.flatten(), b.flatten()))


def norm(point: Point) -> float:
    """‖point‖, over the bands of all processes."""
    local = point.norm()
    return float(local if world_size() == 1 else all_sum(local.square()).sqrt())


def pixels(point: Point) -> int:
    """How many numbers the point has, over the bands of all processes."""
    return int(all_sum(torch.tensor(point.numel(), device=point.device)))
