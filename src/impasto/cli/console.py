"""Messages and tables in the terminal. The bars are in `progress_bars.py`."""

import io
import sys
import warnings
from collections.abc import Sequence
from contextlib import suppress
from typing import IO, Any, cast

from rich.console import Console
from rich.text import Text


class _StandardError:
    """The current standard error; text that cannot be written is dropped.

    A log file on a full disk, or a reader that has gone, must not end a run.
    """

    def write(self, text: str) -> int:
        """Write text, or drop it, and return the number of its characters that count as written."""
        try:
            return self._stream.write(text)
        except OSError:
            return len(text)

    def flush(self) -> None:
        """Flush the stream, as far as it can be."""
        with suppress(OSError):
            self._stream.flush()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)

    @property
    def _stream(self) -> IO[str]:
        stream = sys.stderr or io.StringIO()  # None if it was closed before Python started
        # A bar of rich's replaces the stream by a proxy, which would print through this console again.
        return cast("IO[str]", getattr(stream, "rich_proxied_file", stream))


# Long lines are left to the terminal, so that a path can be copied in one piece and `grep` finds it whole.
out = Console(highlight=False, soft_wrap=True)
err = Console(file=cast("IO[str]", _StandardError()), highlight=False, soft_wrap=True)


def error(message: str) -> None:
    """Print an error as one line on standard error."""
    err.print(Text("Error:", style="bold red"), message, markup=False)


def warning(message: str) -> None:
    """Print a warning as one line on standard error."""
    err.print(Text("Warning:", style="yellow"), message, markup=False)


def note(message: str) -> None:
    """Print a message for people on standard error, so that standard output stays clean for programs."""
    err.print(message, markup=False)


def show_warnings() -> None:
    """Show Python warnings as one line each, without file and line number."""

    def show(message: Any, *_: Any, **__: Any) -> None:
        warning(str(message))

    warnings.showwarning = show


def table(title: str, rows: Sequence[tuple[str, ...]], headings: tuple[str, ...] = ()) -> None:
    """Print a table on standard output.

    Args:
        title: above the table; "": none.
        rows: the cells, as many in each row.
        headings: of the columns; empty: none.
    """
    from rich.table import Table  # slow to load, and `impasto --help` needs none

    shown = Table(title_justify="left", show_header=bool(headings), box=None)
    shown.title = Text(title, style="table.title") if title else None
    for index in range(len(rows[0])):
        # Folded where it is too wide, not cut: paths and digests are for copying.
        shown.add_column(headings[index] if headings else "", overflow="fold")
    for row in rows:
        shown.add_row(*map(Text, row))  # as text: a file name may look like markup
    out.print(shown)
