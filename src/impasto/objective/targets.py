"""What an objective is measured against: a photo's responses and paintings' Gram matrices, found by tiles."""

import math
import os
import tempfile
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import IO

import torch
from jaxtyping import Float
from torch import Tensor

from impasto.choices import Keep
from impasto.device import all_sum
from impasto.network.layers import LAYERS, Layer, deepest, layer
from impasto.network.vgg import VGG19
from impasto.objective.bands import Band
from impasto.objective.guides import Area
from impasto.objective.style import GRAM, Statistic
from impasto.objective.terms import Target
from impasto.objective.tiles import Tile
from impasto.shapes import Features, Gram, Image


def each_tile(
    network: VGG19, image: Image, last: Layer, size: int, see: Callable[[str, Features, Tile], None]
) -> None:
    """Show every response of this process's part of an image up to layer `last`, tile by tile.

    Args:
        image: the whole image, (1, 3, H, W).
        size: the longest side of a tile's core; 0: one tile.
        see: given a layer's name, its response to a tile's window, and the tile.
    """
    band = Band.of(image.shape[2], image.shape[3])
    with torch.no_grad():
        for one in band.tiles(size, last):
            rows, columns = one.window
            shown = partial(_show, see, one)
            network.responses(image[:, :, rows, columns], last, (), shown, one.trims)


def _show(see: Callable[[str, Features, Tile], None], tile: Tile, name: str, features: Features) -> None:
    see(name, features, tile)


def style_targets(
    network: VGG19,
    styles: Sequence[tuple[Float[Tensor, "1 3 _ _"], float]],
    layers: Sequence[str],
    *,
    tile: int = 0,
) -> dict[str, Gram]:
    """By layer, the paper's A divided by M: the sum of share · Gram matrix per position over the styles.

    Args:
        styles: images, each (1, 3, H', W') of any size, with their shares.
        layers: names as in `LAYERS`.
        tile: see `each_tile`.
    Returns:
        one (1, N, N) per layer.
    """
    targets: dict[str, Gram] = {}
    statistics: dict[str, Statistic] = {layer(name).name: GRAM for name in layers}
    for style, share in styles:
        (means,) = style_means(network, style, statistics, tile=tile)
        for name, mean in means.items():
            part = mean * share
            targets[name] = targets[name] + part if name in targets else part
    return targets


def style_means(
    network: VGG19,
    style: Image,
    statistics: Mapping[str, Statistic],
    *,
    areas: Sequence[Area | None] = (None,),
    tile: int = 0,
) -> list[dict[str, Tensor]]:
    """What a painting's responses are per position, in each of some areas of it; the network sees it once.

    Args:
        style: the painting, (1, 3, H', W').
        statistics: what is measured, by layer.
        areas: where; None is the whole painting. One that is too thin for a layer's positions to see mostly
            it is measured with all that see any of it.
        tile: see `each_tile`.
    Returns:
        for each area, by layer, the statistic's total divided by the positions.
    """
    chosen = [_inner(area, statistics) for area in areas]
    totals: dict[tuple[int, str], Tensor] = {}

    def see(name: str, features: Features, tile: Tile) -> None:
        if name not in statistics:
            return
        rows, columns = tile.inside(name)
        core = features[:, :, rows, columns]
        for place, by_layer in enumerate(chosen):
            area = by_layer[name]
            weights = None if area is None else area.at(name, *tile.positions(name))
            own = statistics[name].measure(core, weights)
            totals[place, name] = totals[place, name] + own if (place, name) in totals else own

    each_tile(network, style, deepest(statistics), tile, see)
    return [
        {
            name: _mean(network, style, statistic, name, by_layer[name], totals.get((place, name)))
            for name, statistic in statistics.items()
        }
        for place, by_layer in enumerate(chosen)
    ]


def _inner(area: Area | None, layers: Iterable[str]) -> dict[str, Area | None]:
    """By layer, the area without its border, or with it where nothing else would be left."""
    if area is None:
        return dict.fromkeys(layers)
    inner = replace(area, inner=True)
    return {name: inner if inner.positions(name) > 0 else area for name in layers}


def _mean(
    network: VGG19, style: Image, statistic: Statistic, name: str, area: Area | None, total: Tensor | None
) -> Tensor:
    """The total of all processes per position; this one may have had nothing to measure."""
    if total is None:
        total = style.new_zeros(statistic.shape(network.channels(name)))
    grid = math.prod(LAYERS[name].grid(style.shape[2], style.shape[3]))
    return all_sum(total) / (grid if area is None else area.positions(name))


def content_targets(
    network: VGG19, content: Image, layers: Sequence[str], *, tile: int = 0, keep: Keep = "memory"
) -> dict[str, tuple[Target, float]]:
    """By layer, the responses of this process's part of an image, and ½ Σ P² over all of it.

    Args:
        content: the whole image, (1, 3, H, W).
        tile: see `each_tile`.
        keep: "memory"; "disk", in a temporary file that has no name, so that nothing is left of it; "again":
            not at all, but found anew whenever a part is asked for.
    """
    band = Band.of(content.shape[2], content.shape[3])
    names = [layer(name).name for name in layers]
    targets: dict[str, Target] = {}
    squares = dict.fromkeys(names, 0.0)

    def see(name: str, features: Features, tile: Tile) -> None:
        if name not in names:
            return
        rows, columns = tile.inside(name)
        core = features[:, :, rows, columns]
        wide = torch.promote_types(core.dtype, torch.float32)
        squares[name] += float(core.to(wide).square().sum())
        if keep == "again":
            return
        if name not in targets:
            targets[name] = (OnDisk if keep == "disk" else Held).empty(name, core, band)
        store = targets[name]
        assert isinstance(store, (OnDisk, Held))
        store.put(core, *tile.positions(name))

    each_tile(network, content, deepest(names), tile, see)
    found = {}
    for name in names:
        if name not in targets:  # this process has no rows of so small an image, or keeps nothing
            targets[name] = Again(network, content, name)
        total = float(all_sum(torch.tensor(squares[name], dtype=torch.float64, device=content.device)))
        found[name] = (targets[name], total / 2)
    return found


@dataclass
class Held:
    """Responses in memory: the rows of a layer's grid from `first` on."""

    responses: Features
    first: int

    @classmethod
    def empty(cls, name: str, like: Features, band: Band) -> "Held":
        """Room for a band's responses."""
        first, height, width = _grid(name, band)
        room = like.new_empty(like.shape[0], like.shape[1], height, width)
        return cls(room.contiguous(memory_format=torch.channels_last), first)

    def put(self, part: Features, rows: slice, columns: slice) -> None:
        """Keep those rows and columns of the whole grid."""
        if part.shape == self.responses.shape:
            self.responses = part.contiguous(memory_format=torch.channels_last)
        else:
            self.responses[:, :, rows.start - self.first : rows.stop - self.first, columns] = part

    def at(self, rows: slice, columns: slice) -> Features:
        """See `Target`."""
        return self.responses[:, :, rows.start - self.first : rows.stop - self.first, columns]


@dataclass(frozen=True)
class OnDisk:
    """Responses in a temporary file, row by row of a layer's grid from `first` on, channels last."""

    file: IO[bytes]
    first: int
    width: int
    like: Features

    @classmethod
    def empty(cls, name: str, like: Features, band: Band) -> "OnDisk":
        """A file for a band's responses."""
        first, _, width = _grid(name, band)
        return cls(
            tempfile.TemporaryFile(dir=scratch()), first, width, like.new_empty(1, like.shape[1], 0, 0)
        )

    def __del__(self) -> None:
        self.file.close()

    def put(self, part: Features, rows: slice, columns: slice) -> None:
        """Keep those rows and columns of the whole grid."""
        lines = part.permute(0, 2, 3, 1).contiguous().cpu().view(torch.uint8).numpy()[0]
        for row, line in zip(range(rows.start, rows.stop), lines, strict=True):
            self._seek(row, columns.start)
            self.file.write(memoryview(line.reshape(-1)))

    def at(self, rows: slice, columns: slice) -> Features:
        """See `Target`."""
        size = (rows.stop - rows.start, columns.stop - columns.start, self.like.shape[1])
        part = torch.empty(1, *size, dtype=self.like.dtype)
        lines = part.view(torch.uint8).numpy()[0]
        for row, line in zip(range(rows.start, rows.stop), lines, strict=True):
            self._seek(row, columns.start)
            self.file.readinto(memoryview(line.reshape(-1)))  # type: ignore[attr-defined]
        return part.to(self.like.device).permute(0, 3, 1, 2)

    def _seek(self, row: int, column: int) -> None:
        position = self.like.shape[1] * self.like.element_size()
        self.file.seek(((row - self.first) * self.width + column) * position)


@dataclass(frozen=True)
class Again:
    """Responses that are computed whenever they are asked for, from as much of the image as they see."""

    network: VGG19
    image: Image
    layer: str

    def at(self, rows: slice, columns: slice) -> Features:
        """See `Target`."""
        here = LAYERS[self.layer]
        height, width = self.image.shape[2:]
        band = Band(height, width, (0, height))
        (tile,) = band.tiles(
            0,
            here,
            rows=(rows.start * here.stride, min(height, rows.stop * here.stride)),
            columns=(columns.start * here.stride, min(width, columns.stop * here.stride)),
        )
        down, along = tile.window
        window = self.image[:, :, down, along]
        response = self.network.responses(window, here, (self.layer,), None, tile.trims)[self.layer]
        rows, columns = tile.inside(self.layer)
        return response[:, :, rows, columns]


def scratch() -> str:
    """The folder for large temporary files: on Linux /tmp is often memory, and /var/tmp never."""
    return "/var/tmp" if "TMPDIR" not in os.environ and os.path.isdir("/var/tmp") else tempfile.gettempdir()


def _grid(name: str, band: Band) -> tuple[int, int, int]:
    """First row, rows and columns of a band on a layer's grid."""
    top, bottom = band.rows
    stride = LAYERS[name].stride
    first = top // stride
    return first, -(-bottom // stride) - first, -(-band.width // stride)
