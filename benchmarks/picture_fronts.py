"""Comparison at equal LPIPS: a style measure means something only where as much of the photo is left.

A front is a pair painted at several strengths: points of LPIPS from the photo and distance from the painting.
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from itertools import pairwise
from statistics import median
from typing import NamedTuple

CONTENT = "lpips_vgg16"
"""Distance from the photo, along which fronts are compared."""

STYLES = ("sifid", "neighbors_conv2_2", "neighbors_conv3_3", "histogram")
"""Distances from the painting."""

TOLERANCE = 0.02
"""The share of a value by which one step of strength may lead the wrong way and count as monotone still."""

Measured = Mapping[str, float]
"""The measures of one picture, by name."""


def at_equal_content(front: Sequence[tuple[float, float]], content: float) -> float | None:
    """The front's style distance at that LPIPS, by linear interpolation; None outside its range.

    Where the front passes that LPIPS more than once, its worst (largest) value counts.

    Args:
        front: (LPIPS, style distance) in the order of strength.
    """
    crossings = [distance for at, distance in front if at == content]
    for (left, before), (right, after) in pairwise(front):
        if min(left, right) < content < max(left, right):
            crossings.append(before + (after - before) * (content - left) / (right - left))
    return max(crossings, default=None)


class Wins(NamedTuple):
    """How often our front lies below a rival's pictures.

    Attributes:
        won: pictures of the rival whose style distance is larger than ours at their LPIPS.
        of: its pictures.
        outside: those whose LPIPS our front does not reach; they count as not won.
    """

    won: int
    of: int
    outside: int


def wins(comparisons: Iterable[tuple[Sequence[Measured], Measured]], style: str) -> Wins:
    """Count the pictures of a rival that we beat in one measure.

    Args:
        comparisons: for each picture of the rival, our front of the same pair in the order of strength, and
            the picture's own measures.
        style: the measure, one of STYLES.
    """
    won = of = outside = 0
    for front, rival in comparisons:
        ours = at_equal_content([(point[CONTENT], point[style]) for point in front], rival[CONTENT])
        of += 1
        outside += ours is None
        won += ours is not None and ours < rival[style]
    return Wins(won, of, outside)


def monotone(values: Sequence[float], direction: int, tolerance: float = TOLERANCE) -> bool:
    """Whether values rise (direction 1) or fall (-1) from first to last, no step going back by much.

    Args:
        tolerance: a step back of that share of the larger of its two values is allowed.
    """
    back = [direction * (before - after) for before, after in pairwise(values)]
    allowed = [tolerance * max(abs(before), abs(after)) for before, after in pairwise(values)]
    whole = direction * (values[-1] - values[0])
    return whole > 0 and all(step <= limit for step, limit in zip(back, allowed, strict=True))


def obeys_strength(front: Sequence[Measured], style: str) -> bool:
    """Whether LPIPS rises and the style distance falls as strength rises.

    Args:
        front: in the order of strength, at least two.
    """
    return monotone([point[CONTENT] for point in front], 1) and monotone(
        [point[style] for point in front], -1
    )


def medians(pictures: Sequence[Measured], names: Iterable[str]) -> dict[str, float]:
    """The median of each measure over pictures."""
    return {name: median(picture[name] for picture in pictures) for name in names}


def ratio(above: float, below: float) -> float:
    """The quotient; not a number where there is nothing to divide by."""
    return above / below if below else math.nan


def markdown(header: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """A Markdown table; floats with three digits."""
    lines = [header, ["---"] * len(header), *([_cell(value) for value in row] for row in rows)]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines) + "\n"


def _cell(value: object) -> str:
    if isinstance(value, float):
        return "–" if math.isnan(value) else f"{value:.3g}" if abs(value) < 100 else f"{value:.0f}"
    return str(value)
