"""Estimating the memory and time of a run before it starts."""

import json
import math
import time
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from filelock import FileLock

from impasto.network.weight_records import cache_folder
from impasto.objective.bands import Band
from impasto.objective.build import content_terms, style_terms_from_images
from impasto.objective.dictionaries import build_dictionaries
from impasto.objective.evaluate import evaluator
from impasto.objective.neighbors import NeighborTerm
from impasto.objective.objective import Objective
from impasto.run.choose_layout import FIXED_BYTES, memory_limit
from impasto.run.layout import Layout
from impasto.run.memory_model import MemoryModel
from impasto.run.plan import RunPlan
from impasto.run.scale_run import rematch_at
from impasto.settings.base import RunSettings
from impasto.storage.atomic import atomic_write
from impasto.system.device import describe_machine
from impasto.system.memory import used


def seconds(plan: RunPlan, per_pixel: float) -> float:
    """Estimate the seconds that the scales of a run take if none ends early.

    Args:
        plan: the run.
        per_pixel: seconds of one evaluation of value and gradient, per pixel (see `calibrate`).
    """
    total, needs = 0.0, plan.problem.memory_model
    for stage in plan.stages[: plan.solved]:
        scale, layout = stage.scale, stage.layout
        once = needs.evaluations(scale, layout) * scale.pixels / needs.world_size * per_pixel
        # Each scale evaluates once at the start, and measures photo and paintings in forward passes, each of
        # which takes about a third of an evaluation.
        total += once * (scale.steps * EVALUATIONS + 1 + 2 / 3)
        searches = 1 + sum(rematch_at(step, scale, plan.rematch) for step in range(scale.steps))
        compared = needs.compared_places(scale, plan.problem.style_sizes(scale)) / needs.world_size
        total += searches * compared * SEARCH_PER_EVALUATION * per_pixel
    return total


EVALUATIONS = 1.02
"""Evaluations per step of L-BFGS, on average. The line search rarely needs a second one."""


def calibrate(needs: MemoryModel, side: int = 320) -> float:
    """Measure the seconds of one evaluation of value and gradient per pixel, on this machine.

    Args:
        needs: the network and the layers of the run.
        side: height and width of the image that is evaluated, in pixels.
    """
    noise = torch.rand(1, 3, side, side, generator=torch.Generator().manual_seed(0))
    image = noise.to(needs.network.device)
    equal = dict.fromkeys(needs.layers, 1.0)
    contents = content_terms(
        needs.network, image, dict.fromkeys(needs.content_layers, 1.0), weight=1.0, formula="balanced"
    ) if needs.content_layers else ()  # fmt: skip
    styles = style_terms_from_images(
        needs.network, [(image, 1.0)], equal, canvas=(side, side), weight=1.0, formula="balanced"
    )
    near: tuple[NeighborTerm, ...] = ()
    if needs.rotations:
        (dictionary,) = build_dictionaries(needs.network, image)
        term = NeighborTerm(dictionary, (side, side), 1.0)
        places = torch.arange(math.prod(term.grid), dtype=torch.int32, device=image.device)
        near = (replace(term, matches=places % dictionary.places),)  # any matches take the same time
    evaluate = evaluator(
        needs.network, Objective((*contents, *styles, *near)), band=Band(side, side, (0, side))
    )
    # The first evaluation pays for allocations and caches, so the second is timed.
    float(evaluate(image).loss)
    began = time.perf_counter()
    float(evaluate(image).loss)
    return (time.perf_counter() - began) / side**2


SEARCH_PER_EVALUATION = 0.006
"""Time of a search per pair of places, divided by the time of an evaluation per pixel. At 512×384 px on two
bfloat16 cores, a search took 2.4 s and an evaluation 0.5 s."""

STARTUP = 4.0
"""Seconds, roughly, to load the program and the weights and to write the picture."""


@dataclass(frozen=True)
class Estimate:
    """What a run will need on this machine.

    Attributes:
        layouts: the layout of each scale, coarse to fine.
        bytes: peak memory of this process.
        limit: bytes of memory that this process may use.
        seconds: from start to end.
        disk: bytes of temporary files.
    """

    layouts: tuple[Layout, ...]
    bytes: int
    limit: int
    seconds: float
    disk: int


def estimate(plan: RunPlan, settings: RunSettings, *, again: bool = False) -> Estimate:
    """Estimate what a run will need. An unknown speed of the machine is measured first (about a second).

    Args:
        plan: the run.
        settings: `memory` is read.
        again: measure the speed even if it is known.
    """
    problem, device = plan.problem, plan.problem.network.device
    model, before = problem.memory_model, used(device) + FIXED_BYTES
    peaks = [model.bytes(at.scale, at.layout, problem.style_sizes(at.scale)) for at in plan.stages]
    on_disk = [model.disk(stage.scale) for stage in plan.stages[: plan.solved] if stage.layout.keep == "disk"]
    return Estimate(
        layouts=plan.layouts,
        bytes=before + max(peaks),
        limit=memory_limit(settings.memory, device),
        seconds=STARTUP + seconds(plan, seconds_per_pixel(plan, again=again)),
        disk=max(on_disk, default=0),
    )


def seconds_per_pixel(plan: RunPlan, *, again: bool = False) -> float:
    """Return the seconds of one evaluation per pixel, from the cache or by measuring.

    It is measured once per machine, network and set of layers.

    Args:
        plan: the run.
        again: measure it even if it is in the cache.
    """
    network, model = plan.problem.network, plan.problem.memory_model
    key = json.dumps(
        {
            **describe_machine(),
            "device": str(network.device),
            "dtype": str(network.dtype),
            "pooling": network.pooling,
            "layers": model.layers,
            "content": model.content_layers,
            "neighbors": bool(model.rotations),
            "channels": [len(convolution.bias) for convolution in network.convolutions],
        }
    )
    path = cache_folder() / "speed.json"
    known = _read(path)
    if again or key not in known:
        known[key] = calibrate(model)
        # Without a cache, it is measured anew. Another process may have written, so the file is read again.
        with suppress(OSError), FileLock(path.with_suffix(".lock")):
            speeds = {**_read(path), key: known[key]}
            with atomic_write(path, temporary=path.with_suffix(".part")) as file:
                file.write(json.dumps(speeds, indent=1).encode())
    return known[key]


def _read(path: Path) -> dict[str, float]:
    """Read the cached speeds by key; none if the file is missing or damaged."""
    try:
        known = json.loads(path.read_text())
        return {str(key): float(value) for key, value in known.items()}
    except (OSError, ValueError, AttributeError, TypeError):
        return {}  # the speed is simply measured again
