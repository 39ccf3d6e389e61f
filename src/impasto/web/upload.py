"""Pictures that visitors bring: taken as they are, and looked at before anything is done with them."""

import os
from pathlib import Path
from typing import Any

import gradio as gr
from gradio.utils import get_upload_folder

from impasto.errors import ImageError
from impasto.image.header import read_header
from impasto.studio.messages import Limits

KINDS = [".jpg", ".jpeg", ".png", ".webp", ".tif", ".tiff", ".avif", ".gif", ".heic", ".heif"]
"""Endings that a file may have; what it is, its bytes say."""


def upload(what: str, identity: str) -> gr.Image:
    """A place to drop a picture, or to pick it. Handlers get the file as it is.

    Args:
        what: what it is for.
        identity: of the element.
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
    # Gradio's own step opens the file with Pillow, which has other limits and formats than ours. (A subclass
    # would do, but Gradio writes a stub file beside the module of every subclass.)
    vars(component)["preprocess"] = as_file
    return component


def as_file(payload: Any) -> str | None:
    """Where the file is.

    Raises:
        gr.Error: it was not uploaded here. Gradio should have made sure of that; twice is safe.
    """
    if payload is None:
        return None
    path = Path(os.path.realpath(payload.path))
    if not path.is_relative_to(os.path.realpath(get_upload_folder())):
        raise gr.Error("this file was not uploaded here", print_exception=False)
    return str(path)


def checked_upload(path: str | None, what: str, limits: Limits) -> str:
    """A file that may be read.

    Raises:
        ImageError: there is none, it is no picture, or it is larger than is taken on.
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
            f"{what} '{name}' has {size / 1e6:.0f} MB; at most {limits.upload / 1e6:.0f} MB are taken. "
            "Make it smaller first."
        )
    try:
        read_header(path, role=what, max_pixels=limits.pixels)
    except ImageError as error:
        message = str(error).replace(path, name).replace(", or raise max_pixels if you trust it", "")
        raise ImageError(message) from None
    return path
