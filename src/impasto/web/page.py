"""The page: its tabs and its endpoints."""

from typing import Any

import gradio as gr

from impasto.studio.job_queue import JobQueue
from impasto.web import html
from impasto.web.api import endpoints
from impasto.web.gradio_internals import unread_messages
from impasto.web.job_panel import page_of
from impasto.web.paint_tab import PaintTab
from impasto.web.paper_tab import PaperTab

TABS = ("paint", "paper")
"""The tabs, each of which may have a job at the same time."""

CACHED = (600, 7200)
"""Gradio's cache of pictures: seconds between two clean-ups, and the age at which a file is removed."""


def build(queue: JobQueue) -> Any:
    """Return the page for a queue: a `gr.Blocks`."""

    def leave(request: gr.Request) -> None:
        for tab in TABS:
            queue.close_page(page_of(request, tab))

    def backlog(visitor: str) -> int:
        return unread_messages(page, visitor)

    with gr.Blocks(title="Impasto", analytics_enabled=False, delete_cache=CACHED) as page:
        gr.Markdown("# Impasto\nRepaint a photograph in the style of a painting.")
        with gr.Tabs():
            with gr.Tab("Paint", id="paint"):
                paint = PaintTab(queue, backlog)
            with gr.Tab("Paper", id="paper"):
                PaperTab(queue, paint.inputs, backlog)
        endpoints(queue)
        page.unload(leave)
        page.load(None, js=html.SPEAK)
    return page
