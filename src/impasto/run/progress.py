"""The progress of a run, step by step."""

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
    """One solver step.

    Attributes:
        scale, scales: which size, from 1, and how many there are.
        height, width: of that size, in pixels.
        step, steps: which step at this size, from 1, and how many at most.
        loss: the objective, weighted as the settings say; comparable within one scale only.
        by_term: its summands by name.
        evaluations: value-and-gradients so far, over all scales.
        seconds: since the run began.
        eta: seconds still to go, as estimated.
        precision: type of the features, "float32" or "bfloat16"; pixels and losses are float32.
        peak_memory: bytes.
        image: gives the picture as it is, (1, 3, height, width), 0..1, on the CPU, when called. Where several
            processes paint one picture, all of them have to call it together.
        snapshot: gives all that is needed to go on from here (see `run/checkpoint.py`).
        manifest: what is known of the run before it ends; a steered run's has its `turns` so far.
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
        """The summands added up by their terms' kind: "content", "style", ..."""
        return sum_by_kind(self.by_term)

    def painting(self) -> Painting:
        """The picture so far at the size that was asked for, with its manifest, as the end of a run gives it.

        A loop that is left early ends with `progress.painting().save(path)`. Where several processes paint
        one picture, all of them have to call it together.
        """
        return self._finish(self)

    def _repr_png_(self) -> bytes:
        """The picture so far, as a notebook shows it where a cell ends with a `Progress`."""
        return Picture(self.image())._repr_png_()
