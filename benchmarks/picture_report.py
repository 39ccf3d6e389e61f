"""The tables of the picture benchmark: measures, wins at equal LPIPS, effect of strength, speckle."""

import csv
import io
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from statistics import median
from typing import Any, NamedTuple

from picture_fronts import (
    CONTENT,
    STYLES,
    TOLERANCE,
    Measured,
    markdown,
    medians,
    obeys_strength,
    ratio,
    wins,
)
from picture_sources import Pair

MIDDLE = 0.5
"""The strength at which all pairs are painted."""

COLUMNS = (
    CONTENT, "lpips_alexnet", "self_similarity", *STYLES, "speckle", "crispness",
)  # fmt: skip
"""The measures, in the order of the tables' columns."""

OURS, OLD = "default", "old"
"""The rows of the default recipe, and of the one before it."""

CONTROLS = ("photo", "painting")
"""Rows with the best possible content and the best possible style. They show the scale; nobody beats them."""


class Task(NamedTuple):
    """One picture of the benchmark.

    Attributes:
        pair: the photo and the painting.
        row: the name of the method and settings.
        size: long side in pixels.
        strength: None if the row has none.
    """

    pair: Pair
    row: str
    size: int
    strength: float | None


class Result(NamedTuple):
    """A picture and its measures. `seconds`, the time that painting took, is None if it is not known."""

    task: Task
    file: Path
    measures: Measured
    seconds: float | None


def fronts(results: Iterable[Result], row: str) -> dict[tuple[Pair, int], list[Measured]]:
    """The measures of a row by pair and size, in order of strength, for pairs with at least two strengths."""
    points: dict[tuple[Pair, int], dict[float, Measured]] = {}
    for task, _, measures, _ in results:
        if task.row == row and task.strength is not None:
            points.setdefault((task.pair, task.size), {})[task.strength] = measures
    return {
        key: [by_strength[strength] for strength in sorted(by_strength)]
        for key, by_strength in points.items()
        if len(by_strength) > 1
    }


def measured_table(results: Sequence[Result]) -> list[dict[str, Any]]:
    """The medians over pairs of each row, size and strength."""
    groups: dict[tuple[int, str, float | None], list[Result]] = {}
    for result in results:
        groups.setdefault((result.task.size, result.task.row, result.task.strength), []).append(result)
    table = []
    for (size, row, strength), group in groups.items():
        seconds = [result.seconds for result in group if result.seconds is not None]
        table.append(
            {
                "size": size,
                "row": row,
                "strength": strength,
                "pairs": len(group),
                **medians([result.measures for result in group], COLUMNS),
                "seconds": median(seconds) if seconds else None,
            }
        )
    return sorted(table, key=lambda line: (line["size"], line["row"], line["strength"] or 0))


def wins_table(results: Sequence[Result]) -> list[dict[str, Any]]:
    """How often our front beats the pictures of each other row, by size and measure."""
    ours = fronts(results, OURS)
    rivals: dict[tuple[int, str], list[Result]] = {}
    for result in results:
        task = result.task
        if task.row not in (OURS, *CONTROLS) and (task.pair, task.size) in ours:
            rivals.setdefault((task.size, task.row), []).append(result)
    table = []
    for (size, row), group in sorted(rivals.items()):
        compared = [(ours[result.task.pair, size], result.measures) for result in group]
        counted = {style: wins(compared, style) for style in STYLES}
        table.append(
            {
                "size": size,
                "rival": row,
                "pictures": len(group),
                "pairs": len({result.task.pair for result in group}),
                "outside_our_front": counted[STYLES[0]].outside,
                **{style: counted[style].won for style in STYLES},
            }
        )
    return table


def strength_table(results: Sequence[Result]) -> list[dict[str, Any]]:
    """The number of pairs on which LPIPS rises and each style distance falls with strength, by size."""
    table = []
    for row in (OURS, OLD):
        by_size: dict[int, list[list[Measured]]] = {}
        for (_, size), front in fronts(results, row).items():
            by_size.setdefault(size, []).append(front)
        for size, group in sorted(by_size.items()):
            obeying = {style: sum(obeys_strength(front, style) for front in group) for style in STYLES}
            table.append({"size": size, "row": row, "pairs": len(group), **obeying})
    return table


class PaintingSpeckle(NamedTuple):
    """What the pictures' speckle and grain are compared with.

    Attributes:
        flat: the painting's speckle in the quarter of its pixels with the least variance.
        whole: its speckle over all pixels.
        grain: its grain in the same quarter; see `speckle.grain`.
    """

    flat: float
    whole: float
    grain: float


def speckle_table(
    results: Sequence[Result],
    paintings: Mapping[tuple[str, int], PaintingSpeckle],
    grains: Mapping[Task, float],
) -> list[dict[str, Any]]:
    """The default's speckle and grain compared with the old default's and the painting's, at MIDDLE strength.

    Args:
        paintings: of each painting itself, by name and size.
        grains: of both defaults' pictures, where the photo is flat.
    """
    by_task = {task: measures for task, _, measures, _ in results if task.strength == MIDDLE}
    table = []
    for task, ours in by_task.items():
        old_task = task._replace(row=OLD)
        old = by_task.get(old_task)
        if task.row != OURS or old is None:
            continue
        painting = paintings[task.pair.painting, task.size]
        table.append(
            {
                "size": task.size,
                "pair": str(task.pair),
                "ours": ours["speckle"],
                "old": old["speckle"],
                "painting_flat": painting.flat,
                "painting_whole": painting.whole,
                "ours_over_old": ratio(ours["speckle"], old["speckle"]),
                "ours_over_painting_flat": ratio(ours["speckle"], painting.flat),
                "ours_over_painting_whole": ratio(ours["speckle"], painting.whole),
                "grain": grains[task],
                "grain_over_old": ratio(grains[task], grains[old_task]),
                "grain_over_painting": ratio(grains[task], painting.grain),
                "crispness": ours["crispness"],
                "crispness_old": old["crispness"],
            }
        )
    return table


def speckle_medians(table: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """The median of each column of the speckle table, by size."""
    summary = []
    for size in sorted({line["size"] for line in table}):
        lines = [line for line in table if line["size"] == size]
        names = [name for name in lines[0] if name not in ("size", "pair")]
        summary.append({"size": size, "pairs": len(lines), **medians(lines, names)})
    return summary


def as_markdown(table: Sequence[Mapping[str, Any]]) -> str:
    """A Markdown table of rows with the same columns. A missing value is a dash."""
    if not table:
        return "(nothing to compare)\n"
    names = list(table[0])
    return markdown(names, [["–" if line[name] is None else line[name] for name in names] for line in table])


def as_csv_lines(results: Sequence[Result]) -> list[str]:
    """The measures of all pictures as lines of CSV, of which the first has the columns' names."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["photo", "painting", "row", "size", "strength", *COLUMNS, "seconds"])
    for task, _, measures, seconds in results:
        values = [f"{measures[name]:.5g}" for name in COLUMNS]
        strength = "" if task.strength is None else task.strength
        writer.writerow(
            [*task.pair, task.row, task.size, strength, *values, "" if seconds is None else seconds]
        )
    return text.getvalue().splitlines()


def tables(
    results: Sequence[Result],
    paintings: Mapping[tuple[str, int], PaintingSpeckle],
    grains: Mapping[Task, float],
) -> dict[str, Any]:
    """All tables, as they are written to the result's file; the arguments are those of `speckle_table`."""
    on_fronts = {pair for pair, _ in fronts(results, OURS)}
    speckle = speckle_table(results, paintings, grains)
    return {
        "medians_over_all_pairs": measured_table(
            [result for result in results if result.task.strength in (None, MIDDLE)]
        ),
        "medians_over_pairs_with_fronts": measured_table(
            [result for result in results if result.task.pair in on_fronts]
        ),
        "wins_at_equal_lpips": wins_table(results),
        "obeys_strength": strength_table(results),
        "speckle_medians": speckle_medians(speckle),
        "speckle": speckle,
    }


TITLES = {
    "medians_over_all_pairs": f"Medians over pairs, strength {MIDDLE} (less is better, except for crispness)",
    "medians_over_pairs_with_fronts": "Medians over the pairs painted at several strengths",
    "wins_at_equal_lpips": "Rivals' pictures whose style distance is larger than ours at their LPIPS",
    "obeys_strength": "Pairs whose LPIPS rises and whose style distance falls with strength "
    f"(a step back of at most {TOLERANCE:.0%} of the value is allowed; the aim is 11 of 12)",
    "speckle_medians": f"Speckle and grain at strength {MIDDLE}, medians over pairs",
    "speckle": f"Speckle and grain at strength {MIDDLE}, by pair",
}


def page(results: Mapping[str, Any]) -> str:
    """The tables as Markdown."""
    return "\n".join(f"**{title}**\n\n{as_markdown(results[name])}" for name, title in TITLES.items())
