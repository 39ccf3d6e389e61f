"""The process that paints: one order at a time, listening between two steps."""

import os
import signal
import tempfile
import time
import traceback
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import replace
from multiprocessing.connection import Connection
from pathlib import Path
from typing import TYPE_CHECKING, Any

from impasto.errors import ImpastoError
from impasto.studio.messages import FORMATS, Forecast, News, Order
from impasto.studio.preview import SHOWN, blank, facts, said, saved, shown_as_jpeg, without_paths

if TYPE_CHECKING:
    from impasto.results.painting import Painting
    from impasto.run.checkpoint import Snapshot
    from impasto.run.plan import Job
    from impasto.run.progress import Progress
    from impasto.settings.stylize import StylizeSettings
    from impasto.style.cache import Workshop

EVERY = 0.4
"""Seconds between two pictures that are shown, at least."""

FIRST = 384
"""Long side of the first picture, in pixels: one pass through the network."""


def main(pipe: Connection, common: Mapping[str, Any], niceness: int) -> None:
    """Serve a desk until it hangs up.

    Args:
        pipe: to the desk.
        common: settings of every job: device, weights, threads, memory.
        niceness: added to the process's, so that the desk and its pages stay quick.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the desk's: it hangs up
    with suppress(OSError, AttributeError):
        os.nice(niceness)
    easel = Easel(pipe, common)
    with suppress(EOFError, BrokenPipeError, ConnectionResetError):
        while True:
            easel.serve(*pipe.recv())


class Easel:
    """Paints what the desk says, and answers it.

    Args:
        pipe, common: as in `main`.
    """

    def __init__(self, pipe: Connection, common: Mapping[str, Any]) -> None:
        self.pipe, self.common = pipe, common
        self.wish = ""
        self._order = Order()
        self._job: Job | None = None
        self.changes: dict[str, Any] = {}
        self._workshop: Workshop | None = None

    @property
    def workshop(self) -> "Workshop":
        """What one job leaves for the next."""
        if self._workshop is None:
            from impasto.style.cache import Workshop

            self._workshop = Workshop()
        return self._workshop

    def serve(self, what: str, *more: Any) -> None:
        """Do one thing that the desk wants."""
        if what == "paint":
            self._paint(*more)
        elif what == "foresee":
            number, order = more
            self.pipe.send(("foreseen", (number, said(lambda: self._foresee(order), order))))
        elif what == "warm":
            self.pipe.send(("warm", said(self._warm, Order())))
        elif what == "steer":
            self.changes |= more[0]
        else:
            self.wish = what

    def _warm(self) -> str:
        """Have everything loaded that a first picture needs."""
        from impasto.fast.one_pass import LEAST
        from impasto.fast.stylizer import cached_stylizer
        from impasto.recipes.stylize import prepare
        from impasto.settings.fast import FastSettings

        grey = blank(4 * LEAST)
        settings = self._settings({"size": 4 * LEAST})
        cached_stylizer(self.workshop, grey, FastSettings.like(settings, size=4 * LEAST)).paint(grey)
        prepare(grey, grey, settings, workshop=self.workshop)
        return ""

    def _settings(self, said: Mapping[str, Any]) -> "StylizeSettings":
        from impasto.settings.stylize import StylizeSettings

        return StylizeSettings(**{**said, **self.common})

    def _foresee(self, order: Order) -> Forecast:
        from impasto.recipes.stylize import prepare
        from impasto.run.estimate import examine

        settings = self._settings({**order.settings, "init": "content"})
        job = prepare(order.content, order.styles, settings, workshop=self.workshop)
        found, (height, width) = examine(job, settings), job.canvas
        return Forecast(width, height, found.bytes, found.limit, found.seconds)

    def _paint(self, order: Order) -> None:
        """Work on an order to its end, whatever that is; nothing that happens in it ends the easel."""
        self.wish, self.changes, self._order = "", {}, order
        try:
            order = self._with_regions(order)
            {"features": self._features, "figure": self._figure}.get(order.recipe, self._descend)(order)
        except ImpastoError as error:
            self._say(News("failed", str(error)))
        except (EOFError, BrokenPipeError, ConnectionResetError):
            raise
        except MemoryError:
            self._say(News("failed", "The memory does not suffice. Choose a smaller size."))
        except Exception as error:  # noqa: BLE001 — a fault of ours must not take other people's jobs along
            traceback.print_exc()
            self._say(News("failed", f"This is a fault of Impasto's ({type(error).__name__}), not yours."))

    def _with_regions(self, order: Order) -> Order:
        """The order with masks in place of brush strokes."""
        if not any(order.strokes) or order.regions:
            return order
        from impasto.studio.brush_masks import masks

        files, keep = masks(order.strokes, len(order.styles), order.stays, order.folder)
        settings = {**order.settings, "keep": keep} if keep else order.settings
        return replace(order, regions=files, settings=settings)

    def _say(self, news: News) -> None:
        self.pipe.send(("news", replace(news, text=without_paths(news.text, self._order))))

    def _heard(self) -> str:
        """What the desk wishes since it was last asked."""
        while self.pipe.poll():
            self.serve(*self.pipe.recv())
        return self.wish

    def _descend(self, order: Order) -> None:
        """Paint by descent, step by step, as long as the desk wants."""
        last: Progress | None = None
        first: Painting | None = None
        if order.recipe == "stylize" and not order.checkpoint:
            first = self._first(order)
        job, snapshot = self._prepared(order) if not self._heard() else (None, None)
        shown, begun = 0.0, False
        for last in self._steps(job, snapshot, order) if job else ():
            now = time.monotonic()
            picture = b""
            if now - shown >= EVERY:
                picture, shown = shown_as_jpeg(last.image()), now
            text = last.note or ("" if begun else "Painting.")
            self._say(News(picture=picture, step=facts(last), text=text))
            begun = True
            if self._heard():
                break
        if self.wish == "leave":
            self._say(News("stopped"))
        elif job is not None and last is not None:
            self._keep(order, self._job or job, last)
        elif first is not None and self.wish == "stop":
            self._say(News("stopped", "Stopped at the first picture.", files=saved(first, order.folder)))
        elif self.wish == "pause":
            self._say(News("paused", "Paused before it began."))
        else:
            self._say(News("stopped", "Stopped before there was anything to keep."))

    def _keep(self, order: Order, job: "Job", last: "Progress") -> None:
        """What is there when the painting ends: its files, and unless it is done, where it stands."""
        from impasto.run import checkpoint
        from impasto.run.loop import finish

        done = not self.wish
        if not done:
            held = {"manifest": last.manifest, "output": {}}
            checkpoint.save(Path(order.folder) / "checkpoint", last.snapshot(), held)
        if self.wish == "pause":
            self._say(News("paused", "Paused.", picture=shown_as_jpeg(last.image()), step=facts(last)))
            return
        painting = finish(job, last)
        files = saved(painting, tempfile.mkdtemp(dir=order.folder))  # an earlier stop's are kept
        text = "Stopped; this is what is there." if not done else "Done."
        picture = shown_as_jpeg(painting.picture.pixels)
        self._say(News("finished" if done else "stopped", text, picture, facts(last), files))

    def _first(self, order: Order) -> "Painting | None":
        """A picture in one pass, to look at while the real one begins; None if that is not to be had."""
        from impasto.fast.stylizer import cached_stylizer
        from impasto.settings.fast import FastSettings

        try:
            settings = self._settings(order.settings)
            own = FastSettings.like(settings, size=min(settings.size, FIRST))
            painting = cached_stylizer(self.workshop, order.styles, own).paint(
                order.content, regions=order.regions
            )
        except ImpastoError:
            return None  # what is wrong with the order, the real painting says
        self._say(
            News(text="A first picture; the real one begins.", picture=shown_as_jpeg(painting.picture.pixels))
        )
        return painting

    def _prepared(self, order: Order) -> "tuple[Job, Snapshot | None]":
        from impasto.recipes.reconstruct import prepare_content, prepare_style
        from impasto.recipes.rerun import prepare_resume
        from impasto.recipes.stylize import prepare
        from impasto.settings.paper import ReconstructContentSettings, ReconstructStyleSettings

        if order.checkpoint:
            job, snapshot, _ = prepare_resume(
                order.checkpoint, content=order.content, style=order.styles, regions=order.regions
            )
            return job, snapshot
        if order.recipe == "content":
            own = {**order.settings, **self.common}
            return prepare_content(order.content, ReconstructContentSettings(**own)), None
        if order.recipe == "style":
            own = {**order.settings, **self.common}
            return prepare_style(order.styles, ReconstructStyleSettings(**own)), None
        settings = self._settings(order.settings)
        return prepare(
            order.content, order.styles, settings, regions=order.regions, workshop=self.workshop
        ), None

    def _steps(self, job: "Job", snapshot: "Snapshot | None", order: Order) -> "Iterator[Progress]":
        """The steps of a job that turns when the desk steers it."""
        from impasto.recipes.stylize import prepare
        from impasto.run.loop import run
        from impasto.run.steering import changed, together, turned

        self._job = job
        if order.recipe != "stylize":
            return run(job, snapshot)
        settings = self._settings({**order.settings, **together(job.manifest.get("turns", ()))})

        def turn(scale: int, step: int) -> "Job | None":
            nonlocal settings, job
            changes = {
                name: new for name, new in self.changes.items() if getattr(settings, name, None) != new
            }
            self.changes = {}
            if not changes:
                return None
            try:
                now = changed(settings, changes)
                other = prepare(
                    order.content, order.styles, now, regions=order.regions, workshop=self.workshop,
                    layouts=job.layouts,
                )  # fmt: skip
            except ImpastoError as error:
                self._say(News(text=str(error)))
                return None
            settings, job = now, turned(job, other, scale, step, changes)
            self._job = job
            words = ", ".join(f"{name.replace('_', ' ')} {value}" for name, value in changes.items())
            self._say(News(text=f"Going on with {words}."))
            return job

        self._job = job = replace(job, turn=turn)
        return run(job, snapshot)

    def _features(self, order: Order) -> None:
        from impasto.image.write import write_picture
        from impasto.recipes.features import features
        from impasto.settings.paper import FeaturesSettings

        known = {"device", "weights"}
        common = {name: value for name, value in self.common.items() if name in known}
        sheet = features(order.content, FeaturesSettings(**{**order.settings, **common}))
        path = str(Path(order.folder) / FORMATS[0])
        write_picture(sheet.picture, path)
        text = f"{len(sheet.channels)} channels of {sheet.layer}, the strongest first."
        self._say(News("finished", text, shown_as_jpeg(sheet.picture.pixels, 2 * SHOWN), files=(path,)))

    def _figure(self, order: Order) -> None:
        from impasto.image.read import read_picture
        from impasto.recipes.figure import figure
        from impasto.settings.paper import FigureSettings

        known = {"device", "weights", "threads"}
        common = {name: value for name, value in self.common.items() if name in known}
        target, panels = Path(order.folder) / "figure.png", Path(order.folder) / "panels"
        settings = FigureSettings(**{**order.settings, **common})
        name, shown = "", 0.0
        for at in figure(order.number, order.content, order.styles[0], target, settings, panels=panels):
            if at.name != name:
                name, shown = at.name, 0.0
            if at.step and time.monotonic() - shown >= EVERY:
                shown = time.monotonic()
                files = tuple(sorted(map(str, panels.glob("*.png")), key=os.path.getmtime))
                text = f"Panel {at.panel} of {at.panels}: {at.name}"
                self._say(News("working", text, shown_as_jpeg(at.step.image()), facts(at.step), files))
            if self._heard():
                files = tuple(sorted(map(str, panels.glob("*.png")), key=os.path.getmtime))
                self._say(News("stopped", "Stopped; the panels so far are kept.", files=files))
                return
        files = (str(target), *sorted(map(str, panels.glob("*.png")), key=os.path.getmtime))
        drawn = read_picture(target).pixels
        self._say(News("finished", "Done.", shown_as_jpeg(drawn, 2 * SHOWN), files=files))
