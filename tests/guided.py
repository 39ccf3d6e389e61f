"""An objective that uses every control: regions, every style statistic, a painting for each region."""

import torch

from impasto.network.vgg import VGG19
from impasto.objective.build import StyleTarget, content_terms, prior_terms, style_terms
from impasto.objective.dictionaries import build_dictionaries
from impasto.objective.guidance_mask import GuidanceMask
from impasto.objective.matching import match
from impasto.objective.neighbors import NeighborTerm
from impasto.objective.objective import Objective
from impasto.objective.statistics import STATISTICS, HistogramStatistic
from impasto.objective.style_loss import Statistic
from impasto.objective.targets import style_means
from impasto.shapes import Image
from small import scene, small_network, stripes

LAYERS = {"conv1_1": 0.5, "conv3_1": 0.3, "conv5_1": 0.2}


def halves(height: int, width: int, soft: int = 5) -> list[GuidanceMask]:
    """Masks of the left and the right half, with a soft border between them; everywhere they add up to 1."""
    ramp = ((torch.arange(width) - width / 2) / soft + 0.5).clamp(0, 1).expand(height, width)
    right = (255 * ramp).round().to(torch.uint8)
    return [GuidanceMask(255 - right), GuidanceMask(right)]


def statistics_for(kind: str, network: VGG19, style: Image) -> dict[str, Statistic]:
    if kind in STATISTICS:
        return dict.fromkeys(LAYERS, STATISTICS[kind])
    (means,) = style_means(network, style, dict.fromkeys(LAYERS, STATISTICS["gaussian"]))
    return {name: HistogramStatistic.around(mean, bins=32) for name, mean in means.items()}


def guided(
    size: tuple[int, int], kind: str, dtype: torch.dtype, *, tile: int = 0, pooling: str = "max"
) -> tuple[VGG19, Objective, Image]:
    """An objective of content, priors and two regions, each in the style of one half of a painting."""
    network = small_network(dtype=dtype, pooling=pooling)
    content, style = scene(*size, seed=1).to(dtype), stripes(52, 70).to(dtype)
    if kind == "neighbors":
        dictionaries = build_dictionaries(network, style, areas=halves(52, 70), tile=tile)
        sides = zip(dictionaries, halves(*size), ("left", "right"), strict=True)
        terms = [NeighborTerm(columns, size, 2 * area.share, area, label) for columns, area, label in sides]
        image = 1.2 * scene(*size).to(dtype) - 0.1
        coherence = 0.6 if tile else 0.0
        objective = match(network, Objective(tuple(terms)), image, coherence=coherence, tile=tile)
        return network, objective, image
    statistics = statistics_for(kind, network, style)
    means = style_means(network, style, statistics, areas=halves(52, 70), tile=tile)
    targets = [
        StyleTarget(mean, dict.fromkeys(LAYERS, area.share), statistics, area, label)
        for mean, area, label in zip(means, halves(*size), ("left", "right"), strict=True)
    ]
    terms = (
        *content_terms(network, content, {"conv4_2": 1.0}, weight=1.0, formula="balanced", tile=tile),
        *style_terms(targets, LAYERS, canvas=size, weight=5.0, formula="balanced"),
        *prior_terms(size, variation=0.5, gamut=3.0, formula="crowsonkb"),
    )
    return network, Objective(terms), 1.2 * scene(*size).to(dtype) - 0.1
