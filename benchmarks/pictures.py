"""How good the pictures are: photos × paintings, judged by what paints nothing here, at equal LPIPS.

    scripts/bench pictures [--images DIR] [--pairs 12|48] [--rows default,old,…] [--size 384] [--presets]
                           [--part N/M] [--estimate] [--export DIR]
    scripts/bench pictures --folders PHOTOS PAINTINGS --size 512 --rows default --estimate
    scripts/bench pictures --anchors DIR [--sheet FILE] [--strengths 0.35 0.5 0.65]
    scripts/bench pictures --trial

docs/benchmark-pictures.md says what is compared and what it costs. Pictures and measures are kept in --cache,
so that a stopped run goes on; a part (--part 1/4) only fills the cache, and a run without --part reports.
"""

import argparse
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import fields
from pathlib import Path
from typing import Any

from common import HERE, IMAGES, keep
from picture_anchors import check_sheet, compare_anchors
from picture_cache import PictureCache, Recipe, default_folder
from picture_report import CONTROLS, MIDDLE, OLD, OURS, Task, as_lines, page, tables
from picture_run import Run, export, write_sheets
from picture_sources import ALL_PAIRS, FRONT_PAIRS, Originals, Pair, all_in, anchors, locate

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
"""Settings of each row, from strength. A row with a setting that this version lacks is left out."""

PRESETS: dict[str, dict[str, object]] = {
    "gatys2015": {"preset": "gatys2015"},
    "neural-style": {"preset": "neural-style"},
}
"""Rows of other tools' settings, which have one strength."""

FRONT_ROWS = (OURS, OLD, "gram", "recipe3", "regions")
"""Rows that are painted at all strengths, on the pairs of the front."""

ADAIN = "adain"
SIZE, PRESET_SIZE, STRENGTHS = 384, 256, (0.2, 0.35, 0.5, 0.65, 0.8)
TRIAL_SIZE = 96
TRIAL_STEPS: dict[str, object] = {"steps": 4, "finest_steps": 2}

FULL = 20, 40, 512
"""Photos, paintings and size of the protocol that publications use most."""


def recipe(task: Task, changes: Mapping[str, object] | None = None) -> Recipe:
    """How a task's picture is made.

    Args:
        changes: settings for all rows, as in a trial.
    """
    if task.row in CONTROLS:
        return Recipe("photo" if task.row == "photo" else "painting", None, task.size)
    if task.row == ADAIN:
        return Recipe("adain", FastSettings(size=task.size), task.size)
    values = PRESETS[task.row] if task.row in PRESETS else ROWS[task.row](task.strength or 0)
    return Recipe("descent", settings_from({**values, "size": task.size, **(changes or {})}), task.size)


def settings_from(values: Mapping[str, object]) -> StylizeSettings:
    """Settings by name, those of a preset under "preset"."""
    others: dict[str, Any] = {name: value for name, value in values.items() if name != "preset"}
    if "preset" in values:
        return StylizeSettings.preset(str(values["preset"]), **others)
    return StylizeSettings(**others)


def available_rows() -> list[str]:
    """The rows whose settings this version has; says which it lacks."""
    rows = []
    for row, values in ROWS.items():
        if lacking := set(values(MIDDLE)) - KNOWN:
            print(f"left out: {row}; this version has no setting {', '.join(sorted(lacking))}.")
        else:
            rows.append(row)
    if not BEFORE and OLD in rows:
        print(f"this version has one default recipe: {OURS} and {OLD} are the same pictures.")
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
    """All pictures of a benchmark, those of one painting together, because its targets are measured once."""
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


def spread(pairs: Sequence[Pair], count: int) -> list[Pair]:
    """That many of the pairs, evenly spread over them."""
    return [pairs[index * len(pairs) // count] for index in range(min(count, len(pairs)))]


def share_of(tasks: Sequence[Task], part: str) -> list[Task]:
    """The part N/M of the tasks: every M-th, from the N-th.

    Raises:
        SystemExit: it is no such part.
    """
    number, _, count = part.partition("/")
    if not (number.isdecimal() and count.isdecimal() and 1 <= int(number) <= int(count)):
        raise SystemExit(f"--part is {part!r}; it is N/M with N from 1 to M, such as 2/4.")
    return list(tasks[int(number) - 1 :: int(count)])


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    add("--images", type=Path, default=IMAGES, help="folder of photos and paintings")
    add("--folders", type=Path, nargs=2, metavar=("PHOTOS", "PAINTINGS"), help="all pairs of two folders")
    add("--pairs", type=int, choices=(12, 48), default=48, help="12: only those with fronts")
    add("--rows", default="", help="of those painted, by name, with commas between them")
    add("--size", type=int, default=SIZE)
    add("--strengths", type=float, nargs="+", default=[])
    add("--presets", action="store_true", help="also other tools' settings, at 256 px: about an hour, once")
    add("--cache", type=Path, default=default_folder())
    add("--keep-cache", action="store_true", help="take pictures that other versions of the code painted")
    add("--part", default="", metavar="N/M", help="only fill the cache, with every M-th picture")
    add("--estimate", action="store_true", help="say how long it takes, paint nothing")
    add("--export", type=Path, help="copy the pictures into a folder for each row")
    add("--anchors", type=Path, help="folder of published pictures to compare with")
    add("--sheet", type=Path, help="with --anchors: the file of a sheet, outside the repository")
    add("--trial", action="store_true", help="a pair at 96 px with few steps; no result is kept")
    return parser.parse_args()


def chosen_pairs(chosen: argparse.Namespace) -> tuple[Originals, list[Pair], list[Pair]]:
    """The files, the pairs to paint, and those of them that are painted at all strengths."""
    if chosen.folders:
        photos, paintings = (all_in(path, most) for path, most in zip(chosen.folders, FULL[:2], strict=True))
        originals = Originals(photos, paintings)
        pairs = [Pair(photo, painting) for painting in paintings for photo in photos]
        return originals, pairs, spread(pairs, len(FRONT_PAIRS))
    originals, missing = locate(chosen.images)
    if missing:
        print(f"missing in {chosen.images}, and left out with their pairs: {', '.join(missing)}.")
    front_pairs = [pair for pair in FRONT_PAIRS if originals.have(pair)]
    pairs = [pair for pair in ALL_PAIRS if originals.have(pair)] if chosen.pairs == 48 else front_pairs
    if chosen.trial:
        pairs = front_pairs = front_pairs[:1]
    if not pairs:
        raise SystemExit(f"{chosen.images} has no pair of the benchmark. Name another folder with --images.")
    print(f"{len(pairs)} pairs, {len(front_pairs)} of them at several strengths.")
    return originals, pairs, front_pairs


def chosen_rows(chosen: argparse.Namespace) -> list[str]:
    rows = [*CONTROLS, ADAIN, *available_rows()]
    if not chosen.rows:
        return rows
    named = chosen.rows.split(",")
    if unknown := [row for row in named if row not in rows]:
        raise SystemExit(f"there is no row {', '.join(unknown)} here; known: {', '.join(rows)}.")
    return [row for row in rows if row in named]


def say_estimate(run: Run, tasks: Sequence[Task]) -> None:
    """Print what is to be painted, and how long that takes."""
    missing = run.missing(tasks)
    spent = sum(run.seconds(task) for task in missing)
    print(f"{len(tasks)} pictures, {len(missing)} to paint: about {format_duration(spent)}.", flush=True)


def say_full_estimate(run: Run, pair: Pair) -> None:
    """Print how long the protocol of publications would take with the default, at one strength."""
    photos, paintings, size = FULL
    seconds = photos * paintings * run.seconds(Task(pair, OURS, size, MIDDLE))
    print(
        f"The full protocol, {photos} photos × {paintings} paintings at {size} px with the default once, "
        f"would take about {format_duration(seconds)} "
        f"(--folders PHOTOS PAINTINGS --size {size} --rows {OURS})."
    )


def result_name(chosen: argparse.Namespace, pairs: int) -> str:
    """The result's name: "pictures" for the whole benchmark, longer for others, so that none replaces it."""
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
    """Measure, print the tables, write the result and the sheets."""
    results = run.results(tasks)
    measured: dict[str, Any] = tables(results, run.paintings_speckle(tasks))
    print("\n" + page(measured))
    if chosen.export:
        export(results, chosen.export, chosen.size)
    if chosen.trial:
        return
    codes = sorted({result.file.stem for result in results})
    kept = {"size": chosen.size, "painted_by_code": codes, **measured, "pictures": as_lines(results)}
    keep(result_name(chosen, len({task.pair for task in tasks})), kept, show=False)
    rows = {task.row for task in tasks}
    if {OURS, OLD} <= rows and not chosen.folders and chosen.pairs == len(ALL_PAIRS):
        for path in write_sheets(results, run.originals, HERE / "results", chosen.size):
            print(f"written to {path}")


def main() -> None:
    chosen = arguments()
    cache = PictureCache(chosen.cache, any_code=chosen.keep_cache)
    changes = TRIAL_STEPS if chosen.trial else {}
    if chosen.anchors:
        check_sheet(chosen.sheet)
        print(
            compare_anchors(
                anchors(chosen.anchors),
                lambda strength, size: Recipe(
                    "descent", settings_from({**ROWS[OURS](strength), "size": size, **changes}), size
                ),
                cache,
                strengths=chosen.strengths or (MIDDLE,),
                size=TRIAL_SIZE if chosen.trial else 0,
                sheet=chosen.sheet,
            )
        )
        return
    originals, pairs, front_pairs = chosen_pairs(chosen)
    if chosen.trial:
        chosen.size, chosen.strengths = TRIAL_SIZE, chosen.strengths or [0.2, 0.8]
    tasks = tasks_of(
        pairs,
        front_pairs,
        chosen_rows(chosen),
        size=chosen.size,
        strengths=chosen.strengths or STRENGTHS,
        presets=chosen.presets and not chosen.trial,
    )
    run = Run(originals, cache, lambda task: recipe(task, changes))
    if chosen.part:
        tasks = share_of(tasks, chosen.part)
    say_estimate(run, tasks)
    if chosen.estimate:
        say_full_estimate(run, pairs[0])
        return
    run.paint(tasks)
    if chosen.part:
        run.results(tasks)
        print("this part is done; run the other parts, then once without --part for the report.")
        return
    report(run, tasks, chosen)


if __name__ == "__main__":
    main()
