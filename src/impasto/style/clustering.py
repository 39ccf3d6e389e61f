"""k-means and silhouettes of a few thousand points."""

from typing import TypeAlias

import numpy as np
from jaxtyping import Float64, Int64

Points: TypeAlias = Float64[np.ndarray, "_ _"]
"""A point in each row. NumPy's: these are many small steps, and PyTorch shares out each among threads."""

Labels: TypeAlias = Int64[np.ndarray, " _"]
"""The cluster of each point."""

STARTS = 8
"""Starts of which the best result is taken. Of 20 single random starts, 10 missed the sky of *The Scream*."""

STEPS = 100
"""Most steps from one start."""

SAMPLE = 1200
"""Most points whose silhouettes are found: time and memory grow with the square."""


def k_means(points: Points, clusters: int, *, seed: int = 0) -> tuple[Labels, Points]:
    """Divide points into clusters with a small sum of squared distances to the clusters' means.

    Lloyd 1982, "Least Squares Quantization in PCM", from starts by Arthur and Vassilvitskii 2007,
    "k-means++: The Advantages of Careful Seeding": the best of `STARTS`.

    Args:
        clusters: how many; fewer come out where there are fewer different points.
        seed: of the starts.
    Returns:
        Labels, and the clusters' means (clusters, dimensions).
    """
    random = np.random.default_rng(seed)
    results = [_lloyd(points, _spread_centers(points, clusters, random)) for _ in range(STARTS)]
    labels, centers, _ = min(results, key=lambda result: result[2])
    return labels, centers


def silhouette(points: Points, labels: Labels) -> float:
    """How distinct clusters are: the mean of (b − a) / max(a, b), −1..1.

    Rousseeuw 1987, "Silhouettes": a is a point's mean distance to the others of its cluster, b that to the
    nearest other cluster. Of more than `SAMPLE` points a regular sample is taken.
    """
    step = -(-len(points) // SAMPLE)
    points, labels = points[::step], np.unique(labels[::step], return_inverse=True)[1]
    members = labels[:, None] == np.arange(labels.max() + 1)  # (points, clusters)
    if members.shape[1] < 2:
        return 0.0
    counts = members.sum(0)
    sums = np.sqrt(_squared_distances(points, points)) @ members
    inside = sums[members] / np.maximum(counts[labels] - 1, 1)
    outside = np.where(members, np.inf, sums / counts).min(1)
    return float(np.mean((outside - inside) / np.maximum(np.maximum(outside, inside), 1e-12)))


def _spread_centers(points: Points, clusters: int, random: np.random.Generator) -> Points:
    """Points of which each was drawn with a chance that grows with its squared distance to those before."""
    centers = points[[int(random.random() * len(points))]]
    while len(centers) < clusters:
        sums = _squared_distances(points, centers).min(1).cumsum()
        index = np.searchsorted(sums, random.random() * sums[-1], side="right")
        centers = np.concatenate([centers, points[[min(index, len(points) - 1)]]])
    return centers


def _lloyd(points: Points, centers: Points) -> tuple[Labels, Points, float]:
    """Labels, centers and the sum of squared distances, which no step raises."""
    labels = np.full(len(points), -1)
    for _ in range(STEPS):
        distances = _squared_distances(points, centers)
        before, labels = labels, distances.argmin(1)
        if (before == labels).all():
            break
        for index in np.unique(labels):
            centers[index] = points[labels == index].mean(0)
    return labels, centers, float(((points - centers[labels]) ** 2).sum())


def _squared_distances(points: Points, others: Points) -> Float64[np.ndarray, "_ _"]:
    squares = (points**2).sum(1)[:, None] + (others**2).sum(1)
    distances: Float64[np.ndarray, "_ _"] = np.maximum(squares - 2 * points @ others.T, 0)
    return distances
