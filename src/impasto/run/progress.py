"""What a run yields after each solver step."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from impasto.image.picture import Picture
from impasto.objective.evaluate import sum_by_kind
from impasto.results.painting import Painting
from impasto.run.checkpoint import Snapshot
from impasto.shapes import Image


@dataclass(frozen=True)
class Progress:
    """The facts of one solver step, and functions that give the image, the painting and the snapshot.

    Attributes:
        scale, scales: number of the scale, from 1, and the number of scales that are solved.
        height, width: size of the image at this scale, in pixels.
        step, steps: number of the step at this scale, from 1, and the most steps it may take.
        loss: the weighted objective. Losses are comparable only within one scale.
        by_term: the summands of the loss by the names of their terms.
        evaluations: evaluations of value and gradient so far, over all scales.
        seconds: seconds since the run began.
        eta: estimated seconds remaining.
        precision: data type of the features, "float32" or "bfloat16"; pixels and losses are float32.
        peak_memory: peak memory of this process so far, in bytes.
        image: returns the current picture, (1, 3, height, width), 0..1, on the CPU. If several processes
            share a picture, all must call it together.
        snapshot: returns everything needed to resume from here (see `run/checkpoint.py`).
        manifest: the part of the manifest known before the end; that of a steered run has its `turns` so far.
        note: anything out of the ordinary, else "".
    """

    scale: int
    scales: int
    height: int
    width: int
    step: int
    steps: int
    loss: float
    by_term: dict[str, float]
    evaluations: int
    seconds: float
    eta: float
    precision: str
    peak_memory: int
    image: Callable[[], Image]
    snapshot: Callable[[], Snapshot]
    manifest: dict[str, Any]
    _finish: "Callable[[Progress], Painting]" = field(repr=False)
    note: str = ""

    @property
    def by_kind(self) -> dict[str, float]:
        """The summands of the loss, added up by the kind of their terms: "content", "style", and so on."""
        return sum_by_kind(self.by_term)

    def painting(self) -> Painting:
        """Make the painting so far, at the final size and with its manifest, as at the end of a run.

        To stop early, leave the loop and call `progress.painting().save(path)`. If several processes share a
        picture, all must call this together.
        """
        return self._finish(self)

    def _repr_png_(self) -> bytes:
        """Encode the current picture as PNG, which notebooks show for a cell that ends with a `Progress`."""
        return Picture(self.image())._repr_png_()
