"""What every command does at its door: errors into exit codes, a bar while weights come down."""

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
    """Turn our errors into one line and an exit code. What is not ours is a bug and keeps its traceback."""

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
        except BrokenPipeError:  # `impasto … | head`
            flush_streams()
            raise typer.Exit(1) from None

    return guarded


def tell_refusal(error: OSError) -> None:
    """Say in one line what the system did not do."""
    flush_streams()
    named = f": {error.filename}" if error.filename else ""
    console.error(f"the system refused to read or write: {error.strerror or error}{named}.")


def flush_streams() -> None:
    """Write what is left of standard output and error; where that fails, drop it.

    Python would try once more at its end, print the failure and change the exit code.
    """
    for stream in (sys.stdout, sys.stderr):
        try:
            if stream is not None:
                stream.flush()
        except OSError:
            os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())


def download_bar(title: str) -> AbstractContextManager[None]:
    """A bar that shows whatever is downloaded meanwhile."""
    from impasto.cli import progress_bars

    return progress_bars.download_bar(title)
