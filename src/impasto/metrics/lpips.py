"""LPIPS: how different two pictures look, by a network's responses weighted to agree with people."""

from collections.abc import Mapping

from torch import Tensor

from impasto.metrics.networks import (
    ALEXNET_LPIPS_LAYERS,
    VGG16_LPIPS_LAYERS,
    alexnet_responses,
    vgg16_responses,
)
from impasto.shapes import Features, Image

_EPSILON = 1e-10
"""Added to the length of a response, as in the lpips package."""


def lpips_alexnet(weights: Mapping[str, Tensor], first: Image, second: Image) -> float:
    """LPIPS 0.1 on AlexNet (Zhang et al. 2018, arXiv:1801.03924, Eq. 1), equal to the lpips package's.

    d = Σ_l mean over positions of Σ_n w_ln (f̂_ln − ĝ_ln)², where f̂ and ĝ have length 1 at each position.

    Args:
        weights: see `JudgeWeights.alexnet`.
        first, second: (1, 3, H, W), RGB, 0..1, of the same size, at least 31 px a side.
    Returns:
        0 for equal pictures; usually below 1.
    """
    return _distance(
        weights, alexnet_responses(weights, first), alexnet_responses(weights, second), ALEXNET_LPIPS_LAYERS
    )


def lpips_vgg16(weights: Mapping[str, Tensor], first: Image, second: Image) -> float:
    """LPIPS 0.1 on VGG-16; otherwise as `lpips_alexnet`."""
    return _distance(
        weights,
        vgg16_responses(weights, first, VGG16_LPIPS_LAYERS),
        vgg16_responses(weights, second, VGG16_LPIPS_LAYERS),
        VGG16_LPIPS_LAYERS,
    )


def _distance(
    weights: Mapping[str, Tensor],
    first: Mapping[str, Features],
    second: Mapping[str, Features],
    layers: tuple[str, ...],
) -> float:
    """Return the sum over layers of the weighted squared differences, from the responses of two pictures."""
    total = 0.0
    for index, layer in enumerate(layers, start=1):
        difference = (_unit(first[layer]) - _unit(second[layer])).square()
        total += float((difference * weights[f"lpips{index}.weight"]).sum(1).mean())
    return total


def _unit(features: Features) -> Features:
    """Scale the responses at each position to length 1."""
    # Not `F.normalize`, which bounds the length by ε where the package adds it.
    return features / (features.square().sum(1, keepdim=True).sqrt() + _EPSILON)
