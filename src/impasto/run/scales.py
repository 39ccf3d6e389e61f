"""The scales of a run, coarse to fine."""

from dataclasses import dataclass, replace
from typing import Any

from impasto.choices import Optimizer
from impasto.image.resize import fit


@dataclass(frozen=True)
class Scale:
    """One size of the image, and how it is solved.

    Attributes:
        height, width: size in pixels.
        steps: solver steps; 0: the result of the scale below is enlarged, and nothing is solved.
        level_steps: step sizes of the levels of the image's pyramid (see `Space`); empty: solve for pixels.
        chroma_steps: factors on them for colour.
        neighbors: factor on the weight of neighbors against the style's other statistics.
    """

    height: int
    width: int
    steps: int
    level_steps: tuple[float, ...] = ()
    chroma_steps: tuple[float, ...] = ()
    neighbors: float = 1.0

    @property
    def pixels(self) -> int:
        """The number of pixels, height × width."""
        return self.height * self.width


def coarse_to_fine(
    height: int, width: int, *, scales: int, steps: int, finest: int, least: int = 1, smallest: int = 128
) -> tuple[Scale, ...]:
    """Plan scales from coarse to fine, each twice the size of the one before.

    Large shapes are settled at coarse scales, where steps are cheap. A network layer sees a fixed number of
    pixels, so at each scale another layer sees strokes of a given size in the picture.

    Args:
        height, width: size of the finest scale, in pixels.
        scales: number of scales; 0: as many as keep the long side at `smallest` pixels or more.
        steps: solver steps at the coarsest scale.
        finest: solver steps at the finest scale. Steps between form a geometric sequence. With 0, the finest
            of several scales is enlarged from the one below, which takes a quarter of `steps`.
        least: pixels that the short side needs. Smaller scales are left out, but never the finest.
        smallest: long side of the coarsest scale at least, in pixels, if `scales` is 0.
    """
    long = max(height, width)
    count = scales or max(1, 1 + (long // smallest).bit_length() - 1)
    sizes = [fit(height, width, max(1, round(long / 2**halvings))) for halvings in range(1, count)]
    sizes = [(height, width), *(size for size in sizes if min(size) >= least)]
    enlarged = 1 if finest == 0 and len(sizes) > 1 else 0
    last = len(sizes) - 1 - enlarged
    fewest = finest or max(1, steps // 4)
    counts = [round(steps * (fewest / steps) ** (index / last if last else 0.0)) for index in range(last + 1)]
    return tuple(
        Scale(*size, count) for size, count in zip(reversed(sizes), counts + [0] * enlarged, strict=True)
    )


def count_solved(scales: tuple[Scale, ...]) -> int:
    """Return the number of scales with solver steps: all, or all but the finest."""
    return sum(scale.steps > 0 for scale in scales)


def with_finest(scales: tuple[Scale, ...], **changes: Any) -> tuple[Scale, ...]:
    """Return the same scales, with fields of the finest solved one changed."""
    last = count_solved(scales) - 1
    return (*scales[:last], replace(scales[last], **changes), *scales[last + 1 :])


LEVELS = (1.0,) * 6
"""Step sizes of a pyramid's levels, finest first: five levels of detail and the low-pass residual."""

FINEST_LEVELS = (0.25, 0.5, *LEVELS[2:])
"""The same for Adam at the finest scale. Adam moves every number by about its rate, so equal step sizes leave
a fine grain there. L-BFGS finds the step lengths by itself."""


def solved_as_pyramid(
    scales: tuple[Scale, ...], optimizer: Optimizer, chroma_steps: tuple[float, ...] = ()
) -> tuple[Scale, ...]:
    """Return the same scales, to be solved for the levels of a Laplacian pyramid instead of pixels.

    Args:
        scales: coarse to fine.
        optimizer: decides the step sizes at the finest solved scale (see `FINEST_LEVELS`).
        chroma_steps: of every scale (see `Space`).
    """
    scales = tuple(replace(scale, level_steps=LEVELS, chroma_steps=chroma_steps) for scale in scales)
    return with_finest(scales, level_steps=FINEST_LEVELS) if optimizer == "adam" else scales


def first_scales(scales: tuple[Scale, ...], long: int) -> tuple[Scale, ...]:
    """Return the scales whose long side is at most `long` pixels: those that a run paints first anyway.

    If even the coarsest is larger, return one scale with its steps and with `long` as its long side.
    """
    small = tuple(scale for scale in scales if max(scale.height, scale.width) <= long)
    height, width = fit(scales[0].height, scales[0].width, long)
    return small or (replace(scales[0], height=height, width=width),)
