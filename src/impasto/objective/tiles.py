"""Cutting an image into tiles, each with as much around it as its features can see."""

from dataclasses import dataclass
from itertools import pairwise

from impasto.layers import LAYERS, Layer


@dataclass(frozen=True)
class Span:
    """A tile along one side of the image, in pixels of the whole image.

    Attributes:
        start, stop: the core: what the tile stands for. Cores share nothing and leave nothing out.
        margins: by block of the network, pixels before and after the core whose responses are computed there:
            less and less, as what is left of the network sees less.
    """

    start: int
    stop: int
    margins: tuple[tuple[int, int], ...]

    @property
    def window(self) -> slice:
        """The pixels that are computed; on a torus perhaps beyond the image's edges."""
        before, after = self.margins[0]
        return slice(self.start - before, self.stop + after)

    def positions(self, name: str) -> slice:
        """The core's positions on that layer's grid of the whole image."""
        stride = LAYERS[name].stride
        return slice(self.start // stride, -(-self.stop // stride))

    def core_in_window(self, name: str) -> slice:
        """The same on the grid that is computed of the window."""
        layer, whole = LAYERS[name], self.positions(name)
        skipped = (self.start - self.margins[_block(layer)][0]) // layer.stride
        return slice(whole.start - skipped, whole.stop - skipped)

    def crop_after_pooling(self, name: str) -> slice:
        """Of the positions of a pooling's grid those that the next block needs."""
        layer = LAYERS[name]
        block = _block(layer)
        (wide, _), (before, after) = self.margins[block - 1], self.margins[block]
        first = (wide - before) // layer.stride
        return slice(first, first - (self.start - before - self.stop - after) // layer.stride)


@dataclass(frozen=True)
class Tile:
    """A rectangle of the image (the core) and the window around it from which the core is exact."""

    rows: Span
    columns: Span

    @property
    def window(self) -> tuple[slice, slice]:
        """Rows and columns of pixels that are computed."""
        return self.rows.window, self.columns.window

    @property
    def crops(self) -> dict[str, tuple[slice, slice]]:
        """See `VGG19.responses`: what is kept after each pooling."""
        poolings = [name for name, layer in LAYERS.items() if layer.is_pooling]
        used = poolings[: len(self.rows.margins) - 1]
        return {
            name: (self.rows.crop_after_pooling(name), self.columns.crop_after_pooling(name)) for name in used
        }

    def positions(self, name: str) -> tuple[slice, slice]:
        """Rows and columns of the core on that layer's grid of the whole image."""
        return self.rows.positions(name), self.columns.positions(name)

    def core_in_window(self, name: str) -> tuple[slice, slice]:
        """Rows and columns of the core on that layer's grid of what is computed."""
        return self.rows.core_in_window(name), self.columns.core_in_window(name)


LARGE = 16
"""Tiles of so many positions of the deepest layer begin at every fourth of them, and their halos as well."""


def tile_unit(size: int, last: Layer) -> int:
    """Of how many pixels the edges of tiles are multiples.

    Of the deepest layer's stride, so that every pooling sees its own pairs. Of large tiles, four strides:
    then `winograd`'s tiles of 4×4 positions are the same as in the whole image, and so is their rounding, to
    which max pooling owes the choice between nearly equal responses.
    """
    return last.stride * (4 if not size or size >= LARGE * last.stride else 1)


def halos(last: Layer, cell: int) -> tuple[int, ...]:
    """By block: pixels on each side of a core that its positions up to layer `last` can see, rounded up.

    Seen from that block's input: the convolutions of that block and of deeper ones reach that far. (A pooling
    reaches no further than its own cell.)

    Args:
        cell: see `cell`; where it allows, halos are multiples of four positions of their block.
    """
    reach = [0] * (_block(last) + 1)
    for layer in LAYERS.values():
        if layer.index <= last.index and not layer.is_pooling:
            for block in range(_block(layer) + 1):
                reach[block] += layer.stride
    sizes: list[int] = []
    for block in reversed(range(len(reach))):
        unit = 4 << block if 4 << block <= cell else min(2 << block, last.stride)
        sizes.append(-(-max([reach[block], *sizes]) // unit) * unit)
    return tuple(reversed(sizes))


def tile_image(
    rows: tuple[int, int], columns: tuple[int, int], size: int, last: Layer, *, height: int, width: int,
    circular: bool = False,
) -> tuple[Tile, ...]:  # fmt: skip
    """Tiles that cover those rows and columns of an image, row by row.

    Args:
        rows, columns: first pixel and the one after the last; the first is a multiple of the `cell`.
        size: the longest side of a core, in pixels; at least one `cell` is taken. 0: no limit.
        last: the deepest layer that will be asked for.
        height, width: of the whole image, in pixels.
        circular: whether opposite edges are neighbours.
    """
    across = spans(columns, width, size, last, circular)
    return tuple(Tile(down, along) for down in spans(rows, height, size, last, circular) for along in across)


def spans(part: tuple[int, int], length: int, size: int, last: Layer, circular: bool = False) -> list[Span]:
    """The tiles of `tile_image` along one side.

    Args:
        part: first pixel and the one after the last.
        length: of the whole side, in pixels.
        size, last, circular: see `tile_image`.
    """
    first, end = part
    unit = tile_unit(size, last)
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
    if circular:
        return tuple((around, around) for around in halos)
    return tuple((min(around, start), min(around, length - stop)) for around in halos)


def _block(layer: Layer) -> int:
    """Which block's grid a layer's positions lie on, from 0: a pooling already has the next one's."""
    return layer.block - (0 if layer.is_pooling else 1)
