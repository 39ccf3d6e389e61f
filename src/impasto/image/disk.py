"""What the disk allows, said in sentences: what can be read, where to write, files that appear whole."""

import difflib
import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO, Literal

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


def hidden_beside(target: Path, suffix: str = "") -> Path:
    """A new hidden name in the target's folder, so that a rename to the target stays on one disk."""
    return target.with_name(f".impasto-{secrets.token_hex(8)}{suffix}")


@contextmanager
def replacing(target: Path, temporary: Path | None = None) -> Iterator[BinaryIO]:
    """A file to write to, which takes the target's place when the block ends; a failure leaves nothing.

    It is written beside the target under a hidden name and renamed over it, with the target's permissions
    if there was one.

    Args:
        temporary: that name, where one writer at most is sure. What a kill has left under it is written over.
    """
    mode: Literal["wb", "xb"] = "xb" if temporary is None else "wb"
    temporary = temporary or hidden_beside(target, target.suffix)
    try:
        with open(temporary, mode) as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        if target.exists():
            temporary.chmod(target.stat().st_mode & 0o777)
        os.replace(temporary, target)
    finally:
        temporary.unlink(missing_ok=True)
