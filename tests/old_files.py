"""Readers for the files that commit e78b87f wrote with the small network.

The files `tests/data/e78b87f-*` have format 1: a painting (48 px, with its manifest), a checkpoint (32 px,
after step 4 of 6), a training checkpoint (width 4, one block, after step 5 of 8) and the model at the end of
that training. The photo and the painting were those of conftest.py.
"""

import dataclasses
import hashlib
import json
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from impasto.fast import training_checkpoint
from impasto.fast.models import Model
from impasto.fast.transformer_net import TransformerNet
from impasto.objective.bands import Band
from impasto.run import checkpoint
from impasto.run.checkpoint import Snapshot
from impasto.run.trace import Trace
from impasto.solve.space import Space

DATA = Path(__file__).parent / "data"


def read_checkpoint(path: Path) -> tuple[dict[str, Any], Snapshot]:
    with checkpoint.opened(path) as saved:
        return saved.facts, saved.snapshot(lambda scale: Space(Band.of(24, 32)), torch.device("cpu"))


def read_training(path: Path) -> tuple[TransformerNet, torch.optim.Adam, dict[str, Tensor], dict[str, Any]]:
    painter = TransformerNet(4, 1)
    adam = torch.optim.Adam(painter.parameters())
    best, standing = training_checkpoint.read(path, painter, adam, {"width": 4})
    return painter, adam, best, standing


def content_of(value: Any) -> str:
    """Everything in an object that a reader returns, as text; tensors as shape, dtype and SHA-256."""
    return json.dumps(_plain(value), sort_keys=True)


def _plain(value: Any) -> Any:
    if isinstance(value, Tensor):
        numbers = value.detach().contiguous().numpy().tobytes()
        return [list(value.shape), str(value.dtype), hashlib.sha256(numbers).hexdigest()]
    if isinstance(value, torch.optim.Optimizer):
        return _plain(value.state_dict()["state"])
    if isinstance(value, torch.nn.Module):
        return _plain(dict(value.state_dict()))
    if isinstance(value, Model):
        return _plain([value.network, value.styles, value.manifest, value.sha256])
    if dataclasses.is_dataclass(value):
        return {field.name: _plain(getattr(value, field.name)) for field in dataclasses.fields(value)}
    if isinstance(value, dict):
        return {str(key): _plain(item) for key, item in value.items()}
    return [_plain(item) for item in value] if isinstance(value, (list, tuple, Trace)) else value
