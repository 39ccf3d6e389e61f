"""Before a run starts: whether it fits, in which layout, how much memory and time it will take."""

import json
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import torch
from filelock import FileLock

from impasto.device import describe, least_of_all, neighbours
from impasto.errors import OutOfMemoryError
from impasto.memory import limit, used
from impasto.network.weights import cache_folder
from impasto.recipes.fields import size_in_bytes
from impasto.recipes.job import Job
from impasto.recipes.settings import RunSettings
from impasto.solve import plan
from impasto.solve.plan import Layout
from impasto.storage.atomic import atomic_write
from impasto.words import in_words

STARTUP = 4.0
"""Seconds to load the program and the weights and to write the picture, about."""

HELD = 30_000_000
"""Bytes that reading, bars and the picture's encoder take besides."""


@dataclass(frozen=True)
class Plan:
    """What a job will need here.

    Attributes:
        layouts: of its scales, coarse to fine.
        bytes: the peak of this process, in all.
        limit: what it may have.
        seconds: from start to end.
        disk: bytes of temporary files.
    """

    layouts: tuple[Layout, ...]
    bytes: int
    limit: int
    seconds: float
    disk: int


def planned(job: Job, settings: RunSettings) -> Job:
    """The job with the quickest layouts that fit the memory; they go into the manifest.

    Raises:
        OutOfMemoryError: none fits; it says what is needed, what there is, and the largest size that fits.
    """
    room = memory_limit(settings.memory, job.network.device) - used(job.network.device) - HELD
    if job.network.device.type == "cpu":
        room //= neighbours()
    room = least_of_all(room)  # the processes of one run have to choose alike
    layouts = []
    for scale in job.scales:
        others = job.others(scale)
        layout = plan.choose(
            job.needs, scale, room=room, history=settings.history, tile=settings.tile, others=others
        )
        if layout is None:
            raise _too_large(job, settings, room)
        layouts.append(layout)
    return with_layouts(job, layouts)


def with_layouts(job: Job, layouts: Sequence[Layout]) -> Job:
    """The job in those layouts, which go into its manifest."""
    manifest = {**job.manifest, "layouts": [asdict(layout) for layout in layouts]}
    return replace(job, layouts=tuple(layouts), manifest=manifest)


def examine(job: Job, settings: RunSettings, *, again: bool = False) -> Plan:
    """What the job will need; measures the machine's speed if it is not known (about a second).

    Args:
        again: measure it in any case.
    """
    device = job.network.device
    before = used(device) + HELD
    scales = list(zip(job.scales, job.layouts, strict=True))
    return Plan(
        layouts=job.layouts,
        bytes=before + max(job.needs.bytes(scale, layout, job.others(scale)) for scale, layout in scales),
        limit=memory_limit(settings.memory, device),
        seconds=STARTUP + plan.seconds(job.needs, job.scales, job.layouts, speed(job, again=again)),
        disk=max((job.needs.disk(scale) for scale, layout in scales if layout.keep == "disk"), default=0),
    )


def speed(job: Job, *, again: bool = False) -> float:
    """Seconds of a value and gradient a pixel, measured once for a machine, a network and its settings.

    Args:
        again: measure it in any case.
    """
    network = job.network
    key = json.dumps(
        {**describe(), "device": str(network.device), "dtype": str(network.dtype),
         "pooling": network.pooling, "layers": job.needs.layers, "content": job.needs.content_layers}
    )  # fmt: skip
    path = cache_folder() / "speed.json"
    known = _read(path)
    if again or key not in known:
        known[key] = plan.calibrate(job.needs)
        with suppress(OSError), FileLock(path.with_suffix(".lock")):  # it can be measured again
            _write(path, {**_read(path), key: known[key]})
    return known[key]


def memory_limit(text: str, device: torch.device) -> int:
    """Bytes that this process may have: as said, and never more than there is.

    Args:
        text: a size such as 8GB, or "" for all there is.
    """
    here = limit(device)
    return min(here, size_in_bytes(text)) if text else here


def _too_large(job: Job, settings: RunSettings, room: int) -> OutOfMemoryError:
    height, width = job.scales[-1].height, job.scales[-1].width
    scale = job.scales[-1]
    least = Layout(settings.tile or plan.TILES[-1], "disk", plan.LEAST_HISTORY)
    needed = job.needs.bytes(scale, least, job.others(scale))
    longest = plan.largest(job.needs, height, width, room=room)
    smaller = f"--size {longest}" if longest >= 16 else "a machine with more memory"
    before = used(job.network.device) + HELD
    return OutOfMemoryError(
        f"a picture of {width}×{height} needs {in_words(before + needed)} at least, and "
        f"{in_words(before + room)} may be used. Use {smaller}"
        + (", --optimizer adam" if job.optimizer == "lbfgs" else "")
        + (" or a larger --memory." if settings.memory else ".")
    )


def _read(path: Path) -> dict[str, float]:
    try:
        found = json.loads(path.read_text())
        return {str(key): float(value) for key, value in found.items()}
    except (OSError, ValueError, AttributeError, TypeError):
        return {}  # it can be measured again


def _write(path: Path, known: dict[str, float]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with atomic_write(path, temporary=path.with_suffix(".part")) as file:  # the caller holds the lock
        file.write(json.dumps(known, indent=1).encode())
