"""A training run as a file: the painter, its best form so far, Adam's memory, and where the run stands."""

import os
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from impasto.errors import CheckpointError
from impasto.fast.transformer_net import TransformerNet
from impasto.storage.tensor_file import FileKind, TensorReader, open_tensors, write_tensors

KIND = FileKind(
    "Impasto training",
    2,
    TensorReader.tensors_sha256,
    CheckpointError,
    "Name a file that `impasto train --checkpoint` wrote, or start the training anew.",
)

STATE_TYPES = {"step": int, "seconds": float, "waited": int, "looks": list}
"""Types of what says where a run stands, besides numbers of the painter and of Adam."""

ADAM = ("step", "exp_avg", "exp_avg_sq")
"""What Adam remembers of each parameter."""


def write(
    path: str | os.PathLike[str],
    painter: TransformerNet,
    adam: torch.optim.Adam,
    best: Mapping[str, Tensor],
    identity: Mapping[str, Any],
    state: Mapping[str, Any],
) -> None:
    """Write a run, whole or not at all.

    Args:
        identity: what must be the same for the run to go on, as JSON.
        state: where it stands, as JSON.
    Raises:
        CheckpointError: it cannot be written there.
    """
    tensors = {f"now.{name}": tensor for name, tensor in painter.state_dict().items()}
    tensors |= {f"best.{name}": tensor for name, tensor in best.items()}
    for name, parameter in painter.named_parameters():
        for key, value in adam.state[parameter].items():
            tensors[f"adam.{key}.{name}"] = value
    facts = {"identity": dict(identity), "standing": dict(state)}
    write_tensors(path, KIND, tensors, facts)


def read(
    path: str | os.PathLike[str], painter: TransformerNet, adam: torch.optim.Adam, identity: Mapping[str, Any]
) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Bring painter and Adam to where a run stood.

    Returns:
        the best form of the painter, and what was said.
    Raises:
        CheckpointError: it is none, damaged, of a later version, or of a run with another identity.
    """
    with open_tensors(path, KIND) as file, file.parsing(RuntimeError):
        standing = _checked(file.facts["standing"])
        for key, now in identity.items():
            if (then := file.facts["identity"].get(key)) != now:
                raise CheckpointError(
                    f"{path} is of a training with {key} {then}; now it is {now}. Go on with what it was "
                    "begun with, or start anew without --resume."
                )
        tensors = {name: file.tensor(name) for name in file.names}
        painter.load_state_dict(_part(tensors, "now."))
        for name, parameter in painter.named_parameters():
            if f"adam.step.{name}" in tensors:
                step, *moments = (tensors[f"adam.{key}.{name}"] for key in ADAM)
                laid_out = [
                    torch.empty_like(parameter, requires_grad=False).copy_(moment) for moment in moments
                ]
                adam.state[parameter] = dict(zip(ADAM, (step, *laid_out), strict=True))
        device = next(painter.parameters()).device
        best = {name: tensor.to(device) for name, tensor in _part(tensors, "best.").items()}
        return best, standing


def _checked(standing: Any) -> dict[str, Any]:
    """What was said of where a run stands, if it has the types of `STATE_TYPES`."""
    if {name: type(value) for name, value in standing.items()} != STATE_TYPES:
        raise TypeError(f"where it stands: {standing}")
    for step, loss in standing["looks"]:
        if type(step) is not int or type(loss) is not float:
            raise TypeError(f"a look at {step}: {loss}")
    return dict(standing)


def _part(tensors: Mapping[str, Tensor], prefix: str) -> dict[str, Tensor]:
    return {name.removeprefix(prefix): tensor for name, tensor in tensors.items() if name.startswith(prefix)}
