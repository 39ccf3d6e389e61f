"""Reconstructions, the paper's derivatives through a whole network, and tileable textures."""

import math
from pathlib import Path

import numpy as np
import pytest
import torch
from typer.testing import CliRunner

from impasto import (
    ReconstructContentSettings,
    ReconstructStyleSettings,
    reconstruct_content,
    reconstruct_style,
)
from impasto.cli.main import app
from impasto.errors import SettingsError
from impasto.image.read import read_picture
from impasto.objective.build import content_terms, prior_terms, style_terms_from_images
from impasto.objective.evaluate import evaluator
from impasto.objective.objective import Objective
from impasto.recipes.reconstruct import plan_content, plan_style
from impasto.recipes.reconstruction import psnr
from impasto.results import manifest as manifests
from impasto.run.layout import Layout
from impasto.run.loop import iter_run
from small import scene, small_network, stripes

STYLE = ("conv1_1", "conv2_1", "conv3_1", "conv4_1", "conv5_1")


def test_content_gradient_is_eq_2_pulled_back_through_the_network() -> None:
    """Eq. 2 written out, (F − P) where F > 0, else 0, and pulled back to the pixels by autograd."""
    network = small_network(dtype=torch.float64)
    content, image = scene(40, 48).double(), scene(40, 48, seed=2).double().requires_grad_(True)
    terms = content_terms(network, content, {"conv4_2": 1.0}, weight=1.0, formula="paper")
    responses = network.features(image, ["conv4_2"])["conv4_2"]
    target = network.features(content, ["conv4_2"])["conv4_2"]
    published = torch.where(responses > 0, responses - target, 0.0).detach()
    (expected,) = torch.autograd.grad(responses, image, grad_outputs=published)
    torch.testing.assert_close(
        evaluator(network, Objective(terms))(image).gradient, expected, rtol=1e-10, atol=1e-14
    )


@pytest.mark.parametrize("name", STYLE)
def test_style_gradient_is_eq_6_pulled_back_through_the_network(name: str) -> None:
    """Eq. 6 written out, (Fᵀ (G − A))ᵀ / (N² M²) where F > 0, else 0, and pulled back by autograd."""
    network = small_network(dtype=torch.float64)
    style, image = stripes(40, 48).double(), scene(40, 48, seed=2).double().requires_grad_(True)
    terms = style_terms_from_images(
        network, [(style, 1.0)], {name: 1.0}, canvas=(40, 48), weight=1.0, formula="paper"
    )
    responses = network.features(image, [name])[name]
    f = responses.detach()[0].flatten(1).numpy()
    s = network.features(style, [name])[name][0].flatten(1).numpy()
    n, m = f.shape
    published = (f.T @ (f @ f.T - s @ s.T)).T / (n**2 * m**2)
    published = torch.from_numpy(np.where(f > 0, published, 0.0)).reshape(responses.shape)
    (expected,) = torch.autograd.grad(responses, image, grad_outputs=published)
    torch.testing.assert_close(
        evaluator(network, Objective(terms))(image).gradient, expected, rtol=1e-9, atol=1e-16
    )


def test_low_layers_give_the_image_back_and_higher_ones_less(photo: str, small_file: str) -> None:
    psnrs = []
    for layer in ("conv1_1", "conv3_1", "conv5_1"):
        settings = ReconstructContentSettings(layer=layer, size=48, steps=40, weights=small_file)
        result = reconstruct_content(photo, settings).manifest["result"]
        psnrs.append(result["psnr"])
    assert psnrs[0] > 30
    assert psnrs == sorted(psnrs, reverse=True)


def test_the_error_reported_is_the_error_of_the_features(photo: str, small_file: str) -> None:
    """With one scale and no prior, the loss is the square of the error."""
    settings = ReconstructContentSettings(layer="relu2_1", size=64, steps=20, scales=1, weights=small_file)
    result = reconstruct_content(photo, settings).manifest["result"]
    assert settings.layer == "conv2_1"
    # The tolerance is wide, because the error is that of the clamped image and the loss is not.
    assert result["relative_error"] == pytest.approx(math.sqrt(result["loss"]), rel=0.1)
    assert result["relative_error"] < 0.2


def test_psnr_of_a_known_difference() -> None:
    grey = torch.full((1, 3, 4, 4), 0.5)
    assert psnr(grey, grey + 0.1) == pytest.approx(20, abs=1e-4)
    assert psnr(grey, grey) == pytest.approx(100)


def test_style_is_matched_at_any_size(painting: str, small_file: str) -> None:
    settings = ReconstructStyleSettings(
        size="80x48", style_size=64, steps=60, finest_steps=60, scales=2, noise=1.0, weights=small_file,
        precision="float32",
    )  # fmt: skip
    plan = plan_style(painting, settings)
    assert plan.canvas == (48, 80)
    scale = plan.scales[-1]
    initial = evaluator(plan.problem.network, plan.problem.objective(scale, Layout()))(
        plan.problem.initial_image(scale)
    ).by_term
    *_, last = iter_run(plan)
    for name, value in last.by_term.items():
        assert value < 0.01 * initial[name], name


@pytest.mark.parametrize(("name", "step"), [("conv1_1", 1), ("conv2_1", 2), ("conv3_1", 4), ("conv5_1", 16)])
def test_on_a_torus_a_shift_changes_nothing(name: str, step: int) -> None:
    """The shift is a multiple of the layer's stride, because the poolings divide the image into a grid."""
    network = small_network(dtype=torch.float64).with_padding("circular")
    terms = style_terms_from_images(
        network, [(stripes(32, 48).double(), 1.0)], {name: 1.0}, canvas=(32, 48), weight=1.0, formula="paper"
    )
    evaluate = evaluator(network, Objective(terms))
    image = scene(32, 48).double()
    loss = float(evaluate(image).loss)
    for down, right in ((step, 0), (0, step), (16, 32), (-step, step)):
        assert float(evaluate(image.roll((down, right), (2, 3))).loss) == pytest.approx(loss, rel=1e-9)
    plain = evaluator(small_network(dtype=torch.float64), Objective(terms))
    assert float(plain(image.roll(16, 2)).loss) != pytest.approx(float(plain(image).loss), rel=1e-6)


def test_a_circular_prior_counts_differences_across_the_edges() -> None:
    image = torch.zeros(1, 3, 4, 6)
    image[:, :, :, -1] = 1
    plain, circular = (
        float(prior_terms((4, 6), variation=1.0, gamut=0.0, circular=flag)[0].measure(image))
        for flag in (False, True)
    )
    assert (plain, circular) == (12, 24)


def seam(image: torch.Tensor) -> float:
    """The mean difference across the opposite edges, divided by the mean difference of neighbours inside."""
    across = (image[..., 0] - image[..., -1]).abs().mean() + (image[:, :, 0] - image[:, :, -1]).abs().mean()
    inside = (image[..., 1:] - image[..., :-1]).abs().mean() + (
        image[:, :, 1:] - image[:, :, :-1]
    ).abs().mean()
    return float(across / inside)


def test_a_tileable_texture_has_no_seam(painting: str, small_file: str) -> None:
    seams = {}
    for tileable in (False, True):
        settings = ReconstructStyleSettings(
            layers={"conv1_1": 0.5, "conv2_1": 0.5}, size="64x64", style_size=64, tileable=tileable, scales=1,
            steps=80, tv=0.1, weights=small_file, precision="float32",
        )  # fmt: skip
        seams[tileable] = seam(reconstruct_style(painting, settings).picture.pixels)
    assert seams[True] < 1.3
    assert seams[True] < seams[False]


@pytest.mark.parametrize(
    ("size", "message"),
    [
        ("big", "size is 'big'; it must be the long side"),
        ("12", "each at least 16 px"),
        ("64x", "it must be the long side"),
        ("64x64x64", "it must be the long side"),
        ("-64", "it must be the long side"),
    ],
)
def test_bad_sizes_are_refused(size: str, message: str) -> None:
    with pytest.raises(SettingsError, match=message):
        ReconstructStyleSettings(size=size)


def test_a_size_is_both_sides_or_the_longer_side() -> None:
    assert ReconstructStyleSettings(size="384X256").canvas(10, 20) == (256, 384)
    assert ReconstructStyleSettings(size="200").canvas(10, 20) == (100, 200)


def test_the_size_of_a_tileable_texture_must_be_a_multiple_of_16(painting: str, small_file: str) -> None:
    settings = ReconstructStyleSettings(
        size="100x64", style_size=64, tileable=True, scales=1, weights=small_file
    )
    with pytest.raises(SettingsError, match=r"multiples of 16 px; 100×64 is not\. Use --size 96x64\."):
        plan_style(painting, settings)


def test_commands_report_the_error_and_can_be_rerun(photo: str, painting: str, small_file: str) -> None:
    runner = CliRunner()
    options = ["--weights", small_file, "--steps", "5", "--scales", "1", "--precision", "float32"]
    result = runner.invoke(
        app, ["reconstruct", "content", photo, "--layer", "conv1_1", "--size", "48", *options]
    )
    assert result.exit_code == 0, result.output
    assert "Relative error of the features" in result.stderr
    result = runner.invoke(
        app,
        ["reconstruct", "style", painting, "--size", "64x32", "--style-size", "32", "--tileable", *options],
    )
    assert result.exit_code == 0, result.output
    assert sorted(path.name for path in Path().iterdir()) == ["painting-texture.png", "photo-conv1_1.png"]
    for name in ("painting-texture", "photo-conv1_1"):
        assert manifests.read(f"{name}.png")["command"].startswith("reconstruct ")
        rerun = runner.invoke(app, ["rerun", f"{name}.png"])
        assert rerun.exit_code == 0, rerun.output
        assert torch.equal(read_picture(f"{name}.png").pixels, read_picture(f"{name}-rerun.png").pixels)


def test_an_unknown_layer_is_refused_and_scales_too_small_for_a_layer_are_left_out(
    photo: str, small_file: str
) -> None:
    with pytest.raises(SettingsError, match="no layer 'conv9_1'"):
        ReconstructContentSettings(layer="conv9_1")
    scales = plan_content(
        photo, ReconstructContentSettings(layer="conv5_1", size=64, weights=small_file)
    ).scales
    assert [scale.width for scale in scales] == [32, 64]  # 16×12 is below one position of conv5_1
