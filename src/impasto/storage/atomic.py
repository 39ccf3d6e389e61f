"""Write whole files: they appear under their name complete, or not at all."""

import hashlib
import os
import secrets
import shutil
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

if sys.platform != "win32":
    import fcntl

_FOLDER = ".folder"
"""Ending of a hidden folder's name, after the name of the hidden file whose lock tells that it is in use."""


def hidden_sibling(target: Path, suffix: str = "") -> Path:
    """Return a new hidden name in the target's folder, so that a rename to the target stays on one disk."""
    return target.with_name(f"{_hidden_prefix(target)}{secrets.token_hex(4)}{suffix}")


def _hidden_prefix(target: Path) -> str:
    """Return what all hidden names of a target begin with: a digest, because its own name may be long."""
    return f".impasto-{hashlib.sha256(os.fsencode(target.name)).hexdigest()[:8]}-"


@contextmanager
def atomic_write(target: Path, *, temporary: Path | None = None) -> Iterator[BinaryIO]:
    """Open a file to write, which replaces the target when the block ends; a failure leaves nothing.

    The file is written beside the target under a hidden name, synced, and renamed over it. It keeps the
    permissions of a file that it replaces. A link is replaced as well: resolve the target to follow it.
    A killed process leaves its hidden file behind, and the next write to the same target removes it.

    Args:
        temporary: the hidden name, for callers that are sure to be the target's only writer. Leftovers of a
            killed process are overwritten.
    Raises:
        OSError: the file cannot be written or renamed.
    """
    with ExitStack() as held:
        if temporary is None:
            _remove_leftovers(target)
            temporary, file = _open_locked(target, held)
        else:
            held.callback(temporary.unlink, missing_ok=True)
            file = held.enter_context(open(temporary, "wb"))
        yield file
        file.flush()
        os.fsync(file.fileno())
        file.close()  # Windows renames no open file
        if target.exists():
            temporary.chmod(target.stat().st_mode & 0o777)
        os.replace(temporary, target)


@contextmanager
def hidden_folder(target: Path, is_needed: Callable[[Path], bool]) -> Iterator[Path]:
    """Make a hidden folder beside the target, for a writer that needs several files. The caller removes it.

    A killed process leaves its folder behind, and the next writer of the same target removes it.

    Args:
        is_needed: whether a killed process's folder has to stay, because it holds the only copy of something.
    Raises:
        OSError: the folder cannot be made.
    """
    with ExitStack() as held:
        _remove_leftovers(target)
        for left in target.parent.glob(f"{_hidden_prefix(target)}*{_FOLDER}"):
            # Its hidden file has just been removed if its process is dead.
            if not Path(str(left).removesuffix(_FOLDER)).exists() and not is_needed(left):
                shutil.rmtree(left, ignore_errors=True)
        lock, _ = _open_locked(target, held)
        folder = Path(f"{lock}{_FOLDER}")
        folder.mkdir()
        yield folder


def _open_locked(target: Path, held: ExitStack) -> tuple[Path, BinaryIO]:
    """Return a new hidden file beside the target, locked and removed when `held` closes.

    The lock tells other writers that this process is alive: the system releases it when a process ends,
    however that happens. (A process number in the name would not do: containers that share a disk count
    their processes separately.) On Windows no lock is needed, because an open file cannot be removed there.
    """
    while True:
        temporary = hidden_sibling(target, target.suffix)
        held.callback(temporary.unlink, missing_ok=True)
        file = held.enter_context(open(temporary, "xb"))  # noqa: SIM115 - `held` closes it
        if sys.platform == "win32":
            return temporary, file
        # a second descriptor keeps the lock until the rename, when the file itself is closed
        descriptor = os.dup(file.fileno())
        held.callback(os.close, descriptor)
        with suppress(OSError):  # a disk without locks, from which `_remove_leftovers` removes nothing
            fcntl.flock(descriptor, fcntl.LOCK_EX)
        if os.fstat(descriptor).st_nlink:
            return temporary, file
        # another writer took it for a leftover before it was locked


def _remove_leftovers(target: Path) -> None:
    """Remove the hidden files of earlier writes to the target whose processes are dead."""
    for path in target.parent.glob(f"{_hidden_prefix(target)}*"):
        # Another writer's lock is an OSError here, and so is a folder, which `hidden_folder` sees to.
        with suppress(OSError):
            if sys.platform == "win32":
                path.unlink()
                continue
            with open(path, "r+b") as file:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                path.unlink()
