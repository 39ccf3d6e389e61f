"""Colours that take over a distribution: it is reached, similar colours stay, equal colours stay equal."""

import numpy as np
import pytest

from impasto.image.color_transfer import Colors, _match_distribution, move_colors


def cloud(seed: int, count: int) -> Colors:
    """Colours in two clusters of different shapes."""
    random = np.random.default_rng(seed)
    shape = random.standard_normal((3, 3))
    first = shape @ random.standard_normal((3, count // 2)) * 0.1
    return np.concatenate([first, 0.3 + 0.05 * random.standard_normal((3, count - count // 2))], axis=1)


def distance(colors: Colors, others: Colors) -> float:
    """The mean distance between quantiles along 30 directions that take no part in the transfer."""
    directions = np.random.default_rng(99).standard_normal((30, 3))
    directions /= np.linalg.norm(directions, axis=1, keepdims=True)
    at = np.linspace(0.01, 0.99, 99)
    ours, theirs = (np.quantile(directions @ part, at, axis=1) for part in (colors, others))
    return float(np.abs(ours - theirs).mean())


def test_moved_colors_have_the_distribution_of_the_others() -> None:
    colors, others = cloud(1, 4000), cloud(2, 3000)
    assert distance(move_colors(colors, others, np.ones(3000)), others) < 0.1 * distance(colors, others)


def test_colors_that_are_distributed_alike_hardly_move() -> None:
    colors = cloud(3, 4000)
    shuffled = colors[:, np.random.default_rng(4).permutation(4000)]
    np.testing.assert_allclose(move_colors(colors, shuffled, np.ones(4000)), colors, atol=2e-3)


def test_equal_colors_stay_equal() -> None:
    """A flat background must not become a ramp."""
    colors = cloud(5, 1000)
    colors[:, 200:700] = colors[:, 200:201]
    moved = move_colors(colors, cloud(6, 1000), np.ones(1000))
    assert np.array_equal(moved[:, 200:700], np.broadcast_to(moved[:, 200:201], (3, 500)))


@pytest.mark.parametrize("count", [1, 400])
def test_a_single_color_of_the_others_is_taken_by_all(count: int) -> None:
    moved = move_colors(cloud(7, 300), np.tile([[0.4], [0.1], [-0.2]], count), np.ones(count))
    np.testing.assert_allclose(moved, np.broadcast_to([[0.4], [0.1], [-0.2]], (3, 300)), atol=0.01)


def test_one_axis_is_matched_by_rank() -> None:
    """With as many values on both sides, the k-th smallest becomes the k-th smallest of the others."""
    random = np.random.default_rng(8)
    values, others = random.random(5000), random.random(5000) ** 3
    moved = _match_distribution(values, others, np.ones(5000))
    np.testing.assert_allclose(moved[np.argsort(values)], np.sort(others), atol=2 / 512)


def test_a_color_that_counts_twice_is_a_color_that_is_there_twice() -> None:
    colors, others = cloud(9, 500), cloud(10, 400)
    shares = np.where(np.arange(400) < 100, 2.0, 1.0)
    twice = np.concatenate([others, others[:, :100]], axis=1)
    expected = move_colors(colors, twice, np.ones(500))
    np.testing.assert_allclose(move_colors(colors, others, shares), expected, rtol=0, atol=1e-12)
