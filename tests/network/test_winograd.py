"""Winograd's convolution and its derivative equal the direct convolution's."""

import pytest
import torch
import torch.nn.functional as F

from impasto.image.read import read_picture
from impasto.image.resize import resize
from impasto.network import winograd
from impasto.network.convolution import Convolution, rectified
from impasto.network.vgg import VGG19
from impasto.network.weights import load
from impasto.objective.build import content_terms, style_terms_from_images
from impasto.objective.evaluate import evaluator
from impasto.objective.objective import Objective
from small import EXAMPLES

SHAPES = [(1, 5, 7, 9, 13), (2, 8, 4, 16, 16), (2, 3, 4, 18, 3), (1, 3, 2, 1, 2), (1, 2, 3, 4, 4)]
"""Batch, input channels, output channels, height, width."""


@pytest.fixture(params=[1, 8 << 20], ids=["strips of one row", "one strip"])
def _strips(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(winograd, "STRIP_BYTES", request.param)


def case(shape: tuple[int, ...]) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """A random image, weights and biases of one of the `SHAPES`."""
    batch, channels, outputs, height, width = shape
    random = torch.Generator().manual_seed(0)
    image = torch.randn(batch, channels, height, width, dtype=torch.float64, generator=random)
    weight = torch.randn(outputs, channels, 3, 3, dtype=torch.float64, generator=random)
    bias = torch.randn(outputs, dtype=torch.float64, generator=random)
    return image.contiguous(memory_format=torch.channels_last).requires_grad_(True), weight, bias


@pytest.mark.usefixtures("_strips")
@pytest.mark.parametrize("shape", SHAPES)
def test_winograd_equals_conv2d_and_its_derivative(shape: tuple[int, ...]) -> None:
    image, weight, _ = case(shape)
    filters = winograd.transform(weight)
    expected = F.conv2d(image, weight, padding=1)
    torch.testing.assert_close(winograd.convolve(image.detach(), filters), expected.detach())
    direction = torch.randn_like(expected)
    (derivative,) = torch.autograd.grad(expected, image, direction)
    torch.testing.assert_close(winograd.pull_back(direction, filters), derivative)


@pytest.mark.usefixtures("_strips")
@pytest.mark.parametrize("wrap", [True, False])
@pytest.mark.parametrize("use_filters", [True, False])
@pytest.mark.parametrize("shape", SHAPES)
def test_with_rectification_it_equals_conv2d_and_relu(
    shape: tuple[int, ...], use_filters: bool, wrap: bool
) -> None:
    image, weight, bias = case(shape)
    padded = F.pad(image, (1, 1, 1, 1), mode="circular" if wrap else "constant")
    expected = F.relu(F.conv2d(padded, weight, bias))
    convolution = Convolution.of(weight, bias, fast=use_filters)
    actual = rectified(image, convolution, circular=wrap)
    torch.testing.assert_close(actual, expected)
    assert actual.is_contiguous(memory_format=torch.channels_last)
    direction = torch.randn_like(expected)
    unchanged = direction.clone()
    pairs = [torch.autograd.grad(response, image, direction)[0] for response in (actual, expected)]
    torch.testing.assert_close(*pairs)
    assert torch.equal(direction, unchanged)
    last = direction.contiguous(memory_format=torch.channels_last)
    torch.testing.assert_close(
        convolution.pull_back(last, actual.detach(), circular=wrap, overwrite=True), pairs[1]
    )


def test_the_derivative_is_the_transpose_of_the_convolution() -> None:
    """⟨convolve(x), y⟩ = ⟨x, pull_back(y)⟩ for any x and y."""
    image, weight, _ = case((1, 6, 5, 11, 10))
    filters, other = winograd.transform(weight), torch.randn(1, 5, 11, 10, dtype=torch.float64)
    left = (winograd.convolve(image.detach(), filters) * other).sum()
    right = (image.detach() * winograd.pull_back(other, filters)).sum()
    assert float(left) == pytest.approx(float(right), rel=1e-12)


@pytest.mark.weights
def test_on_the_real_network_the_error_is_rounding() -> None:
    """Relative to direct sums in float64: features to 2e-5, loss to 1e-5, gradient to 1e-4."""
    pixels = resize(read_picture(EXAMPLES / "temple.jpg").pixels, 70, 93).clamp(0, 1)
    style = resize(read_picture(EXAMPLES / "great-wave.jpg").pixels, 64, 96).clamp(0, 1)
    layers = dict.fromkeys(("conv1_1", "conv2_1", "conv3_1", "conv4_1", "conv5_1"), 0.2)
    exact = VGG19.build(load(), deepest_layer="conv5_1", dtype=torch.float64, fast=False)
    ours = VGG19.build(load(), deepest_layer="conv5_1")
    assert sum(layer.filters is not None for layer in ours.convolutions) == 10
    assert all(layer.filters is None for layer in exact.convolutions)
    image = pixels.flip(3).contiguous()

    actual = ours.features(image, layers)
    for name, expected in exact.features(image.double(), layers).items():
        error = float((actual[name].double() - expected).norm() / expected.norm())
        assert error < 2e-5, name

    def evaluate(network: VGG19, dtype: torch.dtype) -> tuple[float, torch.Tensor]:
        contents = content_terms(network, pixels.to(dtype), {"conv4_2": 1.0}, weight=1.0, formula="balanced")
        styles = style_terms_from_images(
            network, [(style.to(dtype), 1.0)], layers, canvas=(70, 93), weight=5.0, formula="balanced"
        )
        result = evaluator(network, Objective((*contents, *styles)))(image.to(dtype))
        return float(result.loss), result.gradient.double()

    (loss, gradient), (true_loss, true_gradient) = (
        evaluate(ours, torch.float32),
        evaluate(exact, torch.float64),
    )
    assert loss == pytest.approx(true_loss, rel=1e-5)
    assert float((gradient - true_gradient).norm() / true_gradient.norm()) < 1e-4
