"""One convolution with its rectification, and the backward pass through both."""

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

    PyTorch's own convolution keeps its input for the derivative of the weights. Here weights have no
    derivative, so the backward pass needs the responses alone.

    Attributes:
        bias: (N,).
        forward_weight: (N, C, 3, 3), channels-last; None where `filters` are used instead.
        backward_weight: (C, N, 3, 3), channels-last: the weights rotated by half a turn, for the gradient.
        filters: the weights transformed by `winograd.transform` where that is faster, else None.
    """

    bias: Float[Tensor, " N"]
    forward_weight: Float[Tensor, "N C 3 3"] | None
    backward_weight: Float[Tensor, "C N 3 3"] | None
    filters: Float[Tensor, "36 C N"] | None

    @classmethod
    def of(cls, weight: Tensor, bias: Tensor, *, fast: bool | None = None) -> "Convolution":
        """Make the convolution with these weights, on their device and in their type.

        Args:
            weight: (N, C, 3, 3).
            bias: (N,).
            fast: True uses `winograd`, False sums the products directly; default: whichever is faster.
        """
        if fast is None:
            # bfloat16 and GPUs have hardware of their own for direct sums.
            fast = weight.device.type == "cpu" and weight.dtype == torch.float32 and winograd.pays(weight)
        if fast:
            return cls(bias, None, None, winograd.transform(weight))
        return cls(bias, _channels_last(weight), _channels_last(weight.flip(2, 3).transpose(0, 1)), None)

    def forward(
        self, image: Features, *, circular: bool = False, reflect: bool = False
    ) -> Float[Tensor, "B _ h w"]:
        """Convolve and rectify.

        Args:
            image: (B, C, h, w), channels-last.
            circular: pad with the opposite edges instead of zeros.
            reflect: pad with the image reflected at its edges instead of zeros.
        Returns:
            (B, N, h, w), ≥ 0.
        """
        if circular or reflect:  # one position more on each side, which is cut off again
            margin = F.pad(image, (1, 1, 1, 1), mode="circular" if circular else "reflect")
            return _channels_last(self.forward(_channels_last(margin))[:, :, 1:-1, 1:-1])
        if self.filters is not None:
            return winograd.convolve(image, self.filters, self.bias)
        assert self.forward_weight is not None
        return F.conv2d(image, self.forward_weight, self.bias, padding=1).clamp_(min=0)

    def pull_back(
        self, gradient: Tensor, response: Tensor, *, circular: bool = False, overwrite: bool = False
    ) -> Tensor:
        """Return the derivative with respect to the image, from the derivative with respect to the response.

        Args:
            gradient, response: (B, N, h, w), channels-last; the response is `forward`'s result.
            circular: as for `forward`.
            overwrite: whether the gradient's memory may be overwritten.
        Returns:
            (B, C, h, w).
        """
        if circular:
            inside = torch.ops.aten.threshold_backward(gradient, response, 0)
            return _fold(self._spread(_channels_last(F.pad(inside, (1, 1, 1, 1)))))
        if self.filters is not None:
            return winograd.pull_back(gradient, self.filters, response)
        if overwrite:  # the same memory: 25 ms instead of 62 at 512×342 px
            torch.ops.aten.threshold_backward.grad_input(gradient, response, 0, grad_input=gradient)
        else:
            gradient = torch.ops.aten.threshold_backward(gradient, response, 0)
        return self._spread(gradient)

    def _spread(self, gradient: Tensor) -> Tensor:
        """`pull_back` without the rectification."""
        if self.filters is not None:
            return winograd.pull_back(gradient, self.filters)
        assert self.backward_weight is not None
        # An ordinary convolution: PyTorch's own backward pass makes a copy of its input's size.
        return F.conv2d(gradient, self.backward_weight, padding=1)


def rectified(
    image: Features, convolution: Convolution, *, circular: bool = False
) -> Float[Tensor, "B _ h w"]:
    """`convolution.forward(image)` for autograd, which then calls `pull_back`."""
    return _Rectified.apply(image, convolution, circular)  # type: ignore[no-any-return,no-untyped-call]


class _Rectified(torch.autograd.Function):
    """A convolution and its rectification, for autograd."""

    @staticmethod
    def forward(context: Any, image: Tensor, convolution: Convolution, circular: bool) -> Tensor:
        """Return the rectified responses, (B, N, h, w), to an input (B, C, H, W)."""
        response = convolution.forward(image, circular=circular)
        context.save_for_backward(response)
        context.convolution, context.circular = convolution, circular
        return response

    @staticmethod
    def backward(context: Any, gradient: Tensor) -> tuple[Tensor, None, None]:
        """Return the gradient of the input, from that of the responses, (B, N, h, w)."""
        (response,) = context.saved_tensors
        return context.convolution.pull_back(gradient, response, circular=context.circular), None, None


def _fold(image: Tensor) -> Tensor:
    """Add a margin of one position to the opposite edges, where it was copied from, and cut it off."""
    image[:, :, -2] += image[:, :, 0]
    image[:, :, 1] += image[:, :, -1]
    image[:, :, :, -2] += image[:, :, :, 0]
    image[:, :, :, 1] += image[:, :, :, -1]
    return _channels_last(image[:, :, 1:-1, 1:-1])


def _channels_last(image: Tensor) -> Tensor:
    return image.contiguous(memory_format=torch.channels_last)
