"""Choosing the package index to fetch from: the one that pip uses, unless another is named."""

import os
import subprocess
import sys

PIP_SECONDS = 5.0
"""How long to wait for pip's answer."""


def index_address(index_url: str | None = None) -> str | None:
    """Return the address of the package index.

    Returns:
        the first of these that is set: the argument, IMPASTO_INDEX_URL, PIP_INDEX_URL, pip's configuration;
        None for the default of pypi-simple.
    """
    given = (index_url, os.environ.get("IMPASTO_INDEX_URL"), os.environ.get("PIP_INDEX_URL"))
    return next((address for address in given if address), None) or _pip_address()


def _pip_address() -> str | None:
    """Ask pip for the index in its configuration files; None if it has none or does not answer."""
    # -I: a file called pip.py in the working folder must not be run.
    command = [sys.executable, "-I", "-m", "pip", "config", "get", "global.index-url"]
    try:
        answer = subprocess.run(
            command,
            capture_output=True,
            text=True,
            stdin=subprocess.DEVNULL,
            timeout=PIP_SECONDS,
            check=False,
        )
    except (OSError, ValueError, subprocess.SubprocessError):
        return None
    return (answer.stdout.strip() or None) if answer.returncode == 0 else None
