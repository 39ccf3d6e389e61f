"""Uploaded pictures: kept as files, and checked before they are used."""

import os
from pathlib import Path
from typing import Any

import gradio as gr

from impasto.errors import ImageError
from impasto.image.header import check_header
from impasto.studio.messages import Limits
from impasto.web.gradio_internals import replace_methods, upload_folder


def upload(what: str, identity: str) -> gr.Image:
    """Return a component for uploading a picture. Handlers get the path of the unchanged file.

    Args:
        what: its label, such as "Photo".
        identity: the id of its element.
    """
    component = gr.Image(
        label=what,
        type="filepath",
        sources=["upload", "clipboard"],
        height=220,
        elem_id=identity,
        buttons=[],
        placeholder=f"Drop the {what.lower()} here, or click to pick it",
        interactive=True,
    )
    # Gradio's own preprocessing opens the file with Pillow, whose limits and formats are not ours.
    replace_methods(component, preprocess=as_file)
    return component


def as_file(payload: Any) -> str | None:
    """Return the path of an uploaded file; None: nothing was uploaded.

    Raises:
        gr.Error: the file is not in the upload folder. Gradio checks this as well, but a mistake there would
            let visitors read any file.
    """
    if payload is None:
        return None
    path = Path(os.path.realpath(payload.path))
    if not path.is_relative_to(os.path.realpath(upload_folder())):
        raise gr.Error("this file was not uploaded here", print_exception=False)
    return str(path)


def checked_upload(path: str | None, what: str, limits: Limits) -> str:
    """Return the path if the file is a picture within the limits.

    Args:
        path: the file; None or "": nothing was uploaded.
        what: what the picture is for, in errors.
        limits: of the studio.
    Raises:
        ImageError: no file, no picture, or too many bytes or pixels.
    """
    if not path:
        raise ImageError(f"There is no {what}. Drop one, or pick one.")
    name = Path(path).name
    try:
        size = Path(path).stat().st_size
    except OSError:
        raise ImageError(f"{what} '{name}' is no longer here. Drop it again.") from None
    if size > limits.upload:
        raise ImageError(
            f"{what} '{name}' has {size / 1e6:.0f} MB; the limit is {limits.upload / 1e6:.0f} MB. "
            "Make it smaller first."
        )
    try:
        check_header(path, role=what, max_pixels=limits.pixels)
    except ImageError as error:
        # Visitors should not learn the server's folders, and cannot raise its limit.
        message = str(error).replace(path, name).replace(", or raise max_pixels if you trust it", "")
        raise ImageError(message) from None
    return path
