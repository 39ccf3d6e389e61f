"""A plain implementation, as public repositories write it: what ours is measured against.

float32, contiguous memory, autograd through everything, white noise, one scale, torch.optim.LBFGS with a
history of 100. The objective is the literal one of the paper (Eq. 1, 4, 5, 7), which `impasto loss` prints.
"""

import time
from collections.abc import Callable, Iterator

import torch
import torch.nn.functional as F

from impasto.layers import LAYERS
from impasto.network.weights import load

STYLE_LAYERS = ("conv1_1", "conv2_1", "conv3_1", "conv4_1", "conv5_1")
ALPHA = 1e-8
"""α/β; the paper's own numbers leave only the photo (docs/paper.md)."""


def features(
    layers: dict[str, tuple[torch.Tensor, torch.Tensor]],
    image: torch.Tensor,
    pool: Callable[..., torch.Tensor] = F.avg_pool2d,
) -> dict[str, torch.Tensor]:
    mean = torch.tensor([103.939, 116.779, 123.68], device=image.device).view(1, 3, 1, 1)
    responses, response = {}, image.flip(1) * 255 - mean
    for name, (weight, bias) in layers.items():
        if name.endswith("_1") and name != "conv1_1":
            response = pool(response, 2, ceil_mode=True)
        response = F.relu(F.conv2d(response, weight, bias, padding=1))
        responses[name] = response
    return responses


def gram(response: torch.Tensor) -> torch.Tensor:
    flat = response.flatten(2)[0]
    return flat @ flat.T


def objective(
    content: torch.Tensor, style: torch.Tensor, device: str = "cpu"
) -> Callable[[torch.Tensor], torch.Tensor]:
    """L_total of an image, with its graph."""
    names = list(load().layers)[: LAYERS["conv5_1"].convolutions]
    loaded = load().layers
    layers = {name: (loaded[name][0].to(device), loaded[name][1].to(device)) for name in names}
    with torch.no_grad():
        target = features(layers, content.to(device))["conv4_2"]
        painted = features(layers, style.to(device))
        grams = {n: gram(painted[n]) / painted[n][0, 0].numel() for n in STYLE_LAYERS}

    def loss(image: torch.Tensor) -> torch.Tensor:
        responses = features(layers, image)
        total = ALPHA * 0.5 * (responses["conv4_2"] - target).square().sum()
        for name, target_gram in grams.items():
            count, positions = responses[name].shape[1], responses[name][0, 0].numel()
            total = total + 0.2 * (gram(responses[name]) / positions - target_gram).square().sum() / (
                4 * count**2
            )
        return total

    return loss


def descend(
    loss: Callable[[torch.Tensor], torch.Tensor], image: torch.Tensor, most: int
) -> Iterator[tuple[int, float, float]]:
    """From `image`: (evaluations, loss, seconds) after each evaluation, up to `most` of them."""
    image = image.clone().requires_grad_(True)
    solver = torch.optim.LBFGS([image], max_iter=1, history_size=100, tolerance_grad=0, tolerance_change=0)
    spent, began = 0, time.perf_counter()
    seen: list[tuple[int, float, float]] = []

    def closure() -> torch.Tensor:
        nonlocal spent
        solver.zero_grad()
        value = loss(image)
        value.backward()  # type: ignore[no-untyped-call]
        spent += 1
        seen.append((spent, float(value), time.perf_counter() - began))
        return value

    while spent < most:
        solver.step(closure)  # type: ignore[no-untyped-call]
        yield from seen
        seen.clear()
