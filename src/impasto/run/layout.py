"""Layouts: ways to compute a scale, from the fastest to the one that needs the least memory."""

from dataclasses import dataclass, replace

from impasto.choices import ResponseStorage
from impasto.run.scales import Scale

TILES = (0, 1536, 1280, 1024, 768, 512, 384, 256, 192, 128)
"""Sides of tiles to choose from, in pixels; 0 is the whole image at once."""

LEAST_HISTORY = 3
"""Fewest past steps L-BFGS keeps. With fewer, it is hardly better than gradient descent."""


@dataclass(frozen=True)
class Layout:
    """How a scale is computed. Manifests and checkpoints hold these fields by name.

    Attributes:
        tile: longest side of a tile in pixels; 0: the whole image at once.
        keep: where the photo's responses are kept between evaluations.
        history: past steps L-BFGS keeps.
    """

    tile: int = 0
    keep: ResponseStorage = "memory"
    history: int = 20

    def __str__(self) -> str:
        where = f"tiles of {self.tile} px" if self.tile else "the whole image at once"
        return f"{where} and a history of {self.history}"


def next_smaller(layout: Layout, scale: Scale) -> Layout | None:
    """Return the next layout that needs less memory.

    Tiles are halved first, and the responses leave the memory. Then the history is halved.

    Args:
        layout: the layout for which the memory did not suffice.
        scale: the size that is painted.
    Returns:
        a smaller layout; None after the smallest.
    """
    long = max(scale.height, scale.width)
    sides = [side for side in TILES if 0 < side < (layout.tile or long)]
    if sides:
        # Half the side or less, so that a run that ran out of memory reaches a layout that fits in few tries.
        half = [side for side in sides if side <= (layout.tile or long) / 2] or sides[-1:]
        keep: ResponseStorage = "disk" if layout.keep == "memory" else layout.keep
        return replace(layout, tile=half[0], keep=keep, history=min(layout.history, 10))
    if layout.history > LEAST_HISTORY:
        return replace(layout, history=max(LEAST_HISTORY, layout.history // 2))
    return None
