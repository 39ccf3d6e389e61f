"""What a run will need before it starts: bytes and seconds, and the layout of it that fits the memory."""

import math
import shutil
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

import torch

from impasto.choices import Keep, Optimizer
from impasto.device import ranks
from impasto.network.layers import FIRST, LAYERS, Layer, deepest, layer
from impasto.network.vgg import VGG19
from impasto.objective.bands import Band
from impasto.objective.evaluate import evaluator
from impasto.objective.objective import Objective, content_terms, style_terms
from impasto.objective.targets import scratch
from impasto.objective.tiles import Span, spans
from impasto.solve.pyramid import Scale

TILES = (0, 1536, 1280, 1024, 768, 512, 384, 256, 192, 128)
"""Sides of tiles that are considered, in pixels; 0 is the whole image at once."""

LEAST_HISTORY = 3
"""L-BFGS with fewer pairs is hardly better than gradient descent."""

SCRATCH = 90_000_000
"""Bytes that convolutions work in and allocators keep, whatever the size; measured on CPUs."""

VECTORS = 9
"""Images that are held besides a solver's history while the objective is evaluated."""


@dataclass(frozen=True)
class Layout:
    """How one scale is worked on.

    Attributes:
        tile: longest side of a tile in pixels; 0: whole.
        keep: where the photo's responses are meanwhile.
        history: pairs that L-BFGS remembers.
    """

    tile: int = 0
    keep: Keep = "memory"
    history: int = 20

    def __str__(self) -> str:
        where = f"tiles of {self.tile} px" if self.tile else "the whole image at once"
        return f"{where} and a history of {self.history}"


@dataclass(frozen=True)
class Needs:
    """What memory and time depend on, besides the size.

    Attributes:
        network: as it will be used.
        layers: those with terms.
        content_layers: those among them whose responses are a target.
        optimizer: the solver.
        ranks: processes that share the picture.
        besides: bytes per pixel of the picture that every process holds in any layout: masks.
    """

    network: VGG19
    layers: tuple[str, ...]
    content_layers: tuple[str, ...]
    optimizer: Optimizer = "lbfgs"
    ranks: int = 1
    besides: float = 0.0

    @classmethod
    def of(
        cls, network: VGG19, layers: Iterable[str], content_layers: Iterable[str], optimizer: Optimizer
    ) -> "Needs":
        """Those of a run on this network, shared by the processes that have joined."""
        every = tuple(layer(name).name for name in (*layers, *content_layers))
        return cls(network, every, tuple(layer(name).name for name in content_layers), optimizer, ranks())

    def bytes(self, scale: Scale, layout: Layout, others: Sequence[tuple[int, int]] = ()) -> int:
        """The most memory that a scale takes beyond what the process has before it.

        Args:
            others: height and width of each painting that is measured for this scale, in pixels.
        """
        picture = 12 * scale.height * scale.width
        band = picture / self.ranks
        window = self._windows(scale.height, scale.width, layout.tile)[0]
        target = self._target_bytes(scale.height, scale.width) / self.ranks
        target = {"memory": target, "disk": 0.0, "again": picture}[layout.keep]
        # Setting up: the first image whole, the photo or a painting at this size, and a way forth.
        measured: list[float] = [picture + self._way_forth() * window + target]
        for height, width in others:
            forth = self._way_forth() * self._windows(height, width, layout.tile)[0]
            measured.append(12 * height * width + forth + target)
        setup = picture + max(measured)
        pairs = min(layout.history, scale.steps) if self.optimizer == "lbfgs" else 0
        vectors = (VECTORS + 2 * pairs) * band
        if layout.tile or self.ranks > 1:
            vectors += 2 * band  # gradients of tiles are added up; borrowed rows
        step = vectors + target + self._way_back() * window
        return int(max(setup, step) + self.besides * scale.height * scale.width) + SCRATCH

    def evaluations(self, scale: Scale, layout: Layout) -> float:
        """What one evaluation costs, in evaluations of the whole image: halos, and the way forth twice."""
        _, total, count = self._windows(scale.height, scale.width, layout.tile)
        return total / (scale.height * scale.width / self.ranks) * (1.5 if count > 1 else 1.0)

    def disk(self, scale: Scale) -> int:
        """Bytes that the photo's responses take on disk, all processes together."""
        return self._target_bytes(scale.height, scale.width)

    def _windows(self, height: int, width: int, size: int) -> tuple[int, int, int]:
        """Of the tiles of the widest band: pixels of the largest window, of all, and how many there are."""
        band = max(pairwise(Band.edges_for(height, self.ranks)), key=lambda edges: edges[1] - edges[0])
        rows = _lengths(spans(band, height, size, self._last))
        columns = _lengths(spans((0, width), width, size, self._last))
        return max(rows) * max(columns), sum(rows) * sum(columns), len(rows) * len(columns)

    @property
    def _last(self) -> Layer:
        return deepest(self.layers)

    def _responses(self) -> list[tuple[str, float]]:
        """Bytes per image pixel of each layer's response, in the order of the network."""
        size = torch.finfo(self.network.dtype).bits // 8
        used = [layer for layer in LAYERS.values() if layer.index <= self._last.index]
        return [(one.name, float(self.network.channels(one.name) * size / one.stride**2)) for one in used]

    def _target_bytes(self, height: int, width: int) -> int:
        sizes = dict(self._responses())
        return round(height * width * sum(sizes[name] for name in self.content_layers))

    def _way_forth(self) -> float:
        """Bytes per pixel of a window when nothing is kept: two neighbouring responses, and the pixels."""
        sizes = [24.0, *(size for _, size in self._responses())]
        return max(a + b for a, b in pairwise(sizes))

    def _way_back(self) -> float:
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
    return [int(span.window.stop - span.window.start) for span in spans]


def choose(
    needs: Needs,
    scale: Scale,
    *,
    room: int,
    history: int = 20,
    tile: int = 0,
    others: Sequence[tuple[int, int]] = (),
) -> Layout | None:
    """The quickest layout that fits; None if none does.

    Args:
        room: bytes that may be taken beyond what the process has.
        history: pairs that L-BFGS is to remember, if they fit.
        tile: the side of tiles, if it is not to be chosen.
        others: see `Needs.bytes`.
    """
    disk = shutil.disk_usage(scratch()).free > 2 * needs.disk(scale)
    histories = [history, *(pairs for pairs in (10, 5, LEAST_HISTORY) if pairs < history)]
    if needs.optimizer != "lbfgs":
        histories = [history]
    long = max(scale.height, scale.width)
    sides = (tile,) if tile else tuple(side for side in TILES if side < long)
    fitting = []
    for side in sides:
        keep: Keep = "memory" if not side or side >= long else "disk" if disk else "again"
        for place, pairs in enumerate(histories):
            layout = Layout(side, keep, pairs)
            if needs.bytes(scale, layout, others) <= room:
                # A shorter history costs some steps; by how many is docs/performance.md's guess.
                cost = needs.evaluations(scale, layout) * 1.08**place * (1.3 if keep == "again" else 1.0)
                fitting.append((cost, place, layout))
                break
    return min(fitting, key=lambda found: found[:2])[2] if fitting else None


def smaller(layout: Layout, scale: Scale) -> Layout | None:
    """The next layout that takes less memory; None after the least."""
    long = max(scale.height, scale.width)
    sides = [side for side in TILES if 0 < side < (layout.tile or long)]
    if sides:
        half = [side for side in sides if side <= (layout.tile or long) / 2] or sides[-1:]
        keep: Keep = "disk" if layout.keep == "memory" else layout.keep
        return replace(layout, tile=half[0], keep=keep, history=min(layout.history, 10))
    if layout.history > LEAST_HISTORY:
        return replace(layout, history=max(LEAST_HISTORY, layout.history // 2))
    return None


def seconds(needs: Needs, scales: Sequence[Scale], layouts: Sequence[Layout], per_pixel: float) -> float:
    """How long the scales will take, if none ends early.

    Args:
        per_pixel: seconds of one value and gradient of a whole image, a pixel (see `calibrate`).
    """
    total = 0.0
    for scale, layout in zip(scales, layouts, strict=True):
        once = needs.evaluations(scale, layout) * scale.height * scale.width / needs.ranks * per_pixel
        # One evaluation at the start; photo and paintings cost a way forth each, about a third.
        total += once * (scale.steps * EVALUATIONS + 1 + 2 / 3)
    return total


EVALUATIONS = 1.02
"""Evaluations that a step of L-BFGS takes on average."""


def calibrate(needs: Needs, side: int = 320) -> float:
    """Seconds of one value and gradient a pixel, on this machine, now: the second of two."""
    noise = torch.rand(1, 3, side, side, generator=torch.Generator().manual_seed(0))
    image = noise.to(needs.network.device)
    equal = dict.fromkeys(needs.layers, 1.0)
    contents = content_terms(
        needs.network, image, dict.fromkeys(needs.content_layers, 1.0), weight=1.0, formula="balanced"
    ) if needs.content_layers else ()  # fmt: skip
    styles = style_terms(
        needs.network, [(image, 1.0)], equal, canvas=(side, side), weight=1.0, formula="balanced"
    )
    evaluate = evaluator(needs.network, Objective((*contents, *styles)), band=Band(side, side, (0, side)))
    float(evaluate(image).loss)
    began = time.perf_counter()
    float(evaluate(image).loss)
    return (time.perf_counter() - began) / side**2


def largest(needs: Needs, height: int, width: int, *, room: int) -> int:
    """The longest side, in pixels, of a picture of that shape that fits; 0 if none does."""
    low, high = 0, max(height, width)
    while high - low > 1:
        middle = (low + high) // 2
        shrink = middle / max(height, width)
        size = (max(1, math.floor(height * shrink)), max(1, math.floor(width * shrink)))
        scale = Scale(*size, steps=LEAST_HISTORY)
        fits = choose(needs, scale, room=room, history=LEAST_HISTORY, others=[size]) is not None
        low, high = (middle, high) if fits else (low, middle)
    return low
