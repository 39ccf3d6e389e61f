"""Where large temporary files go. Standard library only."""

import os
import tempfile


def scratch() -> str:
    """Return the folder for large temporary files. On Linux, /tmp is often in memory and /var/tmp on disk."""
    if "TMPDIR" not in os.environ and os.access("/var/tmp", os.W_OK):
        return "/var/tmp"
    return tempfile.gettempdir()
