"""What a person sees in the terminal: notes, warnings, errors, tables. The bars are in `bars.py`."""

import io
import sys
import warnings
from collections.abc import Sequence
from contextlib import suppress
from typing import IO, Any, cast

from rich.console import Console


class _StandardError:
    """Standard error as it is now; what cannot be written to it is dropped.

    A log file on a full disk, or a reader that has gone, must not end a run.
    """

    def write(self, text: str) -> int:
        try:
            return self._stream.write(text)
        except OSError:
            return len(text)

    def flush(self) -> None:
        with suppress(OSError):
            self._stream.flush()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)

    @property
    def _stream(self) -> IO[str]:
        stream = sys.stderr or io.StringIO()  # None if it was closed before the start
        return cast("IO[str]", getattr(stream, "rich_proxied_file", stream))  # a bar puts itself between


out = Console(highlight=False, soft_wrap=True)
err = Console(file=cast("IO[str]", _StandardError()), highlight=False, soft_wrap=True)


def error(message: str) -> None:
    """One line on standard error."""
    err.print(f"[bold red]Error:[/] {_plain(message)}")


def warning(message: str) -> None:
    """One line on standard error."""
    err.print(f"[yellow]Warning:[/] {_plain(message)}")


def note(message: str) -> None:
    """One line on standard error, for people rather than programs."""
    err.print(_plain(message))


def _plain(message: str) -> str:
    return message.replace("[", r"\[")


def show_warnings() -> None:
    """Show Python warnings of ours as one line each."""

    def show(message: Any, *_: Any, **__: Any) -> None:
        warning(str(message))

    warnings.showwarning = show


def table(title: str, rows: Sequence[tuple[str, ...]], headings: tuple[str, ...] = ()) -> None:
    """A table on standard output."""
    from rich.table import Table  # slow to load, and `impasto --help` needs none

    shown = Table(title=title or None, title_justify="left", show_header=bool(headings), box=None)
    for index in range(len(rows[0])):
        shown.add_column(headings[index] if headings else "", overflow="fold")
    for row in rows:
        shown.add_row(*(_plain(cell) for cell in row))
    out.print(shown)
