"""Cutting an image into tiles, each with a margin as wide as its features can see."""

from dataclasses import dataclass
from itertools import pairwise

from jaxtyping import Float
from torch import Tensor

from impasto.layers import LAYERS, Layer
from impasto.shapes import Features


@dataclass(frozen=True)
class Span:
    """A tile along one side of the image, in pixels of the whole image.

    Attributes:
        start, stop: the core, the pixels that this tile counts. Cores cover the image without overlap.
        margins: by block of the network, the pixels before and after the core whose responses are computed in
            that block. They shrink with depth, because the layers that remain see less.
    """

    start: int
    stop: int
    margins: tuple[tuple[int, int], ...]

    @property
    def window(self) -> slice:
        """The pixels that are computed; on a torus they may lie beyond the image's edges."""
        before, after = self.margins[0]
        return slice(self.start - before, self.stop + after)

    def positions(self, name: str) -> slice:
        """Return the core's positions on a layer's grid of the whole image."""
        stride = LAYERS[name].stride
        return slice(self.start // stride, -(-self.stop // stride))

    def core_in_window(self, name: str) -> slice:
        """Return the core's positions on a layer's grid of the tile's window."""
        layer, whole = LAYERS[name], self.positions(name)
        skipped = (self.start - self.margins[_block(layer)][0]) // layer.stride
        return slice(whole.start - skipped, whole.stop - skipped)

    def crop_after_pooling(self, name: str) -> slice:
        """Return the positions of a pooling's grid, in the window, that the next block needs."""
        layer = LAYERS[name]
        block = _block(layer)
        (wide, _), (before, after) = self.margins[block - 1], self.margins[block]
        first = (wide - before) // layer.stride
        return slice(first, first - (self.start - before - self.stop - after) // layer.stride)


@dataclass(frozen=True)
class Tile:
    """A rectangle of the image, the core, and the window around it that makes the core's features exact."""

    rows: Span
    columns: Span

    @property
    def window(self) -> tuple[slice, slice]:
        """The rows and columns of pixels that are computed."""
        return self.rows.window, self.columns.window

    @property
    def crops(self) -> dict[str, tuple[slice, slice]]:
        """The `crops` of `VGG19.responses`: what is passed on after each pooling."""
        poolings = [name for name, layer in LAYERS.items() if layer.is_pooling]
        used = poolings[: len(self.rows.margins) - 1]
        return {
            name: (self.rows.crop_after_pooling(name), self.columns.crop_after_pooling(name)) for name in used
        }

    def positions(self, name: str) -> tuple[slice, slice]:
        """Return the core's rows and columns on a layer's grid of the whole image."""
        return self.rows.positions(name), self.columns.positions(name)

    def core(self, name: str, features: Features) -> Float[Tensor, "B N _ _"]:
        """Return the core's part, a view, of a layer's responses in the window, (B, N, h, w)."""
        return features[:, :, self.rows.core_in_window(name), self.columns.core_in_window(name)]


LARGE = 16
"""Tiles of at least this many positions of the deepest layer begin, with their margins, at every fourth."""


def tile_unit(size: int, last: Layer) -> int:
    """Return the number of pixels that tiles' edges are multiples of.

    This is the deepest layer's stride, so that every pooling sees the same pairs as in the whole image. For
    large tiles it is four strides. Then `winograd`'s tiles of 4×4 positions, too, are the same as in the
    whole image, and so is their rounding, by which max pooling chooses between nearly equal responses. (With
    small tiles a gradient in float32 was off by up to 3e-4 of its norm, with large ones by 2e-6.)
    """
    return last.stride * (4 if not size or size >= LARGE * last.stride else 1)


def halos(last: Layer, cell: int) -> tuple[int, ...]:
    """By block, the pixels on each side of a core that its positions up to layer `last` can see, rounded up.

    Seen from a block's input, that is how far the convolutions of this block and the deeper ones reach. (A
    pooling reaches no further than its own cell.)

    Args:
        last: the deepest layer needed.
        cell: the result of `tile_unit`; where it allows, margins are multiples of four positions of their
            block.
    """
    reach = [0] * (_block(last) + 1)
    for layer in LAYERS.values():
        if layer.index <= last.index and not layer.is_pooling:
            for block in range(_block(layer) + 1):
                reach[block] += layer.stride  # a 3×3 convolution reaches one position further
    sizes: list[int] = []
    for block in reversed(range(len(reach))):
        unit = 4 << block if 4 << block <= cell else min(2 << block, last.stride)
        sizes.append(-(-max([reach[block], *sizes]) // unit) * unit)
    return tuple(reversed(sizes))


def tile_image(
    rows: tuple[int, int], columns: tuple[int, int], size: int, last: Layer, *, height: int, width: int,
    circular: bool = False,
) -> tuple[Tile, ...]:  # fmt: skip
    """Cut rows and columns of an image into tiles, row by row.

    Args:
        rows, columns: the first pixel, a multiple of `tile_unit`, and the one after the last.
        size: the longest side of a core, in pixels, but at least one `tile_unit`. 0: no limit.
        last: the deepest layer needed.
        height, width: of the whole image, in pixels.
        circular: whether opposite edges are neighbours.
    """
    across = spans(columns, width, size, last, circular)
    return tuple(Tile(down, along) for down in spans(rows, height, size, last, circular) for along in across)


def spans(part: tuple[int, int], length: int, size: int, last: Layer, circular: bool = False) -> list[Span]:
    """Return the tiles of `tile_image` along one side.

    Args:
        part: the first pixel and the one after the last.
        length: the length of the whole side, in pixels.
        size, last, circular: see `tile_image`.
    """
    first, end = part
    unit = tile_unit(size, last)
    # Whole cells are divided as evenly as possible, so that no tile is a sliver.
    cells = -(-(end - first) // unit)
    count = -(-cells // max(1, size // unit)) if size else min(1, cells)
    edges = [min(end, first + cells * index // max(1, count) * unit) for index in range(count + 1)]
    around = halos(last, unit)
    return [
        Span(start, stop, _margins(start, stop, length, around, circular)) for start, stop in pairwise(edges)
    ]


def _margins(
    start: int, stop: int, length: int, halos: tuple[int, ...], circular: bool
) -> tuple[tuple[int, int], ...]:
    """By block, the pixels before and after a core; at the image's edges there are fewer, on a torus not."""
    if circular:
        return tuple((around, around) for around in halos)
    return tuple((min(around, start), min(around, length - stop)) for around in halos)


def _block(layer: Layer) -> int:
    """Return the block whose grid a layer has, from 0; a pooling already has that of the next block."""
    return layer.block - (0 if layer.is_pooling else 1)
