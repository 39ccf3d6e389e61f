"""A convolution and its rectification in one step, which keeps no more for its derivative than that needs."""

from typing import Any

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from impasto.network import winograd
from impasto.shapes import Features


class Rectified(torch.autograd.Function):
    """max(0, image ∗ weight + bias), with the derivative with respect to the image alone.

    PyTorch's own convolution keeps its input for the derivative of weights, which are not learned here; this
    keeps the responses alone.
    """

    @staticmethod
    def forward(  # noqa: D102
        context: Any, image: Tensor, weight: Tensor, bias: Tensor, filters: Tensor | None, padding: int
    ) -> Tensor:
        if filters is None:
            response = F.conv2d(image, weight, bias, padding=padding).clamp_(min=0)
        else:
            response = winograd.convolve(image, filters, bias)
        context.save_for_backward(response)
        context.weight, context.filters, context.padding = weight, filters, padding
        context.image_shape = image.shape
        return response

    @staticmethod
    def backward(context: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:  # noqa: D102
        (response,) = context.saved_tensors
        if context.filters is not None:
            return winograd.pull_back(gradient, context.filters, response), None, None, None, None
        gradient = torch.ops.aten.threshold_backward(gradient, response, 0)
        image = gradient.new_empty(1).expand(context.image_shape)  # only its shape is looked at
        padding = [context.padding] * 2
        found, _, _ = torch.ops.aten.convolution_backward(
            gradient, image, context.weight, None, [1, 1], padding, [1, 1], False, [0, 0], 1,
            [True, False, False],
        )  # fmt: skip
        return found, None, None, None, None


def rectified(
    image: Features, weight: Tensor, bias: Tensor, filters: Tensor | None = None, *, padding: int = 1
) -> Float[Tensor, "B _ _ _"]:
    """Responses of one layer, ≥ 0.

    Args:
        image: (B, C, h, w), channels-last.
        weight, bias: (N, C, 3, 3) and (N,).
        filters: the weights as `winograd.transform` has them, to use that; None for direct sums.
        padding: rows and columns of zeros around the image; 0 where it has its own margin.
    """
    return Rectified.apply(image, weight, bias, filters, padding)  # type: ignore[no-any-return,no-untyped-call]
