"""Messages between a page, the queue and a worker: plain data that can be pickled."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, TypeAlias

from impasto.choices import REGION_COLORS

Recipe: TypeAlias = Literal["stylize", "content", "style", "features", "figure", "regions", "subject"]
"""The kinds of job: a painting, a reconstruction of content or style, a layer's features, a figure of the
paper, or masks for the brush's editors: matched regions or a photo's subject."""

JobState: TypeAlias = Literal["nothing", "waiting", "working", "paused", "stopped", "finished", "failed"]
"""The states of a page's job."""

BRUSH_COLORS = REGION_COLORS[:3]
"""Colours to paint regions with; black is what is left unpainted."""

FORMATS = ("painting.png", "painting.jpg", "painting.tif")
"""The files of a finished painting; TIFF has 16 bits per channel."""


@dataclass(frozen=True, kw_only=True)
class JobRequest:
    """A job that a page requests.

    Attributes:
        recipe: the kind of job.
        content, styles: paths of pictures that the visitor uploaded or picked.
        regions: paths of masks, first the photo's.
        strokes: instead of masks, brush strokes on the photo and on the painting.
        keep_unpainted: whether the photo stays unchanged where it has no strokes.
        settings: values by field of the recipe's settings class.
        folder: for the results; chosen by the queue.
        number: of the paper's figure: 1 or 2.
        checkpoint: the file from which a paused or stopped job goes on; "": start anew.
    """

    recipe: Recipe = "stylize"
    content: str = ""
    styles: tuple[str, ...] = ()
    regions: tuple[str, ...] = ()
    strokes: tuple[str, ...] = ()
    keep_unpainted: bool = False
    settings: Mapping[str, Any] = field(default_factory=dict)
    folder: str = ""
    number: int = 1
    checkpoint: str = ""


@dataclass(frozen=True)
class FoundMasks:
    """Layers for the brush's editors.

    Attributes:
        files: PNG with alpha: the photo's, and of matched regions the painting's.
        note: why a match is not trusted; empty if it is.
    """

    files: tuple[str, ...]
    note: str = ""


@dataclass(frozen=True)
class Update:
    """News of a worker about its job. Empty fields mean no change.

    Attributes:
        state: "working", or the state in which the job ended.
        text: a sentence for the visitor.
        picture: the current picture, as JPEG.
        step: facts of the newest solver step, as in `preview.step_facts`.
        files: paths of the files written.
    """

    state: JobState = "working"
    text: str = ""
    picture: bytes = b""
    step: Mapping[str, Any] | None = None
    files: tuple[str, ...] = ()


@dataclass(frozen=True)
class JobStatus:
    """The state of a page's job.

    Attributes:
        state: of the job.
        position: in the queue, from 1; 0: not waiting.
        text, picture, step: the newest of each, as in `Update`.
        curve: for each step so far, seconds, loss, and the parts of content and style in it.
        files: paths of the files written.
        version: increases with every change.
    """

    state: JobState = "nothing"
    position: int = 0
    text: str = ""
    picture: bytes = b""
    step: Mapping[str, Any] | None = None
    curve: tuple[tuple[float, float, float, float], ...] = ()
    files: tuple[str, ...] = ()
    version: int = 0

    @property
    def is_settled(self) -> bool:
        """Whether the job is neither queued nor running."""
        return self.state not in ("waiting", "working")


@dataclass(frozen=True)
class JobEstimate:
    """The estimate of a job.

    Attributes:
        width, height: of the picture, in pixels.
        bytes: of memory needed.
        limit: bytes of memory available.
        seconds: of painting.
    """

    width: int
    height: int
    bytes: int
    limit: int
    seconds: float


@dataclass(frozen=True)
class Limits:
    """The limits of a studio.

    Attributes:
        upload: bytes of an uploaded file.
        pixels: of an uploaded picture.
        size: long side of a painting, in pixels.
        waiting: jobs in the queue.
        pages: visitors whose pictures are kept at the same time.
        seconds: of painting until a job is stopped and its picture is kept, from its start and from each time
            it is resumed; infinity: no limit.
    """

    upload: int = 64_000_000
    pixels: int = 64_000_000
    size: int = 4096
    waiting: int = 16
    pages: int = 64
    seconds: float = 3600.0
