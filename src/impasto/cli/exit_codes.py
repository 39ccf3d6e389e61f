"""Exit codes for errors, and a bar for downloads, which every command needs."""

import functools
import os
import sys
from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any

import typer

from impasto.cli import console
from impasto.errors import INTERRUPTED, ImpastoError


def handle_errors(command: Callable[..., None]) -> Callable[..., None]:
    """Turn an ImpastoError into one line and an exit code.

    Any other error is a bug, and keeps its traceback.
    """

    @functools.wraps(command)
    def guarded(*args: Any, **kwargs: Any) -> None:
        try:
            command(*args, **kwargs)
        except ImpastoError as error:
            console.error(str(error))
            raise typer.Exit(error.exit_code) from None
        except KeyboardInterrupt:
            console.note("Stopped.")
            raise typer.Exit(INTERRUPTED) from None
        except BrokenPipeError:  # the reader has gone, as in `impasto … | head`
            flush_streams()
            raise typer.Exit(1) from None

    return guarded


def flush_streams() -> None:
    """Flush standard output and error; drop what cannot be written.

    Otherwise Python would try again at exit, print the failure and change the exit code.
    """
    for stream in (sys.stdout, sys.stderr):
        try:
            if stream is not None:
                stream.flush()
        except OSError:
            # What is still in the buffer is written to nowhere at exit.
            os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())


def download_bar(title: str) -> AbstractContextManager[None]:
    """Show a bar for downloads in the `with` block; rich's progress bars are loaded only here."""
    from impasto.cli import progress_bars

    return progress_bars.download_bar(title)
