"""A run that is ready to start, and the run: the same for every recipe that paints by descent."""

import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import torch

from impasto.choices import Optimizer
from impasto.device import memory_errors, peak_memory
from impasto.image.picture import Picture
from impasto.image.resize import fit, resize
from impasto.network.vgg import VGG19
from impasto.objective.evaluate import evaluator
from impasto.objective.objective import Objective
from impasto.recipes.clock import Clock
from impasto.recipes.progress import Painting, Progress
from impasto.recipes.settings import RunSettings
from impasto.shapes import Image, Mask
from impasto.solve import descent
from impasto.solve.pyramid import Scale, carry


@dataclass(frozen=True)
class Job:
    """Everything a run needs, read and checked: nothing can go wrong any more for want of an input.

    Attributes:
        canvas: height and width in pixels of the picture to be made.
        scales: the plan, coarse to fine.
        network: on its device.
        objective: gives the objective at a scale.
        first: gives the image to start from at a scale.
        detailed: whether the finer scales take up the fine detail of their `first` (see `carry`), as is good
            for pictures. Noise has none that one would want.
        inputs: the pictures as read, by role.
        manifest: what is known before the run.
        alpha: of the result, at any size, or None.
        judge: gives what else there is to say of the result, from its pixels at the canvas's size.
    """

    canvas: tuple[int, int]
    scales: tuple[Scale, ...]
    network: VGG19
    objective: Callable[[Scale], Objective]
    first: Callable[[Scale], Image]
    inputs: Mapping[str, Picture]
    manifest: dict[str, Any]
    optimizer: Optimizer = "lbfgs"
    detailed: bool = False
    history: int = 20
    tolerance: float = 0.0
    tile: int = 0
    alpha: Mask | None = None
    judge: Callable[[Image], dict[str, float]] | None = None


def run(job: Job) -> Iterator[Progress]:
    """Descend, scale by scale; yields after every solver step.

    Raises:
        DeviceError: the memory does not suffice, or the first loss is not finite.
    """
    clock = Clock(job.scales)
    image = None
    spent = 0
    for index, scale in enumerate(job.scales):
        with memory_errors(scale.height, scale.width):
            if image is None or job.detailed:
                first = job.first(scale)
                image = first if image is None else carry(image, first)
            else:
                image = resize(image, scale.height, scale.width)
            objective = job.objective(scale)
            evaluate = evaluator(job.network, objective, tile=job.tile)
            state = descent.start(evaluate, image, method=job.optimizer, history=job.history)
            for step in range(1, scale.steps + 1):
                state = descent.step(evaluate, state, tolerance=job.tolerance)
                clock.tick(index, step)
                yield _progress(job, index, step, state, spent, clock)
                if state.finished:
                    break
        image = state.image
        spent += state.solver.evaluations


def finish(job: Job, last: Progress) -> Painting:
    """The picture as it stands at `last`, at the size that was asked for, with its alpha and manifest."""
    height, width = job.canvas
    picture = Picture(
        pixels=resize(last.image(), height, width).clamp(0, 1),
        alpha=None if job.alpha is None else resize(job.alpha, height, width).clamp(0, 1),
        name="painting",
    )
    result: dict[str, Any] = {
        "width": width,
        "height": height,
        "complete": last.scale == last.scales and last.eta == 0,
        "loss": last.loss,
        "by_term": last.by_term,
        "evaluations": last.evaluations,
        "seconds": round(last.seconds, 3),
    }
    if job.judge is not None:
        result |= job.judge(picture.pixels.to(job.network.device))
    return Painting(picture, {**job.manifest, "result": result})


def complete(job: Job) -> Painting:
    """Run a job to its end."""
    *_, last = run(job)
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


def _progress(job: Job, index: int, step: int, state: descent.Descent, spent: int, clock: Clock) -> Progress:
    scale, image = job.scales[index], state.image
    last = index == len(job.scales) - 1 and (state.finished or step == scale.steps)
    return Progress(
        scale=index + 1,
        scales=len(job.scales),
        height=scale.height,
        width=scale.width,
        step=step,
        steps=scale.steps,
        loss=float(state.here.loss),
        by_term=state.here.by_term,
        evaluations=spent + state.solver.evaluations,
        seconds=clock.seconds,
        eta=0.0 if last else clock.eta,
        precision=job.manifest["precision"],
        peak_memory=peak_memory(job.network.device),
        image=lambda: image.detach().float().clamp(0, 1).cpu(),
        note=state.note,
    )


def fitted_long(picture: Picture, long: int, least: int, device: torch.device) -> Image:
    """The picture at that long side, (1, 3, H, W), 0..1; larger if its short side would be below `least`."""
    short = min(picture.height, picture.width)
    enough = math.ceil(least * max(picture.height, picture.width) / short)
    return fitted(picture, *fit(picture.height, picture.width, max(long, enough)), device)
