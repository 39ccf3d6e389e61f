"""A small random network with VGG-19's layers, and small pictures, so that most tests need no download."""

from collections.abc import Mapping
from itertools import pairwise
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from impasto.image.arrays import from_tensor
from impasto.image.write import write_picture
from impasto.layers import CONVOLUTIONS
from impasto.network.vgg import VGG19
from impasto.network.weight_records import DECODER_LAYERS
from impasto.network.weights import Weights
from impasto.shapes import Image

WIDTHS = dict(zip("12345", (6, 8, 10, 12, 12), strict=True))
EXAMPLES = Path(__file__).parent.parent / "examples" / "images"


def small_layers(seed: int = 0) -> Mapping[str, tuple[Tensor, Tensor]]:
    """He-scaled filters: responses are about as large as in the normalised network."""
    generator = torch.Generator().manual_seed(seed)
    layers, channels = {}, 3
    for name in CONVOLUTIONS:
        width = WIDTHS[name[4]]
        gain = (2 / (9 * channels)) ** 0.5 / (60 if name == "conv1_1" else 1)
        weight = gain * torch.randn(width, channels, 3, 3, generator=generator)
        layers[name] = (weight, 0.1 * torch.randn(width, generator=generator))
        channels = width
    return layers


def small_weights(seed: int = 0) -> Weights:
    return Weights("small", "0" * 64, dict(small_layers(seed)), "")


def small_decoder_layers(seed: int = 1) -> dict[str, tuple[Tensor, Tensor]]:
    """A decoder for the small network: the same widths in reverse order, down to three colours."""
    generator = torch.Generator().manual_seed(seed)
    widths = [12, 10, 10, 10, 10, 8, 8, 6, 6, 3]
    layers = {}
    for name, (channels, width) in zip(DECODER_LAYERS, pairwise(widths), strict=True):
        gain = (2 / (9 * channels)) ** 0.5 / (4 if name == "up1_1" else 1)
        weight = gain * torch.randn(width, channels, 3, 3, generator=generator)
        layers[name] = (weight, 0.2 + 0.1 * torch.randn(width, generator=generator))
    return layers


def small_network(**options: object) -> VGG19:
    return VGG19.build(small_weights(), **options)  # type: ignore[arg-type]


def scene(height: int, width: int, seed: int = 0) -> Image:
    """A smooth picture with edges: a gradient, a disc and a little noise; (1, 3, H, W)."""
    generator = torch.Generator().manual_seed(seed)
    y, x = torch.meshgrid(torch.linspace(0, 1, height), torch.linspace(0, 1, width), indexing="ij")
    disc = ((x - 0.4) ** 2 + (y - 0.5) ** 2 < 0.08).float()
    pixels = torch.stack([0.2 + 0.6 * x, 0.7 - 0.5 * y * disc, 0.3 + 0.5 * disc])
    noise = 0.1 * torch.rand(3, height, width, generator=generator)
    return (0.9 * pixels + noise)[None]


def stripes(height: int, width: int) -> Image:
    """A picture of coloured diagonal stripes; (1, 3, H, W)."""
    y, x = torch.meshgrid(torch.arange(height), torch.arange(width), indexing="ij")
    phase = (x + 2 * y).float()
    return torch.stack([0.5 + 0.5 * torch.sin(phase / k) for k in (2.0, 3.0, 5.0)])[None]


def red_blue_mask(height: int, width: int) -> Image:
    """A mask picture: the left half red, the right half blue; (1, 3, H, W)."""
    mask = torch.zeros(1, 3, height, width)
    mask[:, 0, :, : width // 2] = 1
    mask[:, 2, :, width // 2 :] = 1
    return mask


def save(image: Image, path: Path) -> str:
    write_picture(from_tensor(image), path)
    return str(path)


def plain_features(
    layers: Mapping[str, tuple[Tensor, Tensor]], image: np.ndarray, names: list[str]
) -> dict[str, np.ndarray]:
    """VGG-19 with average pooling in float64 NumPy and SciPy, written only from its description.

    Args:
        image: (H, W, 3), RGB, 0..1.
        names: the layers to return.
    Returns:
        (N, h, w) by layer.
    """
    from scipy.signal import correlate

    response = image[:, :, ::-1].astype(np.float64).transpose(2, 0, 1) * 255
    response -= np.array([103.939, 116.779, 123.68])[:, None, None]
    responses = {}
    for name, (weight, bias) in layers.items():
        if name in ("conv2_1", "conv3_1", "conv4_1", "conv5_1"):
            response = halved(response)
            if (pool := f"pool{int(name[4]) - 1}") in names:
                responses[pool] = response
        padded = np.pad(response, ((0, 0), (1, 1), (1, 1)))
        kernels = weight.double().numpy()
        response = (
            np.stack([correlate(padded, kernel, mode="valid", method="direct")[0] for kernel in kernels])
            + bias.double().numpy()[:, None, None]
        )
        response = np.maximum(response, 0)
        if name in names:
            responses[name] = response
        if len(responses) == len(names):
            return responses
    return responses


def halved(response: np.ndarray) -> np.ndarray:
    """2×2 averages; if a side is odd, the last window averages only the pixels inside."""

    def pairs(values: np.ndarray) -> np.ndarray:
        starts = np.arange(0, values.shape[-1], 2)
        sizes = np.minimum(2, values.shape[-1] - starts)
        return np.add.reduceat(values, starts, axis=-1) / sizes

    return pairs(pairs(response).swapaxes(1, 2)).swapaxes(1, 2)
