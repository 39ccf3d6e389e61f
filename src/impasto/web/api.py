"""Endpoints for programs, called with `gradio_client` or plain HTTP."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any
from uuid import uuid4

import gradio as gr

from impasto.errors import BusyError, SettingsError
from impasto.settings.stylize import StylizeSettings
from impasto.studio.job_queue import JobQueue
from impasto.studio.messages import JobRequest, JobStatus
from impasto.web import controls
from impasto.web.job_panel import page_of
from impasto.web.notices import show_errors
from impasto.web.upload import checked_upload, upload


def endpoints(queue: JobQueue) -> None:
    """Add the endpoints `/paint` and `/plan` to the page that is being built."""

    def order(photo: str | None, painting: str | None, values: Any) -> JobRequest:
        if not isinstance(values or {}, dict):
            raise SettingsError(f'settings are {values!r}; they must be an object such as {{"size": 256}}.')
        return JobRequest(
            content=checked_upload(photo, "photo", queue.limits),
            styles=(checked_upload(painting, "painting", queue.limits),),
            settings=controls.checked(StylizeSettings, values or {}, longest=queue.limits.size),
        )

    async def paint(
        photo: str, painting: str, settings: Any, request: gr.Request
    ) -> AsyncIterator[tuple[str | None, dict[str, Any]]]:
        """Repaint a photo in the style of a painting; yields the progress, and at the end the file."""
        # A page of its own for each call, so that two calls of one program are two jobs.
        page = f"{page_of(request, 'program')}:{uuid4().hex}"
        try:
            with show_errors():
                queue.submit(page, order(photo, painting, settings))
            seen = -1
            while True:
                view = queue.view(page)
                if view.version != seen:
                    seen = view.version
                    if view.state == "failed":
                        raise gr.Error(view.text, print_exception=False)
                    files = [file for file in view.files if file.endswith(".png")]
                    yield (files[0] if files and view.is_settled else None), facts(view)
                if view.is_settled:
                    return
                await asyncio.sleep(0.4)
        finally:  # also if the job is refused or the program has gone: nobody else would close the page
            queue.close_page(page)

    async def plan(photo: str, painting: str, settings: Any) -> dict[str, Any]:
        """Estimate a painting: width and height in pixels, seconds, bytes of memory."""
        with show_errors():
            try:
                # In a thread, because it may wait for the end of a step, and the event loop must not.
                needs = await asyncio.to_thread(queue.estimate, order(photo, painting, settings))
            except TimeoutError:
                raise BusyError("the studio is busy with a long step. Ask again later.") from None
        return {
            "width": needs.width,
            "height": needs.height,
            "seconds": round(needs.seconds, 1),
            "memory": needs.bytes,
        }

    # An endpoint's inputs and outputs are components, which visitors need not see.
    with gr.Column(visible=False):
        given = [upload("Photo", "api-photo"), upload("Painting", "api-painting")]
        settings, result = gr.JSON(label="settings"), gr.JSON(label="facts")
        file = gr.File(label="painting")
        go, ask = gr.Button("paint"), gr.Button("plan")
        go.click(paint, [*given, settings], [file, result], api_name="paint", concurrency_limit=None)
        ask.click(plan, [*given, settings], result, api_name="plan", concurrency_limit=4)


def facts(view: JobStatus) -> dict[str, Any]:
    """Return the state of a job, as JSON."""
    return {"state": view.state, "place": view.position, "text": view.text, **(view.step or {})}
