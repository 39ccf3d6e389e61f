"""A plain implementation, as public repositories write it: the baseline of the other benchmarks.

float32, contiguous memory, autograd through everything, all pixels at one scale, and torch.optim.LBFGS with a
history of 100. The objective is the literal one of the paper (Eq. 1, 4, 5, 7), which `impasto loss` prints.
"""

import time
from collections.abc import Callable, Iterator
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from impasto.layers import LAYERS
from impasto.network.weights import load
from impasto.settings.presets import PAPER_STYLE_LAYERS

ALPHA = 1e-8
"""α/β. With the paper's own numbers only the photo remains (docs/paper.md)."""


def vgg19_layers(device: str = "cpu") -> dict[str, tuple[Tensor, Tensor]]:
    """Weight and bias of each convolution up to conv5_1."""
    layers = load().layers
    names = list(layers)[: LAYERS["conv5_1"].convolutions]
    return {name: (layers[name][0].to(device), layers[name][1].to(device)) for name in names}


def features(
    layers: dict[str, tuple[Tensor, Tensor]],
    image: Tensor,
    pool: Callable[..., Tensor] = F.avg_pool2d,
) -> dict[str, Tensor]:
    """The responses of each layer, (1, N, h, w), to an image (1, 3, H, W), RGB, 0..1."""
    mean = torch.tensor([103.939, 116.779, 123.68], device=image.device).view(1, 3, 1, 1)
    responses, response = {}, image.flip(1) * 255 - mean
    for name, (weight, bias) in layers.items():
        if name.endswith("_1") and name != "conv1_1":
            response = pool(response, 2, ceil_mode=True)
        response = F.relu(F.conv2d(response, weight, bias, padding=1))
        responses[name] = response
    return responses


def gram(response: Tensor) -> Tensor:
    """The Gram matrix of a response, (N, N), summed over positions."""
    flat = response.flatten(2)[0]
    return flat @ flat.T


def objective(content: Tensor, style: Tensor, device: str = "cpu") -> Callable[[Tensor], Tensor]:
    """A function that computes L_total of an image, with its graph."""
    layers = vgg19_layers(device)
    with torch.no_grad():
        target = features(layers, content.to(device))["conv4_2"]
        painted = features(layers, style.to(device))
        grams = {n: gram(painted[n]) / painted[n][0, 0].numel() for n in PAPER_STYLE_LAYERS}

    def loss(image: Tensor) -> Tensor:
        responses = features(layers, image)
        total = ALPHA * 0.5 * (responses["conv4_2"] - target).square().sum()
        for name, target_gram in grams.items():
            count, positions = responses[name].shape[1], responses[name][0, 0].numel()
            total = total + 0.2 * (gram(responses[name]) / positions - target_gram).square().sum() / (
                4 * count**2
            )
        return total

    return loss


def white_noise(shape: torch.Size) -> Tensor:
    """Pixels uniform in 0..1, the same in every run."""
    return torch.rand(shape, generator=torch.Generator().manual_seed(0))


class Step(NamedTuple):
    """A step of the plain implementation.

    Attributes:
        evaluations: number of evaluations so far.
        loss: the loss at the last evaluation.
        seconds: time spent so far, without the time that the caller took between steps.
        image: the image that the step has moved to. It was not evaluated yet, and the next step changes it.
    """

    evaluations: int
    loss: float
    seconds: float
    image: Tensor


def descend(loss: Callable[[Tensor], Tensor], image: Tensor) -> Iterator[Step]:
    """Minimise a loss from `image` by L-BFGS, one evaluation a step, for as long as the caller wants."""
    image = image.clone().requires_grad_(True)
    solver = torch.optim.LBFGS([image], max_iter=1, history_size=100, tolerance_grad=0, tolerance_change=0)

    def closure() -> Tensor:
        solver.zero_grad()
        value = loss(image)
        value.backward()  # type: ignore[no-untyped-call]
        return value.detach()

    evaluations, seconds = 0, 0.0
    while True:
        began = time.perf_counter()
        value = float(solver.step(closure))  # type: ignore[no-untyped-call]
        seconds += time.perf_counter() - began
        evaluations += 1
        yield Step(evaluations, value, seconds, image.detach())
