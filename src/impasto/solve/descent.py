"""A run of one solver on one image size, which notices when it goes wrong and recovers."""

from dataclasses import dataclass, replace

from impasto.choices import Optimizer
from impasto.errors import DeviceError
from impasto.objective.evaluate import Evaluate, Evaluation
from impasto.shapes import Image
from impasto.solve import adam, lbfgs

PATIENCE = 10
"""Steps of L-BFGS over which the fall of the loss is judged."""

MOST_RESTARTS = 4
"""Adam's rate is cut to a quarter at each; after these, 50 steps move a pixel by less than 1/255."""


@dataclass(frozen=True)
class Descent:
    """Where a run stands.

    Attributes:
        solver: the solver's own state.
        image: the best image so far.
        here: the objective there.
        restarts: Adam's so far.
        note: what went wrong in the last step and what was done about it, else "".
        finished: nothing further can be gained, or too little.
        losses: the last `PATIENCE` + 1, oldest first.
    """

    solver: lbfgs.State | adam.State
    image: Image
    here: Evaluation
    restarts: int = 0
    note: str = ""
    finished: bool = False
    losses: tuple[float, ...] = ()


def start(evaluate: Evaluate, image: Image, *, method: Optimizer = "lbfgs", history: int = 20) -> Descent:
    """A run about to take its first step; evaluates once.

    Raises:
        DeviceError: loss or gradient at the start is not finite, which no solver can mend.
    """
    solver = (
        lbfgs.start(evaluate, image, history=history) if method == "lbfgs" else adam.start(evaluate, image)
    )
    if solver.outcome == "broken":
        raise DeviceError(
            f"the loss of the first image is {float(solver.here.loss)} or its gradient is not finite. "
            "Use --precision float32 or smaller weights."
        )
    return Descent(solver, image, solver.here)


def step(evaluate: Evaluate, descent: Descent, *, tolerance: float = 0.0) -> Descent:
    """One step. A step that fails leaves the best image as it was, says so in `note`, and prepares the next.

    L-BFGS first forgets its history; failing again, it gives way to Adam. Adam, failing, goes back to the
    best image with a quarter of its rate, and after `MOST_RESTARTS` of these the run is finished.

    Args:
        tolerance: L-BFGS is finished when `PATIENCE` steps together lower the loss by less than this share
            of it. (Adam's loss goes up and down, so that a rest proves nothing.)
    """
    solver = descent.solver
    if not isinstance(solver, lbfgs.State):
        return _after_adam(descent, adam.step(evaluate, solver))
    after = _after_lbfgs(descent, lbfgs.step(evaluate, solver))
    losses = (*descent.losses, float(after.here.loss))[-PATIENCE - 1 :]
    settled = len(losses) > PATIENCE and losses[0] - losses[-1] < tolerance * losses[0]
    return replace(after, losses=losses, finished=after.finished or settled)


def forgetting(descent: Descent, history: int) -> Descent:
    """The same, with no more than that many pairs of L-BFGS's history, now and later."""
    solver = descent.solver
    if not isinstance(solver, lbfgs.State):
        return descent
    shorter = replace(solver, limit=history, moves=solver.moves[-history:], turns=solver.turns[-history:])
    return replace(descent, solver=shorter)


def _after_lbfgs(descent: Descent, state: lbfgs.State) -> Descent:
    if state.outcome == "moved":
        return Descent(state, state.image, state.here, descent.restarts)
    if state.outcome == "converged":
        return replace(descent, solver=state, note="", finished=True)
    if state.moves:
        fresh = replace(state, moves=(), turns=(), outcome="moved")
        return replace(descent, solver=fresh, note=f"L-BFGS {state.outcome}; its history is started anew")
    other = replace(adam.start_at(descent.image, descent.here), evaluations=state.evaluations)
    return replace(descent, solver=other, note=f"L-BFGS {state.outcome} again; Adam goes on")


def _after_adam(descent: Descent, state: adam.State) -> Descent:
    if state.outcome == "moved":
        better = float(state.here.loss) < float(descent.here.loss)
        image, here = (state.image, state.here) if better else (descent.image, descent.here)
        return Descent(state, image, here, descent.restarts)
    if descent.restarts == MOST_RESTARTS:
        return replace(descent, note="Adam broke once more; the best image is kept", finished=True)
    fresh = adam.start_at(descent.image, descent.here, rate=state.rate / 4)
    return replace(
        descent,
        solver=replace(fresh, evaluations=state.evaluations),
        restarts=descent.restarts + 1,
        note=f"Adam broke; it goes back to the best image with rate {fresh.rate:g}",
    )
