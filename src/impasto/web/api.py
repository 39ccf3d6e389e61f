"""What programs may call: endpoints for `gradio_client` and plain HTTP."""

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
    """Make `/paint` and `/plan`."""

    def order(photo: str | None, painting: str | None, said: Any) -> JobRequest:
        if not isinstance(said or {}, dict):
            raise SettingsError(f'settings are {said!r}; they must be an object such as {{"size": 256}}.')
        return JobRequest(
            content=checked_upload(photo, "photo", queue.limits),
            styles=(checked_upload(painting, "painting", queue.limits),),
            settings=controls.checked(StylizeSettings, said or {}, longest=queue.limits.size),
        )

    async def paint(
        photo: str, painting: str, settings: Any, request: gr.Request
    ) -> AsyncIterator[tuple[str | None, dict[str, Any]]]:
        """Repaint a photo in the style of a painting; yields where it stands, at the end with the file."""
        page = f"{page_of(request, 'program')}:{uuid4().hex}"  # each call is a visitor of its own
        with show_errors():
            queue.submit(page, order(photo, painting, settings))
        try:
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
        finally:
            queue.close_page(page)

    async def plan(photo: str, painting: str, settings: Any) -> dict[str, Any]:
        """What painting it would take: pixels, seconds, bytes of memory."""
        with show_errors():
            try:
                needs = await asyncio.to_thread(queue.estimate, order(photo, painting, settings))
            except TimeoutError:
                raise BusyError("the studio is at a long step. Ask again.") from None
        return {
            "width": needs.width,
            "height": needs.height,
            "seconds": round(needs.seconds, 1),
            "memory": needs.bytes,
        }

    with gr.Column(visible=False):
        given = [upload("Photo", "api-photo"), upload("Painting", "api-painting")]
        wanted, said = gr.JSON(label="settings"), gr.JSON(label="facts")
        file = gr.File(label="painting")
        go, ask = gr.Button("paint"), gr.Button("plan")
        go.click(paint, [*given, wanted], [file, said], api_name="paint", concurrency_limit=None)
        ask.click(plan, [*given, wanted], said, api_name="plan", concurrency_limit=4)


def facts(view: JobStatus) -> dict[str, Any]:
    """Where a job stands, as JSON."""
    return {"state": view.state, "place": view.position, "text": view.text, **(view.step or {})}
