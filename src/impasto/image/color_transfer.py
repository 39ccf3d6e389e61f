"""Moving the colours of one picture to the distribution of another's.

Pitié, Kokaram and Dahyot 2007, "Automated colour grading using colour distribution transfer" (Computer
Vision and Image Understanding 107). Colour space is turned, the values along each axis are given the other
picture's distribution, and the axes are turned back. Repeated with other turns, this matches the whole
distribution. Equal colours stay equal, so a flat background stays flat.
"""

from typing import TypeAlias

import numpy as np
from jaxtyping import Float64

TURNS = 20
"""Rotations of colour space, one after the other."""

BINS = 512
"""Bins of the distribution along an axis."""

Colors: TypeAlias = Float64[np.ndarray, "3 _"]
"""Colours as columns, in any colour space."""

Shares: TypeAlias = Float64[np.ndarray, " N"]
"""How much each colour counts."""


def move_colors(colors: Colors, others: Colors, shares: Shares) -> Colors:
    """Return colours that are distributed like others, each near the one that it came from.

    Args:
        colors: (3, M), in a space where distances mean the same along all axes, such as Oklab.
        others: (3, N), in the same space.
        shares: how much each of the others counts, (N,), above 0.
    Returns:
        (3, M).
    """
    random = np.random.default_rng(0)
    for _ in range(TURNS):
        turn = np.linalg.qr(random.standard_normal((3, 3)))[0]
        along = zip(turn @ colors, turn @ others, strict=True)
        colors = turn.T @ np.stack([_match_distribution(*values, shares) for values in along])
    return colors


def _match_distribution(
    values: Float64[np.ndarray, " M"], others: Float64[np.ndarray, " N"], shares: Shares
) -> Float64[np.ndarray, " M"]:
    """Map values by the increasing function that gives them the distribution of others."""
    ends = min(values.min(), others.min()), max(values.max(), others.max())
    if ends[1] - ends[0] < 1e-6:  # one colour, to far below what can be seen
        return np.full_like(values, others.mean())
    below, below_others = _shares_below(values, ends), _shares_below(others, ends, shares)
    edges = np.linspace(*ends, BINS + 1)
    moved: Float64[np.ndarray, " M"] = np.interp(values, edges, np.interp(below, below_others, edges))
    # Both ends of the bins may lie beyond the others' least and greatest value.
    return moved.clip(others.min(), others.max())


def _shares_below(
    values: Float64[np.ndarray, " M"], ends: tuple[float, float], weights: Shares | None = None
) -> Float64[np.ndarray, " _"]:
    """Return the share of values below each edge of the bins, 0..1."""
    counts = np.histogram(values, BINS, ends, weights=weights)[0]
    counts = counts / counts.sum() + 1e-6 / BINS  # strictly increasing, so that it can be inverted
    below: Float64[np.ndarray, " _"] = np.insert(counts.cumsum(), 0, 0.0) / counts.sum()
    return below
