"""The page: its tabs, and what programs may call."""

from typing import Any

import gradio as gr

from impasto.app.web import views
from impasto.app.web.live import page_of
from impasto.app.web.paint import PaintTab
from impasto.app.web.paper import PaperTab
from impasto.app.web.programs import endpoints
from impasto.studio.desk import Desk

TABS = ("paint", "paper")
"""What a visitor may have on an easel at the same time."""

CACHED = (600, 7200)
"""How often Gradio's copies of pictures are looked through, and how old they get, in seconds."""


def build(desk: Desk) -> Any:
    """The page over a desk: a `gr.Blocks`."""

    def leave(request: gr.Request) -> None:
        for tab in TABS:
            desk.leave(page_of(request, tab))

    def backlog(visitor: str) -> int:
        waiting = page._queue.pending_messages_per_session.get(visitor)
        return 0 if waiting is None else waiting.qsize()

    with gr.Blocks(title="Impasto", analytics_enabled=False, delete_cache=CACHED) as page:
        gr.Markdown("# Impasto\nA photograph, repainted in the manner of a painting.")
        with gr.Tabs():
            with gr.Tab("Paint", id="paint"):
                paint = PaintTab(desk, backlog)
            with gr.Tab("Paper", id="paper"):
                PaperTab(desk, paint.inputs, backlog)
        endpoints(desk)
        page.unload(leave)
        page.load(None, js=views.SPEAK)
    return page
