"""Matching regions automatically: photo and paintings are clustered together, and equal clusters match.

Not in Gatys et al. 2015. The points are the cells of conv4_1's grid. Each is described by its responses, its
lightness and its height in the picture, so skies match skies and dark foregrounds match dark foregrounds. If
the clusters of photo and paintings differ too much, the match is not trusted, and the style is applied
without regions.
"""

import base64
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, TypeAlias

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Float64, UInt8
from torch import Tensor

from impasto.errors import CheckpointError
from impasto.image.color import luminance
from impasto.image.picture import Picture
from impasto.image.resize import fit, resize
from impasto.network.vgg import VGG19
from impasto.style.clustering import Points, k_means, silhouette

LAYER = "conv4_1"
"""The layer whose responses are clustered."""

SIDE = 384
"""Long side at which pictures are clustered, in pixels."""

COMPONENTS = 24
"""Principal components of the responses to keep. Each is divided by its standard deviation."""

FEATURES, LIGHT, HEIGHT = 0.5, 1.5, 3.0
"""Weights of each component, of the standardised luminance, and of the height, which goes from −0.5 (top) to
0.5 (bottom)."""

MOST, LEAST = 4, 2
"""Numbers of clusters to try, from most to least. With 5 clusters, hardly any of 28 pairs matched. The
silhouette alone is no guide, because it always chose two."""

LEAST_SHARE = 0.04
"""A picture lacks a cluster if the cluster covers less than this fraction of it."""

LEAST_SILHOUETTE = 0.37
"""Least mean silhouette times number of clusters of a trusted match."""

LIMITS = {"distance": 0.85, "height": 0.33, "light": 0.5, "borders": 0.16}
"""The largest values of a trusted match (see `_facts`). Like `LEAST_SILHOUETTE`, they were chosen on 28 pairs
that had been judged by eye before (docs/regions.md)."""

_REASONS = {
    "silhouette": "the pictures do not divide into distinct areas",
    "distance": "the areas of photo and painting are as far apart as different areas are",
    "height": "areas that match lie at different heights",
    "light": "areas that match differ in light",
    "borders": "the areas are scattered over the picture",
    "shared": "photo and painting share fewer than two areas",
}

Labels: TypeAlias = UInt8[Tensor, "_ _"]
"""(h, w): the cluster of each cell of a picture's grid."""


@dataclass(frozen=True, eq=False)
class RegionMatch:
    """Clusters that a photo and its paintings share.

    Attributes:
        labels: the cluster of each cell: for the photo first, then for each painting.
        clusters: number of clusters.
        facts: the numbers that decide whether the match is trusted, by name (see `_facts`).
    """

    labels: tuple[Labels, ...]
    clusters: int
    facts: Mapping[str, float] = field(default_factory=dict)

    @property
    def doubts(self) -> str:
        """Why the match is not trusted; empty if it is."""
        return ", and ".join(_REASONS[name] for name in _doubtful(self.facts, self.clusters))

    @cached_property
    def shares(self) -> Float64[Tensor, "pictures clusters"]:
        """The fraction of each picture that each cluster covers."""
        counts = [torch.bincount(part.flatten().long(), minlength=self.clusters) for part in self.labels]
        return torch.stack([count.double() / count.sum() for count in counts])

    @property
    def manifest_entry(self) -> dict[str, Any]:
        """The match for a manifest, about 1 kB per picture. `recorded_match` reads it."""
        maps = [
            {
                "size": [*part.shape],
                "labels": base64.b64encode(zlib.compress(part.numpy().tobytes(), 9)).decode(),
            }
            for part in self.labels
        ]
        return {"clusters": self.clusters, "facts": dict(self.facts), "doubts": self.doubts, "maps": maps}


def recorded_match(entry: Mapping[str, Any]) -> RegionMatch:
    """Read a match from a manifest, without clustering again.

    Args:
        entry: made by `RegionMatch.manifest_entry`.
    Raises:
        CheckpointError: the entry is damaged.
    """
    try:
        clusters = int(entry["clusters"])
        labels = []
        for part in entry["maps"]:
            height, width = map(int, part["size"])
            # A damaged entry could expand to gigabytes. One byte too many is enough to refuse it.
            code = base64.b64decode(part["labels"], validate=True)
            data = zlib.decompressobj().decompress(code, height * width + 1)
            values = np.frombuffer(data, np.uint8).copy().reshape(height, width)
            if values.max() >= clusters:
                raise ValueError(f"cluster {values.max()} of {clusters}")
            labels.append(torch.from_numpy(values))
        return RegionMatch(tuple(labels), clusters, {k: float(v) for k, v in entry["facts"].items()})
    except (AttributeError, KeyError, TypeError, ValueError, zlib.error) as error:
        raise CheckpointError(
            f"the matched regions in the manifest are damaged ({error}). Start the run anew."
        ) from error


def match_regions(network: VGG19, photo: Picture, paintings: Sequence[Picture]) -> RegionMatch:
    """Cluster a photo and paintings together, into as many clusters as match.

    The same pictures give the same clusters on the same machine.

    Args:
        network: in float32, on the CPU, up to conv4_1 at least.
        photo, paintings: of any size. Only the first picture of a batch is used.
    Returns:
        The trusted match with the most clusters, 2 to 4. If none is trusted, the match with the fewest doubts
        (see `RegionMatch.doubts`).
    """
    cells = [_describe(network, picture) for picture in (photo, *paintings)]
    points = _points(cells)
    sizes = [cell.light.shape for cell in cells]
    candidates = []
    for clusters in range(MOST, LEAST - 1, -1):
        match = _cluster(points, sizes, clusters)
        if not match.doubts:
            return match
        candidates.append(match)
    return min(candidates, key=lambda match: len(_doubtful(match.facts, match.clusters)))


@dataclass(frozen=True, eq=False)
class _Cells:
    """The cells of a picture's grid: responses (h·w, channels) and luminance (h, w)."""

    responses: Points
    light: Float64[np.ndarray, "_ _"]


def _describe(network: VGG19, picture: Picture) -> _Cells:
    """Describe a picture's cells, each averaged with its eight neighbours.

    Without the average, areas fall apart into specks: for 28 pairs and three clusters, 15 % instead of 11 %
    of neighbouring cells were in different clusters.
    """
    image = resize(picture.pixels[:1].cpu().float(), *fit(picture.height, picture.width, SIDE)).clamp(0, 1)
    with torch.inference_mode():
        responses = network.features(image, [LAYER])[LAYER].float()  # (1, channels, h, w)
        height, width = responses.shape[2:]
        light = resize(luminance(image), height, width)
        cells = F.avg_pool2d(F.pad(torch.cat([responses, light], 1), (1,) * 4, mode="replicate"), 3, 1)
    values = cells[0].double().numpy()
    return _Cells(values[:-1].reshape(len(values) - 1, -1).T, values[-1])


def _points(cells: Sequence[_Cells]) -> list[Points]:
    """Make the points to cluster, (cells, dimensions) for each picture.

    Responses are relative to each picture's mean, because a painting's technique shifts its responses
    everywhere. Without this, in one of 28 pairs the photo had no cell in one of three clusters.
    """
    centered = [cell.responses - cell.responses.mean(0) for cell in cells]
    stacked = np.concatenate(centered)
    values, axes = np.linalg.eigh(stacked.T @ stacked / len(stacked))
    values, axes = values[-COMPONENTS:], axes[:, -COMPONENTS:]
    axes = axes[:, values > 1e-9 * max(values[-1], 1e-12)]  # a flat picture has fewer
    axes = axes / np.sqrt(values[-axes.shape[1] :])
    points = []
    for cell, responses in zip(cells, centered, strict=True):
        height, width = cell.light.shape
        # The lower bound keeps the noise of an evenly lit picture from counting as contrast.
        light = (cell.light - cell.light.mean()) / max(cell.light.std(), 0.02)
        rows = np.linspace(-0.5, 0.5, height)[:, None].repeat(width, 1)
        more = np.stack([LIGHT * light.ravel(), HEIGHT * rows.ravel()], 1)
        points.append(np.concatenate([FEATURES * responses @ axes, more], 1))
    return points


def _cluster(points: Sequence[Points], sizes: Sequence[tuple[int, ...]], clusters: int) -> RegionMatch:
    """Cluster the points of all pictures together, and measure how well the clusters match."""
    stacked = np.concatenate(points)
    labels, centers = k_means(stacked, clusters)
    # Clusters are numbered from top to bottom, so that a colour means the same from run to run.
    order = np.argsort(centers[:, -1], kind="stable")
    labels, centers = np.argsort(order)[labels], centers[order]
    parts = np.split(labels, np.cumsum([len(part) for part in points])[:-1])
    facts = _facts(points, parts, sizes, centers)
    facts["silhouette"] = silhouette(stacked, labels)
    maps = [part.reshape(size).astype(np.uint8) for part, size in zip(parts, sizes, strict=True)]
    return RegionMatch(tuple(map(torch.from_numpy, maps)), clusters, facts)


def _facts(
    points: Sequence[Points],
    labels: Sequence[np.ndarray],
    sizes: Sequence[tuple[int, ...]],
    centers: Points,
) -> dict[str, float]:
    """Compute the numbers that decide whether a match is trusted.

    All but `shared` and `borders` are the worst over the clusters that the photo shares with a painting.

    Returns:
        shared: number of clusters that the photo shares with a painting. distance: between the mean points of
        a cluster in the photo and in the painting, divided by the distance from its center to the nearest
        other center. height: difference of these means in height, as a fraction of the picture's height.
        light: difference of these means in luminance, in standard deviations. borders: fraction of
        neighbouring cells in different clusters, the largest over the pictures.
    """
    apart = np.linalg.norm(centers[:, None] - centers, axis=2) + np.where(np.eye(len(centers)), np.inf, 0)
    worst = {"distance": 0.0, "height": 0.0, "light": 0.0}
    shared = set()
    for part, part_labels in zip(points[1:], labels[1:], strict=True):
        for index, nearest in enumerate(apart.min(1)):
            in_photo, in_painting = labels[0] == index, part_labels == index
            if min(in_photo.mean(), in_painting.mean()) < LEAST_SHARE:
                continue
            shared.add(index)
            gap = points[0][in_photo].mean(0) - part[in_painting].mean(0)
            # The last two dimensions are luminance and height, multiplied by their weights.
            values = (np.linalg.norm(gap) / nearest, abs(gap[-1]) / HEIGHT, abs(gap[-2]) / LIGHT)
            worst = {name: max(worst[name], float(v)) for name, v in zip(worst, values, strict=True)}
    maps = [part.reshape(size) for part, size in zip(labels, sizes, strict=True)]
    borders = max((np.mean(m[1:] != m[:-1]) + np.mean(m[:, 1:] != m[:, :-1])) / 2 for m in maps)
    return {**worst, "borders": float(borders), "shared": float(len(shared))}


def _doubtful(facts: Mapping[str, float], clusters: int) -> list[str]:
    """Return the names of the facts that speak against a match."""
    names = [name for name, most in LIMITS.items() if facts[name] > most]
    names += ["silhouette"] if facts["silhouette"] * clusters < LEAST_SILHOUETTE else []
    return names + (["shared"] if facts["shared"] < LEAST else [])
