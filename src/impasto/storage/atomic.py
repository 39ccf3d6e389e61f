"""Write whole files: they appear under their name complete, or not at all."""

import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO, Literal


def hidden_sibling(target: Path, suffix: str = "") -> Path:
    """A new hidden name in the target's folder, so that a rename to the target stays on one disk."""
    return target.with_name(f".impasto-{secrets.token_hex(8)}{suffix}")


@contextmanager
def atomic_write(target: Path, *, temporary: Path | None = None) -> Iterator[BinaryIO]:
    """Open a file to write, which replaces the target when the block ends; a failure leaves nothing.

    The file is written beside the target under a hidden name, synced, and renamed over it. It keeps the
    permissions of a file that it replaces. A link is replaced as well: resolve the target to follow it.

    Args:
        temporary: the hidden name, for callers that are sure to be the target's only writer. Leftovers of a
            killed process are overwritten.
    Raises:
        OSError: the file cannot be written or renamed.
    """
    mode: Literal["wb", "xb"] = "xb" if temporary is None else "wb"
    temporary = temporary or hidden_sibling(target, target.suffix)
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
