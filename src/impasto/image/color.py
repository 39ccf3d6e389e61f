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

Colors: TypeAlias = Float[Tensor, "B 3 _ _"]
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


def with_luminance(image: Image, wanted: Mask) -> Image:
    """The image's chroma with another luminance, as far as there are such colours.

    A luminance that would push red, green or blue out of 0..1 is brought to the nearest that does not: so the
    chroma (I and Q of YIQ) stays the image's exactly.

    Args:
        image: whose chroma is kept, 0..1.
        wanted: (B, 1, H, W).
    """
    chroma = image - luminance(image)
    least, most = -chroma.amin(1, keepdim=True), 1 - chroma.amax(1, keepdim=True)
    return chroma + torch.minimum(torch.maximum(wanted, least), most)


@runtime_checkable
class Recolor(Protocol):
    """A change of colours, pixel by pixel."""

    def __call__(self, image: Image) -> Image:
        """The image in other colours, perhaps beyond 0..1."""


@dataclass(frozen=True)
class Affine:
    """x ↦ A x + b, for each pixel's red, green and blue."""

    matrix: Float[Tensor, "3 3"]
    offset: Float[Tensor, " 3"]

    def __call__(self, image: Image) -> Image:
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
        found = [
            _along(image[:, place], self.points[place].to(image), self.values[place].to(image))
            for place in range(3)
        ]
        return torch.stack(found, dim=1)


def moments(image: Image) -> tuple[Float[Tensor, " 3"], Float[Tensor, "3 3"]]:
    """Mean colour and covariance of the colours, in float64."""
    flat = image.double().transpose(0, 1).flatten(1)
    return flat.mean(1), torch.cov(flat, correction=0)


def matched(source: Colors, target: Colors, how: ColorMatch) -> Recolor:
    """What gives one picture the colours of another.

    Args:
        source: the picture to be recoloured.
        target: the picture whose colours are wanted.
        how: mean and covariance by the affine map with A = Σ_t^½ Σ_s^-½ ("symmetric", the paper's image
            analogies form) or A = L_t L_s⁻¹ ("cholesky"); or "histogram", each colour's by itself.
    """
    if how == "histogram":
        return _curves(source, target)
    (middle, covariance), (wanted, shape) = moments(source), moments(target)
    if how == "cholesky":
        matrix = _lower(shape) @ torch.linalg.inv(_lower(covariance))
    else:
        matrix = _power(shape, 0.5) @ _power(covariance, -0.5)
    return Affine(matrix, wanted - matrix @ middle)


def matched_luminance(source: Colors, target: Colors) -> Recolor:
    """What makes one picture grey, with the mean and the deviation of another's luminance (Sec. 3.2)."""
    own, wanted = luminance(source).double(), luminance(target).double()
    factor = float(wanted.std() / own.std().clamp(min=1e-6))
    matrix = factor * torch.tensor(LUMA, dtype=torch.float64).expand(3, 3)
    offset = float(wanted.mean()) - factor * float(own.mean())
    return Affine(matrix, torch.full((3,), offset, dtype=torch.float64))


def _curves(source: Colors, target: Colors) -> Curves:
    places = torch.linspace(0, 1, LEVELS, dtype=torch.float64)
    points, values = [], []
    for place in range(3):
        own, wanted = (_quantiles(image[:, place], places) for image in (source, target))
        # A value that many pixels have stands for a range of ranks: it takes the mean of what they would.
        point, group = torch.unique(own, return_inverse=True)
        total = torch.zeros_like(point).index_add_(0, group, wanted)
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
    found: Tensor = torch.lerp(heights[upper - 1], heights[upper], share.clamp(0, 1))
    return found


def _lower(covariance: Float[Tensor, "3 3"]) -> Float[Tensor, "3 3"]:
    """Cholesky's factor; a picture of one colour gets a little of every other."""
    found: Tensor = torch.linalg.cholesky(covariance + _little(covariance))
    return found


def _power(covariance: Float[Tensor, "3 3"], exponent: float) -> Float[Tensor, "3 3"]:
    """A power of a symmetric matrix."""
    values, vectors = torch.linalg.eigh(covariance + _little(covariance))
    found: Tensor = vectors * values.clamp(min=1e-12).pow(exponent) @ vectors.T
    return found


def _little(covariance: Float[Tensor, "3 3"]) -> Float[Tensor, "3 3"]:
    return 1e-9 * torch.eye(3, dtype=covariance.dtype, device=covariance.device)
