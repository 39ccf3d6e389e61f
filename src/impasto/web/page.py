"""The page: its tabs, and what programs may call."""

from typing import Any

import gradio as gr

from impasto.studio.job_queue import JobQueue
from impasto.web import html
from impasto.web.api import endpoints
from impasto.web.job_panel import page_of
from impasto.web.paint_tab import PaintTab
from impasto.web.paper_tab import PaperTab

TABS = ("paint", "paper")
"""What a visitor may have on a worker at the same time."""

CACHED = (600, 7200)
"""How often Gradio's copies of pictures are looked through, and how old they get, in seconds."""


def build(queue: JobQueue) -> Any:
    """The page over a desk: a `gr.Blocks`."""

    def leave(request: gr.Request) -> None:
        for tab in TABS:
            queue.close_page(page_of(request, tab))

    def backlog(visitor: str) -> int:
        waiting = page._queue.pending_messages_per_session.get(visitor)
        return 0 if waiting is None else waiting.qsize()

    with gr.Blocks(title="Impasto", analytics_enabled=False, delete_cache=CACHED) as page:
        gr.Markdown("# Impasto\nA photograph, repainted in the manner of a painting.")
        with gr.Tabs():
            with gr.Tab("Paint", id="paint"):
                paint = PaintTab(queue, backlog)
            with gr.Tab("Paper", id="paper"):
                PaperTab(queue, paint.inputs, backlog)
        endpoints(queue)
        page.unload(leave)
        page.load(None, js=html.SPEAK)
    return page
