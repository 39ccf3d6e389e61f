"""What a running job tells the world, and what it leaves behind."""

import os
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from impasto.image.files import write_picture
from impasto.image.picture import Picture
from impasto.recipes.manifest import to_text
from impasto.shapes import Image
from impasto.solve.checkpoint import Snapshot


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
        snapshot: gives all that is needed to go on from here (see `solve/checkpoint.py`).
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
    note: str = ""


@dataclass(frozen=True)
class Painting:
    """A finished (or stopped) painting.

    Attributes:
        picture: the pixels, with the photo's alpha if it had any.
        manifest: all that is needed to paint it again: settings, seed, versions, hashes, losses.
    """

    picture: Picture
    manifest: dict[str, Any]

    def save(self, path: str | os.PathLike[str], *, bits: int = 8, quality: int = 92) -> None:
        """Write it whole, or leave what was there; the extension says the format; the manifest goes inside.

        Args:
            bits: 8, or 16 for PNG and TIFF.
            quality: 1..100, of the formats that lose something.
        Raises:
            ImageError: it cannot be written there, or not like that.
        """
        write_picture(self.picture, path, bits=bits, quality=quality, manifest=to_text(self.manifest))
