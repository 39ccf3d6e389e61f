"""The plan of scales: coarse to fine."""

from dataclasses import dataclass

from jaxtyping import Float
from torch import Tensor

from impasto.image.resize import fit, resize
from impasto.shapes import Image


@dataclass(frozen=True)
class Scale:
    """One size of the image, and how many solver steps are taken on it."""

    height: int
    width: int
    steps: int


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


def first_scales(scales: tuple[Scale, ...], long: int) -> tuple[Scale, ...]:
    """The coarser part of a plan, down to a long side of `long` pixels: what a run paints first anyway.

    Where even the coarsest scale is larger, that scale's steps at that long side.
    """
    small = tuple(scale for scale in scales if max(scale.height, scale.width) <= long)
    height, width, steps = scales[0].height, scales[0].width, scales[0].steps
    return small or (Scale(*fit(height, width, long), steps),)


def carry_detail(image: Float[Tensor, "B 3 _ _"], start: Image) -> Image:
    """What was reached at a coarser scale, enlarged to the size of `start`, with the fine detail of `start`.

    Enlarging alone gives a picture without fine detail, and the solver spends most of its steps at the new
    scale on growing it from nothing. The detail is what `start` loses when it is brought to the coarser size
    and back.

    Args:
        image: (B, 3, h, w).
        start: (B, 3, H, W), what one would start from if there were no coarser scales.
    Returns:
        (B, 3, H, W).
    """
    height, width = start.shape[2:]
    coarse = resize(start, *image.shape[2:])
    return start + resize(image - coarse, height, width)
