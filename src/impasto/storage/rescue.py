"""Saving a result that took long to compute, even if its folder has become unusable meanwhile."""

import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

from impasto.errors import ImageError, ImpastoError


def save_or_rescue(
    save: Callable[[str], None], path: str | os.PathLike[str], *, what: str, other_ending: str = ""
) -> None:
    """Save a file; if that fails, save it to a new temporary folder and raise an error that says where.

    Args:
        save: a function that writes the file under the name that it is given.
        path: the file to write.
        what: what is being saved, for messages.
        other_ending: another ending to try if the file cannot be saved anywhere under its own.
    Raises:
        ImpastoError: the error of `save`, with the file's place added; ImageError for an OSError.
    """
    try:
        save(os.fspath(path))
    except (ImpastoError, OSError) as error:
        refuge = _refuge(save, Path(path), other_ending)
        kind = type(error) if isinstance(error, ImpastoError) else ImageError
        where = f"is in {refuge} instead" if refuge else "could not be saved elsewhere either, and is lost"
        raise kind(f"{str(error).rstrip('.')}. The {what} {where}.") from error


def _refuge(save: Callable[[str], None], path: Path, other_ending: str) -> Path | None:
    """Save elsewhere, and return where; None if that fails everywhere."""
    endings = dict.fromkeys((path.suffix, other_ending or path.suffix))
    for folder in _folders():
        for ending in endings:
            try:
                made = Path(tempfile.mkdtemp(prefix="impasto-", dir=folder))
            except OSError:
                break
            try:
                save(str(made / path.with_suffix(ending).name))
            except (ImpastoError, OSError):
                shutil.rmtree(made, ignore_errors=True)
            else:
                return made / path.with_suffix(ending).name
    return None


def _folders() -> Iterator[str]:
    """Folders that can probably be written, beginning with the usual one for temporary files."""
    for folder in (tempfile.gettempdir, lambda: "/var/tmp", lambda: str(Path.home()), os.getcwd):
        try:
            yield folder()
        except (OSError, RuntimeError):  # no temporary folder, no home, or a current folder that was removed
            continue
