"""A loss of one's own: any measure that adds up over positions becomes a term of the objective."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any, TypeAlias

import torch
from jaxtyping import Float
from torch import Tensor

from impasto.errors import SettingsError
from impasto.layers import find_layer
from impasto.network.vgg import VGG19
from impasto.objective.evaluate import STRIP
from impasto.objective.terms import IMAGE, PixelTerm, Term, kind_of
from impasto.shapes import Image, Scalar

Measure: TypeAlias = Callable[[Tensor], Tensor]
"""From (1, N, h, w) of any height and width to a sum over its positions, of one shape for all sizes."""

Score: TypeAlias = Callable[[Tensor], Tensor]
"""From the measure's mean over positions to the loss, one number."""

RESERVED = ("content", "style", "variation", "gamut")
"""Kinds of the built-in terms; a custom term of such a name would be counted among them."""

_SAMPLE = 6
"""Side of the grid on which a measure is tried before it is used; even, so that it has halves."""


@dataclass(frozen=True)
class TermContext:
    """What a term is made for: one scale of a run, in one layout.

    Attributes:
        height, width: of the picture at this scale, in pixels.
        network: VGG-19, as deep as any term needs it.
        content: the photo at this size, (1, 3, height, width), RGB, sRGB, 0..1, on the network's device.
        tile: side of the tiles that features are computed in, in pixels; 0: one for the whole picture.
        world_size: processes that share the picture.
    """

    height: int
    width: int
    network: VGG19
    content: Image
    tile: int = 0
    world_size: int = 1


@dataclass(frozen=True)
class TermFactory:
    """Makes a term for each scale of a run. `custom_term` gives one; classes of one's own can be put in, too.

    Attributes:
        name: what the report and the manifest call the term.
        layers: the layers that it needs, or "image".
        weight: for the manifest.
        make: gives the term for a scale.
    Raises:
        SettingsError: a name that other terms have, or none.
    """

    name: str
    layers: tuple[str, ...]
    weight: float
    make: Callable[[TermContext], Term]

    def __post_init__(self) -> None:
        if not self.name.strip() or kind_of(self.name) in RESERVED:
            raise SettingsError(
                f"{self.name!r} cannot be the name of a term: {', '.join(RESERVED)} and what begins with "
                "these words are names of Impasto's. Choose another."
            )

    @property
    def manifest_entry(self) -> dict[str, Any]:
        """What a manifest says of the term: enough to ask for it, not to make it again."""
        return {"name": self.name, "layers": list(self.layers), "weight": self.weight}


def custom_term(
    name: str, measure: Measure, *, layer: str = IMAGE, weight: float = 1.0, score: Score | None = None
) -> TermFactory:
    """A loss of one's own: weight · score(Σ over positions of the measure / number of positions).

    The measure has to add up: measured of two halves and added, it is what it is of the whole. Sums over
    positions do, also of products of channels, such as `gram`; a mean or a maximum over positions does not
    (the mean is taken here, and `score` is for what is not linear). Then the picture may be measured in tiles
    and by several processes, and a weight means the same at any size. The gradient is autograd's.

    What looks at neighbours, such as differences of pixels, misses the pairs across a cut: it is used where
    the picture is measured in one piece, and refused elsewhere (a `PixelTerm` sees one row and column more).
    The measure must be a function of the values alone: where a piece lies in the picture it is not told.

    Args:
        name: what the report and the manifest call it.
        measure: takes (1, N, h, w), float32 or wider, any h and w, and gives a tensor of one shape for all
            sizes. Of the image: N = 3, RGB, sRGB, 0..1 but for overshoots. Of a layer: its responses after
            the ReLU, ≥ 0, in the network's units (see `VGG19`).
        layer: a layer of VGG-19, such as "conv3_1", or "image" for the pixels.
        weight: what the score is multiplied by; in the balanced formula 1 is as much as all of the content.
        score: takes the mean over positions, of the measure's shape, and gives one number; default: the mean
            itself, if it is one number.
    Returns:
        for `extra_terms` of `stylize`.
    Raises:
        SettingsError: an unknown layer, a weight that is no number, a name that is taken. When a run is begun
            with it, a measure that does not add up where it has to, or gives no gradient.
    Example:
        >>> gold = torch.tensor([0.8, 0.6, 0.2])
        >>> golden = custom_term(
        ...     "golden",
        ...     lambda image: image.sum((0, 2, 3)),
        ...     score=lambda mean: (mean - gold).square().sum(),
        ...     weight=5.0,
        ... )
        >>> stylize("photo.jpg", "painting.jpg", extra_terms=[golden])  # doctest: +SKIP
    """
    if not math.isfinite(weight):
        raise SettingsError(f"the weight of {name!r} is {weight}; it must be a finite number.")
    known = layer if layer == IMAGE else find_layer(layer).name
    return TermFactory(name, (known,), weight, partial(_make, name, measure, known, weight, score or _number))


def _number(mean: Tensor) -> Tensor:
    return mean


def _make(
    name: str, measure: Measure, layer: str, weight: float, score: Score, context: TermContext
) -> "CustomTerm | CustomPixelTerm":
    size = (context.height, context.width)
    channels, positions = 3, math.prod(size)
    cut = context.world_size > 1 or positions > STRIP
    if layer != IMAGE:
        channels, positions = context.network.channels(layer), math.prod(find_layer(layer).grid(*size))
        cut = context.world_size > 1 or 0 < context.tile < max(size)
    shape = _check(name, measure, score, channels, context.network.device, cut=cut)
    if layer == IMAGE:
        return CustomPixelTerm(
            name, partial(_counted, measure), positions, weight, score_mean=score, shape=shape
        )
    return CustomTerm(name, layer, measure, score, positions, weight, shape)


def _counted(measure: Measure, image: Image, rows: int, columns: int, *, first: bool) -> Tensor:
    return measure(image[:, :, :rows, :columns])


def _check(
    name: str, measure: Measure, score: Score, channels: int, device: torch.device, *, cut: bool
) -> tuple[int, ...]:
    """The shape of the measure's total; tried on a few random numbers.

    Raises:
        SettingsError: it fails, has no gradient, is an average, or does not add up where it has to (`cut`).
    """
    generator = torch.Generator().manual_seed(0)
    whole = torch.rand(1, channels, _SAMPLE, _SAMPLE, generator=generator).to(device).requires_grad_()
    half = _SAMPLE // 2
    pieces = (whole[:, :, :half], whole[:, :, half:], whole[:, :, :, :half], whole[:, :, :, half:])
    try:
        with torch.enable_grad():
            total, twice, *parts = (measure(part) for part in (whole, torch.cat([whole, whole], 3), *pieces))
            loss = score(total / _SAMPLE**2)
    except Exception as error:
        raise SettingsError(
            f"the term {name!r} fails on random numbers of shape (1, {channels}, h, w), "
            f"{type(error).__name__}: {error}. Its measure must take any h and w."
        ) from error
    shapes = {tuple(part.shape) for part in (total, twice, *parts)}
    if len(shapes) > 1:
        raise SettingsError(
            f"the measure of {name!r} gives shapes {' and '.join(map(str, sorted(shapes)))} for different "
            "sizes. Let it sum over the last two dimensions."
        )
    if _close(total, twice) and bool(total.any()):
        raise SettingsError(
            f"the measure of {name!r} is the same of two copies side by side: an average, or a maximum. Let "
            "it sum over positions; the mean is taken of the sum."
        )
    if loss.numel() != 1:
        raise SettingsError(f"the score of {name!r} has shape {tuple(loss.shape)}; it must be one number.")
    if not loss.requires_grad:
        raise SettingsError(
            f"the term {name!r} gives no gradient. Compute it from its argument with torch, without detach, "
            "numpy or comparisons."
        )
    if cut and not (_close(parts[0] + parts[1], total) and _close(parts[2] + parts[3], total)):
        raise SettingsError(
            f"the term {name!r} does not add up: its halves sum to another number than the whole, and this "
            "picture is measured in pieces (tiles, strips of a million pixels, or processes). Use a smaller "
            "size, without --tile, in one process; or a measure of each position by itself."
        )
    return shapes.pop()


def _close(a: Tensor, b: Tensor) -> bool:
    return torch.allclose(a, b, rtol=1e-3, atol=1e-6)


@dataclass(frozen=True)
class CustomTerm:
    """A loss of one's own on the features of a layer; `custom_term` makes it.

    Attributes:
        name, layer, weight: as given there.
        measure_sum, score_mean: its two functions.
        positions: of the layer's grid of the whole picture.
        total_shape: of what the measure gives.
    """

    name: str
    layer: str
    measure_sum: Measure
    score_mean: Score
    positions: float
    weight: float
    total_shape: tuple[int, ...]

    @property
    def kind(self) -> str:
        """The first word of the name."""
        return kind_of(self.name)

    @property
    def layers(self) -> tuple[str, ...]:
        """One."""
        return (self.layer,)

    def part(self, layer: str, rows: slice, columns: slice) -> "CustomTerm":
        """The same: the measure does not know where it is."""
        return self

    def measure(self, features: Float[Tensor, "B N h w"]) -> Tensor:
        """The sum over positions, in float32 at least."""
        return self.measure_sum(features.to(torch.promote_types(features.dtype, torch.float32)))

    def score(self, total: Tensor) -> Scalar:
        """The score of the mean."""
        return self.score_mean(total / self.positions).reshape(())

    def pull_back(self, features: Tensor, derivative: Tensor, gradient: Tensor | None) -> Tensor:
        """By autograd."""
        return _pull_back(self.measure, features, derivative, gradient)


@dataclass(frozen=True)
class CustomPixelTerm(PixelTerm):
    """A loss of one's own on the pixels; `custom_term` makes it.

    Attributes:
        score_mean: its score.
        shape: of what the measure gives.
    """

    score_mean: Score = _number
    shape: tuple[int, ...] = ()

    @property
    def total_shape(self) -> tuple[int, ...]:
        """The measure's."""
        return self.shape

    def measure(self, features: Image) -> Tensor:
        """The sum over the pixels that are counted."""
        rows, columns, _ = self.counted or (features.shape[2], features.shape[3], True)
        return self.statistic(features, rows, columns, first=True)

    def score(self, total: Tensor) -> Scalar:
        """The score of the mean over pixels."""
        return self.score_mean(total / self.pixels).reshape(())

    def pull_back(self, features: Image, derivative: Tensor, gradient: Tensor | None) -> Image:
        """By autograd."""
        return _pull_back(self.measure, features, derivative, gradient)


def _pull_back(measure: Measure, features: Tensor, derivative: Tensor, gradient: Tensor | None) -> Tensor:
    """The gradient of `derivative` · measure, added to what is there."""
    inputs = features.detach().requires_grad_(True)
    with torch.enable_grad():
        total = measure(inputs)
    added: Tensor = torch.autograd.grad(total, inputs, derivative)[0]
    return added if gradient is None else gradient.add_(added)
