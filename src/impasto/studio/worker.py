"""The worker process: paints one job at a time, and listens to the queue between two steps."""

import logging
import os
import signal
import time
import traceback
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from multiprocessing.connection import Connection
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from impasto.errors import ImpastoError
from impasto.formatting import format_bytes
from impasto.settings.fast import FastSettings
from impasto.settings.options import options_of
from impasto.settings.paper import (
    FeaturesSettings,
    FigureSettings,
    ReconstructContentSettings,
    ReconstructStyleSettings,
)
from impasto.settings.stylize import StylizeSettings
from impasto.studio.folders import new_folder
from impasto.studio.messages import FORMATS, FoundMasks, JobEstimate, JobRequest, Update
from impasto.studio.preview import (
    SHOWN,
    result_or_error,
    save_outputs,
    shown_as_jpeg,
    step_facts,
    without_paths,
)

if TYPE_CHECKING:
    from impasto.results.painting import Painting
    from impasto.run.checkpoint import Snapshot
    from impasto.run.layout import Layout
    from impasto.run.plan import RunPlan
    from impasto.run.progress import Progress
    from impasto.style.cache import Cache

_Settings = TypeVar("_Settings")

EVERY = 0.4
"""Fewest seconds between two pictures sent to the page."""

FIRST = 384
"""Long side of the first picture, in pixels, which one pass through a network paints."""


def main(pipe: Connection, common: Mapping[str, Any], niceness: int) -> None:
    """Serve the queue until it closes the pipe.

    Args:
        pipe: to the queue.
        common: settings of every job: device, weights, threads, memory.
        niceness: added to that of the process, so that the server stays responsive.
    """
    # Ctrl-C reaches all processes; the queue handles it and closes the pipe.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    with suppress(OSError, AttributeError):  # Windows has no nice
        os.nice(niceness)
    worker = Worker(pipe, common)
    with suppress(EOFError, BrokenPipeError, ConnectionResetError):
        while True:
            worker.serve(*pipe.recv())


class Worker:
    """Paints the queue's jobs and answers its questions.

    Args:
        pipe, common: as in `main`.
    """

    def __init__(self, pipe: Connection, common: Mapping[str, Any]) -> None:
        self.pipe, self.common = pipe, common
        self.command = ""
        self._job = JobRequest()
        self.changes: dict[str, Any] = {}
        self._cache: Cache | None = None
        self._download = (-1, -EVERY)  # percent last told, and when

    @property
    def cache(self) -> "Cache":
        """Features and networks that one job leaves for the next."""
        if self._cache is None:
            from impasto.style.cache import Cache

            self._cache = Cache()
        return self._cache

    def serve(self, kind: str, *content: Any) -> None:
        """Handle one message of the queue, and report downloads in the meantime."""
        from impasto.network.download import report_downloads

        with report_downloads(self._tell_download):
            self._serve(kind, *content)

    def _tell_download(self, done: int, total: int) -> None:
        # At most a hundred messages: without a job nobody reads the pipe, and writing to a full one blocks.
        percent = 100 * done // total
        now = time.monotonic()
        if percent != self._download[0] and (now - self._download[1] >= EVERY or done == total):
            self._download = (percent, now)
            self._send(
                Update(text=f"Fetching the network's weights, once: {percent} % of {format_bytes(total)}.")
            )

    def _serve(self, kind: str, *content: Any) -> None:
        if kind == "paint":
            self._paint(*content)
        elif kind == "ask":
            number, job = content
            self.pipe.send(("answer", (number, result_or_error(lambda: self._answer(job), job))))
        elif kind == "warm":
            self._warm_up()
        elif kind == "steer":
            self.changes |= content[0]
        else:  # "pause", "stop" or "leave", which the job obeys after its current step
            self.command = kind

    def _warm_up(self) -> None:
        """Load networks before the first job. An error is printed, for whoever has started the studio."""
        try:
            self._load()
        except ImpastoError as error:
            logging.getLogger(__name__).error("The studio cannot paint: %s", error)
        except Exception:  # noqa: BLE001 — the jobs report the error as well
            traceback.print_exc()

    def _load(self) -> None:
        """Load everything that a first picture needs, by painting a grey one."""
        import torch

        from impasto.fast.one_pass import LEAST
        from impasto.fast.stylizer import cached_stylizer
        from impasto.image.picture import Picture
        from impasto.recipes.stylize import plan_stylize

        side = 4 * LEAST
        grey = Picture(torch.full((1, 3, side, side), 0.5), name="nothing")
        settings = self._settings(StylizeSettings, {"size": side})
        cached_stylizer(self.cache, grey, FastSettings.like(settings, size=side)).stylize(grey)
        plan_stylize(grey, grey, settings, cache=self.cache)

    def _settings(self, settings_class: type[_Settings], values: Mapping[str, Any]) -> _Settings:
        """Return a job's settings, and those of the common settings that the class has."""
        known = {option.name for option in options_of(settings_class)}
        common = {name: value for name, value in self.common.items() if name in known}
        # The common settings come last, so that no job can replace them.
        return settings_class(**{**values, **common})

    def _answer(self, job: JobRequest) -> JobEstimate | FoundMasks:
        """Find the masks that a job asks for, or else estimate it as a painting."""
        from impasto.recipes.stylize import plan_stylize
        from impasto.run.estimate import estimate
        from impasto.studio.found_masks import found_masks

        if job.recipe in ("regions", "subject"):
            return found_masks(job, str(self.common.get("weights", "")))
        # The start hardly changes the cost, and "fast" would paint a picture to begin with.
        settings = self._settings(StylizeSettings, {**job.settings, "init": "content"})
        plan = plan_stylize(job.content, job.styles, settings, cache=self.cache)
        needs, (height, width) = estimate(plan, settings), plan.canvas
        return JobEstimate(width, height, needs.bytes, needs.limit, needs.seconds)

    def _paint(self, job: JobRequest) -> None:
        """Work on a job to its end. No error in a job ends the worker, except a closed pipe."""
        self.command, self.changes, self._job = "", {}, job
        try:
            job = self._with_regions(job)
            {"features": self._features, "figure": self._figure}.get(job.recipe, self._run)(job)
        except ImpastoError as error:
            self._send(Update("failed", str(error)))
        except (EOFError, BrokenPipeError, ConnectionResetError):
            raise
        except MemoryError:
            self._send(Update("failed", "There is not enough memory. Choose a smaller size."))
        except Exception as error:  # noqa: BLE001 — a bug must not end other visitors' jobs
            traceback.print_exc()
            self._send(Update("failed", f"Something went wrong in Impasto ({type(error).__name__})."))

    def _with_regions(self, job: JobRequest) -> JobRequest:
        """Return the job with masks in place of brush strokes."""
        if not any(job.strokes) or job.regions:
            return job
        from impasto.studio.brush_masks import masks_from_strokes

        files, keep = masks_from_strokes(job.strokes, len(job.styles), job.keep_unpainted, job.folder)
        settings = {**job.settings, "keep": keep} if keep else job.settings
        return replace(job, regions=files, settings=settings)

    def _send(self, news: Update) -> None:
        self.pipe.send(("news", replace(news, text=without_paths(news.text, self._job))))

    def _next_command(self) -> str:
        """Handle the queue's messages that have arrived, and return the newest command."""
        while self.pipe.poll():
            self.serve(*self.pipe.recv())
        return self.command

    def _run(self, job: JobRequest) -> None:
        """Paint step by step, until the end or a command of the queue."""
        last: Progress | None = None
        first: Painting | None = None
        if job.recipe == "stylize" and not job.checkpoint:
            first = self._first_picture(job)
        plan, snapshot = self._plan(job) if not self._next_command() else (None, None)
        shown, begun = 0.0, False
        for last in self._steps(plan, snapshot, job) if plan else ():
            now = time.monotonic()
            picture = b""
            if now - shown >= EVERY:
                picture, shown = shown_as_jpeg(last.image()), now
            # "Painting." once, in place of "Getting ready."; after that a note stays until the next one.
            text = last.note or ("" if begun else "Painting.")
            self._send(Update(picture=picture, step=step_facts(last), text=text))
            begun = True
            if self._next_command():
                break
        if self.command == "leave":
            self._send(Update("stopped"))
        elif plan is not None and last is not None:
            self._save(job, last)
        elif first is not None and self.command == "stop":
            files = save_outputs(first, job.folder)
            self._send(Update("stopped", "Stopped; this is the first picture.", files=files))
        elif self.command == "pause":
            self._send(Update("paused", "Paused before it began."))
        else:
            self._send(Update("stopped", "Stopped; there is no picture yet."))

    def _save(self, job: JobRequest, last: "Progress") -> None:
        """Write a checkpoint unless the painting is finished, and its files unless it is paused."""
        from impasto.run import checkpoint

        done = not self.command
        if not done:
            held = {"manifest": last.manifest, "output": {}}
            checkpoint.save(Path(job.folder) / "checkpoint", last.snapshot(), held)
        if self.command == "pause":
            self._send(
                Update("paused", "Paused.", picture=shown_as_jpeg(last.image()), step=step_facts(last))
            )
            return
        painting = last.painting()
        # A new folder, because the page still offers the files of an earlier stop.
        files = save_outputs(painting, new_folder(job.folder, "picture-"))
        text = "Done." if done else "Stopped; this is the picture so far."
        whole = painting.picture  # larger than the last step's image if that was at a coarser scale
        picture = shown_as_jpeg(whole.pixels)
        facts = {**step_facts(last), "width": whole.width, "height": whole.height}
        self._send(Update("finished" if done else "stopped", text, picture, facts, files))

    def _first_picture(self, job: JobRequest) -> "Painting | None":
        """Paint a first picture in one pass, shown while the real painting begins; None if that fails."""
        from impasto.fast.stylizer import cached_stylizer

        try:
            settings = self._settings(StylizeSettings, job.settings)
            fast_settings = FastSettings.like(settings, size=min(settings.size, FIRST))
            painting = cached_stylizer(self.cache, job.styles, fast_settings).stylize(
                job.content, regions=job.regions
            )
        except ImpastoError:
            return None  # the real painting reports the same error
        self._send(
            Update(
                text="A first picture, painted in one pass.", picture=shown_as_jpeg(painting.picture.pixels)
            )
        )
        return painting

    def _plan(self, job: JobRequest) -> "tuple[RunPlan, Snapshot | None]":
        from impasto.recipes.reconstruct import plan_content, plan_style
        from impasto.recipes.recorded_run import MovedInputs
        from impasto.recipes.resume import plan_resume
        from impasto.recipes.stylize import plan_stylize

        if job.checkpoint:
            moved = MovedInputs(job.content, job.styles, job.regions)
            plan, snapshot, _ = plan_resume(job.checkpoint, moved)
            return plan, snapshot
        if job.recipe == "content":
            return plan_content(job.content, self._settings(ReconstructContentSettings, job.settings)), None
        if job.recipe == "style":
            return plan_style(job.styles, self._settings(ReconstructStyleSettings, job.settings)), None
        settings = self._settings(StylizeSettings, job.settings)
        return plan_stylize(job.content, job.styles, settings, regions=job.regions, cache=self.cache), None

    def _steps(self, plan: "RunPlan", snapshot: "Snapshot | None", job: JobRequest) -> "Iterator[Progress]":
        """Run a job's plan step by step. While it stylizes, its page may change its settings."""
        from impasto.recipes.stylize import plan_stylize
        from impasto.run.loop import iter_run
        from impasto.run.steering import merged_changes
        from impasto.studio.live_steering import LiveSteering

        if job.recipe != "stylize":
            return iter_run(plan, snapshot)

        def plan_with(settings: StylizeSettings, layouts: "Sequence[Layout]") -> "RunPlan":
            return plan_stylize(
                job.content, job.styles, settings, regions=job.regions, cache=self.cache, layouts=layouts,
                matching=plan.manifest.get("matching"),
            )  # fmt: skip

        def tell(text: str) -> None:
            self._send(Update(text=text))

        values = {**job.settings, **merged_changes(plan.manifest.get("turns", ()))}
        settings = self._settings(StylizeSettings, values)
        return iter_run(plan, snapshot, steering=LiveSteering(settings, self.changes, plan_with, tell))

    def _features(self, job: JobRequest) -> None:
        from impasto.image.write import write_picture
        from impasto.recipes.features import features

        sheet = features(job.content, self._settings(FeaturesSettings, job.settings))
        path = str(Path(job.folder) / FORMATS[0])
        write_picture(sheet.picture, path)
        text = f"{len(sheet.channels)} channels of {sheet.layer}, the strongest first."
        self._send(Update("finished", text, shown_as_jpeg(sheet.picture.pixels, 2 * SHOWN), files=(path,)))

    def _figure(self, job: JobRequest) -> None:
        from impasto.image.read import read_picture
        from impasto.recipes.figure import iter_figure

        target, panels = Path(job.folder) / "figure.png", Path(job.folder) / "panels"

        def finished() -> tuple[str, ...]:
            return tuple(sorted(map(str, panels.glob("*.png")), key=os.path.getmtime))

        settings = self._settings(FigureSettings, job.settings)
        name, shown = "", 0.0
        for at in iter_figure(job.number, job.content, job.styles[0], target, settings, panels=panels):
            if at.name != name:  # the first step of a panel is shown at once
                name, shown = at.name, 0.0
            if at.step and time.monotonic() - shown >= EVERY:
                shown = time.monotonic()
                text, picture = f"Panel {at.panel} of {at.panels}: {at.name}", shown_as_jpeg(at.step.image())
                self._send(Update("working", text, picture, step_facts(at.step), finished()))
            if self._next_command():
                self._send(Update("stopped", "Stopped; the panels so far are kept.", files=finished()))
                return
        picture = shown_as_jpeg(read_picture(target).pixels, 2 * SHOWN)
        self._send(Update("finished", "Done.", picture, files=(str(target), *finished())))
