"""A run's state as a file: saved whole or not at all, read by version, exact to the last bit."""

import dataclasses
import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import cache, partial
from pathlib import Path
from types import UnionType
from typing import Any, Literal, TypeVar, Union, get_args, get_origin, get_type_hints

import torch
from torch import Tensor

from impasto.errors import CheckpointError, ImageError
from impasto.objective.evaluate import Evaluation
from impasto.run.layout import Layout
from impasto.run.trace import Trace
from impasto.solve import adam, lbfgs
from impasto.solve.descent import DescentState
from impasto.solve.space import Space
from impasto.storage.paths import check_writable
from impasto.storage.tensor_file import FileKind, LazyTensor, TensorReader, open_tensors, write_tensors
from impasto.system.distributed import rank

_T = TypeVar("_T")

KIND = FileKind(
    "impasto checkpoint",
    2,
    TensorReader.data_sha256,
    CheckpointError,
    "Name a file that --checkpoint wrote, or start the run anew.",
)

KINDS = {
    "layout": Layout,
    "descent": DescentState,
    "lbfgs": lbfgs.LBFGSState,
    "adam": adam.AdamState,
    "evaluation": Evaluation,
}
"""What a checkpoint may hold, besides tensors, numbers and text."""

FILE_KEYS = {
    "point": "image",
    "point_changes": "moves",
    "gradient_changes": "turns",
    "evaluation": "here",
    "style_factor": "balance",
}
"""Keys in the file of fields that have another name now."""

_FIELDS = {key: name for name, key in FILE_KEYS.items()}


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
        space: what the solver's points are, and which part of them this process holds.
        trace: a row for every step so far: scale and step from 1, seconds, the loss and its summands.
        style_factor: what the style's weight is multiplied by.
        matches: of each term on nearest neighbours, those last searched for, of the whole picture.
    """

    scale: int = 0
    step: int = 0
    spent: int = 0
    seconds: float = 0.0
    layouts: tuple[Layout, ...] = ()
    descent: DescentState | None = None
    space: Space | None = None
    trace: Trace = field(default_factory=Trace)
    style_factor: float = 1.0
    matches: tuple[Tensor, ...] = ()


def save(path: str | os.PathLike[str], snapshot: Snapshot, facts: Mapping[str, Any]) -> None:
    """Write a checkpoint, whole or not at all: a tensor file, see `tensor_file`.

    Where several processes work on one picture all of them call this; their bands are gathered tensor by
    tensor, and the first process writes.

    Args:
        facts: whatever else is needed to go on, as JSON.
    Raises:
        CheckpointError: it cannot be written there.
    """
    tensors: list[Tensor] = []
    tree, matches = _to_json(snapshot.descent, tensors), _to_json(snapshot.matches, tensors)
    facts_of_run = {
        "scale": snapshot.scale,
        "step": snapshot.step,
        "spent": snapshot.spent,
        "seconds": snapshot.seconds,
        "layouts": _to_json(snapshot.layouts, []),
        "descent": tree,
        "trace": list(snapshot.trace),
        "balance": snapshot.style_factor,
        "matches": matches,
    }
    gathered = {str(index): _gathered(tensor, snapshot.space) for index, tensor in enumerate(tensors)}
    if rank() != 0:
        for tensor in gathered.values():
            tensor.make()  # gives this process's rows to the first
        return
    target = Path(os.path.realpath(path))
    temporary = target.with_name(f".{target.name}.part")
    left = dict(gathered)

    def made(name: str) -> Tensor:
        return left.pop(name).make()

    lazy = {name: replace(tensor, make=partial(made, name)) for name, tensor in gathered.items()}
    try:
        write_tensors(path, KIND, lazy, {"run": facts_of_run, "facts": dict(facts)}, temporary=temporary)
    except CheckpointError as error:
        for tensor in left.values():
            tensor.make()  # the other processes are sending, and would wait for ever
        raise CheckpointError(f"the checkpoint {error}") from error


def _gathered(tensor: Tensor, space: Space | None) -> LazyTensor:
    """Everybody's parts of a point together; any other tensor, of fewer dimensions, as it is."""
    if tensor.dim() < 2 or space is None:
        return LazyTensor(tuple(tensor.shape), tensor.dtype, lambda: tensor)
    return LazyTensor(space.whole_shape(tensor), tensor.dtype, lambda: space.gather(tensor))


def check(path: str | os.PathLike[str]) -> None:
    """Refuse a place where no checkpoint could be written.

    Raises:
        CheckpointError: saying why.
    """
    try:
        check_writable(os.fspath(path))
    except (ImageError, OSError) as error:
        raise CheckpointError(f"no checkpoint can be written: {error}") from error


class Checkpoint:
    """A checkpoint that is open and verified.

    Attributes:
        facts: what was saved besides the state.
    """

    def __init__(self, file: TensorReader) -> None:
        self._file = file
        with file.parsing():
            self._run = file.facts["run"]
            self.facts: dict[str, Any] = file.facts["facts"]

    def snapshot(self, space: Callable[[int], Space], device: torch.device) -> Snapshot:
        """Read the state; of points only the part that this process holds.

        Args:
            space: gives the solver's space at a scale, from 0.
        Raises:
            CheckpointError: the content does not fit together, or to the space.
        """
        here: Space | None = None

        @cache  # a tensor that the state holds twice
        def tensor(name: str) -> Tensor:
            shape = self._file.shape(name)
            if len(shape) < 2:
                return self._file.tensor(name).to(device)
            assert here is not None, "a point is of some scale"
            if tuple(shape) != here.whole_shape(torch.empty(shape, device="meta")):
                raise ValueError(f"tensor {name} has the shape {tuple(shape)}, which does not fit the scale")
            if here.level_steps:
                return here.local(self._file.tensor(name)).to(device)
            return self._file.tensor(name, here.band.rows).to(device)

        with self._file.parsing(IndexError):
            if self._run["descent"] is not None:
                here = space(self._run["scale"])
            # These are younger than the format.
            state = {"trace": [], "balance": 1.0, "matches": [], **self._run}
            fields = {_FIELDS.get(key, key): _from_json(value, tensor) for key, value in state.items()}
            fields["trace"] = _trace(fields["trace"])
            return _checked(Snapshot(**fields, space=here))


@contextmanager
def opened(path: str | os.PathLike[str]) -> Iterator[Checkpoint]:
    """Open a checkpoint and verify all of it, once for its facts and its state.

    Raises:
        CheckpointError: no such file, damaged, foreign, or of a later version.
    """
    with open_tensors(path, KIND) as file:
        yield Checkpoint(file)


def _to_json(value: Any, tensors: list[Tensor]) -> Any:
    """The value as JSON; tensors are numbered, the same one once, and added to the list."""
    if isinstance(value, Tensor):
        index = next((i for i, known in enumerate(tensors) if known is value), len(tensors))
        if index == len(tensors):
            tensors.append(value)
        return {"tensor": str(index)}
    if isinstance(value, (tuple, list)):
        return [_to_json(item, tensors) for item in value]
    kind = next((name for name, known in KINDS.items() if type(value) is known), None)
    if kind is None:
        return value
    fields = {
        FILE_KEYS.get(f.name, f.name): _to_json(getattr(value, f.name), tensors)
        for f in dataclasses.fields(value)
    }
    return {"kind": kind, **fields}


def _from_json(value: Any, tensor: Callable[[str], Tensor]) -> Any:
    """The inverse of `_to_json`; `tensor` reads one by its name."""
    if isinstance(value, list):
        return tuple(_from_json(item, tensor) for item in value)
    if not isinstance(value, dict):
        return value
    if "tensor" in value:
        return tensor(value["tensor"])
    fields = {
        _FIELDS.get(str(key), str(key)): _from_json(item, tensor)
        for key, item in value.items()
        if key != "kind"
    }
    return _checked(KINDS[value["kind"]](**fields))


def _trace(rows: Any) -> Trace:
    """The rows of a file, if they are rows."""
    if not _has_type(rows, tuple[tuple[float, ...], ...]):
        raise TypeError("Snapshot.trace is not rows of numbers")
    return Trace(rows)


def _checked(value: _T) -> _T:
    """A dataclass instance, if its fields are of the types that are declared."""
    for name, hint in get_type_hints(type(value)).items():
        if not _has_type(getattr(value, name), hint):
            raise TypeError(f"{type(value).__name__}.{name} is not {hint}")
    return value


def _has_type(value: Any, hint: Any) -> bool:
    kind, inner = get_origin(hint), get_args(hint)
    if kind is tuple:  # tuple[X, ...]: the only one that is used
        return isinstance(value, tuple) and all(_has_type(item, inner[0]) for item in value)
    if kind in (Union, UnionType):
        return any(_has_type(value, option) for option in inner)
    if kind is Literal:
        return value in inner
    if hint in (int, float):
        return type(value) is int or type(value) is hint  # not bool, and JSON has no 1.0 apart from 1
    return isinstance(value, hint)
