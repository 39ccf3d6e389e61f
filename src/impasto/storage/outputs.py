"""Checking outputs: none is an input or another output, and each replaces only files of its own kind.

This module computes and writes nothing. Of existing files it reads only the beginning.
"""

import json
import os
import stat
import tempfile
import unicodedata
from collections.abc import Callable, Iterable
from functools import partial
from pathlib import Path
from typing import Any, Literal, NamedTuple, TypeAlias

from impasto.errors import ImageError, SettingsError

Kind: TypeAlias = Literal["picture", "checkpoint", "model", "training", "trace", "onnx", "folder"]


class InputFile(NamedTuple):
    """A file that a command reads.

    Attributes:
        role: its name in messages, such as "the content image".
        path: where it is; "" for a file that is not used.
    """

    role: str
    path: str


class OutputFile(NamedTuple):
    """A file that a command will write.

    Attributes:
        option: its name in messages: the option that chooses it, such as "-o", or a role.
        path: where it goes; "" for a file that will not be written.
        kind: what it will hold. A "folder" is replaced or removed with everything in it.
    """

    option: str
    path: str
    kind: Kind = "picture"


def check_outputs(
    outputs: Iterable[OutputFile],
    inputs: Iterable[InputFile] = (),
    *,
    advice: str = "Choose another name.",
) -> None:
    """Refuse outputs that would destroy something. Call it before anything is computed.

    Two names mean the same file if their real paths are equal, if they are hard links to the same data, or if
    they differ only in case on a disk that ignores case. A picture may replace any file that is not an input.
    Other outputs may replace only files of their own kind, or empty ones.

    Args:
        outputs: the files that will be written.
        inputs: the files that will be read.
        advice: what to do about a clash, as a sentence.
    Raises:
        SettingsError: an output is an input, or two outputs are the same file.
        ImageError: an output would replace a file of another kind, or a device.
    """
    known_inputs, known_outputs = _Files(), _Files()
    for given in inputs:
        if given.path:
            known_inputs.add(f"{given.role} '{given.path}'", _parts(given.path))
    used = [output for output in outputs if output.path]
    for output in used:
        parts, label = _parts(output.path, folder=output.kind == "folder"), _label(output)
        if clash := known_inputs.find(parts):
            raise SettingsError(f"{label} would overwrite {clash}. {advice}")
        if other := known_outputs.find(parts):
            raise SettingsError(f"{other} and {label} are one file. {advice}")
        known_outputs.add(label, parts)
    for output in used:
        _check_kind(output)


def make_folder(folder: str | os.PathLike[str]) -> None:
    """Make a folder and its parents, unless they exist.

    Raises:
        ImageError: the folder cannot be made.
    """
    try:
        Path(folder).mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ImageError(
            f"cannot make the folder '{folder}': {error.strerror or error}. Choose another."
        ) from error


def same_file(first: str | os.PathLike[str], second: str | os.PathLike[str]) -> bool:
    """Return whether two names mean the same file, compared as in `check_outputs`."""
    files = _Files()
    files.add("known", _parts(os.fspath(first)))
    return bool(files.find(_parts(os.fspath(second))))


def _label(output: OutputFile) -> str:
    """Return an output's name in messages."""
    option, path = output.option, output.path
    return f"{option} '{path}'" if option.startswith("-") else f"{option}, '{path}',"


class _Part(NamedTuple):
    """One of the files or folders that an output consists of."""

    path: str  # the real path
    folder: bool


def _parts(path: str, *, folder: bool = False) -> list[_Part]:
    """Return the real paths of what a name stands for; a deep-zoom picture is a file and a folder."""
    if not folder and Path(path).suffix.lower() in (".dz", ".dzi"):
        stem = os.path.splitext(path)[0]
        return [_Part(_real(f"{stem}.dzi"), False), _Part(_real(f"{stem}_files"), True)]
    return [_Part(_real(path), folder)]


def _real(path: str) -> str:
    try:
        return os.path.realpath(path)
    except ValueError:  # a zero byte in the name: no file can have it
        return path


class _Files:
    """Files indexed by everything that can identify them, so that thousands can be compared quickly."""

    def __init__(self) -> None:
        self._paths: dict[str, str] = {}  # path → what to call the file, as in the next two
        self._folders: dict[str, str] = {}
        self._inodes: dict[tuple[int, int], str] = {}
        self._folded: dict[str, str] = {}  # path without regard to case → path

    def add(self, label: str, parts: Iterable[_Part]) -> None:
        """Add the parts of a file; the first label of a path stays."""
        for path, folder in parts:
            self._paths.setdefault(path, label)
            self._folded.setdefault(_folded(path), path)
            if folder:
                self._folders.setdefault(path, label)
            if (inode := _inode(path)) is not None:
                self._inodes.setdefault(inode, label)

    def find(self, parts: Iterable[_Part]) -> str:
        """Return the label of a known file that equals, contains or lies in one of these parts; else ""."""
        for path, folder in parts:
            if path in self._paths:
                return self._paths[path]
            inode = _inode(path)
            if inode is not None and inode in self._inodes:
                return self._inodes[inode]
            other = self._folded.get(_folded(path))
            if other is not None and _same_but_for_case(path, other):
                return self._paths[other]
            for parent in map(str, Path(path).parents) if self._folders else ():
                if parent in self._folders:
                    return f"{self._folders[parent]} in '{parent}'"
            for known, label in self._paths.items() if folder else ():
                if path in map(str, Path(known).parents):
                    return f"{label} in '{path}'"
        return ""


def _inode(path: str) -> tuple[int, int] | None:
    """Return device and inode, which hard links to the same data share, or None if there is no file."""
    try:
        facts = os.stat(path)
    except (OSError, ValueError):
        return None
    return (facts.st_dev, facts.st_ino) if facts.st_ino else None  # some network disks have no inodes


def _folded(path: str) -> str:
    return unicodedata.normalize("NFC", path).casefold()


def _same_but_for_case(first: str, second: str) -> bool:
    """Return whether two real paths that differ only in case name the same file on their disk."""
    folders = [_existing(first), _existing(second)]
    try:
        if not os.path.samefile(*folders):
            return False
    except OSError:
        return False
    rests = [os.path.relpath(path, folder) for path, folder in zip((first, second), folders, strict=True)]
    return rests[0] == rests[1] or _ignores_case(folders[0])


def _existing(path: str) -> str:
    """Return the nearest folder above a path that exists."""
    return next((str(parent) for parent in Path(path).parents if parent.is_dir()), os.sep)


def _ignores_case(folder: str) -> bool:
    """Return whether names that differ only in case mean one file here. Disks differ, so it is tried."""
    try:
        with tempfile.NamedTemporaryFile(dir=folder, prefix=".impasto-case-") as probe:
            return os.path.exists(os.path.join(folder, os.path.basename(probe.name).upper()))
    except OSError:
        return False  # nothing can be written there, which other checks report


def _check_kind(output: OutputFile) -> None:
    """Refuse to replace a device, or a file of another kind."""
    path = _real(output.path)
    try:
        facts = os.stat(path)
    except (OSError, ValueError):
        return  # nothing to lose
    if stat.S_ISDIR(facts.st_mode):
        return  # `check_writable` reports a folder in the place of a file
    if not stat.S_ISREG(facts.st_mode):
        if output.kind == "trace":
            return  # a trace is appended to, so a pipe or /dev/null will do
        raise ImageError(
            f"{_label(output)} is a device or a pipe, which would be replaced by a file. Choose another name."
        )
    test = _TESTS.get(output.kind)
    if test is None or facts.st_size == 0:
        return
    description, is_ours = test
    try:
        ours = is_ours(path)
    except OSError as error:
        raise ImageError(
            f"{_label(output)} is there already and cannot be read "
            f"({error.strerror or error}). Choose another name."
        ) from error
    if not ours:
        raise ImageError(
            f"{_label(output)} is there already and is no {description}: it would be "
            "lost. Choose another name, or remove it first."
        )


LONGEST_HEADER = 100_000_000
"""The longest header in bytes, as in the safetensors library. A damaged length could ask for gigabytes."""

_LONGEST_LINE = 1 << 20
"""The most bytes to read of a trace's first line; Impasto's have a few hundred."""


def _metadata(path: str) -> dict[str, Any]:
    """Return the metadata of a safetensors file; empty if the file is not one."""
    with open(path, "rb") as file:
        length = int.from_bytes(file.read(8), "little")
        size = os.fstat(file.fileno()).st_size
        start = file.read(1)
        if start != b"{" or not 2 <= length <= min(size - 8, LONGEST_HEADER):
            return {}
        text = start + file.read(length - 1)
    try:
        metadata = json.loads(text)["__metadata__"]
    except (ValueError, KeyError, TypeError, RecursionError):
        return {}
    return metadata if isinstance(metadata, dict) else {}


def _is_kind(name: str, path: str) -> bool:
    """Return whether a file says that it is a tensor file of the kind with this name."""
    metadata = _metadata(path)
    # Checkpoints of version 1 name the kind only in "format", before the version.
    return str(metadata.get("kind", metadata.get("format", ""))).startswith(name)


def _is_trace(path: str) -> bool:
    with open(path, "rb") as file:
        line = file.readline(_LONGEST_LINE)
    try:
        facts = json.loads(line)
    except (ValueError, RecursionError):
        return False
    return isinstance(facts, dict) and facts.keys() >= {"scale", "step", "loss", "by_term", "evaluations"}


_TESTS: dict[Kind, tuple[str, Callable[[str], bool]]] = {
    "checkpoint": ("checkpoint that Impasto wrote", partial(_is_kind, "impasto checkpoint")),
    "model": ("model that Impasto trained", partial(_is_kind, "Impasto painter")),
    "training": ("training that Impasto saved", partial(_is_kind, "Impasto training")),
    "trace": ("trace that Impasto wrote", _is_trace),
}
