"""Each preset's loss of a fixed image equals the other tool's formula, written here in NumPy."""

from collections.abc import Callable, Mapping

import numpy as np
import pytest
import torch
from scipy.linalg import sqrtm

from impasto import StylizeSettings
from impasto.objective.bands import Band
from impasto.objective.evaluate import evaluator
from impasto.objective.style_loss import StyleTerm
from impasto.recipes.stylize import plan_stylize
from impasto.run.layout import Layout
from impasto.settings.presets import PRESETS
from small import plain_features, scene, small_layers, stripes

Features = Mapping[str, np.ndarray]
"""Responses (N, h, w) by layer."""


def gram(x: np.ndarray) -> np.ndarray:
    flat = x.reshape(len(x), -1)
    return flat @ flat.T


def mse(a: np.ndarray, b: np.ndarray) -> float:
    return float(((a - b) ** 2).mean())


STYLE = [f"conv{block}_1" for block in range(1, 6)]


def neural_style(
    x: Features, p: Features, a: Features, image: np.ndarray, smooth: Callable[..., float]
) -> float:
    """content 5 · MSE, style 100 · Σ MSE(G/CHW, A/CHW), smoothness 1e-3 · `smooth`."""
    content = 5 * mse(x["conv4_2"], p["conv4_2"])
    style = sum(100 * mse(gram(x[n]) / x[n].size, gram(a[n]) / a[n].size) for n in STYLE)
    return content + style + 1e-3 * smooth(image * 256)


def half_squares(image: np.ndarray) -> float:
    """The function whose gradient neural-style's TVLoss computes."""
    return 0.5 * float((np.diff(image, axis=0) ** 2).sum() + (np.diff(image, axis=1) ** 2).sum())


def absolute(image: np.ndarray) -> float:
    return float(np.abs(np.diff(image, axis=0)).sum() + np.abs(np.diff(image, axis=1)).sum())


def gatys_notebook(x: Features, p: Features, a: Features, image: np.ndarray) -> float:
    """content 1 · MSE, style Σ 1e3/N² · MSE(G/HW, A/HW)."""
    content = mse(x["conv4_2"], p["conv4_2"])
    return content + sum(
        1e3 / len(x[n]) ** 2 * mse(gram(x[n]) / x[n][0].size, gram(a[n]) / a[n][0].size) for n in STYLE
    )


def anishathalye(x: Features, p: Features, a: Features, image: np.ndarray) -> float:
    """5 · 2·l2/size, 500 · Σ 1/5 · 2·l2/size of G/size, 100 · 2·(l2/size + l2/size) of neighbours."""

    def l2(values: np.ndarray) -> float:
        return float((values**2).sum()) / 2

    content = 5 * 2 * l2(x["conv4_2"] - p["conv4_2"]) / x["conv4_2"].size
    style = 0.0
    for n in STYLE:
        difference = gram(x[n]) / x[n].size - gram(a[n]) / a[n].size
        style += 500 * 0.2 * 2 * l2(difference) / difference.size
    down, along = (np.diff(image * 255, axis=axis) for axis in (0, 1))
    return content + style + 100 * 2 * (l2(down) / down.size + l2(along) / along.size)


def gordicaleksa(x: Features, p: Features, a: Features, image: np.ndarray) -> float:
    """1e5 · MSE, 3e4 · Σ (sum of squares of G/CHW − A/CHW)/5, 1 · L1 of neighbours of 0..255."""
    content = 1e5 * mse(x["conv4_2"], p["conv4_2"])
    style = sum(float(((gram(x[n]) / x[n].size - gram(a[n]) / a[n].size) ** 2).sum()) for n in STYLE) / 5
    return content + 3e4 * style + absolute(image * 255)


def crowsonkb(x: Features, p: Features, a: Features, image: np.ndarray) -> float:
    """0.015 · MSE, Wasserstein-2 per channel with weights 256 … 1, 2 · nine-point total variation."""
    content = 0.015 * mse(x["conv4_2"], p["conv4_2"])
    style = 0.0
    for n, weight in zip(STYLE, (256, 64, 16, 4, 1), strict=True):
        (m, c), (mt, ct) = (
            (f.reshape(len(f), -1).mean(1), np.cov(f.reshape(len(f), -1), bias=True) + 1e-4 * np.eye(len(f)))
            for f in (x[n], a[n])
        )
        root = sqrtm(ct)
        covariances = np.diagonal(ct + c - 2 * sqrtm(root @ c @ root).real).mean()
        style += weight / 341 * (mse(m, mt) + covariances)
    y = np.pad(image, ((1, 1), (1, 1), (0, 0)), mode="edge")
    d1 = ((y[1:-1, 2:] - y[1:-1, 1:-1]) ** 2).mean() / 3
    d2 = ((y[2:, 1:-1] - y[1:-1, 1:-1]) ** 2).mean() / 3
    d3 = ((y[1:, 1:] - y[:-1, :-1]) ** 2).mean() / 12
    d4 = ((y[1:, :-1] - y[:-1, 1:]) ** 2).mean() / 12
    return content + style + 2 * 2 * (d1 + d2 + d3 + d4)


def gatys2015(x: Features, p: Features, a: Features, image: np.ndarray) -> float:
    """α · ½ Σ (F − P)² + β · Σ 1/5 · Σ (G/M − A/M)² / 4N²."""
    style = sum(
        0.2
        * float(((gram(x[n]) / x[n][0].size - gram(a[n]) / a[n][0].size) ** 2).sum())
        / (4 * len(x[n]) ** 2)
        for n in STYLE
    )
    return 1e-3 * 0.5 * float(((x["conv4_2"] - p["conv4_2"]) ** 2).sum()) + style


THEIRS: dict[str, Callable[..., float]] = {
    "gatys2015": gatys2015,
    "neural-style": lambda *arrays: neural_style(*arrays, half_squares),
    "neural-style-pt": lambda *arrays: neural_style(*arrays, absolute),
    "gatys-notebook": gatys_notebook,
    "anishathalye": anishathalye,
    "gordicaleksa": gordicaleksa,
    "crowsonkb": crowsonkb,
}


def test_every_preset_has_a_formula_to_compare_with() -> None:
    assert set(THEIRS) == set(PRESETS)


@pytest.mark.parametrize("tile", [0, 32])
@pytest.mark.parametrize("name", PRESETS)
def test_a_presets_loss_equals_its_tools_formula(name: str, tile: int, small_file: str) -> None:
    """To 1e-4, whole and in tiles. The features come from an independent network in float64."""
    height, width = 48, 64
    photo, style, image = scene(height, width, seed=1), stripes(height, width), scene(height, width)
    settings = StylizeSettings.preset(
        name, size=64, pooling="average", weights=small_file, precision="float32", scales=1
    )
    plan = plan_stylize(photo, style, settings)
    objective = plan.problem.objective(plan.scales[0], Layout(tile))
    band = Band.of(height, width)
    loss = float(evaluator(plan.problem.network, objective, tile=tile, band=band)(image).loss)

    def arrays(picture: torch.Tensor) -> np.ndarray:
        return picture[0].permute(1, 2, 0).numpy()

    x, p, a = (
        plain_features(small_layers(), arrays(picture), [*STYLE, "conv4_2"])
        for picture in (image, photo, style)
    )
    expected = THEIRS[name](x, p, a, arrays(image).astype(np.float64))
    assert loss == pytest.approx(expected, rel=1e-4)


def test_twice_a_presets_content_weight_is_twice_its_content_loss(small_file: str) -> None:
    presets = [
        StylizeSettings.preset("neural-style", alpha=alpha, size=48, weights=small_file, precision="float32")
        for alpha in (5.0, 10.0)
    ]
    losses = []
    for preset in presets:
        plan = plan_stylize(scene(36, 48), stripes(40, 40), preset)
        objective = plan.problem.objective(plan.scales[0], Layout())
        losses.append(
            evaluator(plan.problem.network, objective)(scene(36, 48, seed=5)).by_term["content conv4_2"]
        )
    assert losses[1] == pytest.approx(2 * losses[0], rel=1e-6)


def test_a_chosen_statistic_replaces_the_presets(small_file: str) -> None:
    """`crowsonkb` compares Gaussians by default, and histograms if `style_loss` says so."""
    kinds = {}
    for style_loss in ("gram", "gaussian", "histogram"):
        settings = StylizeSettings.preset("crowsonkb", style_loss=style_loss, size=48, weights=small_file)
        plan = plan_stylize(scene(36, 48), stripes(40, 40), settings)
        terms = plan.problem.objective(plan.scales[0], Layout()).terms
        kinds[style_loss] = {type(t.statistic).__name__ for t in terms if isinstance(t, StyleTerm)}
    assert kinds == {
        "gram": {"GaussianStatistic"},
        "gaussian": {"GaussianStatistic"},
        "histogram": {"HistogramStatistic"},
    }
