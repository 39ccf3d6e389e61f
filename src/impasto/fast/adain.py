"""Any style in one pass: adaptive instance normalisation (Huang and Belongie 2017, arXiv:1703.06868)."""

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from impasto.errors import WeightsError
from impasto.network.convolution import Convolution
from impasto.network.vgg import VGG19
from impasto.network.weight_records import DECODER_LAYERS
from impasto.network.weights import Weights
from impasto.shapes import Features, Image

LAYER = "conv4_1"
"""The layer whose responses are given the style's means and deviations, and decoded."""

STRIDE = 8
"""Pixels from one position of that layer to the next."""

REACH = 4
"""Positions around a part on which its decoded pixels depend: 30 px, rounded up."""

EPSILON = 1e-5
"""Added to variances, as in Huang and Belongie's code."""

DOUBLED = frozenset({"up4_1", "up3_1", "up2_1"})
"""The decoder's layers after which the grid is doubled, by nearest neighbours."""


@dataclass(frozen=True)
class ChannelStats:
    """The mean and standard deviation of each channel.

    Attributes:
        mean, deviation: (1, N, 1, 1), float32.
    """

    mean: Float[Tensor, "1 N 1 1"]
    deviation: Float[Tensor, "1 N 1 1"]

    @classmethod
    def of(cls, features: Features, weights: Tensor | None = None) -> "ChannelStats":
        """Measure responses.

        The variance is divided by one position less than there are (Bessel), as in Huang and Belongie's code.

        Args:
            features: (1, N, h, w).
            weights: how much each position counts, (1, 1, h, w); None: all equally.
        """
        if weights is None:
            variance, mean = torch.var_mean(features.float(), (2, 3), keepdim=True)
            return cls(mean, (variance + EPSILON).sqrt())
        total = weights.sum(dtype=torch.float32).clamp(min=1e-6)  # an area may have no position
        mean = (features * weights).sum((2, 3), keepdim=True, dtype=torch.float32) / total
        squares = ((features - mean).square() * weights).sum((2, 3), keepdim=True, dtype=torch.float32)
        # Bessel's factor, but an area of less than two positions has none.
        return cls(mean, (squares / (total - 1).clamp(min=1) + EPSILON).sqrt())

    @classmethod
    def from_moments(cls, moments: Float[Tensor, "1 _ N"], positions: float) -> "ChannelStats":
        """Compute them from a total of `GaussianStatistic` per position.

        Args:
            moments: the mean of F in the first row, and that of F Fᵀ below.
            positions: the number of positions.
        """
        mean, second = moments[0, 0], moments[0, 1:].diagonal()
        # Rounding may make the difference negative; the factor is Bessel's.
        variance = (second - mean.square()).clamp(min=0) * positions / max(positions - 1, 1)
        return cls(mean.view(1, -1, 1, 1), (variance + EPSILON).sqrt().view(1, -1, 1, 1))

    def adain(self, other: "ChannelStats", features: Features) -> Features:
        """AdaIN (Huang and Belongie 2017, Eq. 8): change features with these statistics to the other's.

        Args:
            other: the style's statistics.
            features: (B, N, h, w), with the statistics of this object.
        """
        scale = other.deviation / self.deviation
        shift = other.mean - self.mean * scale
        # One multiplication and addition for each number: (F − μ) σ'/σ + μ'.
        return torch.addcmul(shift, features.float(), scale).to(features.dtype)


@dataclass(frozen=True)
class Decoder:
    """The network from responses of conv4_1 back to pixels.

    Attributes:
        convolutions: all but the last, by name, in order.
        last: weight (3, C, 3, 3) and bias (3,) of the last, which has no rectification. They are float32,
            because pixels need that precision.
    """

    convolutions: Mapping[str, Convolution]
    last: tuple[Tensor, Tensor]

    @classmethod
    def build(cls, weights: Weights, encoder: VGG19) -> "Decoder":
        """Build the decoder on the encoder's device, in its number type.

        Raises:
            WeightsError: the numbers of channels differ, so the two do not belong together.
        """
        expected, has = encoder.channels(LAYER), weights.layers[DECODER_LAYERS[0]][0].shape[1]
        if expected != has:
            raise WeightsError(
                f"the decoder {weights.path} takes {has} channels, but {LAYER} of the network has "
                f"{expected}. Give weights that belong together, or leave out --weights and --decoder."
            )
        *before, last = DECODER_LAYERS
        convolutions = {}
        for name in before:
            weight, bias = (tensor.to(encoder.device, encoder.dtype) for tensor in weights.layers[name])
            convolutions[name] = Convolution.of(weight, bias)
        weight, bias = (tensor.to(encoder.device) for tensor in weights.layers[last])
        return cls(convolutions, (weight.contiguous(memory_format=torch.channels_last), bias))

    def decode(self, features: Features) -> Image:
        """Decode features, (B, N, h, w), to pixels, (B, 3, 8h, 8w), float32, nominally 0..1."""
        # In the encoder's number type up to the last layer, over reflected edges, as the decoder was trained.
        response = features
        for name, convolution in self.convolutions.items():
            response = convolution.forward(response, reflect=True)
            if name in DOUBLED:
                response = F.interpolate(response, scale_factor=2.0, mode="nearest")
        return F.conv2d(F.pad(response.float(), (1, 1, 1, 1), mode="reflect"), *self.last)

    def decode_by_tiles(self, features: Features, side: int) -> Image:
        """Decode in parts, each with a margin as wide as its pixels depend on, so the result is the same.

        Args:
            features: (1, N, h, w).
            side: the longest side of a part, in positions; 0: one part.
        """
        height, width = features.shape[2:]
        if not side or side >= max(height, width):
            return self.decode(features)
        decoded = features.new_empty(1, 3, height * STRIDE, width * STRIDE, dtype=torch.float32)
        for top, bottom in _parts(height, side):
            for left, right in _parts(width, side):
                up, before = max(0, top - REACH), max(0, left - REACH)
                window = features[:, :, up : bottom + REACH, before : right + REACH]
                pixels = self.decode(window.contiguous(memory_format=torch.channels_last))
                # Where the part itself begins in what was decoded, in pixels.
                down, along = (top - up) * STRIDE, (left - before) * STRIDE
                high, wide = (bottom - top) * STRIDE, (right - left) * STRIDE
                decoded[:, :, top * STRIDE : bottom * STRIDE, left * STRIDE : right * STRIDE] = pixels[
                    :, :, down : down + high, along : along + wide
                ]
        return decoded


def _parts(length: int, side: int) -> list[tuple[int, int]]:
    """Cut a length into nearly equal parts of at most `side`: (first, end)."""
    count = -(-length // side)
    return list(pairwise(round(length * index / count) for index in range(count + 1)))
