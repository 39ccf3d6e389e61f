"""Checking where a file may be written, before any work is done."""

import os
from pathlib import Path

from impasto.errors import ImageError


def check_writable(name: str) -> None:
    """Refuse a path that cannot be written, or whose file is protected.

    Args:
        name: the file to write; a link is followed.
    Raises:
        ImageError: the path is a folder, its folder does not exist, or one of them may not be written.
        OSError: the name is too long, or links form a loop.
    """
    target = Path(os.path.realpath(name))
    if target.is_dir():
        raise ImageError(f"'{name}' is a folder. Add a file name, such as '{Path(name) / 'out.png'}'.")
    if not target.parent.is_dir():
        raise ImageError(f"the folder of '{name}' does not exist. Make it first: {target.parent}")
    if not _writable(target.parent):
        raise ImageError(f"the folder of '{name}' may not be written to. Choose another: {target.parent}")
    if target.exists() and is_protected(target):
        raise ImageError(f"'{name}' is read-only. Choose another name, or allow writing to it.")


def is_protected(path: Path) -> bool:
    """Return whether a file or folder may not be written, or was protected on purpose."""
    # root may write anything, so the system's answer is not enough: a file without write bits is respected.
    return not (path.stat().st_mode & 0o222 and _writable(path))


def _writable(path: Path) -> bool:
    """Return whether the user whose rights the process has may write to a path."""
    effective = os.access in os.supports_effective_ids
    return os.access(path, os.W_OK, effective_ids=effective)
