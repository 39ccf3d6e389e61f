"""Read a checkpoint with one call, which also closes its file."""

import os
from collections.abc import Callable
from typing import Any

import torch

from impasto.run.checkpoint import Snapshot, opened
from impasto.solve.space import Space


def read_facts(path: str | os.PathLike[str]) -> dict[str, Any]:
    with opened(path) as saved:
        return saved.facts


def load(path: str | os.PathLike[str], space: Callable[[int], Space], device: torch.device) -> Snapshot:
    with opened(path) as saved:
        return saved.snapshot(space, device)
