"""The panel of a job: picture, state, loss curve, and the buttons that act on it."""

import asyncio
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import gradio as gr
import pandas as pd

from impasto.studio.job_queue import JobQueue
from impasto.studio.messages import JobRequest, JobStatus
from impasto.web import html
from impasto.web.notices import show_errors

BACKLOG = 4
"""Messages that a slow browser may leave unread; with more, it gets no updates until it catches up."""

EVERY = 0.4
"""Fewest seconds between two updates of a page."""

CURVE_EVERY = 1.5
"""Fewest seconds between two drawings of the curve."""

QUIET: dict[str, Any] = {"api_visibility": "private", "show_progress": "hidden"}
"""Arguments of an event that programs cannot call and that draws no progress of its own."""

ANSWERED: dict[str, Any] = {**QUIET, "queue": False}
"""Arguments of an event that ends at once and cannot fail: its request is answered with the result.

The results of other events come in a stream, which the server closes when none is left. If an event begins
then, Gradio's page may take the closing stream for an open one (`stream_status.open` in its client). It gets
no result, and ignores further clicks of the kind. But only these events can show an error as a message."""

FOLLOWING: dict[str, Any] = {**QUIET, "concurrency_limit": None, "trigger_mode": "multiple"}
"""Arguments of a click that begins a job and follows it. By default ("once") Gradio's page ignores a click
while the event of the previous one is open, and it stays open for some 0.1 s after the buttons are enabled
again. The queue ignores a second job anyway while the first one runs."""


def page_of(request: gr.Request, tab: str) -> str:
    """Return the queue's name for a tab of a visitor.

    Raises:
        gr.Error: the request has no session.
    """
    if not request.session_hash:
        raise gr.Error("this needs a session", print_exception=False)
    return f"{request.session_hash}:{tab}"


class JobPanel:
    """A tab's view of its job; its components are created where the constructor is called.

    Args:
        queue: paints the job.
        tab: the tab's name.
        what: the text of the button that begins.
        backlog: returns the number of messages that a visitor's browser has not read yet.
    """

    def __init__(self, queue: JobQueue, tab: str, what: str, backlog: Callable[[str], int]) -> None:
        self.queue, self.tab, self.backlog = queue, tab, backlog
        self._followed: set[str] = set()
        nothing = JobStatus()
        self.stage = gr.HTML(html.stage(nothing), elem_id=f"{tab}-stage")
        with gr.Column(elem_id=f"{tab}-status", elem_classes="impasto-where"):
            # Apart from the figures, and updated only if its text changes: screen readers speak every update.
            self.said = gr.HTML(html.sentence(nothing), elem_id=f"{tab}-said", elem_classes="impasto-said")
            self.status = gr.HTML(html.status(nothing))
        with gr.Row():
            self.go = gr.Button(what, variant="primary", elem_id=f"{tab}-go", min_width=90)
            self.pause = gr.Button("Pause", interactive=False, elem_id=f"{tab}-pause", min_width=70)
            self.resume = gr.Button("Resume", interactive=False, elem_id=f"{tab}-resume", min_width=70)
            self.stop = gr.Button("Stop", interactive=False, elem_id=f"{tab}-stop", min_width=70)
        with gr.Row():
            self.downloads = [
                gr.DownloadButton(
                    f"Download {name}", interactive=False, elem_id=f"{tab}-{name.lower()}", min_width=90
                )
                for name in ("PNG", "JPEG", "TIFF")
            ]
        with gr.Accordion("How the loss falls", open=False):
            self.curve = gr.LinePlot(
                pd.DataFrame(html.curve(nothing)),
                x="seconds",
                y="loss",
                color="part",
                x_title="seconds",
                y_title="part of the loss",
                label="Content and style",
                height=220,
                buttons=[],
            )

    @property
    def outputs(self) -> list[gr.components.Component]:
        """The components that `follow` updates."""
        return [
            self.stage, self.said, self.status, self.go, self.pause, self.resume, self.stop,
            *self.downloads, self.curve,
        ]  # fmt: skip

    def wire(self, *then: tuple[Callable[..., Any], list[Any], list[Any]]) -> None:
        """Connect the buttons Pause, Stop and Resume.

        Args:
            then: called when a resumed job has ended or paused: function, inputs, outputs.
        """
        # Not queued by Gradio: they must act at once, however many events are running.
        self.pause.click(self._pause, None, None, **ANSWERED)
        self.stop.click(self._stop, None, None, **ANSWERED)
        resumed = self.resume.click(self._resume, None, self.outputs, **FOLLOWING)
        for function, inputs, outputs in then:
            resumed.then(function, inputs, outputs, **QUIET)

    async def begin(self, request: gr.Request, job: JobRequest) -> AsyncIterator[list[Any]]:
        """Begin a job, and yield the outputs as it proceeds.

        Raises:
            BusyError, ImageError: as in `JobQueue.submit`.
        """
        page = page_of(request, self.tab)
        self.queue.submit(page, job)
        async for update in self.follow(page):
            yield update

    async def follow(self, page: str) -> AsyncIterator[list[Any]]:
        """Yield the outputs whenever they change, until the job has ended or paused.

        A page has one follower: a second one yields nothing.
        """
        if page in self._followed:
            return
        self._followed.add(page)
        try:
            async for update in self._changes(page):
                yield update
        except (GeneratorExit, asyncio.CancelledError):
            self.queue.close_page(page)  # the visitor has closed the page
            raise
        finally:
            self._followed.discard(page)

    async def _changes(self, page: str) -> AsyncIterator[list[Any]]:
        seen, picture, drawn, shown, announced = -1, b"", 0.0, 0, None
        loop = asyncio.get_running_loop()
        visitor = page.partition(":")[0]
        while True:
            view = self.queue.view(page)
            # A slow browser gets fewer updates, but always the last one.
            if view.version != seen and (view.is_settled or self.backlog(visitor) < BACKLOG):
                seen = view.version
                now = loop.time()
                draw = view.is_settled or (now - drawn > CURVE_EVERY and len(view.curve) != shown)
                if draw:
                    drawn, shown = now, len(view.curve)
                spoken = html.sentence(view)
                # A picture is some 100 kB of text, so one that the page has already is not sent again.
                fresh = view.picture is not picture or view.is_settled
                yield self.updates(view, fresh=fresh, draw=draw, speak=spoken != announced)
                picture, announced = view.picture, spoken
            # Look again before leaving: while the last update was sent, a click may have begun another job,
            # whose own follower left at once because this one was still here.
            if view.is_settled and self.queue.view(page).version == view.version:
                return
            await asyncio.sleep(EVERY)

    def updates(
        self, view: JobStatus, *, fresh: bool = True, draw: bool = True, speak: bool = True
    ) -> list[Any]:
        """Return the values of `outputs` for a state. Unchanged parts are left out."""
        busy = not view.is_settled
        going_on = view.state == "paused" or (view.state == "stopped" and view.step is not None)
        # Reversed, so that a figure's own file, which comes before its panels, is the PNG.
        files = {Path(file).suffix: file for file in reversed(view.files)} if view.is_settled else {}
        downloads = [
            gr.update(value=files.get(ending), interactive=ending in files)
            for ending in (".png", ".jpg", ".tif")
        ]
        return [
            html.stage(view) if fresh else gr.skip(),
            html.sentence(view) if speak else gr.skip(),
            html.status(view),
            gr.update(interactive=not busy),
            gr.update(interactive=view.state == "working"),
            gr.update(interactive=going_on),
            gr.update(interactive=busy),
            *downloads,
            pd.DataFrame(html.curve(view)) if draw else gr.skip(),
        ]

    def _pause(self, request: gr.Request) -> None:
        self.queue.pause(page_of(request, self.tab))

    def _stop(self, request: gr.Request) -> None:
        self.queue.stop(page_of(request, self.tab))

    async def _resume(self, request: gr.Request) -> AsyncIterator[list[Any]]:
        page = page_of(request, self.tab)
        with show_errors():
            self.queue.resume(page)
        async for update in self.follow(page):
            yield update
