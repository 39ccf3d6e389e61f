"""Checkpoints of training: the network, its best weights so far, Adam's state, and the run's state."""

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
"""The types of the run's state. (The names are part of the file format: "looks" are evaluations.)"""

ADAM = ("step", "exp_avg", "exp_avg_sq")
"""Adam's state of each parameter, by PyTorch's names."""


def write(
    path: str | os.PathLike[str],
    network: TransformerNet,
    adam: torch.optim.Adam,
    best: Mapping[str, Tensor],
    identity: Mapping[str, Any],
    state: Mapping[str, Any],
) -> None:
    """Write a checkpoint, completely or not at all.

    Args:
        path: the file to write or replace.
        network: the network as it is now.
        adam: its optimizer.
        best: the best weights so far.
        identity: the facts that must be equal for the run to continue, as JSON.
        state: the run's state, as JSON (see `STATE_TYPES`).
    Raises:
        CheckpointError: the file cannot be written.
    """
    tensors = {f"now.{name}": tensor for name, tensor in network.state_dict().items()}
    tensors |= {f"best.{name}": tensor for name, tensor in best.items()}
    for name, parameter in network.named_parameters():
        for key, value in adam.state[parameter].items():
            tensors[f"adam.{key}.{name}"] = value
    facts = {"identity": dict(identity), "standing": dict(state)}
    write_tensors(path, KIND, tensors, facts)


def read(
    path: str | os.PathLike[str], network: TransformerNet, adam: torch.optim.Adam, identity: Mapping[str, Any]
) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Restore the network and Adam from a checkpoint.

    Args:
        path: the checkpoint.
        network, adam: changed to the state in the file.
        identity: the facts of this run, which must equal the file's.
    Returns:
        the best weights so far, and the run's state.
    Raises:
        CheckpointError: the file is not a checkpoint, is damaged or of a later version, or belongs to a run
            with another identity.
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
        network.load_state_dict(_part(tensors, "now."))
        for name, parameter in network.named_parameters():
            if f"adam.step.{name}" in tensors:
                step, *moments = (tensors[f"adam.{key}.{name}"] for key in ADAM)
                # In the parameter's memory layout, as Adam itself would make them.
                laid_out = [
                    torch.empty_like(parameter, requires_grad=False).copy_(moment) for moment in moments
                ]
                adam.state[parameter] = dict(zip(ADAM, (step, *laid_out), strict=True))
        device = next(network.parameters()).device
        best = {name: tensor.to(device) for name, tensor in _part(tensors, "best.").items()}
        return best, standing


def _checked(standing: Any) -> dict[str, Any]:
    """Check that a run's state has the types of `STATE_TYPES`, and return it."""
    if {name: type(value) for name, value in standing.items()} != STATE_TYPES:
        raise TypeError(f"where it stands: {standing}")
    for step, loss in standing["looks"]:
        if type(step) is not int or type(loss) is not float:
            raise TypeError(f"a look at {step}: {loss}")
    return dict(standing)


def _part(tensors: Mapping[str, Tensor], prefix: str) -> dict[str, Tensor]:
    """Return the tensors whose names begin with a prefix, without it."""
    return {name.removeprefix(prefix): tensor for name, tensor in tensors.items() if name.startswith(prefix)}
