"""Checks of places before anything is written to them."""

import os
from pathlib import Path

from impasto.errors import ImageError


def check_writable(name: str) -> None:
    """Refuse a path that no file could be written to, or that holds one which is protected.

    Args:
        name: where a file is to go; a link is followed.
    Raises:
        ImageError: a folder in its place, no such folder, or a folder or file that may not be written.
        OSError: a name too long, a loop of links.
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
    """Whether a file or folder may not be written to, or was protected on purpose."""
    # root may write anything, so the system's answer is not enough
    return not (path.stat().st_mode & 0o222 and _writable(path))


def _writable(path: Path) -> bool:
    effective = os.access in os.supports_effective_ids
    return os.access(path, os.W_OK, effective_ids=effective)
