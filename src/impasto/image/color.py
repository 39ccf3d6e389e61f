"""Keeping and transferring colours: luminance apart from chroma, and one picture in another's colours.

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
"""Weights of red, green and blue in the luminance Y' of YIQ (ITU-R BT.601), of encoded values."""

AnyImage: TypeAlias = Float[Tensor, "B 3 _ _"]
"""An `Image` of any size."""

LEVELS = 1024
"""Quantiles taken of each colour when histograms are matched."""


def luminance(image: Image) -> Mask:
    """Return the luminance Y' of YIQ, (B, 1, H, W); 0..1 where the image is 0..1."""
    weights = torch.tensor(LUMA, dtype=image.dtype, device=image.device)
    return torch.einsum("bchw,c->bhw", image, weights)[:, None]


def grey(image: Image) -> Image:
    """Return the luminance in all three colours."""
    return luminance(image).expand(-1, 3, -1, -1).contiguous()


def with_luminance(image: Image, target: Mask) -> Image:
    """Give an image another luminance and keep its chroma (I and Q of YIQ) exactly.

    Where the new luminance would push red, green or blue out of 0..1, the nearest one that does not is used.

    Args:
        image: the image whose chroma is kept, 0..1.
        target: the new luminance, (B, 1, H, W), 0..1.
    Returns:
        (B, 3, H, W), 0..1.
    """
    chroma = image - luminance(image)  # RGB of the colour with Y' = 0: adding a grey changes Y' alone
    least, most = -chroma.amin(1, keepdim=True), 1 - chroma.amax(1, keepdim=True)
    return chroma + torch.minimum(torch.maximum(target, least), most)


@runtime_checkable
class Recolor(Protocol):
    """A change of colours, pixel by pixel."""

    def __call__(self, image: Image) -> Image:
        """Return the image in other colours, which may lie outside 0..1."""


@dataclass(frozen=True)
class Affine:
    """The map x ↦ A x + b of each pixel's channels, in RGB or another colour space."""

    matrix: Float[Tensor, "C C"]
    offset: Float[Tensor, " C"]

    def __call__(self, image: Float[Tensor, "B C H W"]) -> Float[Tensor, "B C H W"]:
        """See `Recolor`."""
        matrix, offset = self.matrix.to(image), self.offset.to(image)
        return torch.einsum("dc,bchw->bdhw", matrix, image) + offset[:, None, None]


@dataclass(frozen=True)
class Curves:
    """An increasing curve for each of red, green and blue: linear between its points, constant beyond them.

    Attributes:
        points, values: each curve's arguments and values, three tensors each, for red, green and blue.
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
    """Return the mean colour, (3,), and the covariance of the colours, (3, 3), in float64."""
    flat = image.double().transpose(0, 1).flatten(1)  # (3, B·H·W)
    return flat.mean(1), torch.cov(flat, correction=0)


def match_colors(source: AnyImage, target: AnyImage, how: ColorMatch) -> Recolor:
    """Find the map that gives one picture the colours of another (Sec. 3.1 and 4.1 of the paper above).

    Args:
        source: the picture to recolour.
        target: the picture that has the colours.
        how: "symmetric" and "cholesky" match mean and covariance by an affine map, with A = Σ_t^½ Σ_s^-½ (the
            paper's image analogies form) and A = L_t L_s⁻¹; "histogram" matches each colour by itself.
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
    """Find the map to grey with the mean and deviation of another picture's luminance (Sec. 3.2).

    Args:
        source: the picture to recolour, (B, 3, H, W).
        target: the picture whose luminance it gets, (B, 3, h, w).
    """
    values, target_values = luminance(source).double(), luminance(target).double()
    factor = float(_deviation(target_values) / _deviation(values).clamp(min=1e-6))
    matrix = factor * torch.tensor(LUMA, dtype=torch.float64).expand(3, 3)
    offset = float(target_values.mean()) - factor * float(values.mean())
    return Affine(matrix, torch.full((3,), offset, dtype=torch.float64))


def _deviation(values: Float[Tensor, "B 1 H W"]) -> Float[Tensor, ""]:
    """Return the standard deviation, which is 0 for a single pixel."""
    # With correction=0, which needs no exception, old pictures would be repeated with other pixels.
    return values.std() if values.numel() > 1 else values.new_zeros(())


def matrix_power(covariance: Float[Tensor, "C C"], exponent: float) -> Float[Tensor, "C C"]:
    """Raise a symmetric positive definite matrix, (C, C), to a power, by its eigenvalues."""
    values, vectors = torch.linalg.eigh(covariance)
    # Rounding may leave an eigenvalue of 0 slightly negative, which has no root.
    power: Tensor = vectors * values.clamp(min=1e-18).pow(exponent) @ vectors.T
    return power


def _curves(source: AnyImage, target: AnyImage) -> Curves:
    """Map the quantiles of each colour of the source to those of the target."""
    places = torch.linspace(0, 1, LEVELS, dtype=torch.float64)
    points, values = [], []
    for channel in range(3):
        source_quantiles, target_quantiles = (
            _quantiles(image[:, channel], places) for image in (source, target)
        )
        # A value that many pixels share fills several quantiles: it is mapped to the mean of their targets.
        point, group = torch.unique(source_quantiles, return_inverse=True)
        total = torch.zeros_like(point).index_add_(0, group, target_quantiles)
        points.append(point)
        values.append(total / torch.bincount(group))
    return Curves(tuple(points), tuple(values))


def _quantiles(values: Tensor, places: Float[Tensor, " P"]) -> Float[Tensor, " P"]:
    """Return the values at these places, 0..1, of the sorted values."""
    ordered: Tensor = values.double().flatten().sort().values
    return ordered[(places * (len(ordered) - 1)).round().long().to(ordered.device)]


def _along(values: Tensor, points: Float[Tensor, " P"], heights: Float[Tensor, " P"]) -> Tensor:
    """Interpolate linearly between points; beyond the first and the last the curve is constant."""
    if len(points) == 1:  # a channel with a single value
        return torch.full_like(values, float(heights[0]))
    upper = torch.searchsorted(points, values.contiguous()).clamp(1, len(points) - 1)
    share = (values - points[upper - 1]) / (points[upper] - points[upper - 1])
    heights_there: Tensor = torch.lerp(heights[upper - 1], heights[upper], share.clamp(0, 1))
    return heights_there


def _lower(covariance: Float[Tensor, "3 3"]) -> Float[Tensor, "3 3"]:
    """Return the Cholesky factor L, with a ridge so that a picture of one colour has one too."""
    factor: Tensor = torch.linalg.cholesky(covariance + _little(covariance))
    return factor


def _little(covariance: Float[Tensor, "3 3"]) -> Float[Tensor, "3 3"]:
    """Return a small multiple of the identity, which makes a singular covariance invertible."""
    return 1e-9 * torch.eye(3, dtype=covariance.dtype, device=covariance.device)
