"""A network that paints in one pass (Johnson et al. 2016), in several styles (Dumoulin et al. 2017)."""

from collections.abc import Iterator
from dataclasses import dataclass, field

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from impasto.shapes import Image

EPSILON = 1e-5
"""Added to variances, because that of a flat picture is 0."""


@dataclass
class NormStats:
    """The mean and standard deviation of every layer's responses, in the order in which they are needed.

    Instance normalisation takes them from the picture itself. For a part of a picture they are replayed from
    `known`, which an earlier pass over the whole picture, or over samples of it, has filled.

    Attributes:
        known: mean and deviation of each layer, (B or 1, N, 1, 1).
        replay: whether to take them from `known` instead of measuring.
    """

    known: list[tuple[Tensor, Tensor]] = field(default_factory=list)
    replay: bool = False

    def __post_init__(self) -> None:
        self._next: Iterator[tuple[Tensor, Tensor]] = iter(self.known)

    def again(self) -> "NormStats":
        """Return a replay of the same numbers, beginning with the first layer."""
        return NormStats(self.known, replay=True)

    def of(self, response: Tensor) -> tuple[Tensor, Tensor]:
        """Return the mean and deviation by channel, (1, N, 1, 1): those of a response, or replayed."""
        if self.replay:
            return next(self._next)
        self.known.append(_mean_and_deviation(response, (0, 2, 3)))
        return self.known[-1]


class TransformerNet(nn.Module):
    """The network from a photo to a painting: 9×9, two halvings, residual blocks, two doublings, 9×9.

    Johnson, Alahi and Fei-Fei 2016, "Perceptual Losses for Real-Time Style Transfer" (arXiv:1603.08155), with
    conditional instance normalisation (Dumoulin, Shlens and Kudlur 2017, arXiv:1610.07629): each style has
    its own scale and shift after every normalisation, and several styles are blended by averaging these.
    Differs: grids are doubled by nearest neighbours and then convolved (Odena, Dumoulin and Olah 2016),
    because transposed convolutions leave a checkerboard; edges are reflected; the last layer is a sigmoid.

    Args:
        width: the filters of the first layer; the innermost layers have four times as many.
        blocks: the number of residual blocks.
        styles: the number of styles.
    """

    def __init__(self, width: int = 32, blocks: int = 5, styles: int = 1) -> None:
        super().__init__()
        self.width, self.blocks, self.styles = width, blocks, styles
        inner = 4 * width
        self.down = nn.ModuleList(
            [
                ConvNorm(3, width, 9, styles),
                ConvNorm(width, 2 * width, 3, styles, stride=2),
                ConvNorm(2 * width, inner, 3, styles, stride=2),
            ]
        )
        self.middle = nn.ModuleList([ConvNorm(inner, inner, 3, styles) for _ in range(2 * blocks)])
        self.up = nn.ModuleList(
            [ConvNorm(inner, 2 * width, 3, styles), ConvNorm(2 * width, width, 3, styles)]
        )
        self.last = nn.Conv2d(width, 3, 9)
        # Small, so that the first outputs lie where the sigmoid is steep.
        nn.init.normal_(self.last.weight, std=0.5 / (81 * width) ** 0.5)
        assert self.last.bias is not None
        nn.init.zeros_(self.last.bias)

    @property
    def shape(self) -> dict[str, int]:
        """The arguments that it was built with."""
        return {"width": self.width, "blocks": self.blocks, "styles": self.styles}

    def forward(self, image: Image, shares: Float[Tensor, "_ S"], moments: NormStats | None = None) -> Image:
        """Paint a batch of photos.

        Args:
            image: (B, 3, H, W), 0..1, at least 16 px a side.
            shares: the styles' shares, for each picture or for all of them, (B or 1, S), with sum 1.
            moments: the means and deviations of the normalisations; None: each picture's own.
        Returns:
            (B, 3, H, W), 0..1.
        """
        response = image * 2 - 1
        sizes = []  # before each layer: halvings round odd sizes up, and the doublings must undo that
        for layer in self.down:
            sizes.append(response.shape[2:])
            response = layer(response, shares, moments).relu()
        pairs = iter(self.middle)  # two layers are a residual block
        for first, second in zip(pairs, pairs, strict=True):
            response = response + second(first(response, shares, moments).relu(), shares, moments)
        for layer, (height, width) in zip(self.up, (sizes[2], sizes[1]), strict=True):
            doubled = F.interpolate(response, scale_factor=2.0, mode="nearest")[:, :, :height, :width]
            response = layer(doubled, shares, moments).relu()
        with torch.autocast(image.device.type, enabled=False):  # bfloat16 has too few steps for pixels
            return torch.sigmoid(self.last(reflect_pad(response.float(), 4)))


class ConvNorm(nn.Module):
    """A convolution over reflected edges, followed by conditional instance normalisation.

    Args:
        channels, filters: the numbers of input and output channels.
        side: the side of the filters, in positions.
        styles: the number of styles.
        stride: positions from one result to the next.
    """

    def __init__(self, channels: int, filters: int, side: int, styles: int, stride: int = 1) -> None:
        super().__init__()
        self.side, self.stride = side, stride
        self.weight = nn.Parameter(torch.empty(filters, channels, side, side))
        self.scale = nn.Parameter(torch.ones(styles, filters))
        self.shift = nn.Parameter(torch.zeros(styles, filters))
        nn.init.kaiming_normal_(self.weight)

    def forward(self, image: Tensor, shares: Tensor, moments: NormStats | None) -> Tensor:
        """Return the normalised response before rectification, (B, filters, h, w)."""
        # There is no bias: the normalisation would remove it.
        response = F.conv2d(reflect_pad(image, self.side // 2), self.weight, stride=self.stride)
        mean, deviation = _mean_and_deviation(response, (2, 3)) if moments is None else moments.of(response)
        with torch.autocast(response.device.type, enabled=False):
            # The normalisation and the styles' scale and shift in one operation.
            scale = (shares @ self.scale)[:, :, None, None] / deviation
            shift = (shares @ self.shift)[:, :, None, None] - mean * scale
            return torch.addcmul(shift, response.float(), scale).to(response.dtype)


def _mean_and_deviation(response: Tensor, axes: tuple[int, ...]) -> tuple[Tensor, Tensor]:
    """Return the mean and standard deviation over some axes, which are kept with length 1, in float32."""
    mean = response.float().mean(axes, keepdim=True)
    return mean, ((response - mean).square().mean(axes, keepdim=True) + EPSILON).sqrt()


def reflect_pad(image: Tensor, margin: int) -> Tensor:
    """Add a margin in which the image, (B, N, h, w), is reflected; `margin` is its width in positions."""
    return F.pad(image, (margin,) * 4, mode="reflect")
