"""Statistics of a style: additive, exact derivatives, and the numbers that the literature says."""

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


def test_every_name_has_a_statistic_and_words_for_the_help() -> None:
    assert set(STYLE_STATISTICS) == set(KINDS) == {*STATISTICS, "histogram"}


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("kind", KINDS)
def test_totals_add_up_over_positions(kind: str, weighted: bool) -> None:
    one, whole = statistic(kind), features(1)
    weights = torch.rand(1, 1, 7, 9, dtype=torch.float64) if weighted else None
    parts = [
        one.measure(whole[:, :, rows], None if weights is None else weights[:, :, rows])
        for rows in (slice(0, 3), slice(3, 7))
    ]
    torch.testing.assert_close(sum(parts), one.measure(whole, weights), rtol=1e-12, atol=1e-12)
    assert one.measure(whole).shape == one.shape(6)


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("kind", KINDS)
def test_the_way_back_is_the_derivative(kind: str, weighted: bool) -> None:
    """Our closed forms = autograd through the measure and the score."""
    one, here = statistic(kind), features(1).requires_grad_(True)
    weights = torch.rand(1, 1, 7, 9, dtype=torch.float64) if weighted else None
    positions = 63 if weights is None else float(weights.sum())
    target = one.target(one.measure(features(2)) / 63)
    (expected,) = torch.autograd.grad(one.distance(one.measure(here, weights), positions, target), here)
    total = one.measure(here.detach(), weights).requires_grad_(True)
    (derivative,) = torch.autograd.grad(one.distance(total, positions, target), total)
    start = torch.ones_like(expected)
    found = one.pull_back(here.detach(), weights, derivative, None)
    torch.testing.assert_close(found, expected, rtol=1e-9, atol=1e-12)
    added = one.pull_back(here.detach(), weights, derivative, start.clone())
    torch.testing.assert_close(added, start + expected, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("kind", KINDS)
def test_the_derivative_is_that_of_the_distance(kind: str) -> None:
    """Against finite differences, which know nothing of eigenvectors and bins."""
    one, here, step = statistic(kind), features(1), 1e-6
    target = one.target(one.measure(features(2)) / 63)
    total = one.measure(here).requires_grad_(True)
    (derivative,) = torch.autograd.grad(one.distance(total, 63, target), total)
    found = one.pull_back(here, None, derivative, None)
    way = torch.randn_like(here)
    ahead, behind = (
        float(one.distance(one.measure(here + sign * step * way), 63, target)) for sign in (1, -1)
    )
    assert float((found * way).sum()) == pytest.approx((ahead - behind) / (2 * step), rel=1e-4)


@pytest.mark.parametrize("kind", KINDS)
def test_the_same_features_are_at_distance_0(kind: str) -> None:
    one, total = statistic(kind), statistic(kind).measure(features(1))
    target = one.target(total / 63)
    assert abs(float(one.distance(total, 63, target))) < 1e-6
    assert float(one.distance(one.measure(features(2)), 63, target)) > 1e-3


def test_two_gaussians_are_as_far_apart_as_dowson_and_landau_say() -> None:
    """Independently, with SciPy's matrix root."""
    one = GaussianStatistic(ridge=1e-4, relative=False)
    a, b = (features(seed)[0].flatten(1).numpy() for seed in (1, 2))
    cov = [np.cov(x, bias=True) + 1e-4 * np.eye(6) for x in (a, b)]
    root = sqrtm(cov[1])
    expected = ((a.mean(1) - b.mean(1)) ** 2).sum() + np.trace(
        cov[0] + cov[1] - 2 * sqrtm(root @ cov[0] @ root).real
    )
    target = one.target(one.measure(features(2)) / 63)
    assert float(one.distance(one.measure(features(1)), 63, target)) == pytest.approx(expected, rel=1e-5)


def test_histograms_are_as_far_apart_as_their_distributions() -> None:
    """Independently: empirical distributions along each direction, integrated on a fine grid."""
    both = [GaussianStatistic().measure(features(seed)) / 126 for seed in (1, 2)]
    one = HistogramStatistic.around(both[0] + both[1], bins=2000)
    target = one.target(one.measure(features(2)) / 63)
    found = float(one.distance(one.measure(features(1)), 63, target))
    expected = []
    for direction, low, step in zip(one.directions, one.low, one.step, strict=True):
        grid = np.linspace(float(low), float(low + step * 1999), 20001)
        a, b = (np.sort((direction @ features(seed)[0].flatten(1)).numpy()) for seed in (1, 2))
        apart = np.searchsorted(a, grid) / 63 - np.searchsorted(b, grid) / 63
        expected.append((apart**2).mean() * (grid[-1] - grid[0]))
    assert found == pytest.approx(np.mean(expected), rel=0.02)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("size", [SIZES[2], SIZES[7]])
def test_regions_by_tiles_are_regions_of_the_whole(size: tuple[int, int], kind: str) -> None:
    network, objective, image = guided(size, kind, torch.float64)
    expected = evaluator(network, objective)(image)
    network, objective, image = guided(size, kind, torch.float64, tile=48)
    found = evaluator(network, objective, tile=48)(image)
    torch.testing.assert_close(found.values, expected.values, rtol=1e-10, atol=0)
    assert distance(found.gradient, expected.gradient) < 1e-10


@pytest.mark.parametrize("kind", KINDS)
def test_a_region_that_is_everything_is_no_region(kind: str) -> None:
    size, network, style = (49, 50), small_network(dtype=torch.float64), stripes(52, 70).double()
    statistics = statistics_for(kind, network, style)
    image = scene(*size).double()
    values = []
    for own, other in (
        (None, None),
        (GuidanceMask(torch.full(size, 255).byte()), GuidanceMask(torch.full((52, 70), 255).byte())),
    ):
        (means,) = style_means(network, style, statistics, areas=[other])
        terms = style_terms(
            [StyleTarget(means, {}, statistics, own)], LAYERS, canvas=size, weight=1.0, formula="balanced"
        )
        from impasto.objective.objective import Objective

        values.append(evaluator(network, Objective(terms))(image))
    torch.testing.assert_close(values[1].values, values[0].values, rtol=1e-12, atol=0)
    assert distance(values[1].gradient, values[0].gradient) < 1e-12


def test_the_areas_of_a_picture_count_every_position_once() -> None:
    for name, known in GRIDS.items():
        rows, columns = (slice(0, side) for side in known.grid(53, 127))
        total = sum(area.at(name, rows, columns) for area in halves(53, 127))
        torch.testing.assert_close(total, torch.ones_like(total), rtol=0, atol=1e-6)
        assert sum(area.positions(name) for area in halves(53, 127)) == pytest.approx(total.numel(), rel=1e-6)


def test_a_guide_by_parts_is_the_guide_of_the_whole() -> None:
    for inner in (False, True):
        area = replace(halves(53, 127)[0], excludes_border=inner)
        for name, known in GRIDS.items():
            height, width = known.grid(53, 127)
            whole = area.at(name, slice(0, height), slice(0, width))
            assert whole.shape == (1, 1, height, width)
            part = area.at(name, slice(1, height), slice(width // 2, width))
            torch.testing.assert_close(part, whole[:, :, 1:, width // 2 :], rtol=0, atol=1e-7)


def test_the_inside_of_an_area_leaves_its_border_out() -> None:
    left = halves(64, 64)[0]
    for name in ("conv1_1", "conv3_1"):
        rows, columns = (slice(0, side) for side in GRIDS[name].grid(64, 64))
        plain, inner = (
            left.at(name, rows, columns),
            replace(left, excludes_border=True).at(name, rows, columns),
        )
        assert float(inner.sum()) < float(plain.sum())
        assert bool((inner[plain < 0.4] == 0).all())


def test_a_style_term_is_as_before() -> None:
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
