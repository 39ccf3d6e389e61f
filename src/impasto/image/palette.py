"""The photo's colours in the painting's palette: a and b of Oklab, mapped and smoothed along contours.

After the colour step of Kolkin et al. 2022, "Neural Neighbor Style Transfer" (arXiv:2203.13215): the painted
picture keeps its lightness; its colours are the photo's, brought to the painting's mean and covariance.
Differs: a and b of Oklab are mapped; one guided filter instead of five rounds of a bilateral one; values are
clamped to the painting's range; colours that sRGB cannot show lose chroma and are not clipped.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from impasto.image.color import Affine, matrix_power
from impasto.image.oklab import to_oklab, to_srgb
from impasto.shapes import Image, Mask

AnyImage = Float[Tensor, "B 3 _ _"]
"""An `Image` of any size."""

Chroma = Float[Tensor, "B 2 H W"]
"""a and b of Oklab."""

MOST_GAIN = 5.0
"""At most by this factor are a and b stretched; more would make a nearly grey photo's noise visible."""

LEAST_VARIANCE = 1e-9
"""Added to the variances of a and b, so that pictures of one colour can be mapped too."""

RADIUS = 1 / 170
"""Of the filter's window, relative to the picture's long side. Tried on a butterfly at 512 px: with 1/100 the
narrow cells of its wing take on the colour around them."""

SOFTNESS = 1e-3
"""The filter's ε, a variance of L: contours are followed where L varies by more than its root, 0.03."""


@dataclass(frozen=True, eq=False)
class Palette:
    """How a and b of Oklab are distributed in a picture, or in a part of it; in float64.

    Attributes:
        mean, covariance: of a and b.
        least, most: their range.
    """

    mean: Float[Tensor, " 2"]
    covariance: Float[Tensor, "2 2"]
    least: Float[Tensor, " 2"]
    most: Float[Tensor, " 2"]

    @classmethod
    def of(cls, image: AnyImage, area: Float[Tensor, "B 1 _ _"] | None = None) -> "Palette":
        """The palette of a picture.

        Args:
            image: one picture, sRGB-encoded.
            area: how much each pixel counts, 0..1, somewhere above 0; if omitted, all count alike.
        """
        chroma = to_oklab(image)[0, 1:].flatten(1).double()
        weights = torch.ones_like(chroma[0]) if area is None else area.flatten().to(chroma)
        share = weights / weights.sum()
        mean = chroma @ share
        apart = chroma - mean[:, None]
        inside = chroma[:, weights >= weights.max() / 2]
        return cls(mean, (apart * share) @ apart.T, inside.amin(1), inside.amax(1))

    @classmethod
    def mixed(cls, palettes: Sequence["Palette"], shares: Sequence[float]) -> "Palette":
        """The palette of several pictures together, in shares; a share of 0 leaves a picture out."""
        several = [(p, s / sum(shares)) for p, s in zip(palettes, shares, strict=True) if s]
        mean = torch.stack([s * p.mean for p, s in several]).sum(0)
        spread = [s * (p.covariance + torch.outer(p.mean - mean, p.mean - mean)) for p, s in several]
        return cls(
            mean,
            torch.stack(spread).sum(0),
            torch.stack([p.least for p, _ in several]).amin(0),
            torch.stack([p.most for p, _ in several]).amax(0),
        )


@dataclass(frozen=True)
class PaletteMap:
    """a and b of one palette brought to another's: x ↦ A x + t, clamped to its range.

    Attributes:
        affine: A and t.
        least, most: the range.
    """

    affine: Affine
    least: Float[Tensor, " 2"]
    most: Float[Tensor, " 2"]

    def __call__(self, chroma: Chroma) -> Chroma:
        """The mapped a and b."""
        least, most = (end.to(chroma)[:, None, None] for end in (self.least, self.most))
        return torch.minimum(torch.maximum(self.affine(chroma), least), most)


def match_palette(source: Palette, target: Palette) -> PaletteMap:
    """The map that gives one palette the mean and covariance of another and moves its colours least.

    A = Σ_s^-½ (Σ_s^½ Σ_t Σ_s^½)^½ Σ_s^-½ (Monge-Kantorovich; Pitié and Kokaram 2007). A is symmetric: it only
    stretches, while the A = Σ_t^½ Σ_s^-½ of `match_colors` may turn hues too.
    Differs: A stretches at most `MOST_GAIN` times, so a nearly grey photo stays greyer than the painting.
    """
    little = LEAST_VARIANCE * torch.eye(2, dtype=torch.float64)
    half, inverse = (matrix_power(source.covariance + little, exponent) for exponent in (0.5, -0.5))
    matrix = inverse @ matrix_power(half @ (target.covariance + little) @ half, 0.5) @ inverse
    gains, directions = torch.linalg.eigh((matrix + matrix.T) / 2)
    matrix = directions * gains.clamp(max=MOST_GAIN) @ directions.T
    return PaletteMap(Affine(matrix, target.mean - matrix @ source.mean), target.least, target.most)


def with_chroma(image: Image, chroma: Chroma) -> Image:
    """The picture's lightness with other colours, smoothed along its contours, sRGB-encoded, 0..1.

    Args:
        image: whose L of Oklab is kept, 0..1.
        chroma: a and b of Oklab, which may be more than sRGB can show.
    """
    lightness = to_oklab(image)[:, :1]
    radius = max(1, round(RADIUS * max(image.shape[2:])))
    return to_srgb(torch.cat([lightness, guided_filter(chroma, lightness, radius, SOFTNESS)], dim=1))


def guided_filter(
    values: Float[Tensor, "B C H W"], guide: Mask, radius: int, softness: float
) -> Float[Tensor, "B C H W"]:
    """Smooth values within the contours of a guide: in each window they become a linear function of it.

    a = cov(guide, values) / (var(guide) + ε) and b = mean(values) - a mean(guide) in each window; the result
    is mean(a) guide + mean(b) over the windows that a pixel is in (He, Sun and Tang 2010, "Guided Image
    Filtering"). Windows are cut off at the picture's edge. The time does not depend on the radius.

    Args:
        radius: of the square windows, in pixels; they are 2 radius + 1 wide.
        softness: ε, a variance of the guide.
    """
    guide_mean = _box_mean(guide, radius)
    variance = (_box_mean(guide.square(), radius) - guide_mean.square()).clamp(min=0)
    smoothed = []
    for index in range(values.shape[1]):
        channel = values[:, index : index + 1]
        mean = _box_mean(channel, radius)
        slope = (_box_mean(guide * channel, radius) - guide_mean * mean) / (variance + softness)
        offset = _box_mean(mean - slope * guide_mean, radius)
        smoothed.append((_box_mean(slope, radius) * guide + offset).to(values))
    return torch.cat(smoothed, dim=1)


def _box_mean(values: Float[Tensor, "B 1 H W"], radius: int) -> Float[Tensor, "B 1 H W"]:
    """Mean over the part inside of the square window around each pixel; its running sums are float64."""
    number = values.dtype
    for axis in (2, 3):
        length = values.shape[axis]
        sums = values.cumsum(axis, dtype=torch.float64)
        sums = torch.cat([torch.zeros_like(sums.narrow(axis, 0, 1)), sums], dim=axis)
        here = torch.arange(length, device=values.device)
        first, end = (here - radius).clamp(min=0), (here + radius + 1).clamp(max=length)
        count = (end - first).reshape([-1, 1] if axis == 2 else [-1])
        values = (sums.index_select(axis, end) - sums.index_select(axis, first)) / count
    return values.to(number)
