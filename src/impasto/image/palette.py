"""The photo's colours in the painting's palette: a and b of Oklab, mapped, then smoothed along contours.

After the colour step of Kolkin et al. 2022, "Neural Neighbor Style Transfer" (arXiv:2203.13215): the painted
picture keeps its lightness and takes the photo's colours, with the painting's mean and covariance.
Differs: the colours are a and b of Oklab; one guided filter replaces five rounds of a bilateral one; values
are clamped to the painting's range; colours that sRGB cannot show lose chroma instead of being clipped.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from impasto.image.color import Affine, AnyImage, matrix_power
from impasto.image.guided_filter import guided_lines
from impasto.image.oklab import to_oklab, to_srgb
from impasto.shapes import Image, Mask

Chroma = Float[Tensor, "B 2 H W"]
"""a and b of Oklab."""

MOST_GAIN = 5.0
"""The most that a and b are stretched. More would make the noise of a nearly grey photo visible."""

LEAST_VARIANCE = 1e-9
"""Added to the variances of a and b, so that pictures of a single colour can be mapped too."""

RADIUS = 1 / 170
"""The radius of the filter's window, relative to the picture's long side. With 1/100 the narrow cells of a
butterfly's wing took on the colour around them (512 px)."""

SOFTNESS = 1e-3
"""The filter's ε, a variance of L: contours are followed where L varies by more than its root, 0.03."""


@dataclass(frozen=True, eq=False)
class Palette:
    """The distribution of a and b of Oklab in a picture or a part of it, in float64.

    Attributes:
        mean, covariance: of a and b, (2,) and (2, 2).
        least, most: the range of a and b, (2,) each.
    """

    mean: Float[Tensor, " 2"]
    covariance: Float[Tensor, "2 2"]
    least: Float[Tensor, " 2"]
    most: Float[Tensor, " 2"]

    @classmethod
    def of(cls, image: AnyImage, area: Float[Tensor, "B 1 _ _"] | None = None) -> "Palette":
        """Measure the palette of a picture.

        Args:
            image: one picture, (1, 3, H, W), sRGB-encoded.
            area: how much each pixel counts, (1, 1, H, W), 0..1, not all 0; if omitted, all count equally.
        """
        chroma = to_oklab(image)[0, 1:].flatten(1).double()  # (2, M)
        weights = torch.ones_like(chroma[0]) if area is None else area.flatten().to(chroma)
        share = weights / weights.sum()
        mean = chroma @ share
        apart = chroma - mean[:, None]
        inside = chroma[:, weights >= weights.max() / 2]  # the soft border has the neighbours' colours
        return cls(mean, (apart * share) @ apart.T, inside.amin(1), inside.amax(1))

    @classmethod
    def mixed(cls, palettes: Sequence["Palette"], shares: Sequence[float]) -> "Palette":
        """Combine the palettes of several pictures.

        Args:
            palettes: one for each picture.
            shares: their weights, of any positive sum; with 0 a picture is left out.
        """
        several = [(p, s / sum(shares)) for p, s in zip(palettes, shares, strict=True) if s]
        mean = torch.stack([s * p.mean for p, s in several]).sum(0)
        # The law of total variance: the palettes' own covariances, and that of their means.
        spread = [s * (p.covariance + torch.outer(p.mean - mean, p.mean - mean)) for p, s in several]
        return cls(
            mean,
            torch.stack(spread).sum(0),
            torch.stack([p.least for p, _ in several]).amin(0),
            torch.stack([p.most for p, _ in several]).amax(0),
        )


@dataclass(frozen=True)
class PaletteMap:
    """A map of a and b from one palette to another: x ↦ A x + t, clamped to the second palette's range.

    Attributes:
        affine: A and t.
        least, most: the range, (2,) each.
    """

    affine: Affine
    least: Float[Tensor, " 2"]
    most: Float[Tensor, " 2"]

    def __call__(self, chroma: Chroma) -> Chroma:
        """Return the mapped a and b."""
        least, most = (end.to(chroma)[:, None, None] for end in (self.least, self.most))
        return torch.minimum(torch.maximum(self.affine(chroma), least), most)


def match_palette(source: Palette, target: Palette) -> PaletteMap:
    """Find the map that gives one palette the mean and covariance of another, and moves its colours least.

    A = Σ_s^-½ (Σ_s^½ Σ_t Σ_s^½)^½ Σ_s^-½ (Monge-Kantorovich; Pitié and Kokaram 2007). This A is symmetric, so
    it only stretches; the A = Σ_t^½ Σ_s^-½ of `match_colors` may rotate hues too.
    Differs: A stretches at most `MOST_GAIN` times, so a nearly grey photo stays greyer than the painting.
    """
    little = LEAST_VARIANCE * torch.eye(2, dtype=torch.float64)
    half, inverse = (matrix_power(source.covariance + little, exponent) for exponent in (0.5, -0.5))
    matrix = inverse @ matrix_power(half @ (target.covariance + little) @ half, 0.5) @ inverse
    gains, directions = torch.linalg.eigh((matrix + matrix.T) / 2)
    matrix = directions * gains.clamp(max=MOST_GAIN) @ directions.T
    return PaletteMap(Affine(matrix, target.mean - matrix @ source.mean), target.least, target.most)


def with_chroma(image: Image, chroma: Chroma) -> Image:
    """Give a picture other colours, smoothed within its contours, and keep its lightness.

    Args:
        image: the picture whose L of Oklab is kept, 0..1.
        chroma: a and b of Oklab, (1, 2, H, W), which may be more than sRGB can show.
    Returns:
        (1, 3, H, W), sRGB-encoded, 0..1.
    """
    lightness = to_oklab(image)[:, :1]
    radius = max(1, round(RADIUS * max(image.shape[2:])))
    return to_srgb(torch.cat([lightness, guided_filter(chroma, lightness, radius, SOFTNESS)], dim=1))


def guided_filter(
    values: Float[Tensor, "B C H W"], guide: Mask, radius: int, softness: float
) -> Float[Tensor, "B C H W"]:
    """Smooth values but keep the contours of a guide (`image/guided_filter.py`).

    Args:
        values: (B, C, H, W), any range.
        guide: (B, 1, H, W).
        radius: of the square windows, in pixels; a window is 2 radius + 1 wide.
        softness: ε, a variance of the guide: edges with less contrast than its root are smoothed.
    """
    smoothed = torch.empty_like(values)
    for picture, light, planes in zip(smoothed, guide[:, 0].double().numpy(), values, strict=True):
        for channel, plane in enumerate(planes.double().numpy()):
            slope, offset = guided_lines(light, plane, radius, softness)
            picture[channel] = torch.from_numpy(slope * light + offset)
    return smoothed
