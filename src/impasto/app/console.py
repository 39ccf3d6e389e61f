"""What a person sees in the terminal: progress, notes, errors, tables."""

import time
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.progress import (
    BarColumn,
    DownloadColumn,
    Progress,
    TaskID,
    TextColumn,
    TimeRemainingColumn,
    TransferSpeedColumn,
)
from rich.table import Table

if TYPE_CHECKING:
    from impasto.recipes.progress import Progress as Step

out = Console(highlight=False, soft_wrap=True)
err = Console(stderr=True, highlight=False, soft_wrap=True)


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


@contextmanager
def download_bar(title: str) -> Iterator[Callable[[int, int], None]]:
    """A bar that appears when the first bytes arrive; gives the function to report bytes to."""
    bar = Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        DownloadColumn(),
        TransferSpeedColumn(),
        TimeRemainingColumn(),
        console=err,
        transient=True,
    )
    task: list[TaskID] = []

    def report(done: int, total: int) -> None:
        if not task:
            bar.start()
            task.append(bar.add_task(title, total=total))
        bar.update(task[0], completed=done, total=total)

    try:
        yield report
    finally:
        if task:  # stopping a bar that never showed prints an empty line
            bar.stop()


class PaintingBar:
    """The progress of one painting: scale, step, loss, steps per second, time to go."""

    def __init__(self, console: Console = err) -> None:
        self.bar = Progress(
            TextColumn("[bold]{task.description}"),
            BarColumn(bar_width=24),
            TextColumn("{task.percentage:>3.0f}%"),
            TextColumn("{task.fields[facts]}"),
            console=console,
        )
        self.task: TaskID | None = None
        self.last = (time.perf_counter(), 0)

    def __enter__(self) -> "PaintingBar":
        self.bar.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.bar.stop()

    def show(self, step: "Step") -> None:
        """Show the newest step."""
        if self.task is None:
            self.task = self.bar.add_task("painting", total=1.0, facts="")
        share = step.seconds / (step.seconds + step.eta) if step.seconds + step.eta else 0.0
        self.bar.update(
            self.task,
            completed=share,
            description=f"{step.width}×{step.height}",
            facts=painting_facts(step),
        )
        if step.note:
            warning(step.note)


def painting_facts(step: "Step") -> str:
    """One line about a step."""
    rate = step.evaluations / step.seconds if step.seconds else 0.0
    return (
        f"scale {step.scale}/{step.scales} · step {step.step}/{step.steps} · loss {step.loss:.4g} · "
        f"{rate:.1f} it/s · {clock(step.eta)} left"
    )


def clock(seconds: float) -> str:
    """Seconds as a person says them.

    >>> clock(75.4)
    '1:15'
    """
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


def table(title: str, rows: Sequence[tuple[str, ...]], headings: tuple[str, ...] = ()) -> None:
    """A table on standard output."""
    shown = Table(title=title or None, title_justify="left", show_header=bool(headings), box=None)
    for index in range(len(rows[0])):
        shown.add_column(headings[index] if headings else "", overflow="fold")
    for row in rows:
        shown.add_row(*(_plain(cell) for cell in row))
    out.print(shown)
