"""The plan of scales: coarse to fine."""

from dataclasses import dataclass

from impasto.image.resize import fit


@dataclass(frozen=True)
class Scale:
    """One size of the image, and how many solver steps are taken on it."""

    height: int
    width: int
    steps: int


def plan(
    height: int, width: int, *, scales: int, steps: int, finest: int, smallest: int = 128
) -> tuple[Scale, ...]:
    """Sizes from coarse to fine, each twice the one before.

    Large shapes are settled where they cost little: each network layer sees a fixed number of pixels, so a
    brush stroke of a given size on the wall belongs to another layer at each scale.

    Args:
        height, width: the finest scale, in pixels.
        scales: how many; 0 takes as many as keep the long side at `smallest` pixels or more.
        steps: solver steps at the coarsest scale.
        finest: solver steps at the finest; scales between are spaced evenly in proportion.
    """
    long = max(height, width)
    count = scales or max(1, 1 + (long // smallest).bit_length() - 1)
    plan = []
    for index in range(count):
        shrink = 2 ** (count - 1 - index)
        share = index / (count - 1) if count > 1 else 0.0
        rows, columns = (height, width) if shrink == 1 else fit(height, width, max(1, round(long / shrink)))
        plan.append(Scale(rows, columns, round(steps * (finest / steps) ** share)))
    return tuple(plan)
