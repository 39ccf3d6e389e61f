"""Dividing an image among processes: each holds a band of rows and borrows the rows around it."""

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from impasto.layers import Layer
from impasto.objective.tiles import Tile, tile_image
from impasto.shapes import Image
from impasto.system.distributed import broadcast, exchange, rank, world_size

CELLS = (64, 16)
"""Bands begin at multiples of one of these, in pixels: four and one strides of conv5 (see `tile_unit`). The
smaller is for images in which the larger would make bands too unequal."""


@dataclass(frozen=True)
class Band:
    """The rows of an image that this process holds; without other processes, all of them.

    Attributes:
        height, width: of the whole image, in pixels.
        edges: the first row of each process's band, in order, and then the height.
        rank: the number of this process.
        circular: whether opposite edges of the image are neighbours.
    """

    height: int
    width: int
    edges: tuple[int, ...]
    rank: int = 0
    circular: bool = False

    @classmethod
    def of(cls, height: int, width: int, *, circular: bool = False) -> "Band":
        """Return the band of this process among those that share the picture.

        Args:
            height, width: of the whole image, in pixels.
            circular: whether opposite edges of the image are neighbours.
        """
        return cls(height, width, cls.edges_for(height, world_size()), rank(), circular)

    @staticmethod
    def edges_for(height: int, count: int) -> tuple[int, ...]:
        """Divide the rows of an image among processes.

        Args:
            height: of the whole image, in pixels.
            count: the number of processes.
        Returns:
            the first row of each band, in order, and then the height. In a small image the first bands may
            have no rows.
        """
        # With four large cells or more to each process, bands are nearly equal.
        unit = CELLS[0] if height >= 4 * CELLS[0] * count else CELLS[1]
        cells = -(-height // unit)
        return tuple(min(height, cells * index // count * unit) for index in range(count + 1))

    @property
    def rows(self) -> tuple[int, int]:
        """The first row and the row after the last."""
        return self.edges[self.rank], self.edges[self.rank + 1]

    @property
    def is_whole(self) -> bool:
        """Whether the band is the whole image."""
        return len(self.edges) == 2

    def local_rows(self, image: Image) -> Float[Tensor, "B 3 _ W"]:
        """This band's rows of the whole image."""
        return image[:, :, slice(*self.rows)]

    def gather(self, part: Image) -> Float[Tensor, "B 3 _ W"]:
        """Join all processes' bands to the whole image, on every process. All must call this together.

        Raises:
            DeviceError: another process cannot be reached.
        """
        if self.is_whole:
            return part
        whole = part.new_empty(*part.shape[:2], self.height, self.width)
        for source in range(len(self.edges) - 1):
            # `broadcast` needs contiguous memory, which rows of all three colours are not.
            band = whole[:, :, self.edges[source] : self.edges[source + 1]].contiguous()
            if source == self.rank:
                band.copy_(part)
            broadcast(band, source)
            whole[:, :, self.edges[source] : self.edges[source + 1]] = band
        return whole

    def tiles(
        self,
        size: int,
        last: Layer,
        rows: tuple[int, int] | None = None,
        columns: tuple[int, int] | None = None,
    ) -> tuple[Tile, ...]:
        """Cut a part of the image into tiles, row by row.

        Args:
            size, last: as for `tile_image`.
            rows, columns: the part, each as the first pixel and the one after the last; default: the band.
        """
        rows, columns = rows or self.rows, columns or (0, self.width)
        return tile_image(
            rows, columns, size, last, height=self.height, width=self.width, circular=self.circular
        )


@dataclass(frozen=True)
class HaloExchange:
    """Borrows the rows around a band from other processes, and returns their gradients.

    Attributes:
        band: the rows that this process holds.
        margin: the number of rows to borrow on each side; at the image's edges there are fewer.
    """

    band: Band
    margin: int

    def with_halo(self, part: Image) -> Float[Tensor, "B 3 _ _"]:
        """Add the margin to a band: rows of other processes, and on a torus the opposite edges."""
        if self._bare:
            return part
        band = self.band
        lent, borrowed = self._row_indices(part.device)
        received = self._exchanged([part.index_select(2, rows) for rows in lent], borrowed)
        surrounded = part.new_empty(*part.shape[:2], sum(map(len, borrowed)), band.width)
        for rows, values in zip(borrowed, received, strict=True):
            surrounded.index_copy_(2, rows, values)
        return surrounded.index_select(3, self._columns(part.device)) if band.circular else surrounded

    def with_halo_adjoint(self, gradient: Image) -> Float[Tensor, "B 3 _ _"]:
        """Apply the transpose of `with_halo`: from the gradients of all bands with margins to the band's."""
        if self._bare:
            return gradient
        band = self.band
        if band.circular:
            folded = gradient.new_zeros(*gradient.shape[:3], band.width)
            gradient = folded.index_add_(3, self._columns(gradient.device), gradient)
        lent, borrowed = self._row_indices(gradient.device)
        received = self._exchanged([gradient.index_select(2, rows) for rows in borrowed], lent)
        local = gradient.new_zeros(*gradient.shape[:2], band.rows[1] - band.rows[0], band.width)
        # In the order of ranks, so that every run rounds equally.
        for rows, values in zip(lent, received, strict=True):
            local.index_add_(2, rows, values)
        return local

    def local(self, window: tuple[slice, slice]) -> tuple[slice, slice]:
        """Convert rows and columns of the whole image to those of the band with its margin."""
        rows, columns = window
        if self._bare:
            return window
        top = self.band.rows[0] - self.margin
        down = top if self.band.circular else max(0, top)
        right = -self.margin if self.band.circular else 0
        return slice(rows.start - down, rows.stop - down), slice(columns.start - right, columns.stop - right)

    @property
    def _bare(self) -> bool:
        """Whether the band is the whole image and has no margin."""
        return self.band.is_whole and (not self.band.circular or self.margin == 0)

    def _needed(self, rank: int) -> Tensor:
        """Return the rows of the whole image in a process's band with its margin, from top to bottom."""
        top, bottom = self.band.edges[rank], self.band.edges[rank + 1]
        if top == bottom:  # a small image may leave a process without rows, and then it needs no margin
            return torch.arange(0)
        if self.band.circular:
            return torch.arange(top - self.margin, bottom + self.margin) % self.band.height
        return torch.arange(max(0, top - self.margin), min(self.band.height, bottom + self.margin))

    def _row_indices(self, device: torch.device) -> tuple[list[Tensor], list[Tensor]]:
        """Return, for each process, the band's rows that it needs, and where its own rows go.

        The first are counted in the band, the second in the band with its margin.
        """
        edges, needed = self.band.edges, self._needed(self.band.rank)
        top, bottom = self.band.rows
        lent, borrowed = [], []
        for other in range(len(edges) - 1):
            needed_there = self._needed(other)
            lent.append((needed_there[(needed_there >= top) & (needed_there < bottom)] - top).to(device))
            from_other = (needed >= edges[other]) & (needed < edges[other + 1])
            borrowed.append(from_other.nonzero().flatten().to(device))
        return lent, borrowed

    def _exchanged(self, sent: list[Tensor], expected: list[Tensor]) -> list[Tensor]:
        """Send rows to each process, and receive from each as many rows as `expected` lists for it."""
        own_rows = sent[self.band.rank]  # what this process needs of its own rows
        batch, channels, _, width = own_rows.shape
        received = [own_rows.new_empty(batch, channels, len(rows), width) for rows in expected]
        received[self.band.rank] = own_rows
        others = [other for other in range(len(sent)) if other != self.band.rank]
        exchange({other: sent[other] for other in others}, {other: received[other] for other in others})
        return received

    def _columns(self, device: torch.device) -> Tensor:
        """Return the columns of a torus with its margin. Every process has them all; none are exchanged."""
        width = self.band.width
        return torch.arange(-self.margin, width + self.margin, device=device) % width
