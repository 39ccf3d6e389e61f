"""Choosing the fastest layout that fits the memory."""

import math
import shutil
from collections.abc import Sequence
from dataclasses import replace

import torch

from impasto.choices import ResponseStorage
from impasto.errors import OutOfMemoryError
from impasto.formatting import format_bytes
from impasto.run.layout import LEAST_HISTORY, TILES, Layout
from impasto.run.memory_model import MemoryModel
from impasto.run.plan import Stage
from impasto.run.problem import Problem
from impasto.run.scales import Scale
from impasto.settings.base import RunSettings
from impasto.settings.parsing import parse_bytes
from impasto.system.distributed import all_min, local_world_size
from impasto.system.memory import limit, used
from impasto.system.scratch import scratch


def choose_layout(
    needs: MemoryModel,
    scale: Scale,
    *,
    available: int,
    history: int = 20,
    tile: int = 0,
    style_sizes: Sequence[tuple[int, int]] = (),
) -> Layout | None:
    """Return the fastest layout that fits, or None if none does.

    Args:
        needs: predicts memory and time.
        scale: the size to be painted.
        available: bytes that the process may allocate in addition to what it holds.
        history: past steps L-BFGS keeps, if they fit; fewer are tried.
        tile: side of the tiles in pixels; 0: choose one.
        style_sizes: see `MemoryModel.bytes`.
    """
    # Free space for twice the responses, so that the disk is never filled to the brim.
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
                # Guesses: each shorter history costs 8 % more steps, and computing the photo's responses
                # again costs 30 % more time.
                cost = needs.evaluations(scale, layout) * 1.08**index * (1.3 if keep == "again" else 1.0)
                fitting.append((cost, index, layout))
                break
    # At equal cost, the longer history.
    return min(fitting, key=lambda candidate: candidate[:2])[2] if fitting else None


def _largest(problem: Problem, too_large: Scale, tile: int, available: int) -> int:
    """Return the longest side, in pixels, at which a picture of this shape fits; 0 if it never does.

    Args:
        problem: what is painted; its paintings take memory as well.
        too_large: a scale that does not fit.
        tile, available: as in `choose_layout`.
    """
    low, high = 0, max(too_large.height, too_large.width)  # bisection: low fits, high does not
    while high - low > 1:
        middle = (low + high) // 2
        shrink = middle / max(too_large.height, too_large.width)
        size = (max(1, math.floor(too_large.height * shrink)), max(1, math.floor(too_large.width * shrink)))
        scale = replace(too_large, height=size[0], width=size[1], steps=LEAST_HISTORY)
        layout = choose_layout(
            problem.memory_model,
            scale,
            available=available,
            history=LEAST_HISTORY,
            tile=tile,
            style_sizes=problem.style_sizes(scale),
        )
        low, high = (middle, high) if layout is not None else (low, middle)
    return low


FIXED_BYTES = 30_000_000
"""Bytes that reading, progress bars and the picture's encoder take in addition."""


def choose_layouts(problem: Problem, scales: Sequence[Scale], settings: RunSettings) -> tuple[Stage, ...]:
    """Choose the fastest layout that fits the memory, for each scale.

    Args:
        problem: what is painted.
        scales: coarse to fine.
        settings: `memory`, `history` and `tile` are read.
    Raises:
        OutOfMemoryError: none fits. The message names the memory needed, the memory available, and the
            largest size that fits.
    """
    device = problem.network.device
    available = memory_limit(settings.memory, device) - used(device) - FIXED_BYTES
    if device.type == "cpu":
        available //= local_world_size()  # the processes on this machine share its memory
    available = all_min(available)  # the processes of a run must choose the same layout
    stages: list[Stage] = []
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
        if not scale.steps and stages:  # enlarged while the history of the scale below is still held
            below = stages.pop()
            history = min(below.layout.history, chosen.history)
            stages.append(Stage(below.scale, replace(below.layout, history=history)))
        stages.append(Stage(scale, chosen))
    return tuple(stages)


def memory_limit(text: str, device: torch.device) -> int:
    """Return the bytes that this process may use in all: those in `text`, at most those of the device.

    Args:
        text: a size such as "8GB", or "" for everything the device has.
        device: the CPU or a GPU.
    Raises:
        SettingsError: the text is no size.
    """
    most = limit(device)
    return min(most, parse_bytes(text)) if text else most


def _too_large(problem: Problem, scale: Scale, settings: RunSettings, available: int) -> OutOfMemoryError:
    """Make the error for a picture that does not fit, with the largest size that does."""
    model = problem.memory_model
    least = Layout(settings.tile or TILES[-1], "disk", LEAST_HISTORY)
    needed = model.bytes(scale, least, problem.style_sizes(scale))
    longest = _largest(problem, scale, settings.tile, available)
    smaller = f"--size {longest}" if longest >= 16 else "a machine with more memory"
    before = used(problem.network.device) + FIXED_BYTES
    return OutOfMemoryError(
        f"a picture of {scale.width}×{scale.height} needs {format_bytes(before + needed)} at least, and "
        f"{format_bytes(before + available)} may be used. Use {smaller}"
        + (", --optimizer adam" if model.optimizer == "lbfgs" else "")
        + (" or a larger --memory." if settings.memory else ".")
    )
