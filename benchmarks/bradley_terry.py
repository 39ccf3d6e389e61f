"""Strengths of systems from comparisons in pairs (Bradley and Terry 1952).

P(i is preferred to j) = 1 / (1 + exp(θ_j − θ_i)). A tie counts as half a win for each. The prior is one tied
comparison of each system with an imaginary system of strength 0. It keeps the strength of a system finite
that won or lost everything, and moves all others a little towards 0.
"""

import math
from collections.abc import Iterable, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

PRIOR = 1.0
"""The number of tied comparisons of each system with an imaginary one of strength 0."""

NORMAL_95 = 1.959964
"""The 97.5 % point of the normal distribution."""

Matrix = NDArray[np.float64]

STEPS, TOLERANCE = 200, 1e-12

UNDETERMINED = (
    "the strengths are infinite or undetermined: a system won or lost everything, or was not compared with "
    "others. Use a prior."
)


class Comparison(NamedTuple):
    """One comparison: `won` is 1 if the first system was preferred, 0 if the second was, and ½ for a tie."""

    first: str
    second: str
    won: float


class Strengths(NamedTuple):
    """Log-strengths θ with mean 0, (S,), in the order of the systems, and their covariance, (S, S)."""

    systems: tuple[str, ...]
    theta: Matrix
    covariance: Matrix

    def interval(self, system: str) -> tuple[float, float, float]:
        """A system's θ and the ends of its 95 % interval, from the Fisher information."""
        index = self.systems.index(system)
        return _interval(float(self.theta[index]), float(self.covariance[index, index]))

    def preferred(self, first: str, second: str) -> tuple[float, float, float]:
        """The probability that the first is preferred to the second, and the ends of its 95 % interval."""
        i, j = self.systems.index(first), self.systems.index(second)
        variance = self.covariance[i, i] + self.covariance[j, j] - 2 * self.covariance[i, j]
        value, low, high = _interval(float(self.theta[i] - self.theta[j]), float(variance))
        return logistic(value), logistic(low), logistic(high)


def _interval(value: float, variance: float) -> tuple[float, float, float]:
    half = NORMAL_95 * math.sqrt(max(0.0, variance))
    return value, value - half, value + half


def logistic(value: float) -> float:
    """1 / (1 + exp(−x))."""
    return 1 / (1 + math.exp(-value)) if value >= 0 else math.exp(value) / (1 + math.exp(value))


def win_matrix(systems: Sequence[str], comparisons: Iterable[Comparison]) -> Matrix:
    """The matrix W: W_ij is how often system i was preferred to j; a tie counts as a half."""
    index = {name: position for position, name in enumerate(systems)}
    wins = np.zeros((len(systems), len(systems)))
    for first, second, won in comparisons:
        wins[index[first], index[second]] += won
        wins[index[second], index[first]] += 1 - won
    return wins


def fit(systems: Sequence[str], comparisons: Iterable[Comparison], *, prior: float = PRIOR) -> Strengths:
    """Find the most probable strengths by Newton's method on the log-posterior, which is concave.

    L(θ) = Σ_ij W_ij log σ(θ_i − θ_j) + ½ prior Σ_i (log σ(θ_i) + log σ(−θ_i)). The covariance is the inverse
    of −L″, centred like θ.

    Args:
        systems: names of at least two systems.
        comparisons: between these systems.
        prior: number of tied comparisons of each system with one of strength 0; 0 gives the maximum of the
            likelihood.
    Raises:
        ValueError: the strengths are infinite or undetermined, which happens only without a prior.
    """
    wins = win_matrix(systems, comparisons)
    played = wins + wins.T
    theta = np.zeros(len(systems))
    for _ in range(STEPS):
        gradient, information = _derivatives(wins, played, theta, prior)
        step = np.linalg.pinv(information, hermitian=True) @ gradient
        step /= max(1.0, float(np.abs(step).max()))  # far from the maximum a whole step may overshoot
        theta = theta + step
        if float(np.abs(step).max()) < TOLERANCE:
            break
    else:
        raise ValueError(UNDETERMINED)
    _, information = _derivatives(wins, played, theta, prior)
    if not prior and np.linalg.matrix_rank(information, hermitian=True) < len(systems) - 1:
        raise ValueError(UNDETERMINED)
    centering = np.eye(len(systems)) - 1 / len(systems)
    covariance = centering @ np.linalg.pinv(information, hermitian=True) @ centering
    return Strengths(tuple(systems), centering @ theta, covariance)


def _derivatives(wins: Matrix, played: Matrix, theta: Matrix, prior: float) -> tuple[Matrix, Matrix]:
    """The gradient of L, and −L″ (the observed Fisher information)."""
    preferred = 1 / (1 + np.exp(theta[None, :] - theta[:, None]))
    against_zero = 1 / (1 + np.exp(-theta))
    gradient = (wins - played * preferred).sum(1) + prior * (0.5 - against_zero)
    weights = played * preferred * (1 - preferred)
    information = np.diag(weights.sum(1) + prior * against_zero * (1 - against_zero)) - weights
    return gradient, information


def groups(systems: Sequence[str], comparisons: Iterable[Comparison]) -> list[set[str]]:
    """Groups of systems that comparisons link. Strengths of different groups cannot be compared."""
    linked = [{name} for name in systems]
    for first, second, _ in comparisons:
        joined = [group for group in linked if first in group or second in group]
        linked = [group for group in linked if group not in joined] + [set().union(*joined)]
    return linked
