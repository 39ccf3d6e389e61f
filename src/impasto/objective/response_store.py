"""The photo's responses, kept in memory, kept on disk, or recomputed when needed."""

import shutil
import tempfile
from contextlib import suppress
from dataclasses import dataclass
from typing import IO

import torch

from impasto.errors import DeviceError
from impasto.formatting import format_bytes
from impasto.layers import LAYERS
from impasto.network.vgg import VGG19
from impasto.objective.bands import Band
from impasto.shapes import Features, Image
from impasto.system.scratch import scratch


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
        layer: its name.
        first: the band's first row on the grid of the whole image.
        height, width: rows of the band, and columns of the grid.
        like: an empty tensor with the responses' type, channels and device.
    """

    file: IO[bytes]
    layer: str
    first: int
    height: int
    width: int
    like: Features

    @classmethod
    def empty(cls, name: str, like: Features, band: Band) -> "OnDisk":
        """Open a file for a band's responses, of the type and channels of `like`."""
        size = tile_grid(name, band)
        return cls(tempfile.TemporaryFile(dir=scratch()), name, *size, like.new_empty(1, like.shape[1], 0, 0))

    def __del__(self) -> None:
        # Otherwise Python warns of a file that was not closed.
        self.file.close()

    def put(self, part: Features, rows: slice, columns: slice) -> None:
        """Store a tile's responses, (1, N, h, w), at these rows and columns of the whole image's grid.

        Raises:
            DeviceError: the disk is full. The file is closed, and so removed.
        """
        # As bytes, because NumPy has no bfloat16. Row by row, because a tile's rows lie apart in the file.
        lines = part.permute(0, 2, 3, 1).contiguous().cpu().view(torch.uint8).numpy()[0]
        try:
            for row, line in zip(range(rows.start, rows.stop), lines, strict=True):
                self._seek(row, columns.start)
                self.file.write(memoryview(line.reshape(-1)))
            self.file.flush()  # otherwise the last row would fail only when it is read
        except OSError as error:
            with suppress(OSError):  # closing writes what is left in the buffer
                self.file.close()
            raise self._full(error) from error

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
        self.file.seek(((row - self.first) * self.width + column) * self._position_bytes)

    @property
    def _position_bytes(self) -> int:
        return self.like.shape[1] * self.like.element_size()

    def _full(self, error: OSError) -> DeviceError:
        # They are not recomputed from here on, because the manifest has recorded the layout for reruns.
        folder, needed = scratch(), self.height * self.width * self._position_bytes
        return DeviceError(
            f"the photo's responses at {self.layer} need {format_bytes(needed)} in '{folder}', where "
            f"{format_bytes(shutil.disk_usage(folder).free)} are free ({error.strerror or error}). Free some "
            "space, or name a folder on another disk with the environment variable TMPDIR."
        )


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
