"""The "Paper" tab: what layers keep and respond to, and the paper's figures."""

from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import gradio as gr

from impasto.layers import LAYERS
from impasto.studio.job_queue import JobQueue
from impasto.studio.messages import JobRequest, Recipe
from impasto.web.job_panel import FOLLOWING, JobPanel, page_of
from impasto.web.notices import show_errors
from impasto.web.paint_tab import Inputs
from impasto.web.upload import checked_upload, upload

KINDS: dict[str, Recipe] = {
    "What a layer keeps of a picture (content)": "content",
    "What the layers up to it keep of the style (texture)": "style",
    "What a layer's filters respond to (features)": "features",
    "Figure 1: every layer, content and style": "figure",
    "Figure 2: layers against α/β": "figure",
}

EXPLAINED = (
    "Gatys, Ecker and Bethge, *A Neural Algorithm of Artistic Style* (2015), with your own pictures. "
    "The figures use the photo and the painting of the other tab; their panels appear one by one."
)

SIZES = (96, 128, 192, 256, 384, 512)
"""Sizes to choose from, in pixels. Figures have ten or twenty panels, so larger ones would take long."""


class PaperTab:
    """Controls for one picture and one layer, and the result.

    Args:
        queue, backlog: as in `JobPanel`.
        inputs: of the "Paint" tab, whose pictures the figures use.
    """

    def __init__(self, queue: JobQueue, inputs: Inputs, backlog: Callable[[str], int]) -> None:
        self.queue = queue
        with gr.Row():
            with gr.Column(scale=4, min_width=300):
                gr.Markdown(EXPLAINED)
                self.kind = gr.Radio(list(KINDS), value=next(iter(KINDS)), label="What", elem_id="paper-kind")
                self.picture = upload("Picture", "paper-picture")
                self.layer = gr.Dropdown(list(LAYERS), value="conv4_2", label="Layer", elem_id="paper-layer")
                self.size = gr.Dropdown(list(SIZES), value=192, label="Size, in pixels", elem_id="paper-size")
            with gr.Column(scale=5, min_width=300):
                self.live = JobPanel(queue, "paper", "Begin", backlog)
                self.panels = gr.Gallery(
                    label="Panels so far", columns=4, height="auto", interactive=False, elem_id="panels"
                )
        given = [self.kind, self.picture, self.layer, self.size, inputs.photo, inputs.paintings[0]]
        outputs = [*self.live.outputs, self.panels]
        self.live.go.click(self._begin, given, outputs, **FOLLOWING)
        self.live.wire((self._panels, [], [self.panels]))

    def _request(
        self, kind: str, picture: str | None, layer: str, size: int, photo: str | None, painting: str | None
    ) -> JobRequest:
        """Return the job for the values of the controls.

        Raises:
            ImpastoError: a picture is missing or cannot be used.
        """
        recipe, limits = KINDS[kind], self.queue.limits
        if recipe == "figure":
            content = checked_upload(photo, "photo on the other tab", limits)
            style = checked_upload(painting, "painting on the other tab", limits)
            number = 1 if kind.startswith("Figure 1") else 2
            return JobRequest(
                recipe=recipe, content=content, styles=(style,), settings={"size": int(size)}, number=number
            )
        file = checked_upload(picture, "picture", limits)
        if recipe == "style":
            # As in Fig. 1 of the paper, whose style reconstructions add conv1_1, conv2_1, … one by one.
            index = LAYERS[layer].index
            firsts = [
                known for known in LAYERS.values() if known.name.endswith("_1") and known.index <= index
            ]
            names = ",".join(known.name for known in firsts) or layer
            return JobRequest(recipe=recipe, styles=(file,), settings={"size": str(size), "layers": names})
        return JobRequest(recipe=recipe, content=file, settings={"size": int(size), "layer": layer})

    async def _begin(self, request: gr.Request, *values: Any) -> AsyncIterator[list[Any]]:
        shown: list[str] = []
        with show_errors():
            async for update in self.live.begin(request, self._request(*values)):
                files = self.queue.view(page_of(request, "paper")).files
                panels = [file for file in files if Path(file).parent.name == "panels"]
                yield [*update, _named(panels) if panels != shown else gr.skip()]
                shown = panels

    def _panels(self, request: gr.Request) -> list[tuple[str, str]]:
        files = self.queue.view(page_of(request, "paper")).files
        return _named([file for file in files if Path(file).parent.name == "panels"])


def _named(panels: list[str]) -> list[tuple[str, str]]:
    return [(file, Path(file).stem) for file in panels]
