"""Comparison at equal LPIPS: style distances are comparable only if equally much of the photo remains.

A pair painted at several strengths gives a front: points with an LPIPS from the photo and a distance from the
painting.
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from itertools import pairwise
from statistics import median
from typing import NamedTuple

CONTENT = "lpips_vgg16"
"""The distance from the photo that fronts are compared at."""

STYLES = ("sifid", "neighbors_conv2_2", "neighbors_conv3_3", "histogram")
"""Distances from the painting."""

TOLERANCE = 0.02
"""The fraction of a value by which one step of strength may go back and still count as monotone."""

Measured = Mapping[str, float]
"""The measures of one picture, by name."""


def at_equal_content(front: Sequence[tuple[float, float]], content: float) -> float | None:
    """The front's style distance at an LPIPS, by linear interpolation; None outside its range.

    If the front passes that LPIPS more than once, the largest distance counts.

    Args:
        front: pairs of LPIPS and style distance, in order of strength.
        content: the LPIPS.
    """
    crossings = [distance for lpips, distance in front if lpips == content]
    for (left, before), (right, after) in pairwise(front):
        if min(left, right) < content < max(left, right):
            crossings.append(before + (after - before) * (content - left) / (right - left))
    return max(crossings, default=None)


class Wins(NamedTuple):
    """How many of a rival's pictures our front beats.

    Attributes:
        won: the number of pictures whose style distance is larger than ours at their LPIPS.
        of: the number of pictures.
        outside: the number whose LPIPS is outside our front's range; they count as not won.
    """

    won: int
    of: int
    outside: int


def wins(comparisons: Iterable[tuple[Sequence[Measured], Measured]], style: str) -> Wins:
    """Count the pictures of a rival that we beat in one measure.

    Args:
        comparisons: for each picture of the rival, our front of the same pair in order of strength, and the
            picture's measures.
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
    """Whether values rise (direction 1) or fall (-1) from first to last, with no large step back.

    Args:
        tolerance: the largest allowed step back, as a fraction of the larger of its two values.
    """
    back = [direction * (before - after) for before, after in pairwise(values)]
    allowed = [tolerance * max(abs(before), abs(after)) for before, after in pairwise(values)]
    change = direction * (values[-1] - values[0])
    return change > 0 and all(step <= limit for step, limit in zip(back, allowed, strict=True))


def obeys_strength(front: Sequence[Measured], style: str) -> bool:
    """Whether LPIPS rises and the style distance falls as strength rises.

    Args:
        front: at least two measured pictures, in order of strength.
    """
    return monotone([point[CONTENT] for point in front], 1) and monotone(
        [point[style] for point in front], -1
    )


def medians(pictures: Sequence[Measured], names: Iterable[str]) -> dict[str, float]:
    """The median over pictures of each named measure."""
    return {name: median(picture[name] for picture in pictures) for name in names}


def ratio(above: float, below: float) -> float:
    """The quotient, or NaN if `below` is 0."""
    return above / below if below else math.nan


def markdown(header: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """A Markdown table. Floats have three significant digits."""
    lines = [header, ["---"] * len(header), *([_cell(value) for value in row] for row in rows)]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines) + "\n"


def _cell(value: object) -> str:
    if isinstance(value, float):
        return "–" if math.isnan(value) else f"{value:.3g}" if abs(value) < 100 else f"{value:.0f}"
    return str(value)
