"""Loss conventions: what the weights multiply in the paper, in Impasto and in other tools."""

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from typing import TypeAlias

from torch import Tensor

from impasto.choices import Formula
from impasto.objective.statistics import GaussianStatistic
from impasto.objective.style_loss import GRAM, Statistic
from impasto.objective.terms import PixelStatistic, neighbor_differences, squared_differences
from impasto.shapes import Image, Scalar

Canvas: TypeAlias = tuple[int, int]
"""Height and width of the image, in pixels."""


@dataclass(frozen=True)
class LossConvention:
    """What each weight multiplies, as multiples of the paper's terms.

    Attributes:
        content: the factor of α · ½ Σ (F − P)², from the layer's channels N, its positions M, and ½ Σ P².
        style: the factor of β w_l times the style's distance (E_l for Gram matrices), from N and the distance
            of a featureless image.
        smoothness: for the third weight, from the canvas: a sum over pixels and its factor.
        statistic: the statistic that the tool compares, unless another is asked for.
    """

    content: Callable[[int, int, float], float]
    style: Callable[[int, float], float]
    smoothness: Callable[[Canvas], tuple[PixelStatistic, float]]
    statistic: Statistic = field(default=GRAM)


def _per_pixel(canvas: Canvas) -> tuple[PixelStatistic, float]:
    """Return the mean over pixels of squared differences of neighbours."""
    return squared_differences, 1 / (canvas[0] * canvas[1])


def _half_squares(canvas: Canvas) -> tuple[PixelStatistic, float]:
    """½ Σ d² over colours of 0..256, the function whose gradient `neural-style` adds."""
    return squared_differences, 256**2 / 2


def _absolute(range: float, canvas: Canvas) -> tuple[PixelStatistic, float]:
    """Σ |d| over colours of 0..range."""
    return absolute_differences, range


def _two_means(canvas: Canvas) -> tuple[PixelStatistic, float]:
    """Return the mean of d² over vertical pairs of pixels plus that over horizontal pairs, of 0..255."""
    height, width = canvas
    down, along = 1 / max(1, 3 * (height - 1) * width), 1 / max(1, 3 * height * (width - 1))
    return partial(squared_differences, down=down, along=along), 255**2


def _nine_points(canvas: Canvas) -> tuple[PixelStatistic, float]:
    """Return the nine-point stencil of `style-transfer-pytorch`, of 0..1."""
    return partial(nine_point_differences, canvas=canvas), 1.0


def absolute_differences(
    image: Image, rows: int | None = None, columns: int | None = None, *, first: bool = True
) -> Scalar:
    """Σ |x_{i+1,j} − x_{i,j}| + |x_{i,j+1} − x_{i,j}|, the total variation of Rudin, Osher and Fatemi 1992.

    Args:
        rows, columns, first: as in `squared_differences`.
    """
    vertical, horizontal = neighbor_differences(image, rows, columns)
    return vertical.abs().sum() + horizontal.abs().sum()


def nine_point_differences(
    image: Image,
    rows: int | None = None,
    columns: int | None = None,
    *,
    first: bool = True,
    canvas: Canvas,
) -> Scalar:
    """⅔ of the mean d² of direct neighbours and ⅙ of that of diagonal ones, with the border repeated.

    Args:
        rows, columns, first: as in `squared_differences`.
        canvas: height and width of the whole image, whose numbers of pairs the sums are divided by.
    """
    rows, columns = rows or image.shape[2], columns or image.shape[3]
    last = image.shape[2] <= rows
    center = image[:, :, :rows, :columns]
    below = image[:, :, 1 : rows + 1, :columns]
    down = (below - center[:, :, : below.shape[2]]).square().sum()
    along = _sides(center)
    right, other = below[:, :, :, 1:], below[:, :, :, :-1]
    upper = center[:, :, : below.shape[2]]
    slanted = (right - upper[:, :, :, :-1]).square().sum() + (other - upper[:, :, :, 1:]).square().sum()
    # With the border repeated, a diagonal pair across it is a pair along it; across a corner it is none.
    edges = (below - upper)[:, :, :, [0, -1]].square().sum()
    edges = edges + (_sides(center[:, :, :1]) if first else 0) + (_sides(center[:, :, -1:]) if last else 0)
    pixels, corners = 3 * canvas[0] * canvas[1], 3 * (canvas[0] + 1) * (canvas[1] + 1)
    return (down + along) * (2 / 3 / pixels) + (slanted + 2 * edges) * (1 / 6 / corners)


def _sides(image: Tensor) -> Scalar:
    """Return the sum of squared differences of neighbours side by side."""
    return (image[:, :, :, 1:] - image[:, :, :, :-1]).square().sum()


def _mean_over_features(n: int, m: int, half: float) -> float:
    """Turns the paper's ½ Σ (F − P)² into a mean over the n channels and m positions."""
    return 2 / (n * m)


def _mean_over_gram(n: int, unit: float) -> float:
    """Turns the paper's E_l into the mean squared difference of Gram matrices that are divided by N M."""
    return 4 / n**2


# n: channels N; m: positions M; half: ½ Σ P²; unit: the distance of a featureless image.
CONVENTIONS: dict[Formula, LossConvention] = {
    "paper": LossConvention(lambda n, m, half: 1.0, lambda n, unit: 1.0, _per_pixel),
    "balanced": LossConvention(
        # A black photo or a featureless painting has nothing to divide by.
        lambda n, m, half: 1 / (half or 1),
        lambda n, unit: 1 / (unit or 1),
        _per_pixel,
    ),
    "neural-style": LossConvention(_mean_over_features, _mean_over_gram, _half_squares),
    "neural-style-pt": LossConvention(_mean_over_features, _mean_over_gram, partial(_absolute, 256.0)),
    # The notebook weights a layer by 1000/N², and its mean over the entries of G/M − A/M is 4 E_l.
    "gatys-notebook": LossConvention(_mean_over_features, lambda n, unit: 4e3 / n**2, _per_pixel),
    "anishathalye": LossConvention(_mean_over_features, _mean_over_gram, _two_means),
    "gordicaleksa": LossConvention(_mean_over_features, lambda n, unit: 4.0, partial(_absolute, 255.0)),
    "crowsonkb": LossConvention(
        _mean_over_features,
        lambda n, unit: 1 / n,
        _nine_points,
        GaussianStatistic(ridge=1e-4, relative=False),
    ),
}
"""By name of the formula. docs/presets.md has the tools' own formulas beside these."""
