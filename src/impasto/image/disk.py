"""What the disk allows, said in sentences: what can be read, and where to write."""

import difflib
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from impasto.errors import ImageError


@contextmanager
def reading(name: str, who: str) -> Iterator[None]:
    """Whatever goes wrong with opening and reading a file inside becomes an ImageError with the way out.

    Args:
        name: the file.
        who: what to call it in messages.
    Raises:
        ImageError: missing, a folder, closed to this user, or unreadable.
    """
    try:
        yield
    except ImageError:  # is a ValueError too
        raise
    except FileNotFoundError as error:
        raise ImageError(f"{who} does not exist.{_near(name)}") from error
    except IsADirectoryError as error:
        raise ImageError(f"{who} is a folder; name a picture in it.") from error
    except PermissionError as error:
        raise ImageError(f"{who} may not be read: {error.strerror}. Change its permissions.") from error
    except (OSError, ValueError) as error:  # ValueError: a zero byte in the name
        raise ImageError(f"{who} cannot be read: {error}.") from error


def _near(name: str) -> str:
    """The way out of a missing file: the name most like it, or the folder that is missing."""
    path = Path(name)
    if not path.parent.is_dir():
        return f" Neither does its folder, {path.parent.absolute()}."
    try:
        close = difflib.get_close_matches(path.name, os.listdir(path.parent), 1)
    except OSError:
        close = []
    return (
        f" Did you mean '{path.with_name(close[0])}'?" if close else f" Looked in {path.parent.absolute()}."
    )


def check_place(name: str) -> None:
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
