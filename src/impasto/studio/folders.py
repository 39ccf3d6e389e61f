"""Folders for the files of pages, of which only the newest stay."""

import shutil
import tempfile
from pathlib import Path

KEPT = 32
"""Jobs of a page whose files stay, and pictures of one job. A page shows as many pictures of its visit."""


def new_folder(parent: str, prefix: str) -> str:
    """Make a folder, and remove the oldest of the same kind if there are more than `KEPT` with it.

    Args:
        parent: the folder in which it is made.
        prefix: the beginning of its name; folders with the same prefix are of the same kind.
    """
    earlier = sorted(Path(parent).glob(f"{prefix}*"), key=lambda folder: folder.stat().st_mtime_ns)
    for folder in earlier[: max(0, len(earlier) + 1 - KEPT)]:
        shutil.rmtree(folder, ignore_errors=True)
    return tempfile.mkdtemp(prefix=prefix, dir=parent)
