"""What programs may call: endpoints for `gradio_client` and plain HTTP."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any
from uuid import uuid4

import gradio as gr

from impasto.errors import BusyError, SettingsError
from impasto.settings.stylize import StylizeSettings
from impasto.studio.job_queue import Desk
from impasto.studio.messages import Order, View
from impasto.web import controls
from impasto.web.job_panel import page_of
from impasto.web.notices import friendly
from impasto.web.upload import checked_upload, upload


def endpoints(desk: Desk) -> None:
    """Make `/paint` and `/plan`."""

    def order(photo: str | None, painting: str | None, said: Any) -> Order:
        if not isinstance(said or {}, dict):
            raise SettingsError(f'settings are {said!r}; they must be an object such as {{"size": 256}}.')
        return Order(
            content=checked_upload(photo, "photo", desk.limits),
            styles=(checked_upload(painting, "painting", desk.limits),),
            settings=controls.checked(StylizeSettings, said or {}, longest=desk.limits.size),
        )

    async def paint(
        photo: str, painting: str, settings: Any, request: gr.Request
    ) -> AsyncIterator[tuple[str | None, dict[str, Any]]]:
        """Repaint a photo in the style of a painting; yields where it stands, at the end with the file."""
        page = f"{page_of(request, 'program')}:{uuid4().hex}"  # each call is a visitor of its own
        with friendly():
            desk.ask(page, order(photo, painting, settings))
        try:
            seen = -1
            while True:
                view = desk.view(page)
                if view.serial != seen:
                    seen = view.serial
                    if view.state == "failed":
                        raise gr.Error(view.text, print_exception=False)
                    files = [file for file in view.files if file.endswith(".png")]
                    yield (files[0] if files and view.over else None), facts(view)
                if view.over:
                    return
                await asyncio.sleep(0.4)
        finally:
            desk.leave(page)

    async def plan(photo: str, painting: str, settings: Any) -> dict[str, Any]:
        """What painting it would take: pixels, seconds, bytes of memory."""
        with friendly():
            try:
                found = await asyncio.to_thread(desk.foresee, order(photo, painting, settings))
            except TimeoutError:
                raise BusyError("the studio is at a long step. Ask again.") from None
        return {
            "width": found.width,
            "height": found.height,
            "seconds": round(found.seconds, 1),
            "memory": found.bytes,
        }

    with gr.Column(visible=False):
        given = [upload("Photo", "api-photo"), upload("Painting", "api-painting")]
        wanted, said = gr.JSON(label="settings"), gr.JSON(label="facts")
        file = gr.File(label="painting")
        go, ask = gr.Button("paint"), gr.Button("plan")
        go.click(paint, [*given, wanted], [file, said], api_name="paint", concurrency_limit=None)
        ask.click(plan, [*given, wanted], said, api_name="plan", concurrency_limit=4)


def facts(view: View) -> dict[str, Any]:
    """Where an order stands, as JSON."""
    return {"state": view.state, "place": view.place, "text": view.text, **(view.step or {})}
