"""VGG-19 as named layers, whose responses measure content and style."""

from collections.abc import Callable, Container, Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Literal, TypeAlias

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from impasto.choices import Pooling
from impasto.errors import SettingsError
from impasto.layers import CONVOLUTIONS, FIRST, LAYERS, Layer, check_size, deepest, find_layer
from impasto.network.convolution import Convolution, rectified
from impasto.network.weight_records import CAFFE_MEAN_BGR
from impasto.network.weights import Weights, load
from impasto.shapes import Features, Image
from impasto.system.device import Compute
from impasto.system.memory import memory_errors

KEPT = frozenset(LAYERS) - {FIRST}
"""The layers whose responses the backward pass needs."""

Crops: TypeAlias = Mapping[str, tuple[slice, slice]]
"""By the name of a pooling, the rows and columns of its grid that are passed on to the next layer."""

NO_CROPS: Crops = {}

AddDerivative: TypeAlias = Callable[[str, Tensor, Tensor | None], Tensor]
"""See `VGG19.pull_back`."""


@dataclass(frozen=True)
class VGG19:
    """The convolutional part of VGG-19, up to the deepest layer that it was built for.

    As in the paper: the normalised network (each filter's mean activation over images and positions is 1),
    average pooling, and no fully connected layers.
    Differs: poolings round sizes up, as Caffe does and PyTorch by default does not, so that every pixel
    counts at odd sizes. Where sizes are multiples of 16 there is no difference.

    Attributes:
        convolutions: in the order of the network.
        pooling: "average", as in the paper, or "max", as in the network's training.
        circular: pad with the opposite edges instead of zeros, so that the image tiles. This is exact where
            the sides are multiples of the deepest layer's stride.
        reflect: pad with the image reflected at its edges, as AdaIN's encoder does. There is no backward pass
            for it.
    """

    convolutions: tuple[Convolution, ...]
    pooling: Pooling
    circular: bool = False
    reflect: bool = False

    @classmethod
    def build(
        cls,
        weights: Weights,
        *,
        pooling: Pooling = "average",
        deepest_layer: str = "conv5_4",
        device: torch.device | str = "cpu",
        dtype: torch.dtype = torch.float32,
        fast: bool | None = None,
    ) -> "VGG19":
        """Build the network up to `deepest_layer`.

        Weights are laid out channels-last, the order of the fast kernels of CPUs and GPUs.

        Args:
            weights: VGG-19's, or those of a network with other widths.
            pooling: "average" or "max".
            deepest_layer: the last layer needed; the fewer layers, the less memory.
            device: where to compute.
            dtype: the number type of weights and features.
            fast: False sums all products directly, even where `winograd` would be faster.
        Raises:
            SettingsError: the layer is unknown.
        """
        names = CONVOLUTIONS[: find_layer(deepest_layer).convolutions]
        return cls(
            tuple(
                Convolution.of(
                    weights.layers[name][0].to(device, dtype),
                    weights.layers[name][1].to(device, dtype),
                    fast=fast,
                )
                for name in names
            ),
            pooling,
        )

    def with_padding(self, padding: Literal["zeros", "circular", "reflect"]) -> "VGG19":
        """Return the same network with another padding: zeros, the opposite edges, or the image reflected."""
        return replace(self, circular=padding == "circular", reflect=padding == "reflect")

    @property
    def dtype(self) -> torch.dtype:
        """The number type of the features."""
        return self.convolutions[0].bias.dtype

    @property
    def device(self) -> torch.device:
        """The device that the network is on."""
        return self.convolutions[0].bias.device

    def channels(self, name: str) -> int:
        """Return the number of a layer's channels N; a pooling has as many as the convolution before it."""
        return len(self.convolutions[LAYERS[name].convolutions - 1].bias)

    def features(self, image: Image, layers: Iterable[str]) -> dict[str, Features]:
        """Compute the responses of some layers, after rectification or pooling (the paper's F^l).

        Args:
            image: (B, 3, H, W), RGB, 0..1.
            layers: names as in `LAYERS`; `relu4_2` is accepted for `conv4_2`.
        Returns:
            by the name given, (B, N, h, w), ≥ 0, in the network's type; nothing deeper is computed.
        Raises:
            SettingsError: a layer is unknown, or deeper than the network was built.
            ImageError: the image is smaller than one position of the deepest layer.
        """
        aliases = {find_layer(name).name: name for name in layers}
        if not aliases:
            return {}
        last = deepest(aliases)
        if last.convolutions > len(self.convolutions):
            raise SettingsError(
                f"{last.name} was asked of a network built up to {CONVOLUTIONS[len(self.convolutions) - 1]}. "
                f"Build it with deepest_layer={last.name!r}."
            )
        check_size(image.shape[2], image.shape[3], aliases, role="image")

        responses = self.responses(image, last, aliases)
        return {name: responses[known] for known, name in aliases.items()}

    def responses(
        self,
        image: Image,
        last: Layer,
        keep: Container[str] = LAYERS,
        on_layer: Callable[[str, Features], None] | None = None,
        crops: Crops = NO_CROPS,
    ) -> dict[str, Features]:
        """Compute the layers up to `last`, and keep the responses of those in `keep`.

        Args:
            image: (B, 3, H, W), RGB, 0..1.
            last: the deepest layer to compute.
            keep: the names of the layers to return.
            on_layer: called with the name and response of every layer, kept or not.
            crops: the part of a pooling's response to pass on, where that is not all of it.
        Returns:
            by layer, (B, N, h, w), in the order of the network.
        """
        responses: dict[str, Features] = {}
        response = _caffe_input(image, self.dtype)  # (B, 3, H, W), BGR
        convolutions = iter(self.convolutions)
        for layer in LAYERS.values():
            if layer.is_pooling:
                response = _crop(self._pool(response), crops.get(layer.name))  # (B, N, ⌈h/2⌉, ⌈w/2⌉)
            else:
                convolution = next(convolutions)
                if self.reflect:  # without autograd, which has no rule for it here
                    response = convolution.forward(response, reflect=True)
                else:
                    response = rectified(response, convolution, circular=self.circular)
            if on_layer is not None:
                on_layer(layer.name, response)
            if layer.name in keep:
                responses[layer.name] = response
            if layer is last:
                break
        return responses

    def pull_back(
        self, image: Image, responses: dict[str, Features], add: AddDerivative, crops: Crops = NO_CROPS
    ) -> Image:
        """Return the derivative of a loss with respect to the image, from the derivatives at the layers.

        Autograd would compute the same with more memory. Here each response is freed as soon as it has been
        used, gradients are overwritten, and the first layer, which is large but cheap, is computed again.

        Args:
            image: the image that the responses belong to.
            responses: the result of `responses`, all `KEPT` layers up to the deepest; it is emptied.
            add: takes a layer's name, its response and the gradient from deeper layers (None at the deepest),
                and returns the gradient with the layer's own part added, perhaps in the same memory.
            crops: as given to `responses`.
        Returns:
            (B, 3, H, W), float32 at least, per unit of the image's 0..1.
        """
        assert not self.reflect, "a mirrored network has no way back"
        gradient: Tensor | None = None
        for name in reversed([FIRST, *responses]):
            layer, response = LAYERS[name], responses.pop(name, None)
            if response is None:  # the first layer's: 64 channels at full size, a fifth of all responses
                response = self.convolutions[0].forward(
                    _caffe_input(image, self.dtype), circular=self.circular
                )
            gradient = add(name, response, gradient)
            if layer.is_pooling:
                before = next(reversed(responses.values()))
                gradient = self._pull_back_pool(_uncrop(gradient, crops.get(name), before), before)
            else:
                convolution = self.convolutions[layer.convolutions - 1]
                gradient = convolution.pull_back(gradient, response, circular=self.circular, overwrite=True)
        wide = torch.promote_types(self.dtype, torch.float32)
        # Back from BGR, 0..255: see `_caffe_input`.
        return gradient.to(wide).flip(1).mul_(255).contiguous()  # type: ignore[union-attr]

    def _pool(self, response: Features) -> Float[Tensor, "B N _ _"]:
        if self.pooling == "max":
            return F.max_pool2d(response, 2, ceil_mode=True)
        return F.avg_pool2d(response, 2, ceil_mode=True)

    def _pull_back_pool(self, gradient: Tensor, image: Tensor) -> Tensor:
        """Return the derivative with respect to a pooling's input, `image`."""
        result: Tensor
        if self.pooling == "max":
            # Searched again: kept indices are int64, twice the memory of float32 responses.
            _, places = F.max_pool2d(image, 2, ceil_mode=True, return_indices=True)
            result = torch.ops.aten.max_pool2d_with_indices_backward(
                gradient, image, [2, 2], [2, 2], [0, 0], [1, 1], True, places
            )
        else:
            result = torch.ops.aten.avg_pool2d_backward(
                gradient, image, [2, 2], [2, 2], [0, 0], True, True, None
            )
        return result


def _caffe_input(image: Image, dtype: torch.dtype) -> Float[Tensor, "B 3 H W"]:
    """Convert an image to the network's input: BGR, 0..255, mean colour subtracted, in the network's type."""
    mean = torch.tensor(CAFFE_MEAN_BGR, dtype=image.dtype, device=image.device).view(1, 3, 1, 1)
    return (image.flip(1) * 255 - mean).to(dtype, memory_format=torch.channels_last)


def _crop(response: Features, kept: tuple[slice, slice] | None) -> Float[Tensor, "B N _ _"]:
    if kept is None:
        return response
    return response[:, :, kept[0], kept[1]].contiguous(memory_format=torch.channels_last)


def _uncrop(gradient: Tensor, kept: tuple[slice, slice] | None, before: Features) -> Tensor:
    """Extend the gradient to the whole grid of a pooling after `before`, with 0 where it was cropped."""
    size = [-(-side // 2) for side in before.shape[2:]]
    if kept is None or [*gradient.shape[2:]] == size:
        return gradient
    whole = gradient.new_zeros(*gradient.shape[:2], *size).contiguous(memory_format=torch.channels_last)
    whole[:, :, kept[0], kept[1]] = gradient
    return whole


def load_vgg19(
    path: str,
    *,
    pooling: Pooling,
    deepest_layer: str,
    compute: Compute,
    fast: bool | None = None,
) -> tuple["VGG19", Weights]:
    """Load weights and build VGG-19 from them.

    Args:
        path: a file of weights; "" for the cache, into which they are fetched if missing.
        pooling: "average" or "max".
        deepest_layer: the last layer needed.
        compute: the device and number type.
        fast: as in `VGG19.build`.
    Returns:
        the network, and the weights that it was built from.
    Raises:
        WeightsError: the file is unusable, or the weights cannot be fetched.
        OutOfMemoryError: the memory is too small even for the network.
    """
    with memory_errors("the network, which takes half a gigabyte", "Allow this process more memory."):
        weights = load(path or None)
        network = VGG19.build(
            weights,
            pooling=pooling,
            deepest_layer=deepest_layer,
            device=compute.device,
            dtype=compute.dtype,
            fast=fast,
        )
    return network, weights
