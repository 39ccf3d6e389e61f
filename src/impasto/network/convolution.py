"""One convolution with its rectification, and the way back through both."""

from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from impasto.network import winograd
from impasto.shapes import Features
from impasto.system import process as process  # before anything is computed


@dataclass(frozen=True)
class Convolution:
    """A 3×3 convolution whose weights are fixed: max(0, image ∗ weight + bias).

    PyTorch's own keeps its input for the derivative of the weights; here there is none, and the responses are
    all that the way back needs.

    Attributes:
        bias: (N,).
        forward_weight: (N, C, 3, 3), channels-last, the weights; None where `filters` serve.
        backward_weight: (C, N, 3, 3), channels-last: the weights turned around, for the gradient.
        filters: the weights as `winograd.transform` has them where that is faster, else None.
    """

    bias: Float[Tensor, " N"]
    forward_weight: Float[Tensor, "N C 3 3"] | None
    backward_weight: Float[Tensor, "C N 3 3"] | None
    filters: Float[Tensor, "36 C N"] | None

    @classmethod
    def of(cls, weight: Tensor, bias: Tensor, *, fast: bool | None = None) -> "Convolution":
        """The convolution with these weights, (N, C, 3, 3), on their device and in their type.

        Args:
            fast: whether through `winograd`, or summing every product as it is written; default: as is
                quicker.
        """
        if fast is None:
            fast = weight.device.type == "cpu" and weight.dtype == torch.float32 and winograd.pays(weight)
        if fast:
            return cls(bias, None, None, winograd.transform(weight))
        return cls(bias, _channels_last(weight), _channels_last(weight.flip(2, 3).transpose(0, 1)), None)

    def forward(
        self, image: Features, *, circular: bool = False, reflect: bool = False
    ) -> Float[Tensor, "B _ h w"]:
        """Responses of the image, ≥ 0, the image's rows and columns.

        Args:
            image: (B, C, h, w), channels-last.
            circular: whether its edges see the opposite edges, instead of zeros.
            reflect: whether its edges see themselves reflected.
        """
        if circular or reflect:
            margin = F.pad(image, (1, 1, 1, 1), mode="circular" if circular else "reflect")
            return _channels_last(self.forward(_channels_last(margin))[:, :, 1:-1, 1:-1])
        if self.filters is not None:
            return winograd.convolve(image, self.filters, self.bias)
        assert self.forward_weight is not None
        return F.conv2d(image, self.forward_weight, self.bias, padding=1).clamp_(min=0)

    def pull_back(
        self, gradient: Tensor, response: Tensor, *, circular: bool = False, overwrite: bool = False
    ) -> Tensor:
        """The derivative with respect to the image, from that with respect to the responses.

        Args:
            gradient, response: (B, N, h, w), channels-last; the response is what `forward` gave.
            overwrite: whether the gradient's memory may be used.
        """
        if circular:
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
        assert self.backward_weight is not None
        return F.conv2d(gradient, self.backward_weight, padding=1)


def rectified(
    image: Features, convolution: Convolution, *, circular: bool = False
) -> Float[Tensor, "B _ h w"]:
    """`convolution.respond(image)` for autograd, which finds `pull_back` by itself."""
    return _Rectified.apply(image, convolution, circular)  # type: ignore[no-any-return,no-untyped-call]


class _Rectified(torch.autograd.Function):
    @staticmethod
    def forward(context: Any, image: Tensor, convolution: Convolution, circular: bool) -> Tensor:
        response = convolution.forward(image, circular=circular)
        context.save_for_backward(response)
        context.convolution, context.circular = convolution, circular
        return response

    @staticmethod
    def backward(context: Any, gradient: Tensor) -> tuple[Tensor, None, None]:
        (response,) = context.saved_tensors
        return context.convolution.pull_back(gradient, response, circular=context.circular), None, None


def _fold(image: Tensor) -> Tensor:
    """Add a margin of one position to the opposite edges, from which it was copied, and cut it off."""
    image[:, :, -2] += image[:, :, 0]
    image[:, :, 1] += image[:, :, -1]
    image[:, :, :, -2] += image[:, :, :, 0]
    image[:, :, :, 1] += image[:, :, :, -1]
    return _channels_last(image[:, :, 1:-1, 1:-1])


def _channels_last(image: Tensor) -> Tensor:
    return image.contiguous(memory_format=torch.channels_last)
