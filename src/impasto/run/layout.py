"""Layouts: how one scale is worked on, from the quickest to the one that takes the least memory."""

from dataclasses import dataclass, replace

from impasto.choices import ResponseStorage
from impasto.run.scales import Scale

TILES = (0, 1536, 1280, 1024, 768, 512, 384, 256, 192, 128)
"""Sides of tiles that are considered, in pixels; 0 is the whole image at once."""

LEAST_HISTORY = 3
"""L-BFGS with fewer pairs is hardly better than gradient descent."""


@dataclass(frozen=True)
class Layout:
    """How one scale is worked on.

    Attributes:
        tile: longest side of a tile in pixels; 0: whole.
        keep: where the photo's responses are meanwhile.
        history: pairs that L-BFGS remembers.
    """

    tile: int = 0
    keep: ResponseStorage = "memory"
    history: int = 20

    def __str__(self) -> str:
        where = f"tiles of {self.tile} px" if self.tile else "the whole image at once"
        return f"{where} and a history of {self.history}"


def next_smaller(layout: Layout, scale: Scale) -> Layout | None:
    """The next layout that takes less memory; None after the least."""
    long = max(scale.height, scale.width)
    sides = [side for side in TILES if 0 < side < (layout.tile or long)]
    if sides:
        half = [side for side in sides if side <= (layout.tile or long) / 2] or sides[-1:]
        keep: ResponseStorage = "disk" if layout.keep == "memory" else layout.keep
        return replace(layout, tile=half[0], keep=keep, history=min(layout.history, 10))
    if layout.history > LEAST_HISTORY:
        return replace(layout, history=max(LEAST_HISTORY, layout.history // 2))
    return None
