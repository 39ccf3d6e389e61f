"""A photo's light and dark areas by Otsu's threshold, without a network."""

import torch

from impasto.errors import ImageError
from impasto.image.color import luminance
from impasto.image.picture import Picture
from impasto.image.resize import fit_within, resize
from impasto.masks.guided_filter import SIDE, refine
from impasto.shapes import Mask

BINS = 256
"""Levels of luminance that are counted."""

SOFTNESS = 0.1
"""Half the range of luminance (0..1) around the threshold in which the mask rises from 0 to 1."""

LEAST_RANGE = 4 / 255
"""The least range of luminance (0..1) for which a photo has light and dark areas."""


def luminance_mask(photo: Picture) -> Mask:
    """Compute how much of each pixel is light.

    A guided filter, whose guide is the luminance itself, smooths the luminance inside its edges, so that
    areas do not fall apart into specks. Then a smoothstep rises from 0 at `SOFTNESS` below Otsu's threshold
    to 1 at `SOFTNESS` above it.

    Returns:
        (1, 1, H, W), 0..1.
    Raises:
        ImageError: the photo's luminance is nearly the same everywhere.
    """
    pixels = photo.pixels[:1].cpu()
    size = fit_within(photo.height, photo.width, SIDE)
    light = refine(luminance(resize(pixels, *size).clamp(0, 1)), pixels)
    least, most = float(light.min()), float(light.max())
    if most - least < LEAST_RANGE:
        raise ImageError(
            f"'{photo.name}' has no light and dark: its luminance goes from {least:.3f} to {most:.3f}, and a "
            f"difference of {LEAST_RANGE:.3f} is needed. Draw a mask by hand (docs/regions.md)."
        )
    threshold = otsu_threshold(light)
    ramp = ((light - threshold + SOFTNESS) / (2 * SOFTNESS)).clamp(0, 1)
    return ramp.square() * (3 - 2 * ramp)  # smoothstep, 3t² − 2t³


def otsu_threshold(values: Mask) -> float:
    """Find the level that divides values into the two classes with the largest variance between them.

    Otsu 1979, "A Threshold Selection Method from Gray-Level Histograms", Eq. 18: the level with the largest
    ω₀ω₁(μ₁ − μ₀)² over a histogram of `BINS` levels. If no pixels lie between the classes, several levels
    have this value; the result is the middle of them.

    Args:
        values: (1, 1, H, W), 0..1.
    Returns:
        the upper end of the lower class, 0..1.
    """
    levels = (values.flatten() * BINS).long().clamp(0, BINS - 1)
    share = torch.bincount(levels, minlength=BINS).double() / levels.numel()
    middle = (torch.arange(BINS, dtype=torch.float64) + 0.5) / BINS
    below, moment = share.cumsum(0)[:-1], (share * middle).cumsum(0)
    total = moment[-1]
    # ω₀ω₁(μ₁ − μ₀)² = (μ ω₀ − m)² / (ω₀ω₁), where m is the sum of the lower class's shares times levels.
    between = (total * below - moment[:-1]).square() / (below * (1 - below)).clamp_min(1e-12)
    best = (between >= between.max() * (1 - 1e-9)).nonzero().double().mean()
    return float((best + 1) / BINS)
