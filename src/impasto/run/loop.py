"""The run: solver steps, scale by scale, as a stream of progress."""

from collections.abc import Iterator
from typing import Any

from impasto.errors import OutOfMemoryError
from impasto.image.picture import Picture
from impasto.image.resize import resize
from impasto.results.painting import Painting
from impasto.run.checkpoint import Snapshot
from impasto.run.clock import Clock
from impasto.run.plan import WAY_OUT, Job
from impasto.run.progress import Progress
from impasto.run.scale_run import _Stage, _weighings
from impasto.run.scales import carry
from impasto.run.trace import _row, _thinned
from impasto.shapes import Image
from impasto.solve import descent
from impasto.system.distributed import least_of_all, ranks
from impasto.system.memory import hand_back, memory_errors, peak_memory


def run(job: Job, snapshot: Snapshot | None = None) -> Iterator[Progress]:
    """Descend, scale by scale; yields after every solver step.

    When the memory runs out, the run goes on in a layout that takes less (see `smaller`), and says so.

    Args:
        snapshot: where an earlier run of this job stood, to go on from there.
    Raises:
        OutOfMemoryError: the memory does not suffice for the least layout.
        DeviceError: the first loss is not finite, or another process of this run has ended.
    """
    at = snapshot or Snapshot(layouts=job.layouts)
    if any(layout.tile for layout in at.layouts):
        hand_back()
    clock = Clock(job.scales, gone=at.seconds, budget=job.budget)
    layouts, spent, trace, balance = list(at.layouts), at.spent, at.trace, at.balance
    below: Image | None = None
    weighed = 0
    for index, scale in list(enumerate(job.scales))[at.scale :]:
        stage = _Stage(job, scale, layouts[index], balance)
        state, step = (at.descent, at.step) if index == at.scale else (None, 0)
        if state is not None:
            clock.resume(index, step)
            yield _progress(job, at, clock, "")
        while not _is_over(clock, index, step) and not (state and state.finished):
            try:
                with memory_errors(f"a picture of {scale.width}×{scale.height}", WAY_OUT):
                    state = stage.begin(below) if state is None else stage.turned(state, index, step)
                    if index == 0 and step in _weighings(scale.steps) and step != weighed:
                        state, weighed = stage.weighed(state), step
                    state = descent.step(stage.evaluate, state, tolerance=job.tolerance)
            except OutOfMemoryError:
                if ranks() > 1 or not stage.step_down():
                    raise
                layouts[index] = stage.layout
                state = state and descent.forgetting(state, stage.layout.history)
                continue
            step, job = step + 1, stage.job
            clock.tick(index, step)
            trace = (*trace, _row(index, step, clock.seconds, state.here))
            balance = stage.balance
            here = Snapshot(
                index, step, spent, clock.seconds, tuple(layouts), state, stage.band, trace, balance
            )
            yield _progress(job, here, clock, stage.said())
        if state is None:
            break  # there is no time for this scale, nor for finer ones
        below = stage.band.gather(state.image)
        spent += state.solver.evaluations


def finish(job: Job, last: Progress) -> Painting:
    """The picture as it stands at `last`, at the size that was asked for, with its alpha and manifest."""
    height, width = job.canvas
    here = last.snapshot()
    assert here.descent is not None, "a step has been taken"
    assert here.band is not None, "in some band"
    image = here.band.gather(here.descent.image).detach().float()
    if job.detailed and not job.noisy and here.scale < len(job.scales) - 1:
        image = carry(image, job.first(job.scales[-1]))
    image = image.cpu()
    picture = Picture(
        pixels=job.finishing(resize(image.clamp(0, 1), height, width).clamp(0, 1)),
        alpha=None if job.alpha is None else resize(job.alpha, height, width).clamp(0, 1),
        name="painting",
    )
    result: dict[str, Any] = {
        "width": width,
        "height": height,
        "complete": last.eta == 0 and (last.scale == last.scales or job.budget is not None),
        "loss": last.loss,
        "by_term": last.by_term,
        "evaluations": last.evaluations,
        "seconds": round(last.seconds, 3),
        "balance": here.balance,
    }
    if job.judge is not None:
        result |= job.judge(picture.pixels.to(job.network.device))
    trace = {"columns": ["scale", "step", "seconds", "loss", *last.by_term], "rows": _thinned(here.trace)}
    return Painting(picture, {**last.manifest, "result": result, "trace": trace})


def _is_over(clock: Clock, index: int, step: int) -> bool:
    """Whether a scale ends here, for all processes alike: by the clock, when all of theirs say so."""
    over = clock.is_over(index, step)
    return over if clock.budget is None else bool(least_of_all(over))


def complete(job: Job, snapshot: Snapshot | None = None) -> Painting:
    """Run a job to its end, from where an earlier run of it stood if that is given."""
    *_, last = run(job, snapshot)
    return finish(job, last)


def _progress(job: Job, here: Snapshot, clock: Clock, note: str) -> Progress:
    scale, state, band = job.scales[here.scale], here.descent, here.band
    assert state is not None, "a step has been taken"
    assert band is not None, "in some band"
    image = state.image
    later = range(here.scale + 1, len(job.scales))
    ended = state.finished or _is_over(clock, here.scale, here.step)
    last = ended and all(_is_over(clock, index, 0) for index in later)
    return Progress(
        scale=here.scale + 1,
        scales=len(job.scales),
        height=scale.height,
        width=scale.width,
        step=here.step,
        steps=scale.steps if job.budget is None else max(scale.steps, here.step),
        loss=float(state.here.loss),
        by_term=state.here.by_term,
        evaluations=here.spent + state.solver.evaluations,
        seconds=clock.seconds,
        eta=0.0 if last else clock.eta,
        precision=job.manifest["precision"],
        peak_memory=peak_memory(job.network.device),
        image=lambda: job.finishing(band.gather(image).detach().float().clamp(0, 1).cpu()),
        snapshot=lambda: here,
        manifest=job.manifest,
        note="; ".join(filter(None, (note, state.note))),
    )
