"""Progress bars of downloads, paintings and figures. Imported only when needed: rich's bars load slowly."""

import math
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

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

from impasto.cli.console import err, warning
from impasto.cli.console import note as say
from impasto.formatting import format_duration
from impasto.network.download import report_downloads

if TYPE_CHECKING:
    from impasto.fast.trainer import TrainProgress
    from impasto.recipes.batch import BatchProgress
    from impasto.recipes.figure import FigureProgress
    from impasto.run.progress import Progress as Step


@contextmanager
def download_bar(title: str) -> Iterator[None]:
    """Show a bar for downloads in the `with` block, from the first bytes on."""
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
        with report_downloads(report):
            yield
    finally:
        if task:  # stopping a bar that never showed prints an empty line
            bar.stop()


class RunBar:
    """A bar for a whole run, shown from its first step on, with the facts of the newest step.

    Args:
        console: where it is drawn.
        quiet: draw nothing; for all processes of a run but the first.
    """

    def __init__(self, console: Console = err, *, quiet: bool = False) -> None:
        self.quiet = quiet
        self.bar = Progress(
            TextColumn("[bold]{task.description}"),
            BarColumn(bar_width=24),
            TextColumn("{task.percentage:>3.0f}%"),
            TextColumn("{task.fields[facts]}"),
            console=console,
        )
        self.task: TaskID | None = None

    def __enter__(self) -> "RunBar":
        return self

    def __exit__(self, *_: object) -> None:
        if self.task is not None:
            self.bar.stop()

    def painting(self, step: "Step") -> None:
        """Show the newest step of a painting."""
        self._show(fraction_done(step), 1.0, f"{step.width}×{step.height}", painting_facts(step), step.note)

    def figure(self, progress: "FigureProgress") -> None:
        """Show the newest step of a figure's newest panel."""
        step = progress.step
        self._show(
            progress.panel - 1 + (fraction_done(step) if step else 1.0),
            progress.panels,
            f"panel {progress.panel}/{progress.panels}",
            f"{progress.name} · {painting_facts(step)}" if step else f"{progress.name} was finished before",
            step.note if step else "",
        )

    def training(self, progress: "TrainProgress") -> None:
        """Show the newest training step."""
        # NaN before the first evaluation on held-out photos.
        judged = "" if math.isnan(progress.held_out) else f" · held-out photos {progress.held_out:.4g}"
        facts = f"loss {progress.loss:.4g}{judged} · {format_duration(progress.eta)} left at most"
        broken = f" · {progress.broken} unreadable" if progress.broken else ""
        self._show(
            progress.step, progress.steps, f"step {progress.step}/{progress.steps}", facts + broken, ""
        )

    def batch(self, progress: "BatchProgress") -> None:
        """Show the newest step of a batch's newest picture, and a line for each finished one."""
        if self.task is None and progress.state != "painting":
            return  # the download of the weights may come next, and needs the terminal for its own bar
        step, name = progress.step, Path(progress.pair.output).name
        painting = step if progress.state == "painting" else None
        self._show(
            progress.done + (fraction_done(painting) if painting else 0.0),
            progress.pairs,
            f"picture {progress.done + bool(painting)}/{progress.pairs}",
            f"{name} · {painting_facts(painting) if painting else progress.state}",
            painting.note if painting else "",
        )
        if progress.state == "painted" and step:
            say(f"Painted {progress.pair.output} ({step.width}×{step.height}, {step.seconds:.0f} s).")

    def _show(self, done: float, total: float, description: str, facts: str, note: str) -> None:
        if self.quiet:
            return
        if self.task is None:
            self.bar.start()
            self.task = self.bar.add_task(description, total=total, facts="")
        self.bar.update(self.task, completed=done, description=description, facts=facts)
        if note:  # above the bar, where it stays
            warning(note)


def fraction_done(step: "Step") -> float:
    """Return the fraction of a run's time that has passed, 0..1, by its own estimate."""
    return step.seconds / (step.seconds + step.eta) if step.seconds + step.eta else 0.0


def painting_facts(step: "Step") -> str:
    """Return a step's scale, count, loss, speed and remaining time, as one line."""
    rate = step.evaluations / step.seconds if step.seconds else 0.0
    return (
        f"scale {step.scale}/{step.scales} · step {step.step}/{step.steps} · loss {step.loss:.4g} · "
        f"{rate:.1f} it/s · {step.precision} · {format_duration(step.eta)} left"
    )
