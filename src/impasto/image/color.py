"""Colours kept or carried over: luminance and chroma apart, and a picture recoloured to another's colours.

Gatys, Bethge, Hertzmann and Shechtman 2016, "Preserving Color in Neural Artistic Style Transfer"
(arXiv:1606.05897).
"""

from dataclasses import dataclass
from typing import Protocol, TypeAlias, runtime_checkable

import torch
from jaxtyping import Float
from torch import Tensor

from impasto.choices import ColorMatch
from impasto.shapes import Image, Mask

LUMA = (0.299, 0.587, 0.114)
"""Of red, green and blue in the luminance Y' of YIQ (ITU-R BT.601), on encoded values."""

AnyImage: TypeAlias = Float[Tensor, "B 3 _ _"]
"""An `Image` of any size."""

LEVELS = 1024
"""Steps between the least and the greatest value of a colour when histograms are matched."""


def luminance(image: Image) -> Mask:
    """Y', (B, 1, H, W), 0..1 where the image is."""
    weights = torch.tensor(LUMA, dtype=image.dtype, device=image.device)
    return torch.einsum("bchw,c->bhw", image, weights)[:, None]


def grey(image: Image) -> Image:
    """The luminance in all three colours."""
    return luminance(image).expand(-1, 3, -1, -1).contiguous()


def with_luminance(image: Image, target: Mask) -> Image:
    """The image's chroma with another luminance, as far as there are such colours.

    A luminance that would push red, green or blue out of 0..1 is brought to the nearest that does not: so the
    chroma (I and Q of YIQ) stays the image's exactly.

    Args:
        image: whose chroma is kept, 0..1.
        target: (B, 1, H, W).
    """
    chroma = image - luminance(image)
    least, most = -chroma.amin(1, keepdim=True), 1 - chroma.amax(1, keepdim=True)
    return chroma + torch.minimum(torch.maximum(target, least), most)


@runtime_checkable
class Recolor(Protocol):
    """A change of colours, pixel by pixel."""

    def __call__(self, image: Image) -> Image:
        """The image in other colours, perhaps beyond 0..1."""


@dataclass(frozen=True)
class Affine:
    """x ↦ A x + b, for each pixel's red, green and blue, or the channels of another colour space."""

    matrix: Float[Tensor, "C C"]
    offset: Float[Tensor, " C"]

    def __call__(self, image: Float[Tensor, "B C H W"]) -> Float[Tensor, "B C H W"]:
        """See `Recolor`."""
        matrix, offset = self.matrix.to(image), self.offset.to(image)
        return torch.einsum("dc,bchw->bdhw", matrix, image) + offset[:, None, None]


@dataclass(frozen=True)
class Curves:
    """A rising curve for each colour, straight between its points and level beyond them.

    Attributes:
        points, values: three of each, for red, green and blue.
    """

    points: tuple[Float[Tensor, " _"], ...]
    values: tuple[Float[Tensor, " _"], ...]

    def __call__(self, image: Image) -> Image:
        """See `Recolor`."""
        channels = [
            _along(image[:, channel], self.points[channel].to(image), self.values[channel].to(image))
            for channel in range(3)
        ]
        return torch.stack(channels, dim=1)


def color_moments(image: Image) -> tuple[Float[Tensor, " 3"], Float[Tensor, "3 3"]]:
    """Mean colour and covariance of the colours, in float64."""
    flat = image.double().transpose(0, 1).flatten(1)
    return flat.mean(1), torch.cov(flat, correction=0)


def match_colors(source: AnyImage, target: AnyImage, how: ColorMatch) -> Recolor:
    """What gives one picture the colours of another.

    Args:
        source: the picture to be recoloured.
        target: the picture whose colours are wanted.
        how: mean and covariance by the affine map with A = Σ_t^½ Σ_s^-½ ("symmetric", the paper's image
            analogies form) or A = L_t L_s⁻¹ ("cholesky"); or "histogram", each colour's by itself.
    """
    if how == "histogram":
        return _curves(source, target)
    (middle, covariance), (target_mean, shape) = color_moments(source), color_moments(target)
    if how == "cholesky":
        matrix = _lower(shape) @ torch.linalg.inv(_lower(covariance))
    else:
        matrix = matrix_power(shape + _little(shape), 0.5)
        matrix = matrix @ matrix_power(covariance + _little(covariance), -0.5)
    return Affine(matrix, target_mean - matrix @ middle)


def match_luminance(source: AnyImage, target: AnyImage) -> Recolor:
    """What makes one picture grey, with the mean and the deviation of another's luminance (Sec. 3.2)."""
    values, target_values = luminance(source).double(), luminance(target).double()
    factor = float(target_values.std() / values.std().clamp(min=1e-6))
    matrix = factor * torch.tensor(LUMA, dtype=torch.float64).expand(3, 3)
    offset = float(target_values.mean()) - factor * float(values.mean())
    return Affine(matrix, torch.full((3,), offset, dtype=torch.float64))


def matrix_power(covariance: Float[Tensor, "C C"], exponent: float) -> Float[Tensor, "C C"]:
    """A power of a symmetric positive definite matrix."""
    values, vectors = torch.linalg.eigh(covariance)
    power: Tensor = vectors * values.clamp(min=1e-18).pow(exponent) @ vectors.T
    return power


def _curves(source: AnyImage, target: AnyImage) -> Curves:
    places = torch.linspace(0, 1, LEVELS, dtype=torch.float64)
    points, values = [], []
    for channel in range(3):
        source_quantiles, target_quantiles = (
            _quantiles(image[:, channel], places) for image in (source, target)
        )
        # A value that many pixels have stands for a range of ranks: it takes the mean of what they would.
        point, group = torch.unique(source_quantiles, return_inverse=True)
        total = torch.zeros_like(point).index_add_(0, group, target_quantiles)
        points.append(point)
        values.append(total / torch.bincount(group))
    return Curves(tuple(points), tuple(values))


def _quantiles(values: Tensor, places: Float[Tensor, " P"]) -> Float[Tensor, " P"]:
    ordered: Tensor = values.double().flatten().sort().values
    return ordered[(places * (len(ordered) - 1)).round().long().to(ordered.device)]


def _along(values: Tensor, points: Float[Tensor, " P"], heights: Float[Tensor, " P"]) -> Tensor:
    if len(points) == 1:
        return torch.full_like(values, float(heights[0]))
    upper = torch.searchsorted(points, values.contiguous()).clamp(1, len(points) - 1)
    share = (values - points[upper - 1]) / (points[upper] - points[upper - 1])
    heights_there: Tensor = torch.lerp(heights[upper - 1], heights[upper], share.clamp(0, 1))
    return heights_there


def _lower(covariance: Float[Tensor, "3 3"]) -> Float[Tensor, "3 3"]:
    """Cholesky's factor; a picture of one colour gets a little of every other."""
    factor: Tensor = torch.linalg.cholesky(covariance + _little(covariance))
    return factor


def _little(covariance: Float[Tensor, "3 3"]) -> Float[Tensor, "3 3"]:
    return 1e-9 * torch.eye(3, dtype=covariance.dtype, device=covariance.device)
