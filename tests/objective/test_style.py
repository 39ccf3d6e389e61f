"""Style statistics add up, have exact derivatives, and agree with the formulas of the literature."""

from dataclasses import replace
from typing import get_args

import numpy as np
import pytest
import torch
from scipy.linalg import sqrtm

from guided import LAYERS, guided, halves, statistics_for
from impasto.choices import STYLE_STATISTICS, StyleLoss
from impasto.layers import LAYERS as GRIDS
from impasto.objective.build import StyleTarget, style_terms, style_terms_from_images
from impasto.objective.evaluate import evaluator
from impasto.objective.guidance_mask import GuidanceMask
from impasto.objective.objective import Objective
from impasto.objective.statistics import STATISTICS, GaussianStatistic, HistogramStatistic
from impasto.objective.style_loss import Statistic, StyleTerm
from impasto.objective.targets import style_means
from small import scene, small_network, stripes
from tiled import SIZES, distance

KINDS = get_args(StyleLoss)


def features(seed: int, height: int = 7, width: int = 9, channels: int = 6) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    mix = torch.randn(channels, channels, generator=generator, dtype=torch.float64)
    raw = torch.randn(1, channels, height, width, generator=generator, dtype=torch.float64)
    return torch.einsum("dc,bchw->bdhw", mix, raw).abs().contiguous(memory_format=torch.channels_last)


def statistic(kind: str) -> Statistic:
    if kind == "histogram":
        return HistogramStatistic.around(GaussianStatistic().measure(features(3)) / 63, bins=24)
    return STATISTICS[kind]


def test_every_name_has_a_statistic_and_a_help_text() -> None:
    assert set(STYLE_STATISTICS) == set(KINDS) == {*STATISTICS, "histogram"}


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("kind", KINDS)
def test_totals_add_up_over_positions(kind: str, weighted: bool) -> None:
    stat, whole = statistic(kind), features(1)
    weights = torch.rand(1, 1, 7, 9, dtype=torch.float64) if weighted else None
    parts = [
        stat.measure(whole[:, :, rows], None if weights is None else weights[:, :, rows])
        for rows in (slice(0, 3), slice(3, 7))
    ]
    torch.testing.assert_close(sum(parts), stat.measure(whole, weights), rtol=1e-12, atol=1e-12)
    assert stat.measure(whole).shape == stat.shape(6)


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("kind", KINDS)
def test_pull_back_equals_autograd(kind: str, weighted: bool) -> None:
    """Autograd goes through `measure` and `distance`; `pull_back` adds to a given gradient."""
    stat, image_features = statistic(kind), features(1).requires_grad_(True)
    weights = torch.rand(1, 1, 7, 9, dtype=torch.float64) if weighted else None
    positions = 63 if weights is None else float(weights.sum())
    target = stat.target(stat.measure(features(2)) / 63)
    (expected,) = torch.autograd.grad(
        stat.distance(stat.measure(image_features, weights), positions, target), image_features
    )
    total = stat.measure(image_features.detach(), weights).requires_grad_(True)
    (derivative,) = torch.autograd.grad(stat.distance(total, positions, target), total)
    start = torch.ones_like(expected)
    gradient = stat.pull_back(image_features.detach(), weights, derivative, None)
    torch.testing.assert_close(gradient, expected, rtol=1e-9, atol=1e-12)
    added = stat.pull_back(image_features.detach(), weights, derivative, start.clone())
    torch.testing.assert_close(added, start + expected, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("kind", KINDS)
def test_pull_back_equals_finite_differences(kind: str) -> None:
    """Finite differences are independent of the eigenvectors and bins that autograd goes through."""
    stat, image_features, step = statistic(kind), features(1), 1e-6
    target = stat.target(stat.measure(features(2)) / 63)
    total = stat.measure(image_features).requires_grad_(True)
    (derivative,) = torch.autograd.grad(stat.distance(total, 63, target), total)
    gradient = stat.pull_back(image_features, None, derivative, None)
    direction = torch.randn_like(image_features)
    ahead, behind = (
        float(stat.distance(stat.measure(image_features + sign * step * direction), 63, target))
        for sign in (1, -1)
    )
    assert float((gradient * direction).sum()) == pytest.approx((ahead - behind) / (2 * step), rel=1e-4)


@pytest.mark.parametrize("kind", KINDS)
def test_equal_features_are_at_distance_0(kind: str) -> None:
    stat, total = statistic(kind), statistic(kind).measure(features(1))
    target = stat.target(total / 63)
    assert abs(float(stat.distance(total, 63, target))) < 1e-6
    assert float(stat.distance(stat.measure(features(2)), 63, target)) > 1e-3


def test_the_distance_of_gaussians_equals_dowson_and_landaus_formula() -> None:
    """Computed independently with SciPy's matrix square root."""
    stat = GaussianStatistic(ridge=1e-4, relative=False)
    a, b = (features(seed)[0].flatten(1).numpy() for seed in (1, 2))
    cov = [np.cov(x, bias=True) + 1e-4 * np.eye(6) for x in (a, b)]
    root = sqrtm(cov[1])
    expected = ((a.mean(1) - b.mean(1)) ** 2).sum() + np.trace(
        cov[0] + cov[1] - 2 * sqrtm(root @ cov[0] @ root).real
    )
    target = stat.target(stat.measure(features(2)) / 63)
    assert float(stat.distance(stat.measure(features(1)), 63, target)) == pytest.approx(expected, rel=1e-5)


def test_the_distance_of_histograms_equals_that_of_the_distributions() -> None:
    """Computed independently: empirical distributions along each direction, integrated on a fine grid."""
    means = [GaussianStatistic().measure(features(seed)) / 126 for seed in (1, 2)]
    stat = HistogramStatistic.around(means[0] + means[1], bins=2000)
    target = stat.target(stat.measure(features(2)) / 63)
    computed = float(stat.distance(stat.measure(features(1)), 63, target))
    expected = []
    for direction, low, step in zip(stat.directions, stat.low, stat.step, strict=True):
        grid = np.linspace(float(low), float(low + step * 1999), 20001)
        a, b = (np.sort((direction @ features(seed)[0].flatten(1)).numpy()) for seed in (1, 2))
        difference = np.searchsorted(a, grid) / 63 - np.searchsorted(b, grid) / 63
        expected.append((difference**2).mean() * (grid[-1] - grid[0]))
    assert computed == pytest.approx(np.mean(expected), rel=0.02)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("size", [SIZES[2], SIZES[7]])
def test_regions_in_tiles_give_the_same_as_on_the_whole_image(size: tuple[int, int], kind: str) -> None:
    network, objective, image = guided(size, kind, torch.float64)
    expected = evaluator(network, objective)(image)
    network, objective, image = guided(size, kind, torch.float64, tile=48)
    tiled = evaluator(network, objective, tile=48)(image)
    torch.testing.assert_close(tiled.values, expected.values, rtol=1e-10, atol=0)
    assert distance(tiled.gradient, expected.gradient) < 1e-10


@pytest.mark.parametrize("kind", KINDS)
def test_a_region_that_covers_the_image_changes_nothing(kind: str) -> None:
    size, network, style = (49, 50), small_network(dtype=torch.float64), stripes(52, 70).double()
    statistics = statistics_for(kind, network, style)
    image = scene(*size).double()
    evaluations = []
    for image_mask, style_mask in (
        (None, None),
        (GuidanceMask(torch.full(size, 255).byte()), GuidanceMask(torch.full((52, 70), 255).byte())),
    ):
        (means,) = style_means(network, style, statistics, areas=[style_mask])
        terms = style_terms(
            [StyleTarget(means, {}, statistics, image_mask)],
            LAYERS,
            canvas=size,
            weight=1.0,
            formula="balanced",
        )
        evaluations.append(evaluator(network, Objective(terms))(image))
    torch.testing.assert_close(evaluations[1].values, evaluations[0].values, rtol=1e-12, atol=0)
    assert distance(evaluations[1].gradient, evaluations[0].gradient) < 1e-12


def test_two_complementary_masks_count_every_position_once() -> None:
    for name, layer in GRIDS.items():
        rows, columns = (slice(0, side) for side in layer.grid(53, 127))
        total = sum(area.at(name, rows, columns) for area in halves(53, 127))
        torch.testing.assert_close(total, torch.ones_like(total), rtol=0, atol=1e-6)
        assert sum(area.positions(name) for area in halves(53, 127)) == pytest.approx(total.numel(), rel=1e-6)


def test_a_part_of_a_mask_is_that_part_of_the_whole_mask() -> None:
    for excludes in (False, True):
        area = replace(halves(53, 127)[0], excludes_border=excludes)
        for name, layer in GRIDS.items():
            height, width = layer.grid(53, 127)
            whole = area.at(name, slice(0, height), slice(0, width))
            assert whole.shape == (1, 1, height, width)
            part = area.at(name, slice(1, height), slice(width // 2, width))
            torch.testing.assert_close(part, whole[:, :, 1:, width // 2 :], rtol=0, atol=1e-7)


def test_a_mask_can_exclude_its_border() -> None:
    left = halves(64, 64)[0]
    for name in ("conv1_1", "conv3_1"):
        rows, columns = (slice(0, side) for side in GRIDS[name].grid(64, 64))
        plain, inner = (
            left.at(name, rows, columns),
            replace(left, excludes_border=True).at(name, rows, columns),
        )
        assert float(inner.sum()) < float(plain.sum())
        assert bool((inner[plain < 0.4] == 0).all())


def test_a_style_term_has_its_name_positions_weight_and_shape() -> None:
    network, style = small_network(), stripes(40, 40)
    (term,) = style_terms_from_images(
        network, [(style, 1.0)], {"conv2_1": 1.0}, canvas=(32, 48), weight=2.0, formula="paper"
    )
    assert isinstance(term, StyleTerm)
    assert (term.name, term.positions, term.weight, term.total_shape) == (
        "style conv2_1",
        16 * 24,
        2.0,
        (1, 8, 8),
    )
