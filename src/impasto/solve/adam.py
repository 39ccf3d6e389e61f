"""Adam: a first-order solver that cannot stall, one step at a time over an explicit state."""

from dataclasses import dataclass, replace

import torch

from impasto.objective.evaluate import Evaluate, Evaluation
from impasto.shapes import Point
from impasto.solve.lbfgs import norm, outcome_at, pixels

DECAY = (0.9, 0.99)
"""β₁ and β₂. Kingma and Ba use 0.999 for β₂. With 0.99 the average forgets sooner, which suits runs of a few
hundred steps."""

RATE = 0.02
"""Step length in units of the image's 0..1: about how far one step moves a pixel."""


@dataclass(frozen=True)
class AdamState:
    """All that the next step depends on.

    Attributes:
        point: the point that the next step starts from.
        evaluation: the objective at the point.
        mean, square: running averages of the gradient and of its square, both of the point's shape.
        rate: the step length, in units of the image's 0..1.
        steps: steps taken so far.
        evaluations: evaluations of value and gradient so far.
        outcome: "moved"; "broken": the gradient is not finite.
    """

    point: Point
    evaluation: Evaluation
    mean: Point
    square: Point
    rate: float
    steps: int = 0
    evaluations: int = 1
    outcome: str = "moved"


def start(evaluate: Evaluate, point: Point, *, rate: float = RATE) -> AdamState:
    """Evaluate the objective once, and return the state before the first step.

    Args:
        evaluate: gives loss and gradient at a point.
        point: where to start.
        rate: the step length, in units of the image's 0..1.
    """
    return start_at(point, evaluate(point), rate=rate)


def start_at(point: Point, evaluation: Evaluation, *, rate: float = RATE) -> AdamState:
    """Return the state before the first step at a point that has already been evaluated.

    Args:
        point: where to start.
        evaluation: the objective at the point.
        rate: the step length, in units of the image's 0..1.
    """
    zero = torch.zeros_like(point)
    return AdamState(point, evaluation, zero, zero, rate, outcome=outcome_at(evaluation))


def step(evaluate: Evaluate, state: AdamState) -> AdamState:
    """Take one step, which costs one evaluation.

    Kingma and Ba 2015 (arXiv:1412.6980), Algorithm 1.
    Differs: ε is not 1e-8 but 1e-8 times the root-mean-square of the averaged gradient. A positive factor on
    the objective therefore changes the reported loss and nothing else.

    Args:
        evaluate: gives loss and gradient at a point.
        state: before the step.
    Returns:
        the state after the step, whose outcome says whether it can be used.
    """
    steps = state.steps + 1
    mean = torch.lerp(state.evaluation.gradient, state.mean, DECAY[0])
    square = torch.lerp(state.evaluation.gradient.square(), state.square, DECAY[1])
    # Both averages start at 0; dividing by 1 − βᵗ removes that bias (the same Algorithm 1).
    unbiased = mean / (1 - DECAY[0] ** steps)
    spread = (square / (1 - DECAY[1] ** steps)).sqrt()
    tiny = 1e-8 * norm(spread) / pixels(spread) ** 0.5
    # A pixel whose gradient has always been 0 must not move, and 0/0 would make it NaN.
    change = torch.where(spread > 0, unbiased / (spread + tiny), 0.0)
    point = state.point - state.rate * change
    evaluation = evaluate(point)
    return replace(
        state,
        point=point,
        evaluation=evaluation,
        mean=mean,
        square=square,
        steps=steps,
        evaluations=state.evaluations + 1,
        outcome=outcome_at(evaluation),
    )
