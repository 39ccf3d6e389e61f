"""RGB-uv histograms: whether two pictures have the same colours equally often."""

import math

import torch
import torch.nn.functional as F
from jaxtyping import Float, Float64
from torch import Tensor

from impasto.shapes import Image

BINS = 64
SIDE = 150
"""The longest side in pixels; larger pictures are resized to a square of this side."""

FALL_OFF = 0.02
"""σ, in units of u and v: how far from a pixel's colour a bin still counts."""

LIMIT = 3.0
"""Bins range from -3 to 3 in u and v."""

_EPSILON = 1e-6


def histogram_distance(first: Image, second: Float[Tensor, "B 3 _ _"]) -> float:
    """Return the Hellinger distance between RGB-uv histograms, 0..1: (1/√2) |√H − √K|₂.

    Afifi, Brubaker and Brown 2021 (arXiv:2011.11731, section 3): for each of R, G, B, u and v are the
    logarithms of the channel's ratios to the two others. A pixel counts in proportion to its brightness, and
    in a bin at u_b and v_b by 1 / (1 + (u − u_b)²/σ²) · 1 / (1 + (v − v_b)²/σ²). As in their code: 64 bins
    over -3..3, σ = 0.02, larger pictures are resized to 150×150 px (bilinear), and ratios are of x + 1e-6.

    Args:
        first, second: (1, 3, H, W), RGB, 0..1, of any sizes.
    Returns:
        0 for the same histogram, 1 for histograms that share no bin.
    """
    difference = rgb_uv_histogram(first).sqrt() - rgb_uv_histogram(second).sqrt()
    return float(difference.square().sum().sqrt()) / math.sqrt(2)


def rgb_uv_histogram(image: Image) -> Float64[Tensor, "3 bins bins"]:
    """Compute the histogram: a plane for each of R, G and B, with u down and v across. It sums to 1.

    Args:
        image: (1, 3, H, W), RGB, 0..1.
    """
    pixels = image.cpu().clamp(0, 1)
    if max(pixels.shape[2:]) > SIDE:
        pixels = F.interpolate(pixels, (SIDE, SIDE), mode="bilinear", align_corners=False)
    colors = pixels[0].flatten(1).double()  # (3, M)
    brightness = (colors.square().sum(0) + _EPSILON).sqrt()
    logarithms = (colors + _EPSILON).log()
    middles = torch.linspace(-LIMIT, LIMIT, BINS, dtype=torch.float64)
    planes = []
    for channel, others in enumerate(((1, 2), (0, 2), (0, 1))):
        u, v = (  # (M, bins) each: how much every pixel counts in each bin
            1 / (1 + ((logarithms[channel] - logarithms[other])[:, None] - middles).square() / FALL_OFF**2)
            for other in others
        )
        planes.append((u * brightness[:, None]).T @ v)
    histogram = torch.stack(planes)
    return histogram / (histogram.sum() + _EPSILON)
