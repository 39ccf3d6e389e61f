"""The networks that judge pictures: VGG-16, AlexNet, and Inception v3 up to its first pooling."""

from collections.abc import Collection, Mapping

import torch
import torch.nn.functional as F
from torch import Tensor

from impasto.network.weight_records import ALEXNET_LAYERS, VGG16_LAYERS
from impasto.shapes import Features, Image

VGG16_LPIPS_LAYERS = ("conv1_2", "conv2_2", "conv3_3", "conv4_3", "conv5_3")
ALEXNET_LPIPS_LAYERS = tuple(name for name, *_ in ALEXNET_LAYERS)

# ImageNet's mean and standard deviation for pixels of -1..1, rounded as in LPIPS.
_SHIFT = (-0.030, -0.088, -0.188)
_SCALE = (0.458, 0.448, 0.450)

# TensorFlow's Inception takes (255 x - 128) / 128, in which white is just below 1.
_INCEPTION_SCALE = 255 / 128

_BATCH_NORM_EPSILON = 1e-3


def vgg16_responses(
    weights: Mapping[str, Tensor], image: Image, layers: Collection[str]
) -> dict[str, Features]:
    """Compute the responses of some layers after rectification; nothing deeper is computed.

    As in Simonyan and Zisserman 2015: 3×3 filters, zero padding, and 2×2 max pooling that rounds sizes down.

    Args:
        image: (B, 3, H, W), RGB, 0..1, both sides at least 16 px for conv5.
        layers: names as in `VGG16_LAYERS`.
    Returns:
        (B, N, h, w) for each layer, in the order of the network.
    """
    responses: dict[str, Features] = {}
    values, block = _standardised(image), "1"
    for name, *_ in VGG16_LAYERS:
        if len(responses) == len(layers):
            break
        if name[4] != block:
            values, block = F.max_pool2d(values, 2), name[4]
        values = F.conv2d(values, weights[f"{name}.weight"], weights[f"{name}.bias"], padding=1).relu_()
        if name in layers:
            responses[name] = values
    return responses


def alexnet_responses(weights: Mapping[str, Tensor], image: Image) -> dict[str, Features]:
    """Compute AlexNet's five convolutions after rectification (Krizhevsky 2014, with one tower).

    Args:
        image: (B, 3, H, W), RGB, 0..1, both sides at least 31 px.
    Returns:
        (B, N, h, w) for each layer, in the order of the network.
    """
    responses: dict[str, Features] = {}
    values = _standardised(image)
    for index, (name, side, *_) in enumerate(ALEXNET_LAYERS):
        # The third pooling comes after the last convolution, and LPIPS does not need it.
        if index in (1, 2):
            values = F.max_pool2d(values, 3, 2)
        stride, padding = (4, 2) if index == 0 else (1, side // 2)
        bias = weights[f"{name}.bias"]
        values = F.conv2d(values, weights[f"{name}.weight"], bias, stride, padding).relu()
        responses[name] = values
    return responses


def inception_responses(weights: Mapping[str, Tensor], image: Image) -> Features:
    """Compute Inception v3 up to its first pooling (Szegedy et al. 2015; TensorFlow's version for FID).

    Args:
        image: (B, 3, H, W), RGB, 0..1, both sides at least 11 px.
    Returns:
        (B, 64, h, w), about a quarter of the image's sides.
    """
    values = _INCEPTION_SCALE * image - 1
    for name, stride, padding in (("conv1", 2, 0), ("conv2", 1, 0), ("conv3", 1, 1)):
        values = F.conv2d(values, weights[f"{name}.weight"], None, stride, padding)
        mean, variance, bias = (weights[f"{name}.{part}"] for part in ("mean", "var", "bias"))
        values = F.batch_norm(values, mean, variance, None, bias, eps=_BATCH_NORM_EPSILON).relu_()
    return F.max_pool2d(values, 3, 2)


def _standardised(image: Image) -> Image:
    """Convert an image to the input of VGG-16 and AlexNet in LPIPS."""
    shift, scale = (
        torch.tensor(numbers, dtype=image.dtype, device=image.device).view(1, 3, 1, 1)
        for numbers in (_SHIFT, _SCALE)
    )
    return (2 * image - 1 - shift) / scale
