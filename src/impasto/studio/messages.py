"""What passes between a page, the queue and the worker: plain things, which can be pickled."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, TypeAlias

from impasto.choices import REGION_COLORS

Recipe: TypeAlias = Literal["stylize", "content", "style", "features", "figure", "regions", "subject"]
"""What can be ordered: a painting; what a layer keeps of a picture; its responses; a figure; masks."""

JobState: TypeAlias = Literal["nothing", "waiting", "working", "paused", "stopped", "finished", "failed"]
"""Of a page's order."""

BRUSH_COLORS = REGION_COLORS[:3]
"""Colours to paint regions with; black is what is left unpainted."""

FORMATS = ("painting.png", "painting.jpg", "painting.tif")
"""The files of a finished painting; the last has 16 bits."""


@dataclass(frozen=True, kw_only=True)
class JobRequest:
    """What a page wants.

    Attributes:
        recipe: what kind of picture.
        content, styles: files that the page's visitor uploaded or picked.
        regions: masks; or strokes: what was painted with a brush on the photo, and on the painting.
        keep_unpainted: whether what has no strokes stays a photo.
        settings: by name, of the recipe's settings class.
        folder: where the results go; the queue's own.
        number: of the figure.
        checkpoint: of the same order when it was paused or stopped, to go on from there.
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
    """What a worker says of the job that it works on. Fields that are empty are as they were.

    Attributes:
        state: "working", or how it ended.
        text: what a person reads.
        picture: JPEG.
        step: one solver step's facts: scale, scales, step, steps, loss, by_term, seconds, eta, evaluations.
        files: what has been written.
    """

    state: JobState = "working"
    text: str = ""
    picture: bytes = b""
    step: Mapping[str, Any] | None = None
    files: tuple[str, ...] = ()


@dataclass(frozen=True)
class JobStatus:
    """What a page shows of its job.

    Attributes:
        state: of the job.
        position: in the queue: 0, it is being painted; 1, it is next.
        text, picture, step: the newest of the news.
        curve: seconds, loss and content's and style's parts of it, of the steps so far.
        files: what has been written.
        version: goes up with every change.
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
        """Whether nothing will change by itself any more."""
        return self.state not in ("waiting", "working")


@dataclass(frozen=True)
class JobEstimate:
    """What a job would take: pixels across and down, bytes of memory, of how many, and seconds."""

    width: int
    height: int
    bytes: int
    limit: int
    seconds: float


@dataclass(frozen=True)
class Limits:
    """What a studio takes on.

    Attributes:
        upload: bytes of one file.
        pixels: of one picture that is read.
        size: long side of what is painted, in pixels.
        waiting: jobs in the queue.
        pages: visitors at once whose pictures are kept.
        seconds: of painting for one job; it is stopped then, and keeps what is there.
    """

    upload: int = 64_000_000
    pixels: int = 64_000_000
    size: int = 4096
    waiting: int = 16
    pages: int = 64
    seconds: float = 3600.0
