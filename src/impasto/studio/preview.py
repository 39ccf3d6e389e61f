"""What a worker shows of a painting, and what it keeps of it."""

import traceback
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from impasto.errors import ImpastoError
from impasto.studio.messages import FORMATS, JobRequest

if TYPE_CHECKING:
    from impasto.image.picture import Picture
    from impasto.results.painting import Painting
    from impasto.run.progress import Progress
    from impasto.shapes import Image

SHOWN = 768
"""Long side of what is shown while it is painted, at most, in pixels."""


def blank(side: int) -> "Picture":
    """A grey square, to warm up with."""
    import torch

    from impasto.image.picture import Picture

    return Picture(torch.full((1, 3, side, side), 0.5), name="nothing")


def result_or_error(ask: Callable[[], Any], job: JobRequest) -> Any:
    """The answer, or what is wrong, as the queue gets it."""
    try:
        return ask()
    except ImpastoError as error:
        return type(error)(without_paths(str(error), job))
    except Exception:  # noqa: BLE001 — whoever asks gets an answer, and the worker goes on
        traceback.print_exc()
        return ImpastoError("what it takes cannot be said here")


def without_paths(text: str, job: JobRequest) -> str:
    """The text with the names of a job's files in place of where they are on this machine."""
    for path in (*job.strokes, *job.regions, *job.styles, job.content, job.checkpoint):
        text = text.replace(path, Path(path).name) if path else text
    return text.replace(f"{job.folder}/", "") if job.folder else text


def step_facts(step: "Progress") -> dict[str, Any]:
    """A step's facts, as plain numbers."""
    names = ("scale", "scales", "step", "steps", "width", "height", "loss", "seconds", "eta", "evaluations")
    losses = {kind: step.by_kind.get(kind, 0.0) for kind in ("content", "style")}
    return {**{name: getattr(step, name) for name in names}, **losses}


def shown_as_jpeg(image: "Image", longest: int = SHOWN) -> bytes:
    """A picture as JPEG, no larger than is looked at."""
    from impasto.image.encode import encode_picture
    from impasto.image.picture import Picture
    from impasto.image.resize import fit, resize

    height, width = image.shape[2], image.shape[3]
    if max(height, width) > longest:
        image = resize(image, *fit(height, width, longest)).clamp(0, 1)
    return encode_picture(Picture(image, name="preview"), ".jpg", quality=88)


def save_outputs(painting: "Painting", folder: str) -> tuple[str, ...]:
    """The painting in every format; its manifest names files, not where they lay on this machine."""
    inputs = {
        role: {**entry, "path": Path(entry["path"]).name}
        for role, entry in painting.manifest["inputs"].items()
    }
    named = replace(painting, manifest={**painting.manifest, "inputs": inputs})
    paths = [str(Path(folder) / name) for name in FORMATS]
    for path in paths:
        named.save(path, bits=16 if path.endswith(".tif") else 8, quality=95)
    return tuple(paths)
