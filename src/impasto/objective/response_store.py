"""The photo's responses, kept in memory, kept on disk, or recomputed when needed."""

import os
import tempfile
from dataclasses import dataclass
from typing import IO

import torch

from impasto.layers import LAYERS
from impasto.network.vgg import VGG19
from impasto.objective.bands import Band
from impasto.shapes import Features, Image


@dataclass
class InMemory:
    """Responses in memory.

    Attributes:
        responses: (1, N, h, w), channels-last: a band of the layer's grid.
        first: the band's first row on the grid of the whole image.
    """

    responses: Features
    first: int

    @classmethod
    def empty(cls, name: str, like: Features, band: Band) -> "InMemory":
        """Allocate memory for a band's responses, of the type and channels of `like`."""
        first, height, width = tile_grid(name, band)
        room = like.new_empty(like.shape[0], like.shape[1], height, width)
        return cls(room.contiguous(memory_format=torch.channels_last), first)

    def put(self, part: Features, rows: slice, columns: slice) -> None:
        """Store a tile's responses, (1, N, h, w), at these rows and columns of the whole image's grid."""
        if part.shape == self.responses.shape:  # a single tile: no copy
            self.responses = part.contiguous(memory_format=torch.channels_last)
        else:
            self.responses[:, :, rows.start - self.first : rows.stop - self.first, columns] = part

    def at(self, rows: slice, columns: slice) -> Features:
        """See `Target`."""
        return self.responses[:, :, rows.start - self.first : rows.stop - self.first, columns]


@dataclass(frozen=True)
class OnDisk:
    """Responses in a temporary file, row by row, channels last.

    Attributes:
        file: has no name, so nothing is left of it when the process ends.
        first: the band's first row on the grid of the whole image.
        width: columns of the grid.
        like: an empty tensor with the responses' type, channels and device.
    """

    file: IO[bytes]
    first: int
    width: int
    like: Features

    @classmethod
    def empty(cls, name: str, like: Features, band: Band) -> "OnDisk":
        """Open a file for a band's responses, of the type and channels of `like`."""
        first, _, width = tile_grid(name, band)
        return cls(
            tempfile.TemporaryFile(dir=scratch()), first, width, like.new_empty(1, like.shape[1], 0, 0)
        )

    def __del__(self) -> None:
        # Otherwise Python warns of a file that was not closed.
        self.file.close()

    def put(self, part: Features, rows: slice, columns: slice) -> None:
        """Store a tile's responses, (1, N, h, w), at these rows and columns of the whole image's grid."""
        # As bytes, because NumPy has no bfloat16. Row by row, because a tile's rows lie apart in the file.
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
        """Move to a position of the whole grid."""
        position = self.like.shape[1] * self.like.element_size()
        self.file.seek(((row - self.first) * self.width + column) * position)


@dataclass(frozen=True)
class Recomputed:
    """Responses that are computed when they are asked for, from the part of the image that they see."""

    network: VGG19
    image: Image
    layer: str

    def at(self, rows: slice, columns: slice) -> Features:
        """See `Target`."""
        layer = LAYERS[self.layer]
        # A band of the whole image, because every process holds the photo itself.
        height, width = self.image.shape[2:]
        band = Band(height, width, (0, height))
        (tile,) = band.tiles(
            0,
            layer,
            rows=(rows.start * layer.stride, min(height, rows.stop * layer.stride)),
            columns=(columns.start * layer.stride, min(width, columns.stop * layer.stride)),
        )
        down, along = tile.window
        window = self.image[:, :, down, along]
        response = self.network.responses(window, layer, (self.layer,), None, tile.crops)[self.layer]
        return tile.core(self.layer, response)


def scratch() -> str:
    """Return the folder for large temporary files. On Linux, /tmp is often in memory and /var/tmp on disk."""
    return "/var/tmp" if "TMPDIR" not in os.environ and os.path.isdir("/var/tmp") else tempfile.gettempdir()


def tile_grid(name: str, band: Band) -> tuple[int, int, int]:
    """Convert a band of the image to a layer's grid.

    Args:
        name: the layer's name.
        band: the rows of the image that a process holds.
    Returns:
        the band's first row on the grid of the whole image, and its numbers of rows and columns.
    """
    top, bottom = band.rows
    stride = LAYERS[name].stride
    first = top // stride
    return first, -(-bottom // stride) - first, -(-band.width // stride)
