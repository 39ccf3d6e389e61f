"""Chooses the quickest layout that fits into the memory."""

import math
import shutil
from collections.abc import Sequence
from dataclasses import replace

import torch

from impasto.choices import ResponseStorage
from impasto.errors import OutOfMemoryError
from impasto.formatting import format_bytes
from impasto.objective.response_store import scratch
from impasto.run import layout
from impasto.run.layout import LEAST_HISTORY, TILES, Layout
from impasto.run.memory_model import MemoryModel
from impasto.run.plan import Stage
from impasto.run.problem import Problem
from impasto.run.scales import Scale
from impasto.settings.base import RunSettings
from impasto.settings.parsing import parse_bytes
from impasto.system.distributed import all_min, local_world_size
from impasto.system.memory import limit, used


def choose_layout(
    needs: MemoryModel,
    scale: Scale,
    *,
    available: int,
    history: int = 20,
    tile: int = 0,
    style_sizes: Sequence[tuple[int, int]] = (),
) -> Layout | None:
    """The quickest layout that fits; None if none does.

    Args:
        available: bytes that may be taken beyond what the process has.
        history: pairs that L-BFGS is to remember, if they fit.
        tile: the side of tiles, if it is not to be chosen.
        style_sizes: see `MemoryModel.bytes`.
    """
    disk = shutil.disk_usage(scratch()).free > 2 * needs.disk(scale)
    histories = [history, *(pairs for pairs in (10, 5, LEAST_HISTORY) if pairs < history)]
    if needs.optimizer != "lbfgs":
        histories = [history]
    long = max(scale.height, scale.width)
    sides = (tile,) if tile else tuple(side for side in TILES if side < long)
    fitting = []
    for side in sides:
        keep: ResponseStorage = "memory" if not side or side >= long else "disk" if disk else "again"
        for index, pairs in enumerate(histories):
            layout = Layout(side, keep, pairs)
            if needs.bytes(scale, layout, style_sizes) <= available:
                # A shorter history costs some steps; by how many is docs/performance.md's guess.
                cost = needs.evaluations(scale, layout) * 1.08**index * (1.3 if keep == "again" else 1.0)
                fitting.append((cost, index, layout))
                break
    return min(fitting, key=lambda found: found[:2])[2] if fitting else None


def largest(needs: MemoryModel, wanted: Scale, *, available: int) -> int:
    """The longest side, in pixels, of a picture of that shape and space that fits; 0 if none does."""
    low, high = 0, max(wanted.height, wanted.width)
    while high - low > 1:
        middle = (low + high) // 2
        shrink = middle / max(wanted.height, wanted.width)
        size = (max(1, math.floor(wanted.height * shrink)), max(1, math.floor(wanted.width * shrink)))
        scale = replace(wanted, height=size[0], width=size[1], steps=LEAST_HISTORY)
        fits = (
            choose_layout(needs, scale, available=available, history=LEAST_HISTORY, style_sizes=[size])
            is not None
        )
        low, high = (middle, high) if fits else (low, middle)
    return low


FIXED_BYTES = 30_000_000
"""Bytes that reading, progress bars and the picture's encoder take besides."""


def choose_layouts(problem: Problem, scales: Sequence[Scale], settings: RunSettings) -> tuple[Stage, ...]:
    """The scales, each in the quickest layout that fits the memory.

    Raises:
        OutOfMemoryError: none fits; it says what is needed, what there is, and the largest size that fits.
    """
    device = problem.network.device
    available = memory_limit(settings.memory, device) - used(device) - FIXED_BYTES
    if device.type == "cpu":
        available //= local_world_size()
    available = all_min(available)  # the processes of one run have to choose alike
    stages = []
    for scale in scales:
        chosen = choose_layout(
            problem.memory_model,
            scale,
            available=available,
            history=settings.history,
            tile=settings.tile,
            style_sizes=problem.style_sizes(scale),
        )
        if chosen is None:
            raise _too_large(problem, scales[-1], settings, available)
        stages.append(Stage(scale, chosen))
    return tuple(stages)


def memory_limit(text: str, device: torch.device) -> int:
    """Bytes that this process may have: as said, and never more than there is.

    Args:
        text: a size such as 8GB, or "" for all there is.
    """
    here = limit(device)
    return min(here, parse_bytes(text)) if text else here


def _too_large(problem: Problem, scale: Scale, settings: RunSettings, available: int) -> OutOfMemoryError:
    model = problem.memory_model
    least = Layout(settings.tile or layout.TILES[-1], "disk", layout.LEAST_HISTORY)
    needed = model.bytes(scale, least, problem.style_sizes(scale))
    longest = largest(model, scale, available=available)
    smaller = f"--size {longest}" if longest >= 16 else "a machine with more memory"
    before = used(problem.network.device) + FIXED_BYTES
    return OutOfMemoryError(
        f"a picture of {scale.width}×{scale.height} needs {format_bytes(before + needed)} at least, and "
        f"{format_bytes(before + available)} may be used. Use {smaller}"
        + (", --optimizer adam" if model.optimizer == "lbfgs" else "")
        + (" or a larger --memory." if settings.memory else ".")
    )
