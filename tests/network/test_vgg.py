"""VGG-19: layer names, geometry, and responses equal to independent computations."""

import numpy as np
import pytest
import torch
from torch import nn

from impasto.errors import ImageError, SettingsError
from impasto.image.read import read_picture
from impasto.image.resize import fit, resize
from impasto.layers import CONVOLUTIONS, LAYERS, check_size, find_layer
from impasto.network.vgg import VGG19
from impasto.network.weights import load
from small import EXAMPLES, plain_features, scene, small_layers, small_network


def test_layer_names_accept_relu_and_refuse_others() -> None:
    assert find_layer("relu4_2").name == find_layer(" Conv4_2 ").name == "conv4_2"
    with pytest.raises(SettingsError, match=r"no layer 'conv4_9' in VGG-19.*conv1_1 to conv5_4.*conv4_"):
        find_layer("conv4_9")


def test_strides_and_supports_agree_with_gradients() -> None:
    """They are measured by how far a gradient reaches."""
    network = small_network(dtype=torch.float64)
    names = "conv1_1 conv1_2 pool1 conv2_1 conv3_1 conv3_4 pool3 conv4_2 conv5_1"
    for name in names.split():
        image = scene(256, 256).double().requires_grad_(True)
        # A rectification may hide a pixel from one channel; the sum over channels still depends on it.
        response = network.features(image, [name])[name]
        middle = response[:, :, response.shape[2] // 2, response.shape[3] // 2]
        (gradient,) = torch.autograd.grad(middle.sum(), image)
        rows = gradient.abs().sum((0, 1, 3)).nonzero()
        reach = int(rows.max() - rows.min()) + 1
        assert reach <= LAYERS[name].support
        assert reach > LAYERS[name].support - LAYERS[name].stride
        assert response.shape[2:] == LAYERS[name].grid(256, 256)


@pytest.mark.parametrize("size", [(33, 47), (16, 16), (40, 24)])
def test_features_equal_numpy_and_scipy(size: tuple[int, int]) -> None:
    image = scene(*size).double()
    names = ["conv1_1", "pool1", "conv2_2", "conv3_4", "conv4_2", "pool4", "conv5_1"]
    ours = small_network(dtype=torch.float64).features(image, names)
    theirs = plain_features(small_layers(), image[0].permute(1, 2, 0).numpy(), names)
    for name in names:
        np.testing.assert_allclose(ours[name][0].numpy(), theirs[name], rtol=1e-10, atol=1e-12)


def test_only_the_named_layers_are_returned_and_nothing_deeper_is_built() -> None:
    network = small_network(deepest_layer="conv3_2")
    assert len(network.convolutions) == 6
    responses = network.features(scene(32, 32), ["relu2_1", "conv1_2"])
    assert set(responses) == {"relu2_1", "conv1_2"}
    assert all(bool((response >= 0).all()) for response in responses.values())
    with pytest.raises(SettingsError, match="conv4_1 was asked of a network built up to conv3_2"):
        network.features(scene(32, 32), ["conv4_1"])


def test_max_pooling_takes_the_largest() -> None:
    network = small_network(pooling="max")
    before = network.features(scene(20, 20), ["conv1_2"])["conv1_2"]
    weight, bias = network.convolutions[2].forward_weight, network.convolutions[2].bias
    expected = nn.functional.conv2d(nn.functional.max_pool2d(before, 2), weight, bias, padding=1).relu()
    torch.testing.assert_close(network.features(scene(20, 20), ["conv2_1"])["conv2_1"], expected)


def test_small_images_are_refused_with_advice() -> None:
    with pytest.raises(
        ImageError,
        match=r"style image is 12×9; conv5_1 needs at least 16×16\. Use a larger style or stop at conv4_4",
    ):
        check_size(9, 12, ["conv1_1", "conv5_1"], role="style image")
    check_size(16, 16, ["conv5_4"], role="style image")


def plain_sequential(layers: dict[str, tuple[torch.Tensor, torch.Tensor]], last: str) -> nn.Sequential:
    """The network as its authors build it: a colour transform, convolutions, rectifications, poolings."""
    colour = nn.Conv2d(3, 3, 1)
    with torch.no_grad():
        colour.weight.copy_(torch.tensor([[0.0, 0, 255], [0, 255, 0], [255, 0, 0]])[:, :, None, None])
        colour.bias.copy_(torch.tensor([-103.939, -116.779, -123.68]))
    parts: list[nn.Module] = [colour]
    for name, (weight, bias) in layers.items():
        if name.endswith("_1") and name != "conv1_1":
            parts.append(nn.AvgPool2d(2, ceil_mode=True))
        convolution = nn.Conv2d(weight.shape[1], weight.shape[0], 3, padding=1)
        with torch.no_grad():
            convolution.weight.copy_(weight)
            convolution.bias.copy_(bias)
        parts += [convolution, nn.ReLU()]
        if name == last:
            break
    return nn.Sequential(*parts)


@pytest.mark.weights
@pytest.mark.parametrize("name", ["conv1_1", "conv4_2", "conv5_1"])
def test_real_features_equal_a_plain_sequential(name: str) -> None:
    weights = load()
    image = scene(72, 97)
    ours = VGG19.build(weights, deepest_layer=name).features(image, [name])[name]
    with torch.no_grad():
        theirs = plain_sequential(weights.layers, name)(image)
    torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=1e-4)


@pytest.mark.weights
def test_the_network_is_normalised_as_in_the_paper() -> None:
    """Each filter's mean activation over images and positions is 1 (Gatys et al. 2015, Methods).

    With the original network's max pooling this holds within a few percent, averaged over filters (0.92 to
    1.02 over 49 photos, docs/decisions.md); with average pooling, responses shrink with depth. Here, two
    photos and three paintings stand for all pictures.
    """
    network = VGG19.build(load(), pooling="max")
    sums = dict.fromkeys(CONVOLUTIONS, 0.0)
    pictures = sorted(EXAMPLES.glob("*.jpg"))
    for path in pictures:
        picture = read_picture(path)
        pixels = resize(picture.pixels, *fit(picture.height, picture.width, 256)).clamp(0, 1)
        with torch.no_grad():
            for name, response in network.features(pixels, CONVOLUTIONS).items():
                sums[name] += float(response.mean()) / len(pictures)
    assert all(0.75 < mean < 1.35 for mean in sums.values()), sums
    assert 0.9 < sum(sums.values()) / len(sums) < 1.1
