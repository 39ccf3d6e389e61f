"""Statistics of a style besides the Gram matrix: Gaussians, and histograms along directions."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from impasto.objective.style_loss import GRAM, PositionWeights, Statistic, add_linear_gradient
from impasto.objective.terms import wide
from impasto.shapes import Features, Scalar


@dataclass(frozen=True)
class GaussianStatistic:
    """Mean and covariance of the channels, compared as two Gaussians by their Wasserstein-2 distance.

    W₂² = |μ − ν|² + tr C + tr T − 2 tr (T^½ C T^½)^½ (Dowson and Landau 1982). Not in Gatys et al. 2015. A
    total is (B, N + 1, N), with Σ F in the first row and Σ F Fᵀ below.

    Attributes:
        ridge: a number added to the diagonals of both covariances, so that their roots have a derivative even
            if there are fewer positions than channels.
        relative: whether `ridge` is a multiple of the target's mean variance.
    """

    ridge: float = 1e-4
    relative: bool = True

    def shape(self, channels: int) -> tuple[int, ...]:
        """Return the shape of a total, (1, N + 1, N)."""
        return (1, channels + 1, channels)

    def channels(self, total: Float[Tensor, "1 _ N"]) -> int:
        """Return the number of channels N."""
        return int(total.shape[-1])

    def measure(self, features: Features, weights: PositionWeights | None = None) -> Float[Tensor, "B _ N"]:
        """Sum over positions: Σ w F in the first row, Σ w F Fᵀ below."""
        flat = wide(features.permute(0, 2, 3, 1).flatten(1, 2))  # (B, M, N)
        weighted = flat if weights is None else flat * weights.flatten(1)[..., None].to(flat.dtype)
        return torch.cat([weighted.sum(1, keepdim=True), weighted.transpose(1, 2) @ flat], dim=1)

    def target(self, mean: Float[Tensor, "1 _ N"]) -> Float[Tensor, "1 _ N"]:
        """ν in the first row, and below it T^½, the root of the covariance with its ridge."""
        middle, covariance = _centred(mean)
        # `distance` adds the same ridge, so that equal statistics have distance 0.
        identity = torch.eye(covariance.shape[-1], dtype=mean.dtype, device=mean.device)
        ridge = self.ridge * (float(_trace(covariance)) / len(identity) if self.relative else 1.0)
        values, vectors = torch.linalg.eigh(covariance + ridge * identity)
        root = vectors * values.clamp(min=0).sqrt()[:, None] @ vectors.transpose(1, 2)
        return torch.cat([middle, root], dim=1)

    def distance(
        self, total: Float[Tensor, "1 _ N"], positions: float, target: Float[Tensor, "1 _ N"]
    ) -> Scalar:
        """W₂² between the Gaussian of a total and the target's."""
        middle, covariance = _centred(total / positions)
        target_mean, root = target[:, :1], target[:, 1:]
        spread, channels = root.square().sum(), root.shape[-1]  # tr T, with its ridge
        ridge = self.ridge * (spread / (channels * (1 + self.ridge)) if self.relative else 1.0)
        covariance = covariance + ridge * torch.eye(channels, dtype=total.dtype, device=total.device)
        mixed: Tensor = _RootTrace.apply(root @ covariance @ root, (ridge / 100) ** 2)  # type: ignore[no-untyped-call]
        return (middle - target_mean).square().sum() + _trace(covariance) + spread - 2 * mixed

    def pull_back(
        self,
        features: Features,
        weights: PositionWeights | None,
        derivative: Float[Tensor, "1 _ N"],
        gradient: Tensor | None,
    ) -> Features:
        """See `TermPart`: the derivative of Σ F along d is d, and that of Σ F Fᵀ along D is (D + Dᵀ) F."""
        first, rest = derivative[:, :1], derivative[:, 1:]
        both = (rest + rest.transpose(1, 2)).to(features.dtype)
        return add_linear_gradient(features, weights, both, first.to(features.dtype), gradient)


@dataclass(frozen=True)
class HistogramStatistic:
    """Histograms of the responses along fixed directions: their cumulative distributions, compared.

    The distance is the mean over directions of ∫ (C(x) − T(x))² dx, a sliced Cramér distance. It is to counts
    what the sliced Wasserstein distance (Heitz et al. 2021, arXiv:2006.07229) is to quantiles; counts are
    used because they add up over positions. Each response is divided between the two nearest bins by its
    distance to them, even beyond the last bin, so the total is differentiable everywhere. Not in Gatys et al.
    2015. A total is (1, K, bins).

    Attributes:
        directions: unit vectors, (K, N).
        low: the centre of each direction's first bin, (K,), in units of the features.
        step: the distance between bins, (K,), in the same units.
        bins: the number of bins.
    """

    directions: Float[Tensor, "K N"]
    low: Float[Tensor, " K"]
    step: Float[Tensor, " K"]
    bins: int = 128

    @classmethod
    def around(cls, moments: Float[Tensor, "1 _ N"], *, bins: int = 128) -> "HistogramStatistic":
        """Make random directions, with bins that reach five standard deviations to both sides of the mean.

        Args:
            moments: the target's total of `GaussianStatistic.measure`, per position.
            bins: the number of bins.
        """
        middle, covariance = _centred(moments)
        channels = covariance.shape[-1]
        # As many orthogonal directions as channels, the same for every picture and process.
        generator = torch.Generator().manual_seed(channels)
        noise = torch.randn(channels, channels, generator=generator, dtype=torch.float64)
        directions = torch.linalg.qr(noise)[0].T.to(moments)
        mean = directions @ middle[0, 0]
        spread = ((directions @ covariance[0]) * directions).sum(1).clamp(min=0).sqrt()
        spread = spread.clamp(min=1e-6 * float(spread.max()) + 1e-12)  # a flat direction still needs bins
        return cls(directions, mean - 5 * spread, 10 * spread / (bins - 1), bins)

    def shape(self, channels: int) -> tuple[int, ...]:
        """Return the shape of a total, (1, K, bins)."""
        return (1, len(self.directions), self.bins)

    def channels(self, total: Float[Tensor, "1 K bins"]) -> int:
        """Return the number of channels N."""
        return int(self.directions.shape[1])

    def measure(
        self, features: Features, weights: PositionWeights | None = None
    ) -> Float[Tensor, "1 K bins"]:
        """Return the counts by direction and bin."""
        counts = self.low.new_zeros(len(self.directions) * self.bins)
        for flat, weight in _pieces(features, weights, self.low.dtype):
            bin_index, beyond = self._places(flat)
            upper = beyond if weight is None else beyond * weight
            lower = (1 - beyond) if weight is None else (1 - beyond) * weight
            index = bin_index + torch.arange(len(self.directions), device=bin_index.device) * self.bins
            counts.index_add_(0, index.flatten(), lower.flatten())
            counts.index_add_(0, index.flatten() + 1, upper.flatten())
        return counts.view(1, len(self.directions), self.bins)

    def target(self, mean: Float[Tensor, "1 K bins"]) -> Float[Tensor, "1 K bins"]:
        """Return the cumulative distribution in each direction."""
        return mean.cumsum(2)

    def distance(
        self, total: Float[Tensor, "1 K bins"], positions: float, target: Float[Tensor, "1 K bins"]
    ) -> Scalar:
        """Return the mean over directions of ∫ (C − T)²."""
        apart = (total.cumsum(2) / positions - target).square()  # (1, K, bins)
        return (apart.sum(2) * self.step).mean()

    def pull_back(
        self,
        features: Features,
        weights: PositionWeights | None,
        derivative: Float[Tensor, "1 K bins"],
        gradient: Tensor | None,
    ) -> Features:
        """See `TermPart`: along each direction, the derivative's slope between the two bins of a response."""
        slopes = (derivative[0, :, 1:] - derivative[0, :, :-1]) / self.step[:, None]
        rows = torch.arange(len(self.directions), device=slopes.device)
        parts = []
        for flat, weight in _pieces(features, weights, self.low.dtype):
            bin_index, _ = self._places(flat)
            along = slopes[rows, bin_index]  # (positions, K)
            parts.append((along if weight is None else along * weight) @ self.directions)
        _, channels, height, width = features.shape
        added = torch.cat(parts).to(features.dtype).view(1, height, width, channels).permute(0, 3, 1, 2)
        return added if gradient is None else gradient.add_(added)

    def _places(self, flat: Float[Tensor, "M N"]) -> tuple[Tensor, Tensor]:
        """Return, for each response and direction, the bin at or below it and the distance, in bins."""
        at = (flat @ self.directions.T - self.low) / self.step  # (M, K)
        # Beyond the last bins the distance leaves 0..1: one bin's share is negative, and the slope stays.
        bin_index = at.floor().clamp(0, self.bins - 2)
        return bin_index.long(), at - bin_index


STATISTICS: Mapping[str, Statistic] = {"gram": GRAM, "gaussian": GaussianStatistic()}
"""The statistics that need to know nothing of the pictures; a histogram's bins depend on the painting."""


class _RootTrace(torch.autograd.Function):
    """tr X^½ of a symmetric X, whose derivative is ½ X^-½. Both add `little` to the eigenvalues of X.

    By autograd, eigenvalues that rounding makes negative would have no derivative, because of `clamp`.
    """

    @staticmethod
    def forward(context, matrix, little):  # type: ignore[no-untyped-def]
        """Return the sum of the roots, 0-dimensional, from X, (1, N, N), and the number `little`."""
        values, vectors = torch.linalg.eigh(matrix)
        roots = (values.clamp(min=0) + little).sqrt()
        context.save_for_backward(roots, vectors)
        return roots.sum()

    @staticmethod
    def backward(context, above):  # type: ignore[no-untyped-def]
        """Return the derivative by X, (1, N, N), and None for `little`, from the derivative by the sum."""
        roots, vectors = context.saved_tensors
        return above * (vectors / (2 * roots)[:, None] @ vectors.transpose(1, 2)), None


PIECE = 1 << 15
"""Positions that are counted at a time, which bounds the memory."""


def _pieces(
    features: Features, weights: PositionWeights | None, dtype: torch.dtype
) -> Iterator[tuple[Float[Tensor, "_ N"], Float[Tensor, "_ 1"] | None]]:
    """Yield the responses of an image, and their weights, some positions at a time."""
    flat = features.permute(0, 2, 3, 1).flatten(0, 2)
    flat_weights = None if weights is None else weights.flatten()[:, None].to(dtype)
    for start in range(0, len(flat), PIECE):
        chosen = slice(start, start + PIECE)
        yield flat[chosen].to(dtype), None if flat_weights is None else flat_weights[chosen]


def _centred(mean: Float[Tensor, "1 _ N"]) -> tuple[Float[Tensor, "1 1 N"], Float[Tensor, "1 N N"]]:
    """Compute μ and the covariance from the means of F and of F Fᵀ."""
    middle, second = mean[:, :1], mean[:, 1:]
    return middle, second - middle.transpose(1, 2) @ middle


def _trace(matrix: Float[Tensor, "1 N N"]) -> Scalar:
    """Return the sum of the diagonal."""
    return matrix.diagonal(dim1=-2, dim2=-1).sum()
