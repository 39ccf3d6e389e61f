"""The run: solver steps, scale by scale, as a stream of progress."""

from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from typing import Any

from impasto.image.picture import Picture
from impasto.image.resize import resize
from impasto.results.painting import Painting
from impasto.run.checkpoint import Snapshot
from impasto.run.clock import Clock
from impasto.run.plan import RunPlan
from impasto.run.progress import Progress
from impasto.run.scale_run import ScaleRun
from impasto.run.steering import Steering
from impasto.run.trace import thinned
from impasto.shapes import Image
from impasto.system.distributed import all_min
from impasto.system.memory import peak_memory, return_freed_memory


def iter_run(
    plan: RunPlan, snapshot: Snapshot | None = None, *, steering: Steering | None = None
) -> Iterator[Progress]:
    """Run a plan scale by scale, and yield after every solver step.

    If memory runs out, the run continues in a layout that needs less (see `next_smaller`), and says so in
    `Progress.note`.

    Args:
        plan: the problem and how to solve it.
        snapshot: the state of an earlier run of this plan, to continue from.
        steering: changes the plan between steps.
    Raises:
        OutOfMemoryError: the memory does not suffice for the smallest layout.
        DeviceError: the first loss is not finite, or another process of this run has ended.
    """
    state = snapshot or Snapshot(layouts=plan.layouts)
    # Tiles have many sizes, and the allocator kept up to 300 MB of them (docs/performance.md).
    if any(layout.tile for layout in state.layouts):
        return_freed_memory()
    clock = Clock(plan.scales, elapsed=state.seconds, budget=plan.budget)
    if state.descent is not None:
        clock.resume(state.scale, state.step)
        yield _progress(plan, state, clock, "")
    below: Image | None = None
    for index in range(state.scale, len(plan.stages)):
        scale_run = ScaleRun(plan, state, below)
        while not is_over(clock, index, scale_run.step) and not scale_run.finished:
            if not scale_run.advance(steering):
                continue
            plan = scale_run.plan  # steering may have changed it
            clock.tick(index, scale_run.step)
            state = scale_run.snapshot(state, clock.seconds)
            yield _progress(plan, state, clock, scale_run.take_note())
        if state.descent is None or state.space is None:
            return  # there is no time for this scale, nor for finer ones
        below = state.space.whole_image(state.descent.point)
        state = _at_next_scale(state)


def _at_next_scale(state: Snapshot) -> Snapshot:
    """Return the state of the run before the first step of the next scale."""
    assert state.descent is not None, "a step has been taken"
    spent = state.spent + state.descent.solver.evaluations
    return replace(state, scale=state.scale + 1, step=0, spent=spent, descent=None, space=None, matches=())


def _painting(plan: RunPlan, last: Progress) -> Painting:
    """Make the painting from a step: at the final size, with its alpha and manifest."""
    problem, (height, width) = plan.problem, plan.canvas
    state = last.snapshot()
    assert state.descent is not None, "a step has been taken"
    assert state.space is not None, "a descent has a space"
    image = state.space.whole_image(state.descent.point).detach().float()
    complete = last.eta == 0 and (last.scale == last.scales or plan.budget is not None)
    if complete and state.scale < len(plan.stages) - 1:  # without steps, or without time for them
        below, stage = plan.stages[state.scale : state.scale + 2]
        image = problem.next_image(image, below.scale, stage.scale, stage.layout)
    if image.shape[2:] != (height, width):
        image = problem.enlarged(image, plan.scales[-1])
    picture = Picture(
        pixels=problem.finish(image.cpu().clamp(0, 1)),
        alpha=None if problem.alpha is None else resize(problem.alpha, height, width).clamp(0, 1),
        name="painting",
    )
    result: dict[str, Any] = {
        "width": width,
        "height": height,
        "complete": complete,
        "loss": last.loss,
        "by_term": last.by_term,
        "evaluations": last.evaluations,
        "seconds": round(last.seconds, 3),
        "balance": state.style_factor,
    }
    result |= problem.report(picture.pixels.to(problem.network.device))
    trace = {"columns": ["scale", "step", "seconds", "loss", *state.terms], "rows": thinned(state.trace)}
    return Painting(picture, {**last.manifest, "result": result, "trace": trace})


def is_over(clock: Clock, index: int, step: int) -> bool:
    """Return whether the scale ends now, for all processes alike.

    With a budget, it ends when the clocks of all processes agree.
    """
    over = clock.is_over(index, step)
    # Without a budget steps are counted, and all processes count alike.
    return over if clock.budget is None else bool(all_min(over))


def complete(
    plan: RunPlan, snapshot: Snapshot | None = None, *, steering: Steering | None = None
) -> Painting:
    """Run a plan to its end.

    Args:
        plan, snapshot, steering: as in `iter_run`.
    Raises:
        OutOfMemoryError, DeviceError: as `iter_run`.
    """
    *_, last = iter_run(plan, snapshot, steering=steering)
    return last.painting()


def _progress(plan: RunPlan, snapshot: Snapshot, clock: Clock, note: str) -> Progress:
    """Describe the newest step."""
    scale, state, space = plan.scales[snapshot.scale], snapshot.descent, snapshot.space
    assert state is not None, "a step has been taken"
    assert space is not None, "a descent has a space"
    point = state.point
    later = range(snapshot.scale + 1, len(plan.stages))
    ended = state.finished or is_over(clock, snapshot.scale, snapshot.step)
    last = ended and all(is_over(clock, index, 0) for index in later)
    return Progress(
        scale=snapshot.scale + 1,
        scales=plan.solved,
        height=scale.height,
        width=scale.width,
        step=snapshot.step,
        steps=scale.steps if plan.budget is None else max(scale.steps, snapshot.step),
        loss=float(state.evaluation.loss),
        by_term=state.evaluation.by_term,
        evaluations=snapshot.spent + state.solver.evaluations,
        seconds=clock.seconds,
        eta=0.0 if last else clock.eta,
        precision=plan.manifest["precision"],
        peak_memory=peak_memory(plan.problem.network.device),
        image=lambda: plan.problem.finish(space.whole_image(point).detach().float().clamp(0, 1).cpu()),
        snapshot=lambda: snapshot,
        manifest=plan.manifest,
        # No closure over the step itself: a cycle would keep its vectors until garbage is collected.
        _finish=partial(_painting, plan),
        note="; ".join(filter(None, (note, state.note))),
    )
