"""Self-similarity: whether the parts of a picture are as like each other as those of the photo."""

import torch
import torch.nn.functional as F

from impasto.shapes import Features
from impasto.system import process as process  # before anything is computed

ROWS = 256
"""Positions compared with all others at a time: bounds the memory."""

_EPSILON = 1e-8


def self_similarity_distance(first: Features, second: Features) -> float:
    """How differently the positions of two pictures relate to each other, 0..1.

    D_ij is the cosine distance between the responses at positions i and j of one picture; each row is divided
    by its sum, p_ij = D_ij / Σ_j D_ij, which makes it a distribution. The result is the mean over rows of
    half of Σ_j |p_ij − q_ij|, the total variation distance. Colours and textures may change freely as long
    as like stays beside like.

    After the content loss of STROTSS (Kolkin, Salavon and Shakhnarovich 2019, arXiv:1904.12785, Eq. 7).
    Differs: one layer and every position instead of hypercolumns at drawn ones; half of a row's sum, so that
    the number of positions has no part in the scale; not CFSD, which compares row-softmaxes by their KL.

    Args:
        first, second: (1, N, h, w), of one shape, ≥ 0.
    """
    one, other = (F.normalize(features.flatten(2)[0].T, eps=_EPSILON) for features in (first, second))
    total = 0.0
    for begin in range(0, len(one), ROWS):
        rows = [_distribution(points, begin) for points in (one, other)]
        total += float((rows[0] - rows[1]).abs().sum(dtype=torch.float64)) / 2
    return total / len(one)


def _distribution(points: torch.Tensor, begin: int) -> torch.Tensor:
    """Rows of p from `begin` on."""
    # A little is added to every distance: a flat picture's rows are uniform then, not its rounding errors.
    distances = (1 - points[begin : begin + ROWS] @ points.T).clamp(min=0) + 1e-5
    return distances / distances.sum(1, keepdim=True)
