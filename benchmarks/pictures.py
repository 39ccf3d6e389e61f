"""How good the pictures are: photos × paintings, measured by networks that painted none of them.

    scripts/bench pictures [--images DIR] [--pairs 12|48] [--rows default,old,…] [--size 384] [--presets]
                           [--part N/M] [--estimate] [--export DIR]
    scripts/bench pictures --folders PHOTOS PAINTINGS --size 512 --rows default --estimate
    scripts/bench pictures --anchors DIR [--sheet FILE] [--strengths 0.35 0.5 0.65]
    scripts/bench pictures --trial

docs/benchmark-pictures.md explains what is compared and what it costs. Pictures and measures are kept in
--cache, so a stopped run continues. With --part 1/4 a run only fills the cache; one without --part reports.
"""

import argparse
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import fields
from pathlib import Path
from typing import Any

from common import IMAGES, argument_parser, parse_arguments, save_result
from picture_anchors import check_sheet, compare_anchors
from picture_cache import PictureCache, Recipe, default_folder
from picture_report import CONTROLS, MIDDLE, OLD, OURS, Task, as_csv_lines, page, tables
from picture_run import Run, export, write_sheets
from picture_sources import ALL_PAIRS, FRONT_PAIRS, Originals, Pair, anchors, first_pictures, locate

from impasto.formatting import format_duration
from impasto.settings.fast import FastSettings
from impasto.settings.stylize import StylizeSettings

KNOWN = {field.name for field in fields(StylizeSettings)}
BEFORE: dict[str, object] = {"recipe": 1}
"""Settings of the default before recipes were numbered."""

GRAM: dict[str, object] = {"recipe": 2}
"""Settings of the default whose style was Gram matrices alone."""

ROWS: dict[str, Callable[[float], dict[str, object]]] = {
    OURS: lambda strength: {"strength": strength},
    OLD: lambda strength: {"strength": strength, **BEFORE},
    "gram": lambda strength: {"strength": strength, **GRAM},
    "recipe3": lambda strength: {"strength": strength, "recipe": 3},
    "regions": lambda strength: {"strength": strength, "match": "regions"},
    "draft": lambda strength: {"strength": strength, "effort": "draft"},
    "best": lambda strength: {"strength": strength, "effort": "best"},
}
"""The settings of each row at a strength. Rows with settings that this version lacks are left out."""

PRESETS: dict[str, dict[str, object]] = {
    "gatys2015": {"preset": "gatys2015"},
    "neural-style": {"preset": "neural-style"},
}
"""Rows with other tools' settings, which have one strength."""

FRONT_ROWS = (OURS, OLD, "gram", "recipe3", "regions")
"""Rows that are painted at all strengths, on FRONT_PAIRS."""

ADAIN = "adain"
SIZE, PRESET_SIZE, STRENGTHS = 384, 256, (0.2, 0.35, 0.5, 0.65, 0.8)
TRIAL_SIZE, TRIAL_STRENGTHS = 96, (0.2, 0.8)
TRIAL_STEPS: dict[str, object] = {"steps": 4, "finest_steps": 2}

FULL = 20, 40, 512
"""Number of photos, number of paintings and size, in the protocol of most publications."""


def recipe(task: Task, changes: Mapping[str, object] | None = None) -> Recipe:
    """The recipe of a task's picture.

    Args:
        changes: settings that replace those of every row.
    """
    if task.row in CONTROLS:
        return Recipe("photo" if task.row == "photo" else "painting", None, task.size)
    if task.row == ADAIN:
        return Recipe("adain", FastSettings(size=task.size), task.size)
    values = PRESETS[task.row] if task.row in PRESETS else ROWS[task.row](task.strength or 0)
    return Recipe("descent", settings_from({**values, "size": task.size, **(changes or {})}), task.size)


def settings_from(values: Mapping[str, object]) -> StylizeSettings:
    """Settings from values by name; a preset's name stands under "preset"."""
    others: dict[str, Any] = {name: value for name, value in values.items() if name != "preset"}
    if "preset" in values:
        return StylizeSettings.preset(str(values["preset"]), **others)
    return StylizeSettings(**others)


def available_rows() -> list[str]:
    """The rows whose settings this version has. Prints which rows are left out."""
    rows = []
    for row, values in ROWS.items():
        if lacking := set(values(MIDDLE)) - KNOWN:
            print(f"Left out: {row}; this version has no setting {', '.join(sorted(lacking))}.")
        else:
            rows.append(row)
    if not BEFORE and OLD in rows:
        print(f"This version has one default recipe, so {OURS} and {OLD} are the same pictures.")
    return rows


def tasks_of(
    pairs: Iterable[Pair],
    front_pairs: Iterable[Pair],
    rows: Sequence[str],
    *,
    size: int,
    strengths: Sequence[float],
    presets: bool,
) -> list[Task]:
    """The benchmark's pictures, sorted by painting, so that a painting's targets are measured only once.

    Args:
        pairs: the pairs to paint.
        front_pairs: those of them that FRONT_ROWS are painted on at all strengths.
        rows: by name.
        size: long side in pixels.
        presets: add PRESETS, and beside them the other rows at their size.
    """
    on_front = set(front_pairs)
    tasks = []
    for pair in pairs:
        tasks += [task for row in rows for task in _row_tasks(pair, row, size, strengths, pair in on_front)]
        if presets and pair in on_front:
            small = [row for row in rows if row in (*FRONT_ROWS, *CONTROLS, ADAIN)]
            for row in (*small, *PRESETS):
                tasks += _row_tasks(pair, row, PRESET_SIZE, strengths, True)
    return sorted(dict.fromkeys(tasks), key=lambda task: (task.size, task.pair.painting))


def _row_tasks(pair: Pair, row: str, size: int, strengths: Sequence[float], on_front: bool) -> list[Task]:
    if row not in ROWS:
        return [Task(pair, row, size, None)]
    several = sorted({MIDDLE, *strengths}) if on_front and row in FRONT_ROWS else [MIDDLE]
    return [Task(pair, row, size, strength) for strength in several]


def evenly_spaced(pairs: Sequence[Pair], count: int) -> list[Pair]:
    """At most `count` of the pairs, evenly spaced."""
    return [pairs[index * len(pairs) // count] for index in range(min(count, len(pairs)))]


def part_of(tasks: Sequence[Task], part: str) -> list[Task]:
    """The part N/M of the tasks: every M-th, from the N-th.

    Raises:
        SystemExit: the part has another form.
    """
    number, _, count = part.partition("/")
    if not (number.isdecimal() and count.isdecimal() and 1 <= int(number) <= int(count)):
        raise SystemExit(f"--part is {part!r}; it is N/M with N from 1 to M, such as 2/4.")
    return list(tasks[int(number) - 1 :: int(count)])


def arguments() -> argparse.Namespace:
    """The command line."""
    parser = argument_parser(__doc__)
    add = parser.add_argument
    add("--images", type=Path, default=IMAGES, help="folder of photos and paintings")
    add("--folders", type=Path, nargs=2, metavar=("PHOTOS", "PAINTINGS"), help="all pairs of two folders")
    add("--pairs", type=int, choices=(12, 48), default=48, help="12: only those painted at all strengths")
    add("--rows", default="", help="rows to paint, separated by commas [all]")
    add("--size", type=int, default=SIZE, help=f"long side in pixels [{SIZE}]")
    add("--strengths", type=float, nargs="+", default=[])
    add("--presets", action="store_true", help="add other tools' settings at 256 px, about an hour, once")
    add("--cache", type=Path, default=default_folder(), help="folder of pictures and measures")
    add("--keep-cache", action="store_true", help="use pictures that other versions of the code painted")
    add("--part", default="", metavar="N/M", help="only fill the cache, with every M-th picture")
    add("--estimate", action="store_true", help="print how long it takes, and paint nothing")
    add("--export", type=Path, help="copy the pictures into a folder for each row")
    add("--anchors", type=Path, help="folder of published pictures to compare with")
    add("--sheet", type=Path, help="with --anchors: file of a sheet, outside the repository")
    return parse_arguments(parser, size=TRIAL_SIZE, strengths=list(TRIAL_STRENGTHS), presets=False)


def chosen_pairs(chosen: argparse.Namespace) -> tuple[Originals, list[Pair], list[Pair]]:
    """The files, the pairs to paint, and those of them that are painted at all strengths.

    Raises:
        SystemExit: the folder has no pair.
    """
    if chosen.folders:
        photos, paintings = (
            first_pictures(path, count) for path, count in zip(chosen.folders, FULL[:2], strict=True)
        )
        originals = Originals(photos, paintings)
        pairs = [Pair(photo, painting) for painting in paintings for photo in photos]
        return originals, pairs, evenly_spaced(pairs, len(FRONT_PAIRS))
    originals, missing = locate(chosen.images)
    if missing:
        print(f"Missing in {chosen.images}, and left out with their pairs: {', '.join(missing)}.")
    front_pairs = [pair for pair in FRONT_PAIRS if originals.have(pair)]
    pairs = [pair for pair in ALL_PAIRS if originals.have(pair)] if chosen.pairs == 48 else front_pairs
    if chosen.trial:
        pairs = front_pairs = front_pairs[:1]
    if not pairs:
        raise SystemExit(f"{chosen.images} has no pair of the benchmark. Name another folder with --images.")
    print(f"{len(pairs)} pairs, {len(front_pairs)} of them at several strengths.")
    return originals, pairs, front_pairs


def chosen_rows(chosen: argparse.Namespace) -> list[str]:
    """The rows to paint.

    Raises:
        SystemExit: a row is unknown.
    """
    rows = [*CONTROLS, ADAIN, *available_rows()]
    if not chosen.rows:
        return rows
    named = chosen.rows.split(",")
    if unknown := [row for row in named if row not in rows]:
        raise SystemExit(f"There is no row {', '.join(unknown)}. The rows are {', '.join(rows)}.")
    return [row for row in rows if row in named]


def print_estimate(run: Run, tasks: Sequence[Task]) -> None:
    """Print how many pictures are still to be painted, and how long that takes."""
    missing = run.missing(tasks)
    seconds = sum(run.seconds(task) for task in missing)
    print(f"{len(tasks)} pictures, {len(missing)} to paint: about {format_duration(seconds)}.", flush=True)


def print_full_estimate(run: Run, pair: Pair) -> None:
    """Print how long the protocol of publications would take with the default, at one strength."""
    photos, paintings, size = FULL
    seconds = photos * paintings * run.seconds(Task(pair, OURS, size, MIDDLE))
    print(
        f"The full protocol, {photos} photos × {paintings} paintings at {size} px with the default once, "
        f"would take about {format_duration(seconds)} "
        f"(--folders PHOTOS PAINTINGS --size {size} --rows {OURS})."
    )


def result_name(chosen: argparse.Namespace, pairs: int) -> str:
    """The result's name: "pictures" for the whole benchmark, and a longer one for parts of it."""
    parts = ["pictures"]
    if chosen.folders:
        parts.append("folders")
    if pairs != len(ALL_PAIRS):
        parts.append(f"{pairs}-pairs")
    if chosen.size != SIZE:
        parts.append(str(chosen.size))
    if chosen.rows or chosen.strengths:
        parts.append("some")
    return "-".join(parts)


def report(run: Run, tasks: Sequence[Task], chosen: argparse.Namespace) -> None:
    """Measure the pictures, print the tables, and write the result and the sheets."""
    results = run.results(tasks)
    measured: dict[str, Any] = tables(results, run.paintings_speckle(tasks), run.grains(results))
    print("\n" + page(measured))
    if chosen.export:
        export(results, chosen.export, chosen.size)
    if chosen.trial:
        return
    codes = sorted({result.file.stem for result in results})
    kept = {"size": chosen.size, "painted_by_code": codes, **measured, "pictures": as_csv_lines(results)}
    save_result(result_name(chosen, len({task.pair for task in tasks})), kept, chosen.results, show=False)
    rows = {task.row for task in tasks}
    if {OURS, OLD} <= rows and not chosen.folders and chosen.pairs == len(ALL_PAIRS):
        for path in write_sheets(results, run.originals, chosen.results, chosen.size):
            print(f"written to {path}")


def anchors_table(chosen: argparse.Namespace, cache: PictureCache, changes: Mapping[str, object]) -> str:
    """Compare published pictures with ours: a Markdown table."""
    check_sheet(chosen.sheet)

    def ours(strength: float, size: int) -> Recipe:
        settings = settings_from({**ROWS[OURS](strength), "size": size, **changes})
        return Recipe("descent", settings, size)

    return compare_anchors(
        anchors(chosen.anchors),
        ours,
        cache,
        strengths=chosen.strengths or (MIDDLE,),
        size=TRIAL_SIZE if chosen.trial else 0,
        sheet=chosen.sheet,
    )


def main() -> None:
    """Paint and report, or do what an option asks for instead."""
    chosen = arguments()
    cache = PictureCache(chosen.cache, any_code=chosen.keep_cache)
    changes = TRIAL_STEPS if chosen.trial else {}
    if chosen.anchors:
        print(anchors_table(chosen, cache, changes))
        return
    originals, pairs, front_pairs = chosen_pairs(chosen)
    tasks = tasks_of(
        pairs,
        front_pairs,
        chosen_rows(chosen),
        size=chosen.size,
        strengths=chosen.strengths or STRENGTHS,
        presets=chosen.presets,
    )
    run = Run(originals, cache, lambda task: recipe(task, changes))
    if chosen.part:
        tasks = part_of(tasks, chosen.part)
    print_estimate(run, tasks)
    if chosen.estimate:
        print_full_estimate(run, pairs[0])
        return
    run.paint(tasks)
    if chosen.part:
        run.results(tasks)
        print("This part is done. Run the other parts, then once without --part for the report.")
        return
    report(run, tasks, chosen)


if __name__ == "__main__":
    main()
