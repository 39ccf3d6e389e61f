"""How many bytes a scale takes in a layout."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise

from impasto.choices import Optimizer
from impasto.layers import FIRST, LAYERS, Layer, deepest, find_layer
from impasto.network.vgg import VGG19
from impasto.objective.bands import Band
from impasto.objective.matching import search_bytes
from impasto.objective.neighbors import HYPERCOLUMN, PLACES_LAYER, STRIDE, grid_step
from impasto.objective.tiles import Span, spans
from impasto.run.layout import Layout
from impasto.run.scales import Scale
from impasto.system.distributed import world_size

SCRATCH = 90_000_000
"""Bytes that convolutions work in and allocators keep, whatever the size; measured on CPUs."""

ENLARGING = 18
"""Images of the full size that are held while a scale without steps is enlarged; measured at 4096×2733 px."""

VECTORS = 9
"""Images that are held besides a solver's history while the objective is evaluated."""


@dataclass(frozen=True)
class MemoryModel:
    """What memory and time depend on, besides the size.

    Attributes:
        network: as it will be used.
        layers: those with terms.
        content_layers: those among them whose responses are a target.
        optimizer: the solver.
        world_size: processes that share the picture.
        rotations: copies of each painting whose hypercolumns are held; 0 if none are.
        extra_bytes_per_pixel: bytes per pixel of the picture that every process holds in any layout: masks.
    """

    network: VGG19
    layers: tuple[str, ...]
    content_layers: tuple[str, ...]
    optimizer: Optimizer = "lbfgs"
    world_size: int = 1
    extra_bytes_per_pixel: float = 0.0
    rotations: int = 0

    @classmethod
    def of(
        cls, network: VGG19, layers: Iterable[str], content_layers: Iterable[str], optimizer: Optimizer
    ) -> "MemoryModel":
        """Return the model of a run by the processes that have joined, without nearest neighbours.

        Args:
            network: as it will be used.
            layers, content_layers: the names of the style layers and of the content layers.
            optimizer: the solver.
        Raises:
            SettingsError: a layer is unknown.
        """
        every = tuple(find_layer(name).name for name in (*layers, *content_layers))
        return cls(
            network, every, tuple(find_layer(name).name for name in content_layers), optimizer, world_size()
        )

    def bytes(self, scale: Scale, layout: Layout, style_sizes: Sequence[tuple[int, int]] = ()) -> int:
        """Return the most memory that a scale takes beyond what the process has before it, in bytes.

        Args:
            scale, layout: what is computed, and how.
            style_sizes: height and width of each painting that is measured for this scale, in pixels.
        """
        if not scale.steps:
            return self._enlarging_bytes(scale, layout, style_sizes)
        picture = 12 * scale.pixels  # float32, three colours
        band = picture / self.world_size
        window = self._windows(scale.height, scale.width, layout.tile)[0]
        target = self._target_bytes(scale.height, scale.width) / self.world_size
        target = {"memory": target, "disk": 0.0, "again": picture}[layout.keep]
        # Setting up: the first image whole, the photo or a painting at this size, and a way forth.
        measured: list[float] = [picture + self._forward_bytes() * window + target]
        for height, width in style_sizes:
            forth = self._forward_bytes() * self._windows(height, width, layout.tile)[0]
            measured.append(12 * height * width + forth + target)
        held = sum(self._dictionary_bytes(*size) for size in style_sizes)
        setup = picture + held + max(*measured, target + self._search_bytes(window, style_sizes))
        pairs = min(layout.history, scale.steps) if self.optimizer == "lbfgs" else 0
        vectors = (VECTORS + 2 * pairs) * band
        if scale.level_steps:
            # Points have 4/3 of the pixels; joining and pulling back hold the coarse levels whole.
            vectors = vectors * 4 / 3 + 2 * picture
        if layout.tile or self.world_size > 1:
            vectors += 2 * band  # gradients of tiles are added up; borrowed rows
        step = vectors + held + target + (self._backward_bytes() + self._place_bytes()) * window
        return int(max(setup, step) + self.extra_bytes_per_pixel * scale.pixels) + SCRATCH

    def _enlarging_bytes(self, scale: Scale, layout: Layout, style_sizes: Sequence[tuple[int, int]]) -> int:
        """Return the bytes that enlarging a scale takes, while the solver of the scale below is still held.

        Args:
            scale, layout, style_sizes: as in `bytes`; the history is that of the scale below.
        """
        picture = 12 * scale.pixels
        pairs = layout.history if self.optimizer == "lbfgs" else 0
        vectors = (VECTORS + 2 * pairs) * picture / 4 / self.world_size  # a quarter of the pixels
        vectors *= 4 / 3 if scale.level_steps else 1
        window = self._windows(-(-scale.height // 2), -(-scale.width // 2), layout.tile)[0]
        held = sum(self._dictionary_bytes(*size) for size in style_sizes)
        most = max(ENLARGING * picture, picture + self._search_bytes(window, style_sizes))
        return int(vectors + held + most + self.extra_bytes_per_pixel * scale.pixels) + SCRATCH

    def compared_places(self, scale: Scale, style_sizes: Sequence[tuple[int, int]]) -> int:
        """Pairs of places that a search compares: the picture's with each painting's."""
        if not self.rotations:
            return 0
        return self._places(scale.height, scale.width, 1) * sum(
            self._places(*size, self.rotations) for size in style_sizes
        )

    @staticmethod
    def _places(height: int, width: int, copies: int) -> int:
        """Return the places that are compared of a picture of this size in pixels, in so many copies."""
        rows, columns = LAYERS[PLACES_LAYER].grid(height, width)
        step = grid_step(rows, columns, copies)
        return copies * -(-rows // step) * -(-columns // step)

    def _dictionary_bytes(self, height: int, width: int) -> int:
        """Return the bytes of a painting's hypercolumns, and of those of half its size, still held."""
        if not self.rotations:
            return 0
        halves = (max(1, height // 2), max(1, width // 2))
        return self._column_bytes * sum(
            self._places(*size, self.rotations) for size in ((height, width), halves)
        )

    def _search_bytes(self, window: int, style_sizes: Sequence[tuple[int, int]]) -> float:
        """Return the bytes that a search takes besides dictionaries.

        Args:
            window: the pixels of the largest window, whose hypercolumns are searched for together.
        """
        if not self.rotations:
            return 0.0
        places = [self._places(*size, self.rotations) for size in style_sizes]
        numbers, size = self._column_numbers, self.network.dtype.itemsize
        directions = sum(places) * self._column_bytes
        searched = window / STRIDE**2 * self._column_bytes
        return (
            searched + self._forward_bytes() * window + directions + search_bytes(max(places), numbers, size)
        )

    @property
    def _column_numbers(self) -> int:
        """The numbers in a hypercolumn."""
        return sum(self.network.channels(name) for name in HYPERCOLUMN)

    @property
    def _column_bytes(self) -> int:
        """The bytes of a hypercolumn."""
        return self._column_numbers * self.network.dtype.itemsize

    def _place_bytes(self) -> float:
        """Return the bytes per pixel of a window that a layer's responses on the grid of places take."""
        if not self.rotations:
            return 0.0
        widest = max(self.network.channels(name) for name in HYPERCOLUMN)
        return 3 * widest * self.network.dtype.itemsize / STRIDE**2

    def evaluations(self, scale: Scale, layout: Layout) -> float:
        """Return the cost of one evaluation, in evaluations of the whole image."""
        _, total, count = self._windows(scale.height, scale.width, layout.tile)
        return total / (scale.pixels / self.world_size) * (1.5 if count > 1 else 1.0)

    def disk(self, scale: Scale) -> int:
        """Bytes that the photo's responses take on disk, all processes together."""
        return self._target_bytes(scale.height, scale.width)

    def _windows(self, height: int, width: int, size: int) -> tuple[int, int, int]:
        """Of the tiles of the widest band: pixels of the largest window, of all, and how many there are."""
        band = max(pairwise(Band.edges_for(height, self.world_size)), key=lambda edges: edges[1] - edges[0])
        rows = _lengths(spans(band, height, size, self._last))
        columns = _lengths(spans((0, width), width, size, self._last))
        return max(rows) * max(columns), sum(rows) * sum(columns), len(rows) * len(columns)

    @property
    def _last(self) -> Layer:
        """The deepest layer needed."""
        return deepest((*self.layers, *(HYPERCOLUMN if self.rotations else ())))

    def _responses(self) -> list[tuple[str, float]]:
        """Bytes per image pixel of each layer's response, in the order of the network."""
        size, last = self.network.dtype.itemsize, self._last
        return [
            (name, self.network.channels(name) * size / layer.stride**2)
            for name, layer in LAYERS.items()
            if layer.index <= last.index
        ]

    def _target_bytes(self, height: int, width: int) -> int:
        """Return the bytes of the photo's responses that are targets."""
        sizes = dict(self._responses())
        return round(height * width * sum(sizes[name] for name in self.content_layers))

    def _forward_bytes(self) -> float:
        """Bytes per pixel of a window when nothing is kept: two neighbouring responses, and the pixels."""
        sizes = [24.0, *(size for _, size in self._responses())]
        return max(a + b for a, b in pairwise(sizes))

    def _backward_bytes(self) -> float:
        """Bytes per pixel of a window when responses are kept for the way back.

        The most of: all of them, at the end of the way forth; or those still there, with the gradient before
        and after a layer.
        """
        sizes = self._responses()
        held = [0.0 if name == FIRST else size for name, size in sizes]
        most = sum(held) + sizes[-1][1]
        for index in range(1, len(sizes)):
            most = max(most, sum(held[: index + 1]) + sizes[index][1] + sizes[index - 1][1])
        return most + 36  # the pixels as given, as the network takes them, and their gradient


def _lengths(spans: list[Span]) -> list[int]:
    """Return the length of each tile's window, in pixels."""
    return [int(span.window.stop - span.window.start) for span in spans]
