"""Chooses the quickest layout that fits into the memory."""

import math
import shutil
from collections.abc import Sequence
from dataclasses import asdict, replace

import torch

from impasto.choices import Keep
from impasto.errors import OutOfMemoryError
from impasto.formatting import in_words
from impasto.objective.response_store import scratch
from impasto.run import layout
from impasto.run.layout import LEAST_HISTORY, TILES, Layout
from impasto.run.memory_model import Needs
from impasto.run.plan import Job
from impasto.run.scales import Scale
from impasto.settings.base import RunSettings
from impasto.settings.parsing import size_in_bytes
from impasto.system.distributed import least_of_all, neighbours
from impasto.system.memory import limit, used


def choose(
    needs: Needs,
    scale: Scale,
    *,
    room: int,
    history: int = 20,
    tile: int = 0,
    others: Sequence[tuple[int, int]] = (),
) -> Layout | None:
    """The quickest layout that fits; None if none does.

    Args:
        room: bytes that may be taken beyond what the process has.
        history: pairs that L-BFGS is to remember, if they fit.
        tile: the side of tiles, if it is not to be chosen.
        others: see `Needs.bytes`.
    """
    disk = shutil.disk_usage(scratch()).free > 2 * needs.disk(scale)
    histories = [history, *(pairs for pairs in (10, 5, LEAST_HISTORY) if pairs < history)]
    if needs.optimizer != "lbfgs":
        histories = [history]
    long = max(scale.height, scale.width)
    sides = (tile,) if tile else tuple(side for side in TILES if side < long)
    fitting = []
    for side in sides:
        keep: Keep = "memory" if not side or side >= long else "disk" if disk else "again"
        for place, pairs in enumerate(histories):
            layout = Layout(side, keep, pairs)
            if needs.bytes(scale, layout, others) <= room:
                # A shorter history costs some steps; by how many is docs/performance.md's guess.
                cost = needs.evaluations(scale, layout) * 1.08**place * (1.3 if keep == "again" else 1.0)
                fitting.append((cost, place, layout))
                break
    return min(fitting, key=lambda found: found[:2])[2] if fitting else None


def largest(needs: Needs, height: int, width: int, *, room: int) -> int:
    """The longest side, in pixels, of a picture of that shape that fits; 0 if none does."""
    low, high = 0, max(height, width)
    while high - low > 1:
        middle = (low + high) // 2
        shrink = middle / max(height, width)
        size = (max(1, math.floor(height * shrink)), max(1, math.floor(width * shrink)))
        scale = Scale(*size, steps=LEAST_HISTORY)
        fits = choose(needs, scale, room=room, history=LEAST_HISTORY, others=[size]) is not None
        low, high = (middle, high) if fits else (low, middle)
    return low


HELD = 30_000_000
"""Bytes that reading, bars and the picture's encoder take besides."""


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
        layout = choose(
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
    least = Layout(settings.tile or layout.TILES[-1], "disk", layout.LEAST_HISTORY)
    needed = job.needs.bytes(scale, least, job.others(scale))
    longest = largest(job.needs, height, width, room=room)
    smaller = f"--size {longest}" if longest >= 16 else "a machine with more memory"
    before = used(job.network.device) + HELD
    return OutOfMemoryError(
        f"a picture of {width}×{height} needs {in_words(before + needed)} at least, and "
        f"{in_words(before + room)} may be used. Use {smaller}"
        + (", --optimizer adam" if job.optimizer == "lbfgs" else "")
        + (" or a larger --memory." if settings.memory else ".")
    )
