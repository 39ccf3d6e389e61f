"""The terms of the objective, and the equations of the paper that they compute.

Every term has a *measure*, a statistic of features that adds up over positions, and a *score* of its total.
Because totals add up, an image can be measured whole, by tiles or by several processes, and scored once.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Protocol, runtime_checkable

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from impasto.shapes import Features, Gram, Image, Scalar

IMAGE = "image"
"""The name that a term gives instead of a layer's if it measures the pixels themselves."""


def kind_of(name: str) -> str:
    """Return the kind of a term: the first word of its name.

    Names alone stand in checkpoints and traces, so their summands can be grouped without the objective.
    """
    return name.split()[0]


def wide(features: Tensor) -> Tensor:
    """Convert to float32, unless the type is wider: a long sum in bfloat16 stops growing."""
    return features.to(torch.promote_types(features.dtype, torch.float32))


def gram(features: Features) -> Gram:
    """Correlations between channels, summed over positions.

    G_ij = Σ_k F_ik F_jk, Eq. 3 of Gatys et al. 2015 (arXiv:1508.06576); as in the paper, nothing is divided
    here: Eq. 4's 1/(4 N² M²) is in `style_distance`.

    Args:
        features: (B, N, h, w), any type; the products are summed in float32 at least.
    Returns:
        (B, N, N), symmetric, positive semi-definite, unit of the features squared.

    >>> gram(torch.ones(1, 2, 3, 4))
    tensor([[[12., 12.],
             [12., 12.]]])
    """
    # Positions first, as channels-last memory already has them: a view, not a copy.
    flat = wide(features.permute(0, 2, 3, 1).flatten(1, 2))  # (B, M, N)
    return flat.transpose(1, 2) @ flat


def squared_error(features: Features, target: Features) -> Scalar:
    """Σ_ij (F_ij − P_ij)², twice Eq. 1 of Gatys et al. 2015; the ½ is in `content_distance`.

    Args:
        features, target: (B, N, h, w), the same shape.
    Returns:
        0-dimensional, ≥ 0, float32 at least.
    """
    return (wide(features) - wide(target)).square().sum()


def content_distance(total: Scalar) -> Scalar:
    """L_content = ½ Σ_ij (F_ij − P_ij)², Eq. 1 of Gatys et al. 2015, as in the paper.

    Args:
        total: the sum, from `squared_error`.
    """
    return total / 2


def style_distance(total: Gram, positions: float, target: Gram) -> Scalar:
    """E_l = 1/(4 N² M²) Σ_ij (G_ij − A_ij)², Eq. 4 of Gatys et al. 2015, from Gram matrices per position.

    Differs: the paper's two images have the same size, and hence the same M. Here each Gram matrix is divided
    by its own number of positions: E_l = 1/(4 N²) Σ_ij (G_ij/M − A_ij/M_style)². Where M = M_style this is
    the paper's E_l.

    Args:
        total: G, (B, N, N), summed over all positions of the image.
        positions: M, the number of these positions.
        target: A/M_style, (1, N, N).
    Returns:
        0-dimensional, ≥ 0; summed over the batch.
    """
    channels = total.shape[-1]
    return (total / positions - target).square().sum() / (4 * channels**2)


def squared_differences(
    image: Image,
    rows: int | None = None,
    columns: int | None = None,
    *,
    first: bool = True,
    down: float = 1.0,
    along: float = 1.0,
) -> Scalar:
    """Σ (x_{i+1,j} − x_{i,j})² + (x_{i,j+1} − x_{i,j})², the total variation with exponent 2.

    Mahendran and Vedaldi 2015 (arXiv:1412.0035), Sec. 2, β = 2. Not in Gatys et al. 2015.

    Args:
        image: (B, 3, H, W).
        rows, columns: how many of the first rows and columns to count; those after them serve as neighbours
            alone. Default: all.
        first: whether the image's first row is the first of the whole image.
        down, along: factors of the sums over vertical and horizontal pairs.
    """
    vertical, horizontal = neighbor_differences(image, rows, columns)
    return down * vertical.square().sum() + along * horizontal.square().sum()


def neighbor_differences(image: Image, rows: int | None, columns: int | None) -> tuple[Tensor, Tensor]:
    """Subtract each pixel from the one below it, and from the one to its right.

    Args:
        image, rows, columns: as in `squared_differences`.
    Returns:
        the vertical and the horizontal differences; at the image's last row or column there is one fewer.
    """
    rows, columns = rows or image.shape[2], columns or image.shape[3]
    below, right = image[:, :, 1 : rows + 1, :columns], image[:, :, :rows, 1 : columns + 1]
    return below - image[:, :, : below.shape[2], :columns], right - image[:, :, :rows, : right.shape[3]]


def squared_overshoot(
    image: Image, rows: int | None = None, columns: int | None = None, *, first: bool = True
) -> Scalar:
    """Σ (x − clamp(x, 0, 1))², the squared distance of pixels from the range 0..1. Not in Gatys et al. 2015.

    Without this term highlights are painted brighter than white, and their texture is lost when the picture
    is clamped. With it they get strokes.

    Args:
        image, rows, columns, first: as in `squared_differences`.
    """
    core = image[:, :, :rows, :columns]
    return (core - core.clamp(0, 1)).square().sum()


@runtime_checkable
class PixelStatistic(Protocol):
    """A sum over the pixels of an image, such as `squared_differences`."""

    def __call__(self, image: Image, rows: int, columns: int, *, first: bool) -> Scalar:
        """Sum over the first rows and columns; the next row and column may serve as neighbours."""


@runtime_checkable
class Term(Protocol):
    """A weighted term of the objective: `weight · score(Σ over parts of measure(part))`."""

    @property
    def name(self) -> str:
        """The name in the report, its kind first, such as "content conv4_2" or "style conv1_1"."""

    @property
    def kind(self) -> str:
        """The first word of the name: "content", "style", "variation", "gamut" or a custom term's."""

    @property
    def layers(self) -> tuple[str, ...]:
        """The layers whose features are measured, or `IMAGE`."""

    @property
    def weight(self) -> float:
        """The factor of the score in the objective."""

    @property
    def total_shape(self) -> tuple[int, ...]:
        """The shape of the total that is measured."""

    def score(self, total: Tensor) -> Scalar:
        """Return the loss, from the total over all layers and positions."""


@runtime_checkable
class TermPart(Protocol):
    """The part of a term that measures a rectangle of one layer, or of the image."""

    def measure(self, features: Float[Tensor, "B N h w"]) -> Tensor:
        """Return the part's total, which adds up over layers and positions."""

    def pull_back(self, features: Tensor, derivative: Tensor, gradient: Tensor | None) -> Tensor:
        """Add the derivative with respect to the features, from the derivative with respect to the total.

        Args:
            features: the argument of `measure`.
            derivative: of the loss with respect to the result of `measure`, of its shape.
            gradient: the gradient from other terms and deeper layers, of the features' shape, which may be
                overwritten; None: 0.
        Returns:
            the sum of both, of the features' shape and type.
        """


@runtime_checkable
class LayerTerm(Term, Protocol):
    """A term on features of the network, which can be measured tile by tile."""

    def part(self, layer: str, rows: slice, columns: slice) -> "TermPart":
        """Return the part of the term that measures these rows and columns of a layer's grid."""


@runtime_checkable
class Target(Protocol):
    """The target responses of a layer, stored or recomputed in parts."""

    def at(self, rows: slice, columns: slice) -> Features:
        """Return the responses at rows and columns of the layer's grid of the whole image, (1, N, h, w)."""


@dataclass(frozen=True)
class ContentTerm:
    """Content of one layer: ½ Σ (F − P)², Eq. 1 of Gatys et al. 2015, as in the paper.

    Attributes:
        layer: the layer's name.
        target: P, (1, N, h, w), or a `Target` from which `part` takes it.
        weight: the paper's α, times what the formula says.
    """

    layer: str
    target: "Features | Target"
    weight: float

    kind = "content"
    total_shape = ()
    """A single number."""

    @property
    def name(self) -> str:
        """`content` and the layer."""
        return f"{self.kind} {self.layer}"

    @property
    def layers(self) -> tuple[str, ...]:
        """Its only layer."""
        return (self.layer,)

    @property
    def _responses(self) -> Features:
        assert isinstance(self.target, Tensor), "a Target is asked by part"
        return self.target

    def measure(self, features: Features) -> Scalar:
        """Σ (F − P)²."""
        return squared_error(features, self._responses)

    def score(self, total: Scalar) -> Scalar:
        """½ Σ (F − P)²."""
        return content_distance(total)

    def part(self, layer: str, rows: slice, columns: slice) -> "ContentTerm":
        """Return the term with the target at these rows and columns."""
        if isinstance(self.target, Tensor):
            return replace(self, target=self.target[:, :, rows, columns])
        return replace(self, target=self.target.at(rows, columns))

    def pull_back(self, features: Features, derivative: Scalar, gradient: Tensor | None) -> Features:
        """See `TermPart`: the derivative of Σ (F − P)² is 2 (F − P), Eq. 2 of the paper where F > 0."""
        added = (features - self._responses).mul_(2 * derivative)
        return added if gradient is None else gradient.add_(added)


@dataclass(frozen=True)
class PixelTerm:
    """A statistic of the image itself, divided by a number such as that of its pixels.

    Attributes:
        name: the name in the report.
        statistic: a sum over pixels.
        pixels: the divisor of the sum; the number of pixels of the whole image gives a mean.
        weight: the factor in the objective.
        circular: whether the first row and column follow the last.
        counted: how many rows and columns of the image measured are counted, and whether its first row is the
            first of the whole image; None: it is the whole image.
        total_shape: the shape of the statistic's sum; (): a single number.
    """

    name: str
    statistic: PixelStatistic
    pixels: float
    weight: float
    circular: bool = False
    counted: tuple[int, int, bool] | None = None
    total_shape: tuple[int, ...] = ()

    layers = (IMAGE,)

    @property
    def kind(self) -> str:
        """The first word of the name."""
        return kind_of(self.name)

    def of(self, rows: int, columns: int, *, first: bool) -> "PixelTerm":
        """Return the part of the term that counts only the first rows and columns of its image."""
        return replace(self, counted=(rows, columns, first))

    def measure(self, features: Image) -> Tensor:
        """Return the statistic's sum over the pixels that are counted."""
        if self.counted is not None:
            rows, columns, first = self.counted
            return self.statistic(features, rows, columns, first=first)
        margin = F.pad(features, (0, 1, 0, 1), mode="circular") if self.circular else features
        return self.statistic(margin, features.shape[2], features.shape[3], first=True)

    def score(self, total: Scalar) -> Scalar:
        """Return the sum divided by `pixels`."""
        return total / self.pixels

    def pull_back(self, features: Image, derivative: Tensor, gradient: Tensor | None) -> Image:
        """See `TermPart`; by autograd, whose cost is small beside the network's."""
        return pull_back_by_autograd(self.measure, features, derivative, gradient)


def pull_back_by_autograd(
    measure: Callable[[Tensor], Tensor], features: Tensor, derivative: Tensor, gradient: Tensor | None
) -> Tensor:
    """`TermPart.pull_back` of any differentiable measure, by autograd.

    Args:
        measure: from features to a total.
        features, derivative, gradient: see `TermPart.pull_back`.
    """
    inputs = features.detach().requires_grad_(True)
    # Solvers evaluate under `no_grad`.
    with torch.enable_grad():
        # The gradient of this sum with respect to the total is `derivative`. Given to `grad` as an argument,
        # it would make PyTorch import sympy, which takes 0.4 s.
        product = (measure(inputs) * derivative).sum()
    added: Tensor = torch.autograd.grad(product, inputs)[0]
    return added if gradient is None else gradient.add_(added)
