"""Adam: a first-order solver that cannot stall, one step at a time over an explicit state."""

import math
from dataclasses import dataclass, replace

import torch

from impasto.objective.evaluate import Evaluate, Evaluation
from impasto.shapes import Point
from impasto.solve.lbfgs import norm, pixels

DECAY = (0.9, 0.99)
"""β₁ and β₂. Kingma and Ba's β₂ is 0.999; 0.99 forgets sooner, which suits a few hundred steps."""

RATE = 0.02
"""Step length in units of the image's 0..1: about what one step of a painting changes a pixel by."""


@dataclass(frozen=True)
class AdamState:
    """All that the next step depends on.

    Attributes:
        point: the point to be stepped from.
        evaluation: the objective there.
        mean, square: running averages of the gradient and of its square, the point's shape.
        rate: the step length, in units of the image's 0..1.
        steps: how many have been taken.
        evaluations: value-and-gradients spent so far.
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
    """The state before the first step; evaluates once."""
    return start_at(point, evaluate(point), rate=rate)


def start_at(point: Point, evaluation: Evaluation, *, rate: float = RATE) -> AdamState:
    """The state before the first step, from a point that has been evaluated already."""
    return AdamState(
        point,
        evaluation,
        torch.zeros_like(point),
        torch.zeros_like(point),
        rate,
        outcome=_outcome(evaluation),
    )


def step(evaluate: Evaluate, state: AdamState) -> AdamState:
    """One step: one evaluation.

    Kingma and Ba 2015 (arXiv:1412.6980), Algorithm 1.
    Differs: ε is 1e-8 of the root-mean-square of the averaged gradient, not 1e-8, so that multiplying the
    objective by any positive number changes nothing but the loss that is reported.
    """
    steps = state.steps + 1
    mean = torch.lerp(state.evaluation.gradient, state.mean, DECAY[0])
    square = torch.lerp(state.evaluation.gradient.square(), state.square, DECAY[1])
    unbiased = mean / (1 - DECAY[0] ** steps)
    spread = (square / (1 - DECAY[1] ** steps)).sqrt()
    tiny = 1e-8 * norm(spread) / pixels(spread) ** 0.5
    # A pixel whose gradient has always been 0 stays where it is: 0/0 is not a step.
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
        outcome=_outcome(evaluation),
    )


def _outcome(evaluation: Evaluation) -> str:
    finite = math.isfinite(float(evaluation.loss)) and math.isfinite(norm(evaluation.gradient))
    return "moved" if finite else "broken"
