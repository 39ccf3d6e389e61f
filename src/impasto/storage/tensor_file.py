"""Files of named tensors and facts about them, verified completely before anything in them is used.

They are safetensors files whose metadata holds the file's kind and version, and the facts as JSON. From
version 2 on every file begins with the same bytes:

    <length of the header: 8 bytes, little-endian>{"__metadata__":{"file_sha256":"<64 hexadecimal digits>",…

The digest covers every byte of the file, with its own 64 digits taken as zeros. Version 1 has a digest of the
tensors alone, `sha256`, which each kind computes differently; its header is checked only for consistency.
"""

import hashlib
import json
import math
import os
import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import torch
from torch import Tensor

from impasto.errors import CheckpointError, ImpastoError, WeightsError
from impasto.storage.atomic import atomic_write
from impasto.storage.outputs import LONGEST_HEADER
from impasto.system import process as process  # before anything is computed
from impasto.version import __version__

PIECE = 1 << 24
"""Bytes read, hashed and written at a time."""

DTYPES = {"F16": torch.float16, "F32": torch.float32, "F64": torch.float64, "I32": torch.int32}
"""The number types that are written, by their safetensors names."""

_DTYPE_NAMES = {dtype: name for name, dtype in DTYPES.items()}
_START = b'{"__metadata__":{"file_sha256":"'
_NO_DIGEST = "0" * 64


@dataclass(frozen=True)
class FileKind:
    """A kind of tensor file.

    Attributes:
        name: its name in the file and in messages.
        version: the format that is written, and the latest that can be read. Increase it when an older
            Impasto could no longer read the file.
        version_1_digest: computes what `sha256` in a file of version 1 must be.
        error: the exception for an unusable file.
        advice: what to do about an unusable file, as a sentence.
    """

    name: str
    version: int
    version_1_digest: "Callable[[TensorReader], str]"
    error: type[WeightsError | CheckpointError]
    advice: str


@dataclass(frozen=True)
class LazyTensor:
    """A tensor that is made only when it is written, such as one gathered from several processes."""

    shape: tuple[int, ...]
    dtype: torch.dtype
    make: Callable[[], Tensor]


def write_tensors(
    path: str | os.PathLike[str],
    kind: FileKind,
    tensors: Mapping[str, Tensor | LazyTensor],
    facts: Mapping[str, Any],
    *,
    temporary: Path | None = None,
) -> None:
    """Write a file one tensor at a time, completely or not at all. A link is followed.

    Args:
        path: the file to write or replace.
        kind: its kind, which is written with the version.
        tensors: by name, in the order in which to make and write them.
        facts: about the tensors; they must be JSON.
        temporary: as for `atomic_write`.
    Raises:
        CheckpointError, WeightsError: the file cannot be written.
    """
    header = _header(kind, tensors, facts)
    digest = hashlib.sha256(header)
    try:
        with atomic_write(Path(os.path.realpath(path)), temporary=temporary) as file:
            file.write(header)
            for tensor in tensors.values():
                whole = tensor.make() if isinstance(tensor, LazyTensor) else tensor
                data = _bytes_of(whole.detach().cpu().contiguous())
                for begin in range(0, len(data), PIECE):
                    digest.update(data[begin : begin + PIECE])
                    file.write(data[begin : begin + PIECE])
            # The digest's place is known from the start, so a file can be streamed and completed at the end.
            file.seek(8 + len(_START))
            file.write(digest.hexdigest().encode())
    except OSError as problem:
        raise kind.error(f"{os.fspath(path)} cannot be written: {problem.strerror or problem}.") from problem


def _header(kind: FileKind, tensors: Mapping[str, Tensor | LazyTensor], facts: Mapping[str, Any]) -> bytes:
    """Return the first bytes of a file: the header's length, and the header with zeros for the digest."""
    header: dict[str, Any] = {
        "__metadata__": {
            "file_sha256": _NO_DIGEST,  # must come first, see `_START`
            "format": f"{kind.name} {kind.version}",  # the key that earlier versions read in a checkpoint
            "kind": kind.name,
            "version": str(kind.version),
            "impasto": __version__,
            "said": json.dumps(facts),
        }
    }
    end = 0
    for name, tensor in tensors.items():
        begin, end = end, end + tensor.dtype.itemsize * math.prod(tensor.shape)
        header[name] = {
            "dtype": _DTYPE_NAMES[tensor.dtype],
            "shape": list(tensor.shape),
            "data_offsets": [begin, end],
        }
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)  # safetensors wants the numbers to begin at a multiple of 8
    return len(text).to_bytes(8, "little") + text


def _bytes_of(tensor: Tensor) -> memoryview:
    """Return the memory of a contiguous tensor on the CPU, not copied."""
    return memoryview(tensor.reshape(-1).view(torch.uint8).numpy())  # type: ignore[arg-type]


@contextmanager
def open_tensors(path: str | os.PathLike[str], kind: FileKind) -> "Iterator[TensorReader]":
    """Open a file, verify it, and keep it open, so that what is read is what was verified.

    Raises:
        CheckpointError, WeightsError: the file is missing, damaged, of another kind, or of a later version.
    """
    name = os.fspath(path)
    with ExitStack() as stack:
        with _damage_errors(name, kind):
            if not Path(path).is_file():  # opening a pipe would wait for ever
                raise kind.error(f"there is no file {name}. {kind.advice}")
            file = stack.enter_context(open(path, "rb"))
            reader = TensorReader(file, name, kind)
        yield reader


@contextmanager
def _damage_errors(name: str, kind: FileKind, *more: type[Exception]) -> Iterator[None]:
    """Turn everything that a damaged file can raise into the error of its kind."""
    damage: tuple[type[Exception], ...]
    damage = (ArithmeticError, AttributeError, LookupError, RecursionError, TypeError, ValueError, *more)
    try:
        yield
    except ImpastoError:  # some are ValueErrors too
        raise
    except OSError as problem:
        raise kind.error(f"{name} cannot be read: {problem.strerror or problem}. {kind.advice}") from problem
    except damage as problem:
        reason = " ".join(str(problem).split())[:120].rstrip(". ")
        raise kind.error(f"{name} is damaged, or no {kind.name} ({reason}). {kind.advice}") from problem


@dataclass(frozen=True)
class _Entry:
    """A tensor in the file, beginning at byte `begin` of the file."""

    dtype: torch.dtype
    shape: tuple[int, ...]
    begin: int


class TensorReader:
    """An open, verified file.

    Attributes:
        facts: the facts about the tensors, as they were written.
    """

    def __init__(self, file: BinaryIO, name: str, kind: FileKind) -> None:
        self._file, self._name, self._kind = file, name, kind
        size = os.fstat(file.fileno()).st_size
        length = int.from_bytes(file.read(8), "little")
        if length > min(LONGEST_HEADER, size - 8):
            raise ValueError(f"a header of {length:,} bytes in a file of {size:,}")
        text = file.read(length)
        header = json.loads(text.decode())
        metadata = header.pop("__metadata__", {})
        version = _version(metadata, name, kind)
        self._data_begin = 8 + length
        self._entries = _entries(header, self._data_begin, size)
        if version == 1:  # written until November 2026; such files are in tests/data
            expected, actual = str(metadata["sha256"]), kind.version_1_digest(self)
        elif text.startswith(_START):
            expected, actual = text[len(_START) :][:64].decode(), self._file_sha256()
        else:  # a damaged beginning, or an older file with the version number changed
            raise ValueError("the header begins with other bytes")
        if actual != expected:
            difference = f"its SHA-256 is {actual[:12]}…, {expected[:12]}… was written"
            raise kind.error(f"{name} is damaged: {difference}. {kind.advice}")
        self.facts: dict[str, Any] = json.loads(metadata["said"])

    @property
    def names(self) -> tuple[str, ...]:
        """The tensors' names, in the order of the file."""
        return tuple(self._entries)

    def shape(self, name: str) -> tuple[int, ...]:
        """Return the shape of the tensor with this name."""
        return self._entries[name].shape

    def tensor(self, name: str, rows: tuple[int, int] | None = None) -> Tensor:
        """Read a tensor into memory on the CPU.

        Args:
            name: its name.
            rows: of an image (B, C, H, W), read only the rows from the first number up to, and without, the
                second.
        Raises:
            KeyError: there is no such tensor.
            ValueError: the rows do not exist, or the file has become shorter. `parsing` turns these into the
                error of the file's kind.
        """
        entry = self._entries[name]
        if rows is None:
            return self._read(torch.empty(entry.shape, dtype=entry.dtype), entry.begin)
        (first, last), (*planes, height, width) = rows, entry.shape
        if not 0 <= first <= last <= height:
            raise ValueError(f"rows {first} to {last} of {height}")
        # Row ranges of each plane are contiguous in the file, so a process reads its own band and no more.
        band = torch.empty((math.prod(planes), last - first, width), dtype=entry.dtype)
        for index, plane in enumerate(band):
            self._read(plane, entry.begin + (index * height + first) * width * entry.dtype.itemsize)
        return band.reshape(*planes, last - first, width)

    def _read(self, tensor: Tensor, begin: int) -> Tensor:
        """Fill a contiguous tensor with the file's bytes from `begin` on."""
        self._file.seek(begin)
        data = _bytes_of(tensor)
        if self._file.readinto(data) != len(data):  # type: ignore[attr-defined]
            raise ValueError("the file has become shorter")
        return tensor

    def parsing(self, *more: type[Exception]) -> AbstractContextManager[None]:
        """Turn failures to interpret tensors and facts, within the block, into the error of the file's kind.

        Args:
            more: further exceptions that mean damage here. RuntimeError is not among the usual ones, because
                it may also mean that memory has run out.
        """
        return _damage_errors(self._name, self._kind, *more)

    def data_sha256(self) -> str:
        """Return the SHA-256 over the bytes of all tensors, in the order of the file."""
        digest = hashlib.sha256()
        self._file.seek(self._data_begin)
        while piece := self._file.read(PIECE):
            digest.update(piece)
        return digest.hexdigest()

    def tensors_sha256(self) -> str:
        """Return the SHA-256 over the tensors' names, shapes, types and numbers, sorted by name."""
        digest = hashlib.sha256()
        for name in sorted(self._entries):
            tensor = self.tensor(name)
            digest.update(f"{name} {tuple(tensor.shape)} {tensor.dtype}\n".encode())
            digest.update(_bytes_of(tensor))
        return digest.hexdigest()

    def _file_sha256(self) -> str:
        """Return the SHA-256 over the whole file, with zeros in the place of the digest."""
        self._file.seek(0)
        begin = 8 + len(_START)
        digest = hashlib.sha256(self._file.read(begin) + _NO_DIGEST.encode())
        self._file.seek(begin + len(_NO_DIGEST))
        while piece := self._file.read(PIECE):
            digest.update(piece)
        return digest.hexdigest()


def _version(metadata: Mapping[str, str], name: str, kind: FileKind) -> int:
    """Read the version of a file, and refuse other kinds and later versions."""
    kind_name, _, version = metadata.get("format", "").rpartition(" ")
    kind_name, version = metadata.get("kind", kind_name), metadata.get("version", version)
    if kind_name != kind.name:
        raise kind.error(f"{name} is a safetensors file, but no {kind.name}. {kind.advice}")
    if not re.fullmatch("[1-9][0-9]{0,3}", version):
        raise ValueError(f"version {version[:20]!r}")
    if int(version) > kind.version:
        writer = metadata.get("impasto", "")
        needed = f"Impasto {writer}" if re.fullmatch("[0-9a-z.+]+", writer) else "a later Impasto"
        raise kind.error(
            f"{name} has format {version} of {kind.name}; this Impasto ({__version__}) reads "
            f"{kind.version}. Use {needed}."
        )
    return int(version)


def _entries(header: Mapping[str, Any], data_begin: int, size: int) -> dict[str, _Entry]:
    """Read the tensors in a header, which must fill the file from `data_begin` to its end without gaps."""
    entries, end = {}, data_begin
    for name, entry in sorted(header.items(), key=lambda item: item[1]["data_offsets"]):
        dtype, shape, (begin, stop) = DTYPES[entry["dtype"]], tuple(entry["shape"]), entry["data_offsets"]
        if not all(type(number) is int and number >= 0 for number in (*shape, begin, stop)):
            raise ValueError(f"tensor {name!r} has shape {shape} at {begin} to {stop}")
        if data_begin + begin != end or stop - begin != dtype.itemsize * math.prod(shape):
            raise ValueError(f"tensor {name!r} of shape {shape} does not lie at {begin} to {stop}")
        end = data_begin + stop
        entries[name] = _Entry(dtype, shape, data_begin + begin)
    if end != size:
        raise ValueError(f"{size - data_begin:,} bytes of numbers, not {end - data_begin:,}")
    return entries
