"""One convolution with its rectification, and the way back through both."""

from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from impasto.network import winograd
from impasto.shapes import Features


@dataclass(frozen=True)
class Convolution:
    """A 3×3 convolution whose weights are fixed: max(0, image ∗ weight + bias).

    PyTorch's own keeps its input for the derivative of the weights; here there is none, and the responses are
    all that the way back needs.

    Attributes:
        weight: (N, C, 3, 3), channels-last.
        bias: (N,).
        filters: the weights as `winograd.transform` has them where that is faster, else None.
    """

    weight: Float[Tensor, "N C 3 3"]
    bias: Float[Tensor, " N"]
    filters: Float[Tensor, "36 C N"] | None

    @classmethod
    def of(cls, weight: Tensor, bias: Tensor, *, direct: bool = False) -> "Convolution":
        """The convolution with these weights, on their device and in their type.

        Args:
            direct: sum every product as it is written, also where `winograd` would be faster.
        """
        fast = not direct and weight.device.type == "cpu" and weight.dtype == torch.float32
        return cls(weight, bias, winograd.transform(weight) if fast and winograd.pays(weight) else None)

    def respond(self, image: Features, *, wrap: bool = False) -> Float[Tensor, "B _ h w"]:
        """Responses of the image, ≥ 0, the image's rows and columns.

        Args:
            image: (B, C, h, w), channels-last.
            wrap: whether its edges see the opposite edges, instead of zeros.
        """
        if wrap:
            margin = F.pad(image, (1, 1, 1, 1), mode="circular")
            return _channels_last(self.respond(_channels_last(margin))[:, :, 1:-1, 1:-1])
        if self.filters is not None:
            return winograd.convolve(image, self.filters, self.bias)
        return F.conv2d(image, self.weight, self.bias, padding=1).clamp_(min=0)

    def pull_back(
        self, gradient: Tensor, response: Tensor, *, wrap: bool = False, overwrite: bool = False
    ) -> Tensor:
        """The derivative with respect to the image, from that with respect to the responses.

        Args:
            gradient, response: (B, N, h, w), channels-last; the response is what `respond` gave.
            overwrite: whether the gradient's memory may be used.
        """
        if wrap:
            inside = torch.ops.aten.threshold_backward(gradient, response, 0)
            return _fold(self._spread(_channels_last(F.pad(inside, (1, 1, 1, 1)))))
        if self.filters is not None:
            return winograd.pull_back(gradient, self.filters, response)
        if overwrite:
            torch.ops.aten.threshold_backward.grad_input(gradient, response, 0, grad_input=gradient)
        else:
            gradient = torch.ops.aten.threshold_backward(gradient, response, 0)
        return self._spread(gradient)

    def _spread(self, gradient: Tensor) -> Tensor:
        """`pull_back` without the rectification."""
        if self.filters is not None:
            return winograd.pull_back(gradient, self.filters)
        batch, _, height, width = gradient.shape
        shape = (batch, self.weight.shape[1], height, width)
        image = gradient.new_empty(1).expand(shape)  # only its shape is looked at
        found: Tensor = torch.ops.aten.convolution_backward(
            gradient, image, self.weight, None, [1, 1], [1, 1], [1, 1], False, [0, 0], 1, [True, False, False]
        )[0]
        return found


def rectified(image: Features, convolution: Convolution, *, wrap: bool = False) -> Float[Tensor, "B _ h w"]:
    """`convolution.respond(image)` for autograd, which finds `pull_back` by itself."""
    return _Rectified.apply(image, convolution, wrap)  # type: ignore[no-any-return,no-untyped-call]


class _Rectified(torch.autograd.Function):
    @staticmethod
    def forward(context: Any, image: Tensor, convolution: Convolution, wrap: bool) -> Tensor:
        response = convolution.respond(image, wrap=wrap)
        context.save_for_backward(response)
        context.convolution, context.wrap = convolution, wrap
        return response

    @staticmethod
    def backward(context: Any, gradient: Tensor) -> tuple[Tensor, None, None]:
        (response,) = context.saved_tensors
        return context.convolution.pull_back(gradient, response, wrap=context.wrap), None, None


def _fold(image: Tensor) -> Tensor:
    """Add a margin of one position to the opposite edges, from which it was copied, and cut it off."""
    image[:, :, -2] += image[:, :, 0]
    image[:, :, 1] += image[:, :, -1]
    image[:, :, :, -2] += image[:, :, :, 0]
    image[:, :, :, 1] += image[:, :, :, -1]
    return _channels_last(image[:, :, 1:-1, 1:-1])


def _channels_last(image: Tensor) -> Tensor:
    return image.contiguous(memory_format=torch.channels_last)
