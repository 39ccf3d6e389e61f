"""The run: solver steps, scale by scale, as a stream of progress."""

from collections.abc import Iterator
from functools import partial
from typing import Any

from impasto.errors import OutOfMemoryError
from impasto.image.picture import Picture
from impasto.image.resize import resize
from impasto.results.painting import Painting
from impasto.run.checkpoint import Snapshot
from impasto.run.clock import Clock
from impasto.run.plan import ADVICE, RunPlan
from impasto.run.progress import Progress
from impasto.run.scale_run import ScaleRun, rebalance_steps, rematch_at
from impasto.run.scales import carry_detail
from impasto.run.trace import thinned, trace_row
from impasto.shapes import Image
from impasto.solve import descent
from impasto.system.distributed import all_min, world_size
from impasto.system.memory import memory_errors, peak_memory, return_freed_memory


def iter_run(plan: RunPlan, snapshot: Snapshot | None = None) -> Iterator[Progress]:
    """Descend, scale by scale; yields after every solver step.

    When the memory runs out, the run goes on in a layout that takes less (see `next_smaller`), and says so.

    Args:
        snapshot: where an earlier run of this job stood, to go on from there.
    Raises:
        OutOfMemoryError: the memory does not suffice for the least layout.
        DeviceError: the first loss is not finite, or another process of this run has ended.
    """
    at = snapshot or Snapshot(layouts=plan.layouts)
    if any(layout.tile for layout in at.layouts):
        return_freed_memory()
    clock = Clock(plan.scales, elapsed=at.seconds, budget=plan.budget)
    layouts, spent, trace, style_factor = list(at.layouts), at.spent, at.trace, at.style_factor
    below: Image | None = None
    rebalanced_at = rematched_at = 0
    for index, scale in list(enumerate(plan.scales))[at.scale :]:
        state, step = (at.descent, at.step) if index == at.scale else (None, 0)
        matches = at.matches if state is not None else ()
        stage, rematched_at = ScaleRun(plan, index, layouts[index], style_factor, matches), 0
        if state is not None:
            clock.resume(index, step)
            yield _progress(plan, at, clock, "")
        while not is_over(clock, index, step) and not (state and state.finished):
            try:
                with memory_errors(f"a picture of {scale.width}×{scale.height}", ADVICE):
                    state = stage.begin(below) if state is None else stage.steered(state, index, step)
                    if index == 0 and step in rebalance_steps(scale.steps) and step != rebalanced_at:
                        state, rebalanced_at = stage.rebalance(state), step
                    if rematch_at(step, scale, plan.rematch) and step != rematched_at:
                        state, rematched_at = stage.rematch(state), step
                    state = descent.step(stage.evaluate, state, tolerance=plan.tolerance)
            except OutOfMemoryError:
                if world_size() > 1 or not stage.use_smaller_layout():
                    raise
                layouts[index] = stage.layout
                state = state and descent.with_history(state, stage.layout.history)
                continue
            step, plan = step + 1, stage.job
            clock.tick(index, step)
            trace = trace.with_row(trace_row(index, step, clock.seconds, state.evaluation))
            style_factor = stage.style_factor
            here = Snapshot(
                scale=index,
                step=step,
                spent=spent,
                seconds=clock.seconds,
                layouts=tuple(layouts),
                descent=state,
                space=stage.space,
                trace=trace,
                style_factor=style_factor,
                matches=stage.matches,
            )
            yield _progress(plan, here, clock, stage.take_note())
        if state is None:
            break  # there is no time for this scale, nor for finer ones
        below = stage.space.whole_image(state.point)
        spent += state.solver.evaluations


def _painting(plan: RunPlan, last: Progress) -> Painting:
    """The picture as it stands at `last`, at the size that was asked for, with its alpha and manifest."""
    height, width = plan.canvas
    here = last.snapshot()
    assert here.descent is not None, "a step has been taken"
    assert here.space is not None, "in some space"
    image = here.space.whole_image(here.descent.point).detach().float()
    if plan.detail and not plan.noisy and here.scale < len(plan.scales) - 1:
        image = carry_detail(image, plan.initial_image(plan.scales[-1]), plan.detail)
    image = image.cpu()
    picture = Picture(
        pixels=plan.finish(resize(image.clamp(0, 1), height, width).clamp(0, 1)),
        alpha=None if plan.alpha is None else resize(plan.alpha, height, width).clamp(0, 1),
        name="painting",
    )
    result: dict[str, Any] = {
        "width": width,
        "height": height,
        "complete": last.eta == 0 and (last.scale == last.scales or plan.budget is not None),
        "loss": last.loss,
        "by_term": last.by_term,
        "evaluations": last.evaluations,
        "seconds": round(last.seconds, 3),
        "balance": here.style_factor,
    }
    if plan.report is not None:
        result |= plan.report(picture.pixels.to(plan.network.device))
    trace = {"columns": ["scale", "step", "seconds", "loss", *last.by_term], "rows": thinned(here.trace)}
    return Painting(picture, {**last.manifest, "result": result, "trace": trace})


def is_over(clock: Clock, index: int, step: int) -> bool:
    """Whether a scale ends here, for all processes alike: by the clock, when all of theirs say so."""
    over = clock.is_over(index, step)
    return over if clock.budget is None else bool(all_min(over))


def complete(plan: RunPlan, snapshot: Snapshot | None = None) -> Painting:
    """Run a job to its end, from where an earlier run of it stood if that is given."""
    *_, last = iter_run(plan, snapshot)
    return last.painting()


def _progress(plan: RunPlan, here: Snapshot, clock: Clock, note: str) -> Progress:
    scale, state, space = plan.scales[here.scale], here.descent, here.space
    assert state is not None, "a step has been taken"
    assert space is not None, "in some space"
    point = state.point
    later = range(here.scale + 1, len(plan.scales))
    ended = state.finished or is_over(clock, here.scale, here.step)
    last = ended and all(is_over(clock, index, 0) for index in later)
    return Progress(
        scale=here.scale + 1,
        scales=len(plan.scales),
        height=scale.height,
        width=scale.width,
        step=here.step,
        steps=scale.steps if plan.budget is None else max(scale.steps, here.step),
        loss=float(state.evaluation.loss),
        by_term=state.evaluation.by_term,
        evaluations=here.spent + state.solver.evaluations,
        seconds=clock.seconds,
        eta=0.0 if last else clock.eta,
        precision=plan.manifest["precision"],
        peak_memory=peak_memory(plan.network.device),
        image=lambda: plan.finish(space.whole_image(point).detach().float().clamp(0, 1).cpu()),
        snapshot=lambda: here,
        manifest=plan.manifest,
        # No closure over the step itself: a cycle would keep its vectors until garbage is collected.
        _finish=partial(_painting, plan),
        note="; ".join(filter(None, (note, state.note))),
    )
