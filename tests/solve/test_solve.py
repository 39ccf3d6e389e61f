"""Solvers agree with SciPy and PyTorch, ignore the scale of the loss, and recover from bad values."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
import torch
from scipy.optimize import minimize

from impasto.errors import DeviceError
from impasto.objective.evaluate import Evaluate, Evaluation
from impasto.run.scales import FINEST_LEVELS, LEVELS, Scale, coarse_to_fine, solved_as_pyramid
from impasto.shapes import Image
from impasto.solve import adam, descent, lbfgs

SHAPE = (1, 3, 4, 5)
Loss = Callable[[torch.Tensor], torch.Tensor]


def evaluator(loss: Loss, scale: float = 1.0) -> Evaluate:
    def evaluate(image: Image) -> Evaluation:
        pixels = image.detach().requires_grad_(True)
        value = scale * loss(pixels)
        (gradient,) = torch.autograd.grad(value, pixels)
        return Evaluation(value.detach(), gradient, ("loss",), value.detach()[None])

    return evaluate


def rosenbrock(image: torch.Tensor) -> torch.Tensor:
    x = image.flatten()
    return (100 * (x[1:] - x[:-1] ** 2) ** 2 + (1 - x[:-1]) ** 2).sum()


def quadratic(image: torch.Tensor) -> torch.Tensor:
    weights = torch.logspace(0, 3, image.numel(), dtype=image.dtype)
    return (weights * (image.flatten() - 0.3) ** 2).sum() + 1


def initial() -> torch.Tensor:
    return torch.zeros(SHAPE, dtype=torch.float64)


def test_lbfgs_finds_the_minimum_that_scipy_finds() -> None:
    evaluate = evaluator(rosenbrock)
    state = lbfgs.start(evaluate, initial())
    for _ in range(400):
        state = lbfgs.step(evaluate, state)

    def loss_and_gradient(x: np.ndarray) -> tuple[float, np.ndarray]:
        evaluation = evaluate(torch.from_numpy(x).reshape(SHAPE))
        return float(evaluation.loss), evaluation.gradient.flatten().numpy()

    expected = minimize(
        loss_and_gradient, np.zeros(60), jac=True, method="L-BFGS-B", options={"maxiter": 1000}
    )
    assert float(state.evaluation.loss) < 1e-8
    np.testing.assert_allclose(state.point.flatten().numpy(), expected.x, atol=1e-3)


def test_lbfgs_falls_at_every_step_and_counts_its_evaluations() -> None:
    calls = 0

    def counted(image: Image) -> Evaluation:
        nonlocal calls
        calls += 1
        return evaluator(rosenbrock)(image)

    state = lbfgs.start(counted, initial())
    for _ in range(60):
        before = float(state.evaluation.loss)
        state = lbfgs.step(counted, state)
        assert float(state.evaluation.loss) < before
        assert state.evaluations == calls


@pytest.mark.parametrize("scale", [1e-6, 1e6])
@pytest.mark.parametrize("solver", [lbfgs, adam])
def test_the_scale_of_the_loss_does_not_change_the_steps(solver: object, scale: float) -> None:
    """With the smaller of these scales torch.optim.LBFGS silently becomes gradient descent."""
    images = []
    for factor in (1.0, scale):
        evaluate = evaluator(quadratic, factor)
        state = solver.start(evaluate, initial())  # type: ignore[attr-defined]
        for _ in range(15):
            state = solver.step(evaluate, state)  # type: ignore[attr-defined]
        images.append(state.point)
    torch.testing.assert_close(images[0], images[1], rtol=1e-6, atol=1e-8)


def test_the_inverse_hessian_satisfies_the_secant_equation() -> None:
    """H y = s for the newest pair (Nocedal and Wright 2006, Eq. 6.6), whatever the older pairs."""
    generator = torch.Generator().manual_seed(0)
    point_changes = tuple(torch.randn(SHAPE, generator=generator, dtype=torch.float64) for _ in range(4))
    gradient_changes = tuple(
        change * 3 + 0.1 * torch.randn(SHAPE, generator=generator, dtype=torch.float64)
        for change in point_changes
    )
    torch.testing.assert_close(
        lbfgs.inverse_hessian_times(gradient_changes[-1], point_changes, gradient_changes), point_changes[-1]
    )


def test_history_is_bounded_and_pairs_without_curvature_are_dropped() -> None:
    evaluate = evaluator(rosenbrock)
    state = lbfgs.start(evaluate, initial(), history=3)
    for _ in range(8):
        state = lbfgs.step(evaluate, state)
    assert len(state.point_changes) == len(state.gradient_changes) == 3
    flat = evaluator(lambda image: image.sum() + 100)
    flat_state = lbfgs.step(flat, lbfgs.start(flat, initial()))
    assert flat_state.outcome == "moved"
    assert flat_state.point_changes == ()


def test_adam_equals_pytorchs_adam() -> None:
    evaluate = evaluator(quadratic)
    state = adam.start(evaluate, initial(), rate=0.05)
    parameter = initial().requires_grad_(True)
    optimizer = torch.optim.Adam([parameter], lr=0.05, betas=adam.DECAY, eps=1e-12)
    for _ in range(20):
        state = adam.step(evaluate, state)
        optimizer.zero_grad()
        quadratic(parameter).backward()
        optimizer.step()
    torch.testing.assert_close(state.point, parameter.detach(), rtol=1e-5, atol=1e-6)


def test_resumed_steps_equal_uninterrupted_ones() -> None:
    """The state is complete: a run from a copy of it continues bit for bit."""
    evaluate = evaluator(rosenbrock)
    state = lbfgs.start(evaluate, initial())
    for _ in range(10):
        state = lbfgs.step(evaluate, state)
    copied = replace(
        state, point=state.point.clone(), point_changes=tuple(m.clone() for m in state.point_changes)
    )
    for _ in range(10):
        state, copied = lbfgs.step(evaluate, state), lbfgs.step(evaluate, copied)
    assert torch.equal(state.point, copied.point)


def broken_after(good: int, loss: Loss = rosenbrock, *, for_calls: int = 10**9) -> Evaluate:
    """An evaluator that gives NaN after `good` calls, for `for_calls` calls."""
    calls = 0

    def evaluate(image: Image) -> Evaluation:
        nonlocal calls
        calls += 1
        evaluation = evaluator(loss)(image)
        if good < calls <= good + for_calls:
            nan = torch.full_like(evaluation.loss, torch.nan)
            return Evaluation(
                nan, torch.full_like(evaluation.gradient, torch.nan), evaluation.names, nan[None]
            )
        return evaluation

    return evaluate


def test_after_a_nan_the_run_continues_with_a_new_history() -> None:
    evaluate = broken_after(6, for_calls=lbfgs.TRIALS)
    state = descent.start(evaluate, initial())
    notes = []
    for _ in range(40):
        before = state
        state = descent.step(evaluate, state)
        notes += [state.note] if state.note else []
        assert float(state.evaluation.loss) <= float(before.evaluation.loss)
    assert notes == ["L-BFGS stalled; its history is started anew"]
    assert bool(torch.isfinite(state.point).all())


def test_a_run_that_gives_only_nan_ends_with_the_best_image() -> None:
    evaluate = broken_after(6)
    state = descent.start(evaluate, initial())
    losses, notes = [float(state.evaluation.loss)], []
    for _ in range(30):
        state = descent.step(evaluate, state)
        losses.append(float(state.evaluation.loss))
        notes += [state.note] if state.note else []
        if state.finished:
            break
    assert state.finished
    assert losses == sorted(losses, reverse=True)
    assert float(evaluator(rosenbrock)(state.point).loss) == losses[-1]
    assert [note.split(";")[0] for note in notes] == [
        "L-BFGS stalled",
        "L-BFGS stalled again",
        *["Adam broke"] * descent.MOST_RESTARTS,
        "Adam broke once more",
    ]


def test_a_nan_at_the_start_is_an_error_with_advice() -> None:
    with pytest.raises(DeviceError, match=r"loss of the first image is nan.*--precision float32"):
        descent.start(broken_after(0), initial())


def test_a_run_recovers_from_a_nan_in_the_gradient_alone() -> None:
    calls = 0

    def evaluate(image: Image) -> Evaluation:
        nonlocal calls
        calls += 1
        evaluation = evaluator(rosenbrock)(image)
        bad = torch.full_like(evaluation.gradient, torch.nan)
        return replace(evaluation, gradient=bad) if 6 < calls <= 6 + lbfgs.TRIALS else evaluation

    state = descent.start(evaluate, initial())
    for _ in range(20):
        state = descent.step(evaluate, state)
    assert bool(torch.isfinite(state.point).all())
    assert float(state.evaluation.loss) < 60


def test_a_converged_run_is_finished() -> None:
    evaluate = evaluator(quadratic)
    state = descent.start(evaluate, initial())
    for _ in range(200):
        state = descent.step(evaluate, state)
        if state.finished:
            break
    assert state.finished
    assert float(state.evaluation.loss) == pytest.approx(1, rel=1e-5)


def test_adam_keeps_the_best_image() -> None:
    evaluate = evaluator(quadratic)
    state = descent.start(evaluate, initial(), descent.Solver("adam"))
    lowest = float("inf")
    for _ in range(50):
        state = descent.step(evaluate, state)
        lowest = min(lowest, float(state.solver.evaluation.loss))
        assert float(state.evaluation.loss) <= float(evaluator(quadratic)(initial()).loss)
    assert float(state.evaluation.loss) == lowest


def test_coarse_to_fine_halves_the_size_and_spreads_the_steps() -> None:
    assert coarse_to_fine(384, 512, scales=0, steps=60, finest=12) == (
        Scale(96, 128, 60),
        Scale(192, 256, 27),
        Scale(384, 512, 12),
    )
    assert [s.steps for s in coarse_to_fine(384, 512, scales=0, steps=60, finest=0)] == [60, 15, 0]
    assert [s.steps for s in coarse_to_fine(384, 512, scales=2, steps=3, finest=0)] == [3, 0]
    assert [s.steps for s in coarse_to_fine(384, 512, scales=1, steps=60, finest=0)] == [60]
    for finest, expected in ((12, [LEVELS, LEVELS, FINEST_LEVELS]), (0, [LEVELS, FINEST_LEVELS, LEVELS])):
        scales = coarse_to_fine(384, 512, scales=0, steps=60, finest=finest)
        assert [s.level_steps for s in solved_as_pyramid(scales, "adam")] == expected
    assert coarse_to_fine(384, 512, scales=1, steps=60, finest=12) == (Scale(384, 512, 60),)
    assert [s.width for s in coarse_to_fine(60, 120, scales=0, steps=5, finest=5)] == [120]
    assert [s.width for s in coarse_to_fine(3, 7, scales=5, steps=5, finest=5)][-1] == 7


@pytest.mark.parametrize("scale", [1e-6, 1.0, 1e6])
def test_a_run_ends_when_the_loss_hardly_falls(scale: float) -> None:
    """It ends after ten steps that together gain less than the tolerance, at any scale of the loss."""
    evaluate, tolerance = evaluator(lambda image: quadratic(image) + 10, scale), 0.01
    run, losses = descent.start(evaluate, initial()), []
    while not run.finished:
        run = descent.step(evaluate, run, tolerance=tolerance)
        losses.append(float(run.evaluation.loss))
    falls = [1 - later / earlier for earlier, later in zip(losses, losses[10:], strict=False)]
    assert len(falls) > 1
    assert falls[-1] < tolerance
    assert all(fall >= tolerance for fall in falls[:-1])
    endless = descent.start(evaluate, initial())
    for _ in range(len(losses)):
        endless = descent.step(evaluate, endless)
    assert not endless.finished
    assert float(endless.evaluation.loss) == losses[-1]
