"""What a style is: a statistic of a layer's responses, and the term that asks for it somewhere."""

from dataclasses import dataclass, replace
from typing import Protocol, runtime_checkable

from jaxtyping import Float
from torch import Tensor

from impasto.objective.terms import gram, style_distance
from impasto.shapes import Features, Gram, Scalar

PositionWeights = Float[Tensor, "1 1 h w"]
"""How much each position counts, 0..1."""


@runtime_checkable
class Statistic(Protocol):
    """A statistic of features that adds up over positions, and a distance between two of them."""

    def shape(self, channels: int) -> tuple[int, ...]:
        """Of a total, for a layer with so many channels."""

    def channels(self, total: Tensor) -> int:
        """Of the layer that the total is of."""

    def measure(self, features: Features, weights: PositionWeights | None = None) -> Tensor:
        """The total over positions.

        Args:
            weights: how much each position counts; None: 1.
        """

    def target(self, mean: Tensor) -> Tensor:
        """What `distance` wants to know of the statistic that is wanted, from its mean over positions."""

    def distance(self, total: Tensor, positions: float, target: Tensor) -> Scalar:
        """How far the total over so many positions is from the target; 0 where it is reached."""

    def pull_back(
        self, features: Features, weights: PositionWeights | None, derivative: Tensor, gradient: Tensor | None
    ) -> Features:
        """As `Term.pull_back`."""


@runtime_checkable
class Guidance(Protocol):
    """Where in a picture a style is wanted."""

    def at(self, layer: str, rows: slice, columns: slice) -> PositionWeights:
        """How much those rows and columns of a layer's grid belong to it, 0..1."""


class GramStatistic:
    """Correlations between channels: Eq. 3 and 4 of Gatys et al. 2015 (arXiv:1508.06576), as in the paper.

    With weights w, G_ij = Σ_k w_k F_ik F_jk: the guided Gram matrix of Gatys et al. 2017 (arXiv:1611.07865),
    Eq. 4 and 5, with guidance T = √w.
    """

    def shape(self, channels: int) -> tuple[int, ...]:
        """(1, N, N)."""
        return (1, channels, channels)

    def channels(self, total: Gram) -> int:
        """N."""
        return int(total.shape[-1])

    def measure(self, features: Features, weights: PositionWeights | None = None) -> Gram:
        """G."""
        return gram(features) if weights is None else gram(features * weights.sqrt().to(features.dtype))

    def target(self, mean: Gram) -> Gram:
        """A/M itself."""
        return mean

    def distance(self, total: Gram, positions: float, target: Gram) -> Scalar:
        """E_l."""
        return style_distance(total, positions, target)

    def pull_back(
        self, features: Features, weights: PositionWeights | None, derivative: Gram, gradient: Tensor | None
    ) -> Features:
        """Of G = F Fᵀ along D: (D + Dᵀ) F, which is Eq. 6 of the paper where F > 0."""
        both = (derivative + derivative.transpose(1, 2)).to(features.dtype)
        return add_linear_gradient(features, weights, both, None, gradient)


GRAM = GramStatistic()
"""The paper's."""


@dataclass(frozen=True)
class StyleTerm:
    """Style of one layer: E_l of Eq. 4 of Gatys et al. 2015 (see `style_distance`), or another statistic's.

    Attributes:
        target: what is wanted; of the Gram matrix A/M_style, (1, N, N).
        positions: M, the positions of the whole image to be painted, as far as the guide counts them.
        weight: the paper's β w_l.
        statistic: what is compared.
        guide: where; a `Guidance` has to be asked for its weights by `part`. None: everywhere.
        label: what the report calls it besides its layer.
    """

    layer: str
    target: Tensor
    positions: float
    weight: float
    statistic: Statistic = GRAM
    guide: "Guidance | PositionWeights | None" = None
    label: str = ""

    @property
    def name(self) -> str:
        """`style`, the label if there is one, and the layer."""
        return " ".join(filter(None, (self.kind, self.label, self.layer)))

    @property
    def kind(self) -> str:
        """`style`."""
        return "style"

    @property
    def total_shape(self) -> tuple[int, ...]:
        """The statistic's."""
        return self.statistic.shape(self.statistic.channels(self.target))

    @property
    def _weights(self) -> PositionWeights | None:
        assert self.guide is None or isinstance(self.guide, Tensor), "a Guide is asked by part"
        return self.guide

    def measure(self, features: Features) -> Tensor:
        """The statistic's total, of the Gram matrix G = Σ F F."""
        return self.statistic.measure(features, self._weights)

    def score(self, total: Tensor) -> Scalar:
        """The distance, of the Gram matrix E_l."""
        return self.statistic.distance(total, self.positions, self.target)

    @property
    def layers(self) -> tuple[str, ...]:
        """One."""
        return (self.layer,)

    def part(self, layer: str, rows: slice, columns: slice) -> "StyleTerm":
        """With the guide's weights there; without one the same: `measure` adds up over any positions."""
        if self.guide is None:
            return self
        if isinstance(self.guide, Tensor):
            return replace(self, guide=self.guide[:, :, rows, columns])
        return replace(self, guide=self.guide.at(self.layer, rows, columns))

    def pull_back(self, features: Features, derivative: Tensor, gradient: Tensor | None) -> Features:
        """The statistic's."""
        return self.statistic.pull_back(features, self._weights, derivative, gradient)


def add_linear_gradient(
    features: Features,
    weights: PositionWeights | None,
    matrix: Tensor,
    row: Tensor | None,
    gradient: Tensor | None,
) -> Features:
    """Add w (F · matrix + row) to a gradient, position by position; in place where there is one."""
    flat = features.permute(0, 2, 3, 1).flatten(1, 2)  # (B, M, N), a view
    batch, count, height, width = features.shape
    if weights is None and row is None:
        if gradient is None:
            return (flat @ matrix).view(batch, height, width, count).permute(0, 3, 1, 2)
        gradient.permute(0, 2, 3, 1).view(batch, -1, count).baddbmm_(flat, matrix)
        return gradient
    added = flat @ matrix if row is None else flat @ matrix + row
    if weights is not None:
        added = added.mul_(weights.flatten(1)[..., None].to(added.dtype))
    grid = added.view(batch, height, width, count).permute(0, 3, 1, 2)
    return grid if gradient is None else gradient.add_(grid)
