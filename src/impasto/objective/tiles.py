"""Cutting an image into tiles, each with as much around it as its features can see."""

from dataclasses import dataclass
from itertools import pairwise

import torch
from jaxtyping import Float
from torch import Tensor

from impasto.network.layers import LAYERS, Layer
from impasto.shapes import Image


@dataclass(frozen=True)
class Span:
    """A tile along one side of the image, in pixels.

    Attributes:
        start, stop: the core: what the tile stands for. Cores share nothing and leave nothing out.
        before, after: pixels around the core that are computed with it.
        length: of the image's side.
    """

    start: int
    stop: int
    before: int
    after: int
    length: int

    def positions(self, name: str) -> slice:
        """The core's positions on that layer's grid of the whole image."""
        stride = LAYERS[name].stride
        return slice(self.start // stride, -(-self.stop // stride))

    def inside(self, name: str) -> slice:
        """The same on the grid of the window."""
        whole, skipped = self.positions(name), (self.start - self.before) // LAYERS[name].stride
        return slice(whole.start - skipped, whole.stop - skipped)

    def pixels(self, device: torch.device) -> Tensor:
        """Where the window's pixels lie in the image, (h,); beyond an edge follows the opposite one."""
        return torch.arange(self.start - self.before, self.stop + self.after, device=device) % self.length


@dataclass(frozen=True)
class Tile:
    """A rectangle of the image (the core) and the window around it from which the core is exact."""

    rows: Span
    columns: Span

    def window(self, image: Image) -> Float[Tensor, "B 3 _ _"]:
        """The window's pixels, a copy."""
        rows, columns = (span.pixels(image.device) for span in (self.rows, self.columns))
        return image.index_select(2, rows).index_select(3, columns)

    def add(self, gradient: Image, part: Float[Tensor, "B 3 _ _"]) -> None:
        """Add the window's gradient to the image's, in place."""
        rows, columns = (span.pixels(gradient.device) for span in (self.rows, self.columns))
        spread = part.new_zeros(*part.shape[:3], gradient.shape[3]).index_add_(3, columns, part)
        gradient.index_add_(2, rows, spread)

    def positions(self, name: str) -> tuple[slice, slice]:
        """Rows and columns of the core on that layer's grid of the whole image."""
        return self.rows.positions(name), self.columns.positions(name)

    def inside(self, name: str) -> tuple[slice, slice]:
        """Rows and columns of the core on that layer's grid of the window."""
        return self.rows.inside(name), self.columns.inside(name)


def halo(last: Layer) -> int:
    """Pixels on each side of a core that its positions up to layer `last` can see, in whole cells of it."""
    beyond = (last.support - last.stride) / 2
    return -int(-beyond // last.stride) * last.stride


def cut(height: int, width: int, size: int, last: Layer, *, wrap: bool = False) -> tuple[Tile, ...]:
    """Tiles that cover the image, row by row.

    Cores start at multiples of the deepest layer's stride, so that every pooling sees the pairs that it sees
    in the whole image.

    Args:
        height, width: of the image, in pixels.
        size: the longest side of a core, in pixels; at least one cell of `last` is taken.
        last: the deepest layer that will be asked for.
        wrap: whether opposite edges are neighbours.
    """
    rows, columns = (_spans(side, size, last, wrap) for side in (height, width))
    return tuple(Tile(row, column) for row in rows for column in columns)


def _spans(length: int, size: int, last: Layer, wrap: bool) -> list[Span]:
    cells = -(-length // last.stride)
    count = -(-cells // max(1, size // last.stride))
    edges = [min(length, cells * index // count * last.stride) for index in range(count + 1)]
    around = halo(last)
    return [
        Span(
            start,
            stop,
            around if wrap else min(around, start),
            around if wrap else min(around, length - stop),
            length,
        )
        for start, stop in pairwise(edges)
    ]
