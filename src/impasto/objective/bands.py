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
        """The band of this process among those that share the picture."""
        return cls(height, width, cls.edges_for(height, world_size()), rank(), circular)

    @staticmethod
    def edges_for(height: int, count: int) -> tuple[int, ...]:
        """The first rows of `count` processes' bands, and then the height."""
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
        """Cut the band, or the given rows and columns of the image, into tiles (see `tile_image`)."""
        rows, columns = rows or self.rows, columns or (0, self.width)
        return tile_image(
            rows, columns, size, last, height=self.height, width=self.width, circular=self.circular
        )

    def halo_exchange(self, margin: int) -> "HaloExchange":
        """The exchange of `margin` rows around the bands; at the image's edges there are fewer."""
        return HaloExchange(self, margin)


@dataclass(frozen=True)
class HaloExchange:
    """Borrows the rows around a band from other processes, and returns their gradients."""

    band: Band
    margin: int

    def with_halo(self, part: Image) -> Float[Tensor, "B 3 _ _"]:
        """Add the margin to a band: rows of other processes, and on a torus the opposite edges."""
        if self._bare:
            return part
        band = self.band
        rows = self._needed(band.rank)
        surrounded = part.new_empty(*part.shape[:2], len(rows), band.width)
        outgoing, incoming = {}, {}
        for other in range(len(band.edges) - 1):
            theirs = self._needed(other)
            sent = part.index_select(2, theirs[self._from(theirs, band.rank)].to(part.device) - band.rows[0])
            places = self._from(rows, other)
            if other == band.rank:
                surrounded.index_copy_(2, places.to(part.device), sent)
                continue
            outgoing[other] = sent
            incoming[other] = part.new_empty(*part.shape[:2], len(places), band.width)
        exchange(outgoing, incoming)
        for other, received in incoming.items():
            surrounded.index_copy_(2, self._from(rows, other).to(part.device), received)
        return surrounded.index_select(3, self._columns(part.device)) if band.circular else surrounded

    def with_halo_adjoint(self, gradient: Image) -> Float[Tensor, "B 3 _ _"]:
        """The transpose of `with_halo`: the band's gradient, from the gradients of all bands with margins."""
        if self._bare:
            return gradient
        band = self.band
        if band.circular:
            folded = gradient.new_zeros(*gradient.shape[:3], band.width)
            gradient = folded.index_add_(3, self._columns(gradient.device), gradient)
        rows = self._needed(band.rank)
        local = gradient.new_zeros(*gradient.shape[:2], band.rows[1] - band.rows[0], band.width)
        outgoing, incoming = {}, {}
        for other in range(len(band.edges) - 1):
            sent = gradient.index_select(2, self._from(rows, other).to(gradient.device))
            theirs = self._needed(other)
            if other == band.rank:
                incoming[other] = sent
                continue
            outgoing[other] = sent
            count = len(self._from(theirs, band.rank))
            incoming[other] = gradient.new_empty(*gradient.shape[:2], count, band.width)
        exchange(outgoing, {other: rows for other, rows in incoming.items() if other != band.rank})
        for other, received in incoming.items():  # in the order of ranks, so that every run rounds equally
            theirs = self._needed(other)
            places = theirs[self._from(theirs, band.rank)].to(gradient.device) - band.rows[0]
            local.index_add_(2, places, received)
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
        """The rows of the whole image in a process's band with its margin, from top to bottom."""
        top, bottom = self.band.edges[rank], self.band.edges[rank + 1]
        if top == bottom:  # a small image may leave a process without rows, and then it needs no margin
            return torch.arange(0)
        if self.band.circular:
            return torch.arange(top - self.margin, bottom + self.margin) % self.band.height
        return torch.arange(max(0, top - self.margin), min(self.band.height, bottom + self.margin))

    def _from(self, rows: Tensor, owner: int) -> Tensor:
        """The indices of those `rows` that process `owner` holds."""
        top, bottom = self.band.edges[owner], self.band.edges[owner + 1]
        return ((rows >= top) & (rows < bottom)).nonzero().flatten()

    def _columns(self, device: torch.device) -> Tensor:
        """The columns of a torus with its margin: every process has all columns, so none are exchanged."""
        width = self.band.width
        return torch.arange(-self.margin, width + self.margin, device=device) % width
