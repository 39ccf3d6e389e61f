"""A run's state as a file: saved whole or not at all, read by version, exact to the last bit."""

import dataclasses
import hashlib
import json
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

from impasto import __version__
from impasto.device import rank
from impasto.errors import CheckpointError, ImageError
from impasto.image.disk import check_place, replacing
from impasto.objective.bands import Band
from impasto.objective.evaluate import Evaluation
from impasto.solve import adam, lbfgs
from impasto.solve.descent import Descent
from impasto.solve.plan import Layout

FORMAT = 1
"""Raised when a checkpoint of this version could no longer be read by an older Impasto."""

KINDS = {
    "layout": Layout,
    "descent": Descent,
    "lbfgs": lbfgs.State,
    "adam": adam.State,
    "evaluation": Evaluation,
}
"""What a checkpoint may hold, besides tensors, numbers and text."""

PIECE = 1 << 24
"""Bytes written and read at a time."""


@dataclass(frozen=True)
class Snapshot:
    """Where a run stands, between two steps.

    Attributes:
        scale: which size, from 0.
        step: solver steps taken at this size.
        spent: evaluations at earlier sizes.
        seconds: that the run has taken so far.
        layouts: of all scales, as they are now.
        descent: the solver's state; None before the first step of all.
        band: the rows of the image that this process's tensors have.
        trace: a row for every step so far: scale and step from 1, seconds, the loss and its summands.
        balance: what the style's weight is multiplied by.
    """

    scale: int = 0
    step: int = 0
    spent: int = 0
    seconds: float = 0.0
    layouts: tuple[Layout, ...] = ()
    descent: Descent | None = None
    band: Band | None = None
    trace: tuple[tuple[float, ...], ...] = ()
    balance: float = 1.0


def save(path: str | os.PathLike[str], snapshot: Snapshot, facts: Mapping[str, Any]) -> None:
    """Write a checkpoint: a safetensors file whose metadata says what the tensors are, and their SHA-256.

    Whole or not at all: written beside the place, then renamed to it. Where several processes work on one
    picture all of them call this; their bands are gathered tensor by tensor, and the first process writes.

    Args:
        facts: whatever else is needed to go on, as JSON.
    Raises:
        CheckpointError: it cannot be written there.
    """
    tensors: list[Tensor] = []
    tree = _to_json(snapshot.descent, tensors)
    said = {
        "scale": snapshot.scale,
        "step": snapshot.step,
        "spent": snapshot.spent,
        "seconds": snapshot.seconds,
        "layouts": _to_json(snapshot.layouts, []),
        "descent": tree,
        "trace": snapshot.trace,
        "balance": snapshot.balance,
    }
    target = Path(os.path.realpath(path))
    head = _head(tensors, snapshot.band, {"run": said, "facts": dict(facts)})
    gathered = _gathered(tensors, snapshot.band)
    if rank() != 0:
        for _ in gathered:
            pass
        return
    try:
        with replacing(target, target.with_name(f".{target.name}.part")) as file:
            _write(file, head, gathered)
    except OSError as error:
        for _ in gathered:  # the others are sending, and would wait for ever
            pass
        raise CheckpointError(f"the checkpoint {path} cannot be written: {error}.") from error


def check(path: str | os.PathLike[str]) -> None:
    """Refuse a place where no checkpoint could be written.

    Raises:
        CheckpointError: saying why.
    """
    try:
        check_place(os.fspath(path))
    except (ImageError, OSError) as error:
        raise CheckpointError(f"no checkpoint can be written: {error}") from error


def read_facts(path: str | os.PathLike[str]) -> dict[str, Any]:
    """What was saved besides the state, after the whole file was checked.

    Raises:
        CheckpointError: no such file, damaged, foreign, or of a later version.
    """
    facts: dict[str, Any] = _read_head(Path(path))["facts"]
    _check_digest(Path(path))
    return facts


def load(
    path: str | os.PathLike[str], bands: Mapping[tuple[int, int], Band], device: torch.device
) -> Snapshot:
    """The state, of images the rows that this process holds.

    Args:
        bands: of this process, by height and width of the image.
    Raises:
        CheckpointError: as `read_facts`.
    """
    said = _read_head(Path(path))["run"]
    used: list[Band] = []
    try:
        with safe_open(path, framework="pt") as file:

            def tensor(name: str) -> Tensor:
                part = file.get_slice(name)
                shape = part.get_shape()
                if len(shape) != 4:
                    return file.get_tensor(name).to(device)  # type: ignore[no-any-return]
                band = bands[shape[2], shape[3]]
                used.append(band)
                return part[:, :, slice(*band.rows)].to(device)  # type: ignore[no-any-return]

            descent = _from_json(said["descent"], tensor)
    except (SafetensorError, KeyError, TypeError, ValueError) as error:
        raise CheckpointError(f"the checkpoint {path} is damaged: {error}. Start the run anew.") from error
    layouts = tuple(_from_json(said["layouts"], tensor))
    return Snapshot(
        said["scale"],
        said["step"],
        said["spent"],
        said["seconds"],
        layouts,
        descent,
        used[0] if used else None,
        tuple(tuple(row) for row in said.get("trace", ())),
        said.get("balance", 1.0),
    )


def _to_json(value: Any, tensors: list[Tensor]) -> Any:
    """The value as JSON; tensors are numbered, the same one once, and added to the list."""
    if isinstance(value, Tensor):
        place = next((i for i, known in enumerate(tensors) if known is value), len(tensors))
        if place == len(tensors):
            tensors.append(value)
        return {"tensor": str(place)}
    if isinstance(value, (tuple, list)):
        return [_to_json(one, tensors) for one in value]
    kind = next((name for name, known in KINDS.items() if type(value) is known), None)
    if kind is None:
        return value
    fields = {f.name: _to_json(getattr(value, f.name), tensors) for f in dataclasses.fields(value)}
    return {"kind": kind, **fields}


def _from_json(value: Any, tensor: Any) -> Any:
    if isinstance(value, list):
        return tuple(_from_json(one, tensor) for one in value)
    if not isinstance(value, dict):
        return value
    if "tensor" in value:
        return tensor(value["tensor"])
    fields = {name: _from_json(one, tensor) for name, one in value.items() if name != "kind"}
    return KINDS[value["kind"]](**fields)


_NAMES = {torch.float32: "F32", torch.float64: "F64"}
_UNKNOWN = "0" * 64


def _head(tensors: list[Tensor], band: Band | None, said: Mapping[str, Any]) -> bytes:
    """The file's beginning: how long it is, what the tensors are, what they mean, room for their digest."""
    entries: dict[str, Any] = {
        "__metadata__": {
            "format": f"impasto checkpoint {FORMAT}",
            "impasto": __version__,
            "sha256": _UNKNOWN,
            "said": json.dumps(said),
        }
    }
    end = 0
    for place, tensor in enumerate(tensors):
        shape = list(tensor.shape)
        if tensor.dim() == 4 and band is not None:
            shape[2] = band.height
        begin, end = end, end + tensor.element_size() * torch.Size(shape).numel()
        entries[str(place)] = {
            "dtype": _NAMES[tensor.dtype],
            "shape": shape,
            "data_offsets": [begin, end],
        }
    text = json.dumps(entries, ensure_ascii=False).encode()
    text += b" " * (-len(text) % 8)
    return len(text).to_bytes(8, "little") + text


def _gathered(tensors: list[Tensor], band: Band | None) -> Iterator[Tensor]:
    """The whole tensors, one after another: every process has to go through all of them."""
    for tensor in tensors:
        yield band.gather(tensor) if tensor.dim() == 4 and band is not None else tensor


def _write(file: BinaryIO, head: bytes, tensors: Iterator[Tensor]) -> None:
    """Write everything, then the digest of the tensors into its place."""
    digest = hashlib.sha256()
    file.write(head)
    for whole in tensors:
        flat = whole.detach().cpu().contiguous().reshape(-1)
        data = memoryview(flat.view(torch.uint8).numpy())  # type: ignore[arg-type]
        for begin in range(0, len(data), PIECE):
            digest.update(data[begin : begin + PIECE])
            file.write(data[begin : begin + PIECE])
    file.seek(head.index(_UNKNOWN.encode()))
    file.write(digest.hexdigest().encode())


def _read_head(path: Path) -> dict[str, Any]:
    try:
        with safe_open(path, framework="pt") as file:
            metadata = file.metadata() or {}
    except FileNotFoundError:
        raise CheckpointError(f"there is no checkpoint {path}.") from None
    except (SafetensorError, OSError) as error:
        raise CheckpointError(
            f"{path} is no checkpoint, or one that is damaged ({error}). Start the run anew."
        ) from None
    kind, _, version = metadata.get("format", "").rpartition(" ")
    if kind != "impasto checkpoint":
        raise CheckpointError(f"{path} is a safetensors file, but no checkpoint of Impasto's.")
    if int(version) > FORMAT:
        raise CheckpointError(
            f"the checkpoint {path} has format {version}; this Impasto ({__version__}) reads {FORMAT}. "
            f"Use Impasto {metadata.get('impasto', 'of a later version')}."
        )
    said: dict[str, Any] = json.loads(metadata["said"])
    return said


def _check_digest(path: Path) -> None:
    digest = hashlib.sha256()
    with open(path, "rb") as file:
        length = int.from_bytes(file.read(8), "little")
        entries = json.loads(file.read(length))
        while piece := file.read(PIECE):
            digest.update(piece)
    wanted = entries["__metadata__"]["sha256"]
    if digest.hexdigest() != wanted:
        raise CheckpointError(
            f"the checkpoint {path} is damaged: SHA-256 of its tensors is {digest.hexdigest()[:12]}…, "
            f"{wanted[:12]}… was written. Start the run anew."
        )
