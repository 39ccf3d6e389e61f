"""Checkpoints read in one call."""

import os
from collections.abc import Mapping
from typing import Any

import torch

from impasto.objective.bands import Band
from impasto.run.checkpoint import Snapshot, opened


def read_facts(path: str | os.PathLike[str]) -> dict[str, Any]:
    with opened(path) as saved:
        return saved.facts


def load(
    path: str | os.PathLike[str], bands: Mapping[tuple[int, int], Band], device: torch.device
) -> Snapshot:
    with opened(path) as saved:
        return saved.snapshot(bands, device)
