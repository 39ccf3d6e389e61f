"""SIFID: the Fréchet distance between the responses at all positions of two pictures."""

import torch
from jaxtyping import Float, Float64
from torch import Tensor

from impasto.shapes import Features


def frechet_distance(first: Features, second: Float[Tensor, "B N _ _"]) -> float:
    """|μ − ν|² + tr C + tr T − 2 tr (C^½ T C^½)^½ of the responses' means and covariances, in float64.

    Dowson and Landau 1982. With Inception's responses after its first pooling this is SIFID (Shaham, Dekel
    and Michaeli 2019, arXiv:1905.01164, section 4.2).
    Differs: their code takes the same 64 channels before the pooling, so its values are on another scale.

    Args:
        first, second: (1, N, h, w), of any sizes, with at least 2 positions.
    Returns:
        ≥ 0, in units of the responses squared.
    """
    (mean, covariance), (other_mean, other) = _gaussian(first), _gaussian(second)
    values, vectors = torch.linalg.eigh(covariance)
    root = vectors * values.clamp(min=0).sqrt() @ vectors.T
    # C^½ T C^½ has the eigenvalues of C T, but is symmetric, so that they are real.
    mixed = torch.linalg.eigvalsh(root @ other @ root).clamp(min=0).sqrt().sum()
    distance = (mean - other_mean).square().sum() + covariance.trace() + other.trace() - 2 * mixed
    return max(0.0, float(distance))


def _gaussian(features: Features) -> tuple[Float64[Tensor, " N"], Float64[Tensor, "N N"]]:
    """Return the mean and covariance over positions."""
    points = features.flatten(2)[0].T.cpu().double()
    return points.mean(0), points.T.cov()
