"""A run that is ready to start, and the run: the same for every recipe that paints by descent."""

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch

from impasto.choices import Optimizer
from impasto.device import least_of_all, ranks
from impasto.errors import OutOfMemoryError
from impasto.image.picture import Picture
from impasto.image.resize import resize
from impasto.memory import hand_back, memory_errors, peak_memory
from impasto.network.vgg import VGG19
from impasto.objective.bands import Band
from impasto.objective.constraint import FREE, Constraint
from impasto.objective.evaluate import Evaluate, Evaluation, evaluator
from impasto.objective.objective import Objective
from impasto.recipes.clock import Clock
from impasto.recipes.progress import Painting, Progress
from impasto.recipes.settings import RunSettings
from impasto.shapes import Image, Mask
from impasto.solve import descent
from impasto.solve.checkpoint import Snapshot
from impasto.solve.plan import Layout, Needs, smaller
from impasto.solve.pyramid import Scale, carry

WAY_OUT = "Use a smaller --size, a shorter --history or --precision bfloat16."
"""When the memory runs out in the least layout."""


@dataclass(frozen=True)
class Job:
    """Everything a run needs, read and checked: nothing can go wrong any more for want of an input.

    Attributes:
        canvas: height and width in pixels of the picture to be made.
        scales: the plan, coarse to fine.
        network: on its device.
        objective: gives the objective at a scale in a layout.
        first: gives the image to start from at a scale.
        inputs: the pictures as read, by role.
        manifest: what is known before the run.
        needs: what memory and time depend on.
        others: gives height and width of the paintings measured for a scale, in pixels.
        layouts: how each scale is worked on.
        optimizer: the solver.
        detailed: whether the finer scales take up the fine detail of their `first` (see `carry`), as is good
            for pictures. Noise has none that one would want.
        noisy: whether what the run starts from has noise in it.
        tolerance: when a scale ends early (see `descent.step`).
        alpha: of the result, at any size, or None.
        judge: gives what else there is to say of the result, from its pixels at the canvas's size.
        constraint: gives what may not move at a scale; `first` has it already.
        content_error: what the content terms together, divided by their weight, are to reach: the style's
            weight is set by it at the coarsest scale. None: it is as it is.
        content_weight: of all content terms.
        budget: seconds that the run may take; scales then take as many steps as there is time for.
        finishing: what is done to an image, (1, 3, H, W) of any size on the CPU, before it is shown or saved.
        turn: asked before each step but the first, with the scale (from 0) and the steps taken there: gives
            the job to go on with if that is another one (see `turns.py`).
    """

    canvas: tuple[int, int]
    scales: tuple[Scale, ...]
    network: VGG19
    objective: Callable[[Scale, Layout], Objective]
    first: Callable[[Scale], Image]
    inputs: Mapping[str, Picture]
    manifest: dict[str, Any]
    needs: Needs
    others: Callable[[Scale], Sequence[tuple[int, int]]]
    layouts: tuple[Layout, ...] = ()
    optimizer: Optimizer = "lbfgs"
    detailed: bool = False
    noisy: bool = False
    tolerance: float = 0.0
    alpha: Mask | None = None
    judge: Callable[[Image], dict[str, float]] | None = None
    constraint: Callable[[Scale], Constraint] = lambda scale: FREE
    finishing: Callable[[Image], Image] = lambda image: image
    turn: "Callable[[int, int], Job | None]" = lambda scale, step: None
    content_error: float | None = None
    content_weight: float = 1.0
    budget: float | None = None


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


class _Stage:
    """One scale of a run: its layout, and the evaluation in it, built when it is needed."""

    def __init__(self, job: Job, scale: Scale, layout: Layout, balance: float) -> None:
        self.job, self.scale, self.layout, self.balance = job, scale, layout, balance
        self.band = Band.of(scale.height, scale.width, wrap=job.network.wrap)
        self.constraint = job.constraint(scale)
        self._objective: Objective | None = None
        self._evaluate: Evaluate | None = None
        self._note, self._stale = "", False

    def begin(self, below: Image | None) -> descent.Descent:
        """The descent before its first step, from what was reached at the scale below, if there was one."""
        first = self.job.first(self.scale) if below is None or self.job.detailed or self.constraint else None
        if below is None:
            assert first is not None, "a run starts from something"
            image = first
        elif first is not None and self.job.detailed:
            image = carry(below, first)
        else:
            image = resize(below, self.scale.height, self.scale.width)
        if first is not None:
            image = self.constraint.held(image, first)
        own = self.band.own(image).clone() if not self.band.alone else image
        return descent.start(self.evaluate, own, method=self.job.optimizer, history=self.layout.history)

    @property
    def evaluate(self) -> Evaluate:
        """The objective of this scale in this layout."""
        if self._evaluate is None:
            if self._objective is None:
                self._objective = self.job.objective(self.scale, self.layout)
            objective, tile = self._objective.with_style_times(self.balance), self.layout.tile
            free = evaluator(self.job.network, objective, tile=tile, band=self.band)
            self._evaluate = self.constraint.applied(free, self.band)
        return self._evaluate

    def weighed(self, state: descent.Descent) -> descent.Descent:
        """With the style's weight brought nearer to where the content reaches its aim; from the same image.

        The content's error was seen to grow with the style's weight to the power of 0.5 where half of the
        features are given up, of 1.5 where hardly any are.
        """
        content = sum(v for name, v in state.here.by_term.items() if name.startswith("content "))
        if self.job.content_error is None or not content:
            return state
        reached = content / self.job.content_weight
        power = min(1.5, max(0.5, 0.5 * (0.5 / self.job.content_error) ** 0.45))
        factor = (self.job.content_error / reached) ** (1 / power)
        self.balance = min(4.0, max(1 / 16, self.balance * min(4.0, max(0.25, factor))))
        return self._anew(state)

    def turned(self, state: descent.Descent, index: int, step: int) -> descent.Descent:
        """With another job from here on, if there is one; from the same image."""
        other = self.job.turn(index, step)
        if other is not None:
            self.job, self._objective, self._stale = other, None, True
        if not self._stale:
            return state
        fresh = self._anew(state)  # may run out of memory, and is tried again then
        self._stale = False
        return fresh

    def _anew(self, state: descent.Descent) -> descent.Descent:
        """A descent of the objective as it is now, from where another one stood."""
        self._evaluate = None
        method, history = self.job.optimizer, self.layout.history
        fresh = descent.start(self.evaluate, state.image, method=method, history=history)
        evaluations = state.solver.evaluations + fresh.solver.evaluations
        return replace(fresh, solver=replace(fresh.solver, evaluations=evaluations))

    def step_down(self) -> bool:
        """Let go of everything and take a layout that needs less memory, if there is one."""
        self._evaluate = self._objective = None
        hand_back()
        layout = smaller(self.layout, self.scale)
        if layout is None:
            return False
        self.layout = layout
        self._note = f"the memory ran out; going on with {layout}"
        return True

    def said(self) -> str:
        """What has happened since this was last asked."""
        note, self._note = self._note, ""
        return note


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


ROWS = 400
"""Of the trace that goes into a manifest, at most; longer ones are thinned."""


def _is_over(clock: Clock, index: int, step: int) -> bool:
    """Whether a scale ends here, for all processes alike: by the clock, when all of theirs say so."""
    over = clock.is_over(index, step)
    return over if clock.budget is None else bool(least_of_all(over))


def _weighings(steps: int) -> tuple[int, ...]:
    """After which steps of the coarsest scale its losses decide on the style's weight."""
    return (steps // 4, steps // 2, steps * 3 // 4) if steps >= 20 else ()


def _row(index: int, step: int, seconds: float, here: Evaluation) -> tuple[float, ...]:
    values = (float(here.loss), *here.by_term.values())
    return (index + 1, step, round(seconds, 2), *(float(f"{value:.5g}") for value in values))


def _thinned(rows: Sequence[tuple[float, ...]]) -> list[tuple[float, ...]]:
    """The last row and as many before it, evenly, as there is room for."""
    every = -(-len(rows) // ROWS)
    return [row for place, row in enumerate(rows, start=1) if (len(rows) - place) % every == 0]


def complete(job: Job, snapshot: Snapshot | None = None) -> Painting:
    """Run a job to its end, from where an earlier run of it stood if that is given."""
    *_, last = run(job, snapshot)
    return finish(job, last)


def white_noise(scale: Scale, settings: RunSettings, device: torch.device) -> Image:
    """Uniform noise around mid-grey, (1, 3, H, W), as the settings' `seed` and `noise` (its contrast) say.

    Drawn on the CPU: a seed is the same noise on every device.
    """
    generator = torch.Generator().manual_seed(settings.seed)
    noise = torch.rand(1, 3, scale.height, scale.width, generator=generator)
    return (0.5 + settings.noise * (noise - 0.5)).to(device)


def fitted(picture: Picture, height: int, width: int, device: torch.device) -> Image:
    """The picture's pixels at that size, (1, 3, height, width), 0..1, on the device."""
    return resize(picture.pixels.to(device), height, width).clamp(0, 1)


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


def long_side(picture: Picture, long: int, least: int) -> int:
    """That long side in pixels, or more if the picture's short side would be below `least`."""
    short = min(picture.height, picture.width)
    return max(long, math.ceil(least * max(picture.height, picture.width) / short))
