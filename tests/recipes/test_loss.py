"""`impasto loss` equals an independent float64 computation of the paper's formulas."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from typer.testing import CliRunner

from impasto import LossSettings, paper_loss
from impasto.cli.main import app
from impasto.image.read import read_picture
from impasto.image.resize import resize
from impasto.network.weights import load
from small import EXAMPLES, halved, plain_features, save, scene, small_layers, stripes

STYLE = ["conv1_1", "conv2_1", "conv3_1", "conv4_1", "conv5_1"]
Responses = dict[str, np.ndarray]


def by_formula(image: Responses, content: Responses, style: Responses) -> dict[str, float]:
    """Eq. 1 and Eq. 3-5 and 7 with w_l = 1/5, α = 1e-3, β = 1, in NumPy."""
    parts = {"content": 0.5 * ((image["conv4_2"] - content["conv4_2"]) ** 2).sum(), "style": 0.0}
    for name in STYLE:
        n = image[name].shape[0]
        f, s = (x[name].reshape(n, -1) for x in (image, style))
        g, a = f @ f.T / f.shape[1], s @ s.T / s.shape[1]
        parts[name] = ((g - a) ** 2).sum() / (4 * n**2)
        parts["style"] += 0.2 * parts[name]
    parts["total"] = 1e-3 * parts["content"] + parts["style"]
    return parts


def test_the_loss_equals_the_papers_formulas(small_file: str) -> None:
    pictures = {"content": scene(34, 45), "style": stripes(34, 45), "image": scene(34, 45, seed=5)}
    responses = {
        k: plain_features(small_layers(), v[0].permute(1, 2, 0).numpy(), [*STYLE, "conv4_2"])
        for k, v in pictures.items()
    }
    expected = by_formula(responses["image"], responses["content"], responses["style"])
    ours = paper_loss(
        pictures["content"], pictures["style"], pictures["image"], LossSettings(weights=small_file)
    )
    assert ours.total == pytest.approx(expected["total"], rel=1e-5)
    assert ours.total_content == pytest.approx(expected["content"], rel=1e-5)
    assert ours.style == pytest.approx({name: expected[name] for name in STYLE}, rel=1e-5)


def test_the_chosen_weights_and_layers_are_used(small_file: str) -> None:
    settings = LossSettings(
        layers={"conv1_1": 2.0}, content_layers={"conv2_1": 0.5}, alpha=3.0, beta=7.0, weights=small_file
    )
    loss = paper_loss(scene(32, 32), stripes(32, 32), scene(32, 32, seed=5), settings)
    assert loss.total_content == pytest.approx(0.5 * loss.content["conv2_1"])
    assert loss.total_style == pytest.approx(2 * loss.style["conv1_1"])
    assert loss.total == pytest.approx(3 * loss.total_content + 7 * loss.total_style)


def fast_features(image: torch.Tensor, layers: list[str]) -> Responses:
    """The network in float64 NumPy. Nine matrix products a layer are fast enough for its real widths."""
    response = image[0].flip(0).double().numpy() * 255
    response -= np.array([103.939, 116.779, 123.68])[:, None, None]
    responses = {}
    for name, (weight, bias) in load().layers.items():
        if name.endswith("_1") and name != "conv1_1":
            response = halved(response)
        height, width = response.shape[1:]
        padded = np.pad(response, ((0, 0), (1, 1), (1, 1)))
        kernels = weight.double().numpy()
        total = np.zeros((kernels.shape[0], height * width))
        for i in range(3):
            for j in range(3):
                shifted = padded[:, i : i + height, j : j + width].reshape(padded.shape[0], -1)
                total += kernels[:, :, i, j] @ shifted
        response = np.maximum(total + bias.double().numpy()[:, None], 0).reshape(-1, height, width)
        if name in layers:
            responses[name] = response
        if len(responses) == len(layers):
            break
    return responses


@pytest.mark.weights
def test_real_images_and_weights_through_the_command(tmp_path: Path) -> None:
    """Every term agrees to a relative 1e-5."""
    files, features = {}, {}
    for role, name in (("content", "temple"), ("style", "great-wave"), ("image", "dandelion")):
        pixels = resize(read_picture(EXAMPLES / f"{name}.jpg").pixels, 96, 128).clamp(0, 1)
        files[role] = save(pixels, tmp_path / f"{role}.png")
        features[role] = fast_features(read_picture(files[role]).pixels, [*STYLE, "conv4_2"])
    expected = by_formula(features["image"], features["content"], features["style"])
    result = CliRunner().invoke(app, ["loss", files["content"], files["style"], files["image"], "--json"])
    assert result.exit_code == 0, result.output
    ours = json.loads(result.stdout)
    assert (ours["width"], ours["height"]) == (128, 96)
    assert ours["total"] == pytest.approx(expected["total"], rel=1e-5)
    assert ours["content"]["conv4_2"] == pytest.approx(expected["content"], rel=1e-5)
    assert ours["total_style"] == pytest.approx(expected["style"], rel=1e-5)
    for name in STYLE:
        assert ours["style"][name] == pytest.approx(expected[name], rel=1e-5), name


def test_the_table_names_every_part_of_the_loss(small_file: str, photo: str, painting: str) -> None:
    result = CliRunner().invoke(app, ["loss", photo, painting, photo, "--weights", small_file])
    assert result.exit_code == 0, result.output
    assert all(
        word in result.stdout for word in ("L_content", "E_l", "conv5_1", "w_l 0.2", "L_total", "α 0.001")
    )
