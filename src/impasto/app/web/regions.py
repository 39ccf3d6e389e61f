"""Regions, painted with a brush on the photo and the painting."""

from pathlib import Path
from typing import Any

import gradio as gr

from impasto.studio.orders import BRUSH

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
    stays = gr.Checkbox(
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
            brush=gr.Brush(colors=list(BRUSH), default_color=BRUSH[0], color_mode="fixed"),
            elem_id=f"regions-{what}",
            height=380,
        )
        for what in ("photo", "painting")
    ]
    return editors[0], editors[1], load, stays


def strokes(value: "dict[str, Any] | None") -> str:
    """The file of what was painted in an editor; none if nothing was."""
    for layer in (value or {}).get("layers", ()):
        if layer and Path(layer).stat().st_size:
            return str(layer)
    return ""
