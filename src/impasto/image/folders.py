"""Finding the picture files in folders."""

import os
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import TypeAlias, Union

from impasto.errors import ImageError, ImpastoWarning
from impasto.image.formats import HEAD, by_suffix, sniff

AnyPath: TypeAlias = Union[str, "os.PathLike[str]"]


def picture_files(given: Sequence[AnyPath]) -> list[str]:
    """Replace each folder in a list by the pictures in it, sorted by name; other paths stay as they are.

    Raises:
        ImageError: a folder cannot be read or has no pictures.
    Warns:
        ImpastoWarning: a folder has files that are not pictures, which are left out.
    """
    files: list[str] = []
    for path in given:
        files += _in_folder(Path(path)) if Path(path).is_dir() else [os.fspath(path)]
    return files


def _in_folder(folder: Path) -> list[str]:
    """Return the pictures in a folder, sorted by name. Damaged ones are included, and reported later."""
    try:
        files = sorted(path for path in folder.iterdir() if path.is_file() and not path.name.startswith("."))
    except OSError as error:
        raise ImageError(f"the folder '{folder}' cannot be read: {error.strerror}.") from error
    pictures = [path for path in files if is_picture(path)]
    if not pictures:
        raise ImageError(f"there are no pictures in the folder '{folder}'.")
    if others := [path.name for path in files if path not in pictures]:
        shown = ", ".join(others[:3]) + (", …" if len(others) > 3 else "")
        warnings.warn(
            f"left out of '{folder}', as no pictures that can be read: {shown}.", ImpastoWarning, stacklevel=3
        )
    return [str(path) for path in pictures]


def is_picture(path: Path) -> bool:
    """Return whether a file's ending or its first bytes are a picture's. A damaged picture counts as one."""
    if by_suffix(path.suffix) or path.suffix.lower() == ".gif":
        return True
    try:
        with path.open("rb") as file:
            return sniff(file.read(HEAD), path.suffix) is not None
    except OSError:
        return False
