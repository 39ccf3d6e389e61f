"""Regions, painted with a brush on the photo and the painting."""

import tempfile
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import gradio as gr
from gradio.components.image_editor import AcceptBlobs, EditorData

from impasto.errors import BusyError
from impasto.studio.job_queue import JobQueue
from impasto.studio.messages import BRUSH_COLORS, JobRequest, Limits
from impasto.web.gradio_internals import for_the_browser, replace_methods
from impasto.web.upload import as_file, checked_upload

KEPT, LARGEST, TOTAL = 64, 16_000_000, 128_000_000
"""Most layers that an editor keeps until they are asked for, and most bytes of a layer and of all of them."""

EXPLAINED = (
    "Load your pictures here and paint over the areas that belong together, in one colour on both: the red "
    "part of the photo takes its style from the red part of the painting. What you leave unpainted belongs "
    "together as well, or stays a photo. With several paintings, paint the photo only: red takes from the "
    "first painting, green from the second, blue from the third. Or have areas found, and mend them with "
    "the brush and the eraser."
)


@dataclass(frozen=True)
class RegionEditors:
    """The editors of the photo and the painting, and the controls around them.

    Attributes:
        photo, painting: the editors.
        load: loads the pictures into them.
        find: loads them with the areas that photo and painting share.
        subject: loads the photo with its subject.
        keep_unpainted: whether unpainted parts stay a photo.
    """

    photo: gr.ImageEditor
    painting: gr.ImageEditor
    load: gr.Button
    find: gr.Button
    subject: gr.Button
    keep_unpainted: gr.Checkbox


def region_editors() -> RegionEditors:
    """Create the editors, the buttons that fill them, and the explanation."""
    gr.Markdown(EXPLAINED)
    load = gr.Button("Load my pictures into the editors", elem_id="regions-load")
    with gr.Row():
        find = gr.Button("Find regions", elem_id="regions-find")
        subject = gr.Button("Find the subject", elem_id="regions-subject")
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
        replace_methods(editor, accept_blobs=drawn.accept, preprocess=drawn.taken)
    return RegionEditors(editors[0], editors[1], load, find, subject, keep_unpainted)


def editor_value(background: str, layers: Sequence[str] = ()) -> dict[str, Any]:
    """Return the value of an editor that shows a picture, and layers over it."""
    return {"background": background, "layers": list(layers), "composite": None}


def fill_editors(
    queue: JobQueue,
    recipe: Literal["regions", "subject"],
    photo: str | None,
    painting: str | None,
    folder: str,
) -> list[dict[str, Any]]:
    """Find masks, and return values of the editors that show them over the pictures.

    If a match is not trusted, the page shows it all the same, with a notice that says why.

    Args:
        queue: finds the masks.
        recipe: "regions" of photo and painting, or the "subject" of the photo.
        photo, painting: the uploaded files.
        folder: where the layers' files go.
    Returns:
        The value of the photo's editor and, for regions, that of the painting's.
    Raises:
        ImpastoError: a picture is missing or cannot be used; as `JobQueue.find_masks`.
    """
    pictures = [checked_upload(photo, "photo", queue.limits)]
    if recipe == "regions":
        pictures.append(checked_upload(painting, "painting", queue.limits))
    job = JobRequest(recipe=recipe, content=pictures[0], styles=tuple(pictures[1:]), folder=folder)
    try:
        masks = queue.find_masks(job)
    except TimeoutError:
        raise BusyError("The studio is busy with a long step. Try again in a minute.") from None
    if masks.note:
        gr.Info(masks.note)
    return [editor_value(picture, [file]) for picture, file in zip(pictures, masks.files, strict=True)]


def strokes(drawn: bytes | None, folder: str, name: str, limits: Limits) -> str:
    """Write what was painted in an editor to a file.

    Args:
        drawn: the editor's layer, as the bytes of a file.
        folder, name: the file's folder, and the beginning of its name.
        limits: of the studio.
    Returns:
        The file's path; "" if nothing was painted.
    Raises:
        ImageError: it is no picture, or too large.
    """
    if not drawn:
        return ""
    # A new file each time: the queue's copy for an earlier job may be a hard link to the old one.
    with tempfile.NamedTemporaryFile(dir=folder, prefix=f"{name}-", suffix=".png", delete=False) as file:
        file.write(drawn)
    return checked_upload(file.name, "strokes", limits)


class _Drawn:
    """The newest layer of each editor in a browser, as the bytes of a file.

    It replaces two methods of Gradio's editor, which keep everything that browsers send, of any number and
    length, and open it in the server with Pillow.
    """

    def __init__(self) -> None:
        self.layers: OrderedDict[str, bytes] = OrderedDict()

    @for_the_browser
    def accept(self, sent: AcceptBlobs) -> None:
        """Keep a layer that the browser sends. It also sends the background and the whole picture."""
        data, files = sent.data, sent.files
        if data["type"] != "layer" or str(data["index"]) != "0" or not files:
            return
        if len(files[0][1]) <= LARGEST:
            self.layers[str(data["id"])[:64]] = files[0][1]
        # Layers that nobody asks for, because their page was closed, make room for newer ones.
        while len(self.layers) > KEPT or sum(map(len, self.layers.values())) > TOTAL:
            self.layers.popitem(last=False)

    def taken(self, payload: EditorData | None) -> bytes | None:
        """Return the bytes of the newest layer, which handlers get as the editor's value; None: no layer."""
        if payload is None:
            return None
        if payload.id is not None:
            return self.layers.pop(payload.id, None)
        # Without an id the editor shows what the server loaded into it, and nothing has been drawn since.
        path = as_file(payload.layers[0]) if payload.layers else None
        return Path(path).read_bytes() if path else None
