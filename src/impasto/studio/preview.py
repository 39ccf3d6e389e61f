"""The pictures and facts that a worker sends, and the files that it saves."""

import traceback
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from impasto.errors import ImpastoError
from impasto.studio.messages import FORMATS, JobRequest

if TYPE_CHECKING:
    from impasto.results.painting import Painting
    from impasto.run.progress import Progress
    from impasto.shapes import Image

SHOWN = 768
"""Largest long side of the pictures shown while painting, in pixels."""


def result_or_error(ask: Callable[[], Any], job: JobRequest) -> Any:
    """Return the result of a call, or an ImpastoError, to send to the queue; the error names no folders."""
    try:
        return ask()
    except ImpastoError as error:
        return type(error)(without_paths(str(error), job))
    except Exception:  # noqa: BLE001 — the page gets an answer, and the worker goes on
        traceback.print_exc()
        return ImpastoError("the painting cannot be estimated, because of an error in Impasto")


def without_paths(text: str, job: JobRequest) -> str:
    """Return the text with file names in place of paths: visitors should not learn the server's folders."""
    for path in (*job.strokes, *job.regions, *job.styles, job.content, job.checkpoint):
        text = text.replace(path, Path(path).name) if path else text
    return text.replace(f"{job.folder}/", "") if job.folder else text


def step_facts(step: "Progress") -> dict[str, Any]:
    """Facts of a solver step as plain numbers, and the loss of content and of style."""
    names = ("scale", "scales", "step", "steps", "width", "height", "loss", "seconds", "eta", "evaluations")
    losses = {kind: step.by_kind.get(kind, 0.0) for kind in ("content", "style")}
    return {**{name: getattr(step, name) for name in names}, **losses}


def shown_as_jpeg(image: "Image", longest: int = SHOWN) -> bytes:
    """Return a picture of shape (1, 3, H, W) as JPEG, reduced to a long side of at most `longest` pixels."""
    from impasto.image.encode import encode_picture
    from impasto.image.picture import Picture
    from impasto.image.resize import fit, resize

    height, width = image.shape[2], image.shape[3]
    if max(height, width) > longest:
        image = resize(image, *fit(height, width, longest)).clamp(0, 1)
    return encode_picture(Picture(image, name="preview"), ".jpg", quality=88)


def save_outputs(painting: "Painting", folder: str) -> tuple[str, ...]:
    """Save the painting in every format; its manifest has the inputs' names, without their folders.

    Returns:
        the paths, in the order of `FORMATS`.
    """
    inputs = {
        role: {**entry, "path": Path(entry["path"]).name}
        for role, entry in painting.manifest["inputs"].items()
    }
    named = replace(painting, manifest={**painting.manifest, "inputs": inputs})
    paths = [str(Path(folder) / name) for name in FORMATS]
    for path in paths:
        named.save(path, bits=16 if path.endswith(".tif") else 8, quality=95)
    return tuple(paths)
