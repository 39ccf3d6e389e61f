"""Regions, painted with a brush on the photo and the painting."""

import tempfile
from collections import OrderedDict
from pathlib import Path

import gradio as gr
from gradio.components.image_editor import AcceptBlobs, EditorData

from impasto.studio.messages import BRUSH_COLORS, Limits
from impasto.web.upload import as_file, checked_upload

KEPT, LARGEST = 64, 16_000_000
"""Layers that are kept until they are asked for, and bytes of one."""

EXPLAINED = (
    "Load your pictures here and paint over the areas that belong together, in one colour on both: the red "
    "part of the photo takes its style from the red part of the painting. What you leave unpainted belongs "
    "together as well, or stays a photo. With several paintings, paint the photo only: red takes from the "
    "first painting, green from the second, blue from the third."
)


def region_editors() -> tuple[gr.ImageEditor, gr.ImageEditor, gr.Button, gr.Checkbox]:
    """The two editors, what loads the pictures into them, and whether unpainted parts stay a photo."""
    gr.Markdown(EXPLAINED)
    load = gr.Button("Load my pictures into the editors", elem_id="regions-load")
    keep_unpainted = gr.Checkbox(
        False, label="What I leave unpainted on the photo stays a photo", elem_id="regions-keep"
    )
    editors = [
        gr.ImageEditor(
            label=f"Regions of the {what}",
            type="filepath",
            format="png",
            sources=[],
            transforms=[],
            layers=False,
            brush=gr.Brush(colors=list(BRUSH_COLORS), default_color=BRUSH_COLORS[0], color_mode="fixed"),
            elem_id=f"regions-{what}",
            height=380,
        )
        for what in ("photo", "painting")
    ]
    for editor in editors:
        drawn = _Drawn()
        vars(editor).update(accept_blobs=drawn.accept, preprocess=drawn.taken)
    return editors[0], editors[1], load, keep_unpainted


def strokes(drawn: "bytes | None", folder: str, name: str, limits: Limits) -> str:
    """A file of what was painted in an editor; none if nothing was.

    Raises:
        ImageError: it is no picture, or too large.
    """
    if not drawn:
        return ""
    with tempfile.NamedTemporaryFile(dir=folder, prefix=f"{name}-", suffix=".png", delete=False) as file:
        file.write(drawn)
    return checked_upload(file.name, "strokes", limits)


class _Drawn:
    """The newest layer of each editor in a browser, as its bytes.

    In place of Gradio's own steps, which keep everything that is sent, of any number and length, and open it
    in the server with Pillow.
    """

    def __init__(self) -> None:
        self.layers: OrderedDict[str, bytes] = OrderedDict()

    def accept(self, sent: AcceptBlobs) -> None:
        """A layer, the background or the whole from the browser; the last two are not needed."""
        data, files = sent.data, sent.files
        if data["type"] != "layer" or str(data["index"]) != "0" or not files:
            return
        if len(files[0][1]) <= LARGEST:
            self.layers[str(data["id"])[:64]] = files[0][1]
        while len(self.layers) > KEPT:
            self.layers.popitem(last=False)

    accept._is_server_fn = True  # type: ignore[attr-defined]  # what Gradio asks for

    def taken(self, payload: "EditorData | None") -> "bytes | None":
        """What handlers get."""
        if payload is None:
            return None
        if payload.id is not None:
            return self.layers.pop(payload.id, None)
        path = as_file(payload.layers[0]) if payload.layers else None
        return Path(path).read_bytes() if path else None
