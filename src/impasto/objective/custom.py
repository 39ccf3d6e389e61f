"""Custom losses: any measure that adds up over positions can become a term of the objective."""

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
from impasto.objective.terms import IMAGE, PixelTerm, Term, kind_of, pull_back_by_autograd, wide
from impasto.shapes import Image, Scalar

Measure: TypeAlias = Callable[[Tensor], Tensor]
"""Takes (1, N, h, w) of any height and width and returns a sum over positions, of one shape for all sizes."""

Score: TypeAlias = Callable[[Tensor], Tensor]
"""Takes the measure's mean over positions and returns the loss, one number."""

RESERVED = ("content", "style", "variation", "gamut")
"""The kinds of the built-in terms. A custom term whose name began like that would be counted among them."""

_SAMPLE = 6
"""The side of the grid on which a measure is tried before it is used. It is even, so that it has halves."""


@dataclass(frozen=True)
class TermContext:
    """Everything that a factory may use to make a term for one scale of a run.

    Attributes:
        height, width: of the picture at this scale, in pixels.
        network: VGG-19, as deep as the deepest layer that any term needs.
        content: the photo at this size, (1, 3, height, width), RGB, sRGB, 0..1, on the network's device.
        tile: the side of the tiles in which features are computed, in pixels; 0: no tiles.
        world_size: the number of processes that share the picture.
    """

    height: int
    width: int
    network: VGG19
    content: Image
    tile: int = 0
    world_size: int = 1


@dataclass(frozen=True)
class TermFactory:
    """Makes a term for each scale of a run. `custom_term` makes a factory; other terms can be given by
    `make`.

    Attributes:
        name: the term's name in the report and the manifest.
        layers: the layers that it needs, or "image".
        weight: the term's weight, for the manifest.
        make: returns the term for a scale.
    Raises:
        SettingsError: the name is empty, or begins like a built-in term's.
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
        """The term's entry in a manifest, which names it but cannot recreate it."""
        return {"name": self.name, "layers": list(self.layers), "weight": self.weight}


def custom_term(
    name: str, measure: Measure, *, layer: str = IMAGE, weight: float = 1.0, score: Score | None = None
) -> TermFactory:
    """Make a custom loss: weight · score(Σ over positions of the measure / number of positions).

    The measure must add up: the sum of its values on two halves must be its value on the whole. Sums over
    positions add up, and so do sums of products of channels, such as `gram`. A mean or a maximum does not;
    the mean is taken here, and nonlinear functions of it belong in `score`. Because measures add up, the
    picture can be measured in tiles and by several processes, and a weight means the same at any size. The
    gradient comes from autograd.

    A measure that compares neighbours, such as differences of pixels, misses the pairs across a cut. It is
    allowed where the picture is measured in one piece, and refused elsewhere. (A `PixelTerm` sees one more
    row and column.) The measure must depend on the values alone; it is not told where in the picture they
    lie.

    Args:
        name: the term's name in the report and the manifest.
        measure: takes (1, N, h, w), float32 or wider, of any h and w, and returns a tensor of one shape for
            all sizes. For the image N = 3: RGB, sRGB, 0..1 except for overshoots. For a layer it is given the
            responses after the ReLU, ≥ 0, in the network's units (see `VGG19`).
        layer: a layer of VGG-19, such as "conv3_1", or "image" for the pixels.
        weight: the factor of the score; in the balanced formula 1 counts as much as all of the content.
        score: takes the mean over positions, which has the measure's shape, and returns one number; default:
            the mean itself, which must then be one number.
    Returns:
        a factory for `extra_terms` of `stylize`.
    Raises:
        SettingsError: the layer is unknown, the weight is not finite, or the name is taken. At the start of a
            run: the measure does not add up where it has to, or has no gradient.
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
    """Return the default score."""
    return mean


def _make(
    name: str, measure: Measure, layer: str, weight: float, score: Score, context: TermContext
) -> "CustomTerm | CustomPixelTerm":
    """Make the term for a scale, once its measure has passed the checks."""
    size = (context.height, context.width)
    channels, positions = 3, math.prod(size)
    cut = context.world_size > 1 or positions > STRIP  # pixels are measured in strips of that many
    if layer != IMAGE:
        channels, positions = context.network.channels(layer), math.prod(find_layer(layer).grid(*size))
        cut = context.world_size > 1 or 0 < context.tile < max(size)
    shape = _check(name, measure, score, channels, context.network.device, cut=cut)
    if layer == IMAGE:
        statistic = partial(_counted, measure)
        return CustomPixelTerm(name, statistic, positions, weight, total_shape=shape, score_mean=score)
    return CustomTerm(name, layer, measure, score, positions, weight, shape)


def _counted(measure: Measure, image: Image, rows: int, columns: int, *, first: bool) -> Tensor:
    """Return a measure as a `PixelStatistic`: it sees only the pixels that are counted."""
    return measure(image[:, :, :rows, :columns])


def _check(
    name: str, measure: Measure, score: Score, channels: int, device: torch.device, *, cut: bool
) -> tuple[int, ...]:
    """Try a measure and its score on random numbers.

    Returns:
        the shape of the measure's total.
    Raises:
        SettingsError: the measure fails, has no gradient, is an average, or does not add up although the
            picture is measured in pieces (`cut`).
    """
    generator = torch.Generator().manual_seed(0)
    whole = torch.rand(1, channels, _SAMPLE, _SAMPLE, generator=generator).to(device).requires_grad_()
    half = _SAMPLE // 2
    pieces = (whole[:, :, :half], whole[:, :, half:], whole[:, :, :, :half], whole[:, :, :, half:])
    try:
        with torch.enable_grad():
            total, twice, *parts = (measure(part) for part in (whole, torch.cat([whole, whole], 3), *pieces))
            loss = score(total / _SAMPLE**2)
    except Exception as error:  # whatever a user's function raises
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
    # A sum over two copies is twice the sum; a mean or a maximum stays the same.
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
    """Return whether two totals are equal up to the rounding of sums in another order."""
    return torch.allclose(a, b, rtol=1e-3, atol=1e-6)


@dataclass(frozen=True)
class CustomTerm:
    """A custom loss on the features of a layer, made by `custom_term`.

    Attributes:
        name, layer, weight: as given to `custom_term`.
        measure_sum, score_mean: its measure and its score.
        positions: the number of positions of the layer on the whole picture.
        total_shape: the shape of the measure's result.
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
        """Its only layer."""
        return (self.layer,)

    def part(self, layer: str, rows: slice, columns: slice) -> "CustomTerm":
        """Return the term itself: a measure does not depend on the place."""
        return self

    def measure(self, features: Float[Tensor, "B N h w"]) -> Tensor:
        """Return the measure, of features in float32 at least."""
        return self.measure_sum(wide(features))

    def score(self, total: Tensor) -> Scalar:
        """Return the score of the mean."""
        return self.score_mean(total / self.positions).reshape(())

    def pull_back(self, features: Tensor, derivative: Tensor, gradient: Tensor | None) -> Tensor:
        """See `TermPart`; by autograd."""
        return pull_back_by_autograd(self.measure, features, derivative, gradient)


@dataclass(frozen=True)
class CustomPixelTerm(PixelTerm):
    """A custom loss on the pixels, made by `custom_term`.

    Attributes:
        score_mean: its score.
    """

    score_mean: Score = _number

    def score(self, total: Tensor) -> Scalar:
        """Return the score of the mean over pixels."""
        return self.score_mean(total / self.pixels).reshape(())
