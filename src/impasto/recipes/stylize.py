"""The main job: repaint one picture in the style of another, as a stream of Progress."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import torch

from impasto.device import choose, memory_errors, peak_memory, use_threads
from impasto.image.files import Source, read_picture
from impasto.image.picture import Picture
from impasto.image.resize import fit, resize
from impasto.network.fetch import ByteProgress
from impasto.network.layers import check_size, deepest
from impasto.network.vgg import VGG19
from impasto.network.weights import load
from impasto.objective.evaluate import whole
from impasto.objective.objective import Objective, content_terms, prior_terms, style_terms
from impasto.recipes.clock import Clock
from impasto.recipes.manifest import new
from impasto.recipes.progress import Painting, Progress
from impasto.recipes.settings import StylizeSettings
from impasto.shapes import Image
from impasto.solve import descent
from impasto.solve.pyramid import Scale, plan


@dataclass(frozen=True)
class Job:
    """Everything a run needs, read and checked: nothing can go wrong any more for want of an input.

    Attributes:
        content, style: the pictures as read; `start`: the picture to begin from, or None for white noise.
        canvas: height and width in pixels of the painting.
        scales: the plan, coarse to fine.
    """

    settings: StylizeSettings
    content: Picture
    style: Picture
    start: Picture | None
    canvas: tuple[int, int]
    scales: tuple[Scale, ...]
    network: VGG19
    manifest: dict[str, Any]


def stylize(content: Source, style: Source, settings: StylizeSettings | None = None) -> Painting:
    """Repaint `content` in the style of `style`, and wait for it.

    Gatys, Ecker and Bethge 2015, "A Neural Algorithm of Artistic Style" (arXiv:1508.06576), Eq. 7.
    Differs: coarse to fine, and with weights that mean the same at any size, unless settings say otherwise.

    Args:
        content, style: a file, a `PIL.Image`, a NumPy array or a tensor (see `read_picture`).
        settings: how; default `StylizeSettings()`.
    Raises:
        ImpastoError: see `prepare`.
    """
    job = prepare(content, style, settings)
    last = None
    for progress in run(job):
        last = progress
    return finish(job, last)


def stylize_steps(
    content: Source, style: Source, settings: StylizeSettings | None = None
) -> Iterator[Progress]:
    """The same, step by step. Leaving the loop early is an ordinary end; keep the last `progress.image()`."""
    return run(prepare(content, style, settings))


def prepare(
    content: Source,
    style: Source,
    settings: StylizeSettings | None = None,
    *,
    on_download: ByteProgress | None = None,
) -> Job:
    """Read and check everything, fetch the weights if they are not there, plan the scales.

    Args:
        on_download: called with bytes done and bytes in all while the weights are fetched.
    Raises:
        SettingsError, ImageError, WeightsError, DeviceError: before anything is computed.
    """
    settings = settings or StylizeSettings()
    use_threads(settings.threads)
    compute = choose(settings.device, settings.precision)
    photo = read_picture(content, role="content image")
    painting = read_picture(style, role="style image")
    start = {"noise": None, "content": photo}.get(settings.init, ...)
    if start is ...:
        start = read_picture(settings.init, role="init image")

    canvas = fit(photo.height, photo.width, settings.size)
    scales = plan(*canvas, scales=settings.scales, steps=settings.steps, finest=settings.finest_steps)
    layers = [*settings.layers, *settings.content_layers]
    check_size(*canvas, layers, role="painting")
    check_size(painting.height, painting.width, layers, role="style image")
    weights = load(settings.weights or None, progress=on_download)
    network = VGG19.build(
        weights,
        pooling=settings.pooling,
        deepest_layer=deepest(layers).name,
        device=compute.device,
        dtype=compute.dtype,
    )
    inputs = {"content": photo, "style": painting}
    if start is not None and start is not photo:
        inputs["init"] = start
    manifest = new("stylize", settings, inputs, weights, compute)
    return Job(settings, photo, painting, start, canvas, scales, network, manifest)


def run(job: Job) -> Iterator[Progress]:
    """Paint, scale by scale; yields after every solver step.

    Raises:
        DeviceError: the memory does not suffice, or the first loss is not finite.
    """
    clock = Clock(job.scales)
    image = None
    spent = 0
    for index, scale in enumerate(job.scales):
        with memory_errors(scale.height, scale.width):
            image = _first_image(job, scale) if image is None else resize(image, scale.height, scale.width)
            evaluate = whole(job.network, _objective(job, scale))
            state = descent.start(
                evaluate, image, method=job.settings.optimizer, history=job.settings.history
            )
            for step in range(1, scale.steps + 1):
                state = descent.step(evaluate, state)
                clock.tick(index, step)
                yield _progress(job, index, step, state, spent, clock)
                if state.finished:
                    break
        image = state.image
        spent += state.solver.evaluations


def finish(job: Job, last: Progress | None) -> Painting:
    """The painting as it stands at `last`, at the size that was asked for, with the photo's alpha.

    Args:
        last: the newest progress; None if there was none, which gives the photo.
    """
    height, width = job.canvas
    pixels = last.image() if last else job.content.pixels
    alpha = job.content.alpha
    picture = Picture(
        pixels=resize(pixels, height, width).clamp(0, 1),
        alpha=None if alpha is None else resize(alpha, height, width).clamp(0, 1),
        name="painting",
    )
    whole_run = last is not None and last.scale == last.scales and last.eta == 0
    result: dict[str, Any] = {"width": width, "height": height, "complete": whole_run}
    if last:
        result |= {
            "loss": last.loss,
            "by_term": last.by_term,
            "evaluations": last.evaluations,
            "seconds": round(last.seconds, 3),
        }
    return Painting(picture, {**job.manifest, "result": result})


def _first_image(job: Job, scale: Scale) -> Image:
    if job.start is None:
        # On the CPU, so that the same seed is the same noise on every device.
        generator = torch.Generator().manual_seed(job.settings.seed)
        noise = torch.rand(1, 3, scale.height, scale.width, generator=generator)
        return noise.to(job.network.device)
    return _fitted(job.start, scale.height, scale.width, job.network.device)


def _objective(job: Job, scale: Scale) -> Objective:
    """Targets of this scale: the style keeps its aspect ratio and is brought to the same long side."""
    settings, network = job.settings, job.network
    canvas = (scale.height, scale.width)
    content = _fitted(job.content, *canvas, network.device)
    long_side = fit(job.style.height, job.style.width, max(canvas))
    style = _fitted(job.style, *long_side, network.device)
    return Objective(
        (
            *content_terms(
                network,
                content,
                settings.content_layers,
                weight=settings.content_weight,
                formula=settings.formula,
            ),
            *style_terms(
                network,
                style,
                settings.layers,
                canvas=canvas,
                weight=settings.style_weight,
                formula=settings.formula,
            ),
            *prior_terms(canvas, variation=settings.variation_weight, gamut=settings.gamut_weight),
        )
    )


def _fitted(picture: Picture, height: int, width: int, device: torch.device) -> Image:
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
        peak_memory=peak_memory(job.network.device),
        image=lambda: image.detach().float().clamp(0, 1).cpu(),
        note=state.note,
    )
