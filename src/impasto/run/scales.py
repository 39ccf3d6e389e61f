"""The plan of scales: coarse to fine."""

from dataclasses import dataclass, replace

import torch
from jaxtyping import Float
from torch import Tensor

from impasto.choices import Optimizer
from impasto.image.resize import fit, resize
from impasto.shapes import Image


@dataclass(frozen=True)
class Scale:
    """One size of the image, and how it is solved.

    Attributes:
        height, width: in pixels.
        steps: how many the solver takes.
        level_steps: step sizes of the levels of the image's pyramid (see `Space`); empty: pixels are solved.
    """

    height: int
    width: int
    steps: int
    level_steps: tuple[float, ...] = ()


def coarse_to_fine(
    height: int, width: int, *, scales: int, steps: int, finest: int, least: int = 1, smallest: int = 128
) -> tuple[Scale, ...]:
    """Sizes from coarse to fine, each twice the one before.

    Large shapes are settled where they cost little: each network layer sees a fixed number of pixels, so a
    brush stroke of a given size on the wall belongs to another layer at each scale.

    Args:
        height, width: the finest scale, in pixels.
        scales: how many; 0 takes as many as keep the long side at `smallest` pixels or more.
        steps: solver steps at the coarsest scale.
        finest: solver steps at the finest; scales between are spaced evenly in proportion.
        least: pixels that the short side needs; coarser scales than that are left out, never the finest.
    """
    long = max(height, width)
    count = scales or max(1, 1 + (long // smallest).bit_length() - 1)
    sizes = [fit(height, width, max(1, round(long / 2**halvings))) for halvings in range(1, count)]
    sizes = [(height, width), *(size for size in sizes if min(size) >= least)]
    last = len(sizes) - 1
    return tuple(
        Scale(*size, round(steps * (finest / steps) ** (index / last if last else 0.0)))
        for index, size in enumerate(reversed(sizes))
    )


LEVELS = (1.0,) * 6
"""Step sizes of a pyramid's levels, finest first: five details and the rest."""

FINEST_LEVELS = (0.25, 0.5, *LEVELS[2:])
"""The same for Adam at the finest scale. Adam moves every number by about its rate, so equal steps leave a
fine grain there. L-BFGS finds the lengths by itself."""


def solved_as_pyramid(scales: tuple[Scale, ...], optimizer: Optimizer) -> tuple[Scale, ...]:
    """The same scales, solved for the levels of a Laplacian pyramid instead of pixels."""
    coarser = tuple(replace(scale, level_steps=LEVELS) for scale in scales[:-1])
    finest = FINEST_LEVELS if optimizer == "adam" else LEVELS
    return (*coarser, replace(scales[-1], level_steps=finest))


def first_scales(scales: tuple[Scale, ...], long: int) -> tuple[Scale, ...]:
    """The coarser part of a plan, down to a long side of `long` pixels: what a run paints first anyway.

    Where even the coarsest scale is larger, that scale's steps at that long side.
    """
    small = tuple(scale for scale in scales if max(scale.height, scale.width) <= long)
    height, width = fit(scales[0].height, scales[0].width, long)
    return small or (replace(scales[0], height=height, width=width),)


def carry_detail(image: Float[Tensor, "B 3 _ _"], start: Image, share: float = 1.0) -> Image:
    """What was reached at a coarser scale, enlarged to the size of `start`, with the fine detail of `start`.

    Enlarging alone gives a picture without fine detail, and the solver spends most of its steps at the new
    scale on growing it from nothing. The detail is what `start` loses when it is brought to the coarser size
    and back.

    Args:
        image: (B, 3, h, w).
        start: (B, 3, H, W), what one would start from if there were no coarser scales.
        share: of the detail.
    Returns:
        (B, 3, H, W).
    """
    height, width = start.shape[2:]
    coarse = resize(start, *image.shape[2:])
    detailed = start + resize(image - coarse, height, width)
    return detailed if share == 1 else torch.lerp(resize(image, height, width), detailed, share)
