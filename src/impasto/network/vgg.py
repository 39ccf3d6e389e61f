"""VGG-19 as named layers: the space in which content and style are measured."""

from collections.abc import Iterable
from dataclasses import dataclass, replace

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from impasto.choices import Pooling
from impasto.errors import SettingsError
from impasto.network import winograd
from impasto.network.convolve import rectified
from impasto.network.layers import CONVOLUTIONS, LAYERS, check_size, deepest, layer
from impasto.network.records import CAFFE_MEAN_BGR
from impasto.network.weights import Weights
from impasto.shapes import Features, Image


@dataclass(frozen=True)
class VGG19:
    """The convolutional part of VGG-19, no deeper than it was built for.

    As in the paper: the normalised network (each filter's mean activation over images and positions is 1),
    average pooling, none of the fully connected layers.
    Differs: poolings round sizes up, as Caffe does and PyTorch by default does not, so that every pixel
    counts at odd sizes; where sizes are multiples of 16 there is no difference.

    Attributes:
        convolutions: (weight (N, C, 3, 3), bias (N,)) per layer, in the order of the network.
        transformed: per layer its filters for `winograd`, where that is faster, else None.
        pooling: "average", the paper's, or "max", the network's own.
        wrap: whether an image's edges see the opposite edges instead of nothing, so that it tiles. Exact
            where the sides are multiples of the deepest layer's stride.
    """

    convolutions: tuple[tuple[Tensor, Tensor], ...]
    transformed: tuple[Tensor | None, ...]
    pooling: Pooling
    wrap: bool = False

    @classmethod
    def build(
        cls,
        weights: Weights,
        *,
        pooling: Pooling = "average",
        deepest_layer: str = "conv5_4",
        device: torch.device | str = "cpu",
        dtype: torch.dtype = torch.float32,
        direct: bool = False,
    ) -> "VGG19":
        """Put the convolutions up to `deepest_layer` on the device, in the type that features shall have.

        Weights are laid out channels-last, which is what the fast kernels of CPUs and GPUs want.

        Args:
            direct: sum every product as it is written, also where `winograd` would be faster.
        Raises:
            SettingsError: unknown layer.
        """
        names = CONVOLUTIONS[: layer(deepest_layer).convolutions]
        convolutions = tuple(
            (
                weights.layers[name][0].to(device, dtype, memory_format=torch.channels_last),
                weights.layers[name][1].to(device, dtype),
            )
            for name in names
        )
        faster = not direct and dtype == torch.float32 and torch.device(device).type == "cpu"
        transformed = tuple(
            winograd.transform(weight) if faster and winograd.pays(weight) else None
            for weight, _ in convolutions
        )
        return cls(convolutions, transformed, pooling)

    def wrapping(self) -> "VGG19":
        """The same network on a torus (see `wrap`)."""
        return replace(self, wrap=True)

    @property
    def dtype(self) -> torch.dtype:
        """The type of the features."""
        return self.convolutions[0][0].dtype

    @property
    def device(self) -> torch.device:
        """Where the network stands."""
        return self.convolutions[0][0].device

    def features(self, image: Image, layers: Iterable[str]) -> dict[str, Features]:
        """Responses of the layers asked for, after rectification or pooling (the paper's F^l).

        Args:
            image: (B, 3, H, W), RGB, 0..1.
            layers: names as in `LAYERS`; `relu4_2` is accepted.
        Returns:
            one (B, N, h, w) per name asked for, ≥ 0, in the network's type; nothing deeper is computed.
        Raises:
            SettingsError: a layer that is unknown, or deeper than the network was built.
            ImageError: the image is smaller than one position of the deepest layer.
        """
        wanted = {layer(name).name: name for name in layers}
        if not wanted:
            return {}
        last = deepest(wanted)
        if last.convolutions > len(self.convolutions):
            raise SettingsError(
                f"{last.name} was asked of a network built up to {CONVOLUTIONS[len(self.convolutions) - 1]}. "
                f"Build it with deepest_layer={last.name!r}."
            )
        check_size(image.shape[2], image.shape[3], wanted, role="image")

        found: dict[str, Features] = {}
        response = _caffe_input(image, self.dtype)  # (B, 3, H, W), BGR
        convolutions = iter(zip(self.convolutions, self.transformed, strict=True))
        for here in LAYERS.values():
            if here.is_pooling:
                response = self._pool(response)  # (B, N, ⌈h/2⌉, ⌈w/2⌉)
            else:
                (weight, bias), filters = next(convolutions)
                if self.wrap:
                    response = rectified(_margin(response), weight, bias, padding=0)
                else:
                    response = rectified(response, weight, bias, filters)
            if here.name in wanted:
                found[wanted[here.name]] = response
            if here is last:
                break
        return found

    def _pool(self, response: Features) -> Float[Tensor, "B N _ _"]:
        if self.pooling == "max":
            return F.max_pool2d(response, 2, ceil_mode=True)
        return F.avg_pool2d(response, 2, ceil_mode=True)


def _margin(response: Features) -> Float[Tensor, "B N _ _"]:
    """A margin of one position that holds what stands at the opposite edge."""
    return F.pad(response, (1, 1, 1, 1), mode="circular").contiguous(memory_format=torch.channels_last)


def _caffe_input(image: Image, dtype: torch.dtype) -> Float[Tensor, "B 3 H W"]:
    """What the network was trained on: BGR, 0..255, mean colour subtracted, in the network's type."""
    mean = torch.tensor(CAFFE_MEAN_BGR, dtype=image.dtype, device=image.device).view(1, 3, 1, 1)
    return (image.flip(1) * 255 - mean).to(dtype, memory_format=torch.channels_last)
