"""Files of named tensors that know what they are: a kind, a version, a digest, and what is said of them."""

import hashlib
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open
from safetensors.torch import save as to_bytes
from torch import Tensor

from impasto import __version__
from impasto.errors import CheckpointError, WeightsError
from impasto.storage.atomic import atomic_write


def write(
    path: str | os.PathLike[str],
    tensors: Mapping[str, Tensor],
    said: Mapping[str, Any],
    *,
    kind: str,
    version: int,
    error: type[WeightsError | CheckpointError],
) -> None:
    """Write a safetensors file, whole or not at all.

    Args:
        said: what is to be known about the tensors, as JSON.
        kind: what the file is, in words; `read` wants the same.
        version: of the format; raised when an older Impasto could no longer read the file.
        error: what is raised.
    Raises:
        CheckpointError, WeightsError: it cannot be written there.
    """
    own = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
    facts = {
        "kind": kind,
        "version": str(version),
        "impasto": __version__,
        "sha256": _digest(own),
        "said": json.dumps(said, ensure_ascii=False),
    }
    try:
        with atomic_write(Path(os.path.realpath(path))) as file:
            file.write(to_bytes(own, facts))
    except OSError as problem:
        raise error(f"{path} cannot be written: {problem.strerror or problem}.") from problem


def read(
    path: str | os.PathLike[str],
    *,
    kind: str,
    version: int,
    error: type[WeightsError | CheckpointError],
    way_out: str,
) -> tuple[dict[str, Tensor], dict[str, Any], str]:
    """The tensors by name, on the CPU, what is said of them, and their digest.

    Args:
        kind, version, error: as for `write`; `version` is the latest that is understood.
        way_out: what a user should do about a file that is none, as a sentence.
    Raises:
        CheckpointError, WeightsError: no such file, damaged, of another kind, or of a later version.
    """
    name = os.fspath(path)
    try:
        with safe_open(path, framework="pt") as file:
            facts = file.metadata() or {}
            if facts.get("kind") != kind:
                raise error(f"{name} is a safetensors file, but no {kind}. {way_out}")
            if int(facts["version"]) > version:
                raise error(
                    f"{name} is a {kind} of version {facts['version']}; this Impasto ({__version__}) reads "
                    f"{version}. Use Impasto {facts.get('impasto', 'of a later version')}."
                )
            # Copied: what was verified must not change when the file does.
            tensors = {key: file.get_tensor(key).clone() for key in file.keys()}  # noqa: SIM118
            said = json.loads(facts["said"])
    except FileNotFoundError:
        raise error(f"there is no file {name}. {way_out}") from None
    except (SafetensorError, OSError, KeyError, ValueError) as problem:
        if isinstance(problem, error):
            raise
        raise error(f"{name} is damaged, or no {kind} ({problem}). {way_out}") from problem
    digest = _digest(tensors)
    if digest != facts.get("sha256"):
        raise error(f"{name} is damaged: its numbers are not those that were written. {way_out}")
    return tensors, said, digest


def _digest(tensors: Mapping[str, Tensor]) -> str:
    """SHA-256 over names, shapes, types and numbers, in the order of the names."""
    found = hashlib.sha256()
    for name in sorted(tensors):
        tensor = tensors[name]
        found.update(f"{name} {tuple(tensor.shape)} {tensor.dtype}\n".encode())
        found.update(tensor.contiguous().numpy().tobytes())
    return found.hexdigest()
