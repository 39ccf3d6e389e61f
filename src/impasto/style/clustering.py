"""k-means and silhouettes of a few thousand points."""

from typing import TypeAlias

import numpy as np
from jaxtyping import Float64, Int64

Points: TypeAlias = Float64[np.ndarray, "_ _"]
"""(points, dimensions): one point in each row. This is NumPy because the steps are many and small, and
PyTorch would distribute each among threads."""

Labels: TypeAlias = Int64[np.ndarray, " _"]
"""The cluster of each point."""

STARTS = 8
"""Random starts, of which the best result is kept. With a single start, Tübingen's sky matched the sky of
*The Scream* in only 10 of 20 tries."""

STEPS = 100
"""Steps from each start at most."""

SAMPLE = 1200
"""Points whose silhouettes are computed, at most. Time and memory grow with the square of their number."""


def k_means(points: Points, clusters: int, *, seed: int = 0) -> tuple[Labels, Points]:
    """Divide points into clusters with a small sum of squared distances to the clusters' means.

    Lloyd 1982, "Least Squares Quantization in PCM", with starts after Arthur and Vassilvitskii 2007,
    "k-means++: The Advantages of Careful Seeding". The best of `STARTS` results is returned.

    Args:
        points: (points, dimensions).
        clusters: number of clusters. Fewer are used if there are fewer distinct points.
        seed: for the random starts.
    Returns:
        The cluster of each point, and the clusters' means (clusters, dimensions).
    """
    random = np.random.default_rng(seed)
    results = [_lloyd(points, _spread_centers(points, clusters, random)) for _ in range(STARTS)]
    labels, centers, _ = min(results, key=lambda result: result[2])
    return labels, centers


def silhouette(points: Points, labels: Labels) -> float:
    """Measure how distinct clusters are: the mean of (b − a) / max(a, b), −1..1.

    Rousseeuw 1987, "Silhouettes". For each point, a is the mean distance to the other points of its cluster,
    and b the mean distance to the points of the nearest other cluster. From more than `SAMPLE` points, a
    regular sample is taken.

    Args:
        points: (points, dimensions).
        labels: the cluster of each point.
    Returns:
        The mean silhouette; 0 if there is only one cluster.
    """
    step = -(-len(points) // SAMPLE)
    points, labels = points[::step], np.unique(labels[::step], return_inverse=True)[1]
    members = labels[:, None] == np.arange(labels.max() + 1)  # (points, clusters)
    if members.shape[1] < 2:
        return 0.0
    counts = members.sum(0)
    sums = np.sqrt(_squared_distances(points, points)) @ members
    # A point's distance to itself is 0, so only the count leaves it out.
    inside = sums[members] / np.maximum(counts[labels] - 1, 1)
    outside = np.where(members, np.inf, sums / counts).min(1)
    return float(np.mean((outside - inside) / np.maximum(np.maximum(outside, inside), 1e-12)))


def _spread_centers(points: Points, clusters: int, random: np.random.Generator) -> Points:
    """Draw points as first centers (k-means++).

    Each is drawn with a probability proportional to its squared distance from the nearest center so far.
    """
    centers = points[[int(random.random() * len(points))]]
    while len(centers) < clusters:
        sums = _squared_distances(points, centers).min(1).cumsum()
        index = np.searchsorted(sums, random.random() * sums[-1], side="right")
        centers = np.concatenate([centers, points[[min(index, len(points) - 1)]]])
    return centers


def _lloyd(points: Points, centers: Points) -> tuple[Labels, Points, float]:
    """Alternate between labels and centers until the labels stay the same.

    Returns:
        Labels, centers and the sum of squared distances, which no step increases.
    """
    labels = np.full(len(points), -1)
    for _ in range(STEPS):
        distances = _squared_distances(points, centers)
        before, labels = labels, distances.argmin(1)
        if (before == labels).all():
            break
        for index in np.unique(labels):  # a cluster without points keeps its center
            centers[index] = points[labels == index].mean(0)
    return labels, centers, float(((points - centers[labels]) ** 2).sum())


def _squared_distances(points: Points, others: Points) -> Float64[np.ndarray, "_ _"]:
    """Squared distances between all pairs, (points, others)."""
    # ‖a‖² + ‖b‖² − 2 a·b needs one matrix product; rounding may make it slightly negative.
    squares = (points**2).sum(1)[:, None] + (others**2).sum(1)
    distances: Float64[np.ndarray, "_ _"] = np.maximum(squares - 2 * points @ others.T, 0)
    return distances
