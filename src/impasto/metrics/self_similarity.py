"""Self-similarity: whether the parts of a picture are as similar to each other as the parts of the photo."""

import torch
import torch.nn.functional as F

from impasto.shapes import Features

ROWS = 256
"""Positions compared with all others at a time, which bounds the memory."""

_EPSILON = 1e-8


def self_similarity_distance(first: Features, second: Features) -> float:
    """Measure how differently the positions of two pictures relate to each other, 0..1.

    D_ij is the cosine distance between the responses at positions i and j of a picture. Each row is divided
    by its sum, p_ij = D_ij / Σ_j D_ij, which makes it a distribution. The result is the mean over rows of
    ½ Σ_j |p_ij − q_ij|, the total variation distance. Colours and textures may change freely, as long as
    places that were similar stay similar.

    After the content loss of STROTSS (Kolkin, Salavon and Shakhnarovich 2019, arXiv:1904.12785, Eq. 7).
    Differs: one layer and every position, instead of hypercolumns at random positions; half of a row's sum,
    so that the scale does not depend on the number of positions. This is not CFSD, which compares the rows'
    softmaxes by their KL divergence.

    Args:
        first, second: (1, N, h, w), of one shape, ≥ 0.
    """
    # Unit vectors, (positions, N) for each picture.
    pictures = [F.normalize(features.flatten(2)[0].T, eps=_EPSILON) for features in (first, second)]
    positions = len(pictures[0])
    total = 0.0
    for begin in range(0, positions, ROWS):
        p, q = (_distribution(points, begin) for points in pictures)
        total += float((p - q).abs().sum(dtype=torch.float64)) / 2
    return total / positions


def _distribution(points: torch.Tensor, begin: int) -> torch.Tensor:
    """Return the rows of p from `begin` on, at most `ROWS` of them."""
    # The small addition makes a flat picture's rows uniform; without it they would be its rounding errors.
    distances = (1 - points[begin : begin + ROWS] @ points.T).clamp(min=0) + 1e-5
    return distances / distances.sum(1, keepdim=True)
