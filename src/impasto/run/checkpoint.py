"""Checkpoints: the state of a run in a file, exact to the last bit, and written whole or not at all."""

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
"""Classes that a checkpoint may hold besides tensors, numbers and text, by their names in the file."""

FILE_KEYS = {
    "point": "image",
    "point_changes": "moves",
    "gradient_changes": "turns",
    "evaluation": "here",
    "style_factor": "balance",
}
"""Keys in the file of fields that have been renamed since the format was published."""

_FIELDS = {key: name for name, key in FILE_KEYS.items()}


@dataclass(frozen=True)
class Snapshot:
    """The state of a run between two steps.

    Attributes:
        scale: index of the scale, from 0.
        step: solver steps taken at this scale.
        spent: evaluations of value and gradient at earlier scales.
        seconds: duration of the run so far.
        layouts: the layout of every scale, as it is now.
        descent: the solver's state; None before the first step of a scale.
        space: the variables that the solver moves, and this process's part of them; None with `descent`.
        trace: a row for every step so far: scale and step from 1, seconds, the loss and its summands.
        terms: the names of these summands. Files written before they were saved give the present terms.
        style_factor: factor on the style's weight.
        matches: for each term on nearest neighbours, the last result of its search, of the whole picture.
            They are saved because the picture that was searched for no longer exists when the run resumes.
    """

    scale: int = 0
    step: int = 0
    spent: int = 0
    seconds: float = 0.0
    layouts: tuple[Layout, ...] = ()
    descent: DescentState | None = None
    space: Space | None = None
    trace: Trace = field(default_factory=Trace)
    terms: tuple[str, ...] = ()
    style_factor: float = 1.0
    matches: tuple[Tensor, ...] = ()


def save(path: str | os.PathLike[str], snapshot: Snapshot, facts: Mapping[str, Any]) -> None:
    """Write a checkpoint, whole or not at all. It is a tensor file (see `storage/tensor_file.py`).

    If several processes share a picture, all must call this. Their bands are gathered tensor by tensor, and
    the first process writes.

    Args:
        path: the file to write.
        snapshot: the state of the run.
        facts: whatever else is needed to resume, as JSON.
    Raises:
        CheckpointError: the file cannot be written.
    """
    tensors: list[Tensor] = []
    run = _fields_to_json(snapshot, tensors)
    del run["space"]  # follows from the plan
    gathered = {str(index): _gathered(tensor, snapshot.space) for index, tensor in enumerate(tensors)}
    if rank() != 0:
        for tensor in gathered.values():
            tensor.make()  # sends this process's rows to the first process
        return
    target = Path(os.path.realpath(path))
    temporary = target.with_name(f".{target.name}.part")
    left = dict(gathered)

    def make(name: str) -> Tensor:
        return left.pop(name).make()

    # Tensors are gathered while the file is written, so at most one is held whole.
    lazy = {name: replace(tensor, make=partial(make, name)) for name, tensor in gathered.items()}
    try:
        write_tensors(path, KIND, lazy, {"run": run, "facts": dict(facts)}, temporary=temporary)
    except CheckpointError as error:
        for tensor in left.values():
            tensor.make()  # the other processes are sending, and would wait forever
        raise CheckpointError(f"the checkpoint {error}") from error


def _gathered(tensor: Tensor, space: Space | None) -> LazyTensor:
    """Describe a tensor as the file holds it: a point joined from all processes, anything else unchanged."""
    # Points have at least two dimensions, (1, n) or (1, 3, H, W); matches have one.
    if tensor.dim() < 2 or space is None:
        return LazyTensor(tuple(tensor.shape), tensor.dtype, lambda: tensor)
    return LazyTensor(space.whole_shape(tensor), tensor.dtype, lambda: space.gather(tensor))


def check(path: str | os.PathLike[str]) -> None:
    """Check that a checkpoint could be written to a path.

    Raises:
        CheckpointError: it could not; the message says why.
    """
    try:
        check_writable(os.fspath(path))
    except (ImageError, OSError) as error:
        raise CheckpointError(f"no checkpoint can be written: {error}") from error


class Checkpoint:
    """An open and verified checkpoint.

    Attributes:
        facts: the facts saved with the state, as JSON.
    """

    def __init__(self, file: TensorReader) -> None:
        self._file = file
        with file.parsing():
            self._run = file.facts["run"]
            self.facts: dict[str, Any] = file.facts["facts"]

    def snapshot(self, space: Callable[[int], Space], device: torch.device) -> Snapshot:
        """Read the state. Of each point, only the part that this process holds is read.

        Args:
            space: gives the solver's space at a scale (from 0).
            device: where the tensors go.
        Raises:
            CheckpointError: the content is inconsistent, or does not fit the space.
        """
        current: Space | None = None

        @cache  # the state refers to some tensors twice, which stay one tensor in memory
        def tensor(name: str) -> Tensor:
            shape = self._file.shape(name)
            if len(shape) < 2:
                return self._file.tensor(name).to(device)
            assert current is not None, "a point is of some scale"
            if tuple(shape) != current.whole_shape(torch.empty(shape, device="meta")):
                raise ValueError(f"tensor {name} has the shape {tuple(shape)}, which does not fit the scale")
            if current.level_steps:
                return current.local(self._file.tensor(name)).to(device)
            return self._file.tensor(name, current.band.rows).to(device)

        with self._file.parsing(IndexError):
            if self._run["descent"] is not None:
                current = space(self._run["scale"])
            # Files written before these keys existed mean the defaults.
            state = {"trace": [], "balance": 1.0, "matches": [], **self._run}
            fields = {_FIELDS.get(key, key): _from_json(value, tensor) for key, value in state.items()}
            fields["trace"] = _trace(fields["trace"])
            return _checked(Snapshot(**fields, space=current))


@contextmanager
def opened(path: str | os.PathLike[str]) -> Iterator[Checkpoint]:
    """Open a checkpoint and verify all of it once, for both its facts and its state.

    Raises:
        CheckpointError: the file does not exist, is damaged, is no checkpoint, or has a later format.
    """
    with open_tensors(path, KIND) as file:
        yield Checkpoint(file)


def _to_json(value: Any, tensors: list[Tensor]) -> Any:
    """Convert a value to JSON. Each distinct tensor is appended to the list, and its index stands for it."""
    if isinstance(value, Tensor):
        index = next((i for i, known in enumerate(tensors) if known is value), len(tensors))
        if index == len(tensors):
            tensors.append(value)
        return {"tensor": str(index)}
    if isinstance(value, (tuple, list, Trace)):
        return [_to_json(item, tensors) for item in value]
    kind = next((name for name, known in KINDS.items() if type(value) is known), None)
    return value if kind is None else {"kind": kind, **_fields_to_json(value, tensors)}


def _fields_to_json(value: Any, tensors: list[Tensor]) -> dict[str, Any]:
    """Convert the fields of a dataclass instance, by their keys in the file (see `_to_json`)."""
    return {
        FILE_KEYS.get(f.name, f.name): _to_json(getattr(value, f.name), tensors)
        for f in dataclasses.fields(value)
    }


def _from_json(value: Any, tensor: Callable[[str], Tensor]) -> Any:
    """Invert `_to_json`; `tensor` reads a tensor by its name."""
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
    """Check the rows of a file, and make a trace of them."""
    if not _has_type(rows, tuple[tuple[float, ...], ...]):
        raise TypeError("Snapshot.trace is not rows of numbers")
    return Trace(rows)


def _checked(value: _T) -> _T:
    """Return a dataclass instance after checking its fields against their declared types."""
    for name, hint in get_type_hints(type(value)).items():
        if not _has_type(getattr(value, name), hint):
            raise TypeError(f"{type(value).__name__}.{name} is not {hint}")
    return value


def _has_type(value: Any, hint: Any) -> bool:
    """Return whether a value has the type that an annotation declares."""
    kind, inner = get_origin(hint), get_args(hint)
    if kind is tuple:  # the fields use only tuple[X, ...]
        return isinstance(value, tuple) and all(_has_type(item, inner[0]) for item in value)
    if kind in (Union, UnionType):
        return any(_has_type(value, option) for option in inner)
    if kind is Literal:
        return value in inner
    if hint in (int, float):
        return type(value) is int or type(value) is hint  # excludes bool; JSON may write 1.0 as 1
    return isinstance(value, hint)
