"""A photo's light and dark, told apart by Otsu's threshold; no network."""

import torch

from impasto.errors import ImageError
from impasto.image.color import luminance
from impasto.image.picture import Picture
from impasto.image.resize import fit, resize
from impasto.masks.guided_filter import SIDE, refine
from impasto.shapes import Mask

BINS = 256
"""Levels of luminance that are counted."""

SOFTNESS = 0.1
"""Luminance, of 0..1, to either side of the threshold within which the mask goes from 0 to 1."""

LEAST_RANGE = 4 / 255
"""Difference of luminance below which a photo has no light and dark."""


def luminance_mask(photo: Picture) -> Mask:
    """How much of each pixel is light, (1, 1, H, W), 0..1.

    The luminance is smoothed inside its edges by a guided filter (its own guide), so that areas do not fall
    apart into specks. Then smoothstep goes from 0
    at `SOFTNESS` below Otsu's threshold to 1 at as much above it.

    Raises:
        ImageError: the photo is flat.
    """
    pixels = photo.pixels[:1].cpu()
    size = fit(photo.height, photo.width, min(SIDE, max(photo.height, photo.width)))
    light = refine(luminance(resize(pixels, *size).clamp(0, 1)), pixels)
    least, most = float(light.min()), float(light.max())
    if most - least < LEAST_RANGE:
        raise ImageError(
            f"'{photo.name}' has no light and dark: its luminance goes from {least:.3f} to {most:.3f}, and a "
            f"difference of {LEAST_RANGE:.3f} is needed. Draw a mask by hand (docs/regions.md)."
        )
    threshold = otsu_threshold(light)
    ramp = ((light - threshold + SOFTNESS) / (2 * SOFTNESS)).clamp(0, 1)
    return ramp.square() * (3 - 2 * ramp)


def otsu_threshold(values: Mask) -> float:
    """The level that parts values into two classes whose means differ most for their sizes.

    Otsu 1979, "A Threshold Selection Method from Gray-Level Histograms", Eq. 18: the greatest of
    ω₀ω₁(μ₁ − μ₀)², over a histogram of `BINS` levels. Of equal ones, which are levels without pixels between
    the classes, the middle.

    Args:
        values: (1, 1, H, W), 0..1.
    Returns:
        The upper end of the lower class, 0..1.
    """
    levels = (values.flatten() * BINS).long().clamp(0, BINS - 1)
    share = torch.bincount(levels, minlength=BINS).double() / levels.numel()
    middle = (torch.arange(BINS, dtype=torch.float64) + 0.5) / BINS
    below, moment = share.cumsum(0)[:-1], (share * middle).cumsum(0)
    total = moment[-1]
    # ω₀ω₁(μ₁ − μ₀)² = (μ ω₀ − m)² / (ω₀ω₁), m the lower class's moment.
    between = (total * below - moment[:-1]).square() / (below * (1 - below)).clamp_min(1e-12)
    best = (between >= between.max() * (1 - 1e-9)).nonzero().double().mean()
    return float((best + 1) / BINS)
