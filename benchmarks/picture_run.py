"""Painting and measuring the tasks of the picture benchmark, and the sheets that show them."""

import json
import shutil
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from statistics import fmean

import torch
from picture_cache import PictureCache, Recipe, speed_key
from picture_report import CONTROLS, MIDDLE, OLD, OURS, Result, Task
from picture_sources import Originals, Pair
from sheets import Cell, write_sheet

from impasto.formatting import format_duration
from impasto.image.read import read_picture
from impasto.image.resize import fit, resized_pixels
from impasto.metrics.speckle import speckle

PHOTOS_ON_A_SHEET = 2

MEASURE_SECONDS, ADAIN_SECONDS = 3.0, 2.0
"""Of a picture of 384 px on two cores, about."""


class Run:
    """Tasks with their files, painted and measured as far as the cache does not have them.

    Args:
        recipe: how a task's picture is made.
    """

    def __init__(self, originals: Originals, cache: PictureCache, recipe: Callable[[Task], Recipe]) -> None:
        self.originals, self.cache, self.recipe = originals, cache, recipe
        self._seconds: dict[str, float] = {}
        self._known = cache.known_seconds()

    def missing(self, tasks: Iterable[Task]) -> list[Task]:
        """The tasks whose pictures are not there, each picture once."""
        missing: dict[Path, Task] = {}
        for task in tasks:
            recipe, files = self.recipe(task), self.originals.of(task.pair)
            if self.cache.find(recipe, *files) is None:
                missing.setdefault(self.cache.path(recipe, *files), task)
        return list(missing.values())

    def seconds(self, task: Task) -> float:
        """How long painting and measuring one picture takes: as before, or as `impasto plan` says."""
        made = self.recipe(task)
        measuring = MEASURE_SECONDS * max(task.size / 384, 0.3) ** 2
        if made.method in CONTROLS:
            return measuring
        key = speed_key(made.facts())
        if key not in self._seconds:
            if key in self._known:
                self._seconds[key] = fmean(self._known[key])
            elif made.method == "adain":
                self._seconds[key] = ADAIN_SECONDS
            else:
                self._seconds[key] = self.cache.plan_seconds(made, *self.originals.of(task.pair))
        return self._seconds[key] + measuring

    def paint(self, tasks: Sequence[Task]) -> None:
        """Paint and measure what is missing, pair by pair, and say how long it still takes."""
        missing = self.missing(tasks)
        left = sum(self.seconds(task) for task in missing)
        for index, task in enumerate(missing, 1):
            at = "" if task.strength is None else f", strength {task.strength}"
            print(
                f"{index} of {len(missing)}, about {format_duration(left)} left: "
                f"{task.pair}, {task.row}{at}, {task.size} px",
                flush=True,
            )
            self.cache.paint(self.recipe(task), *self.originals.of(task.pair))
            left -= self.seconds(task)
            if index == len(missing) or missing[index].pair != task.pair:
                self.results(
                    [other for other in tasks if other in missing[:index] and other.pair == task.pair]
                )

    def results(self, tasks: Sequence[Task]) -> list[Result]:
        """The measures of pictures that are there."""
        results = []
        for pair in dict.fromkeys(task.pair for task in tasks):
            photo, painting = self.originals.of(pair)
            group = [task for task in tasks if task.pair == pair]
            files = [self._file(task) for task in group]
            for task, file, measures in zip(
                group, files, self.cache.measure(files, photo, painting), strict=True
            ):
                results.append(Result(task, file, measures, painted_seconds(file)))
        return results

    def paintings_speckle(self, tasks: Iterable[Task]) -> dict[tuple[str, int], float]:
        """Each painting's own speckle in the quarter of it that is flattest, at the sizes of the tasks."""
        values = {}
        for name, size in {(task.pair.painting, task.size) for task in tasks}:
            picture = read_picture(self.originals.paintings[name])
            canvas = fit(picture.height, picture.width, size)
            pixels = resized_pixels(picture, *canvas, torch.device("cpu"))
            values[name, size] = speckle(pixels, pixels)
        return values

    def _file(self, task: Task) -> Path:
        file = self.cache.find(self.recipe(task), *self.originals.of(task.pair))
        assert file is not None, "painted before"
        return file


def painted_seconds(file: Path) -> float | None:
    """What the cache says of how long a picture took."""
    beside = file.with_suffix(".json")
    return float(json.loads(beside.read_text())["seconds"]) if beside.is_file() else None


def write_sheets(results: Sequence[Result], originals: Originals, folder: Path, size: int) -> list[Path]:
    """For every photo a row of old default and default for each painting, two photos on a sheet."""
    files = {result.task: result.file for result in results}
    pairs = list(dict.fromkeys(result.task.pair for result in results))
    photos = [name for name in originals.photos if any(pair.photo == name for pair in pairs)]
    paintings = [name for name in originals.paintings if any(pair.painting == name for pair in pairs)]
    written = []
    for start in range(0, len(photos), PHOTOS_ON_A_SHEET):
        names = photos[start : start + PHOTOS_ON_A_SHEET]
        header: list[Cell | None] = [None]
        for painting in paintings:
            header += [Cell(originals.paintings[painting], painting), None]
        rows = [header]
        for photo in names:
            row: list[Cell | None] = [Cell(originals.photos[photo], photo)]
            for painting in paintings:
                for which, label in ((OLD, "old default"), (OURS, "new default")):
                    file = files.get(Task(Pair(photo, painting), which, size, MIDDLE))
                    row.append(None if file is None else Cell(file, label))
            rows.append(row)
        path = folder / f"pictures-{'-'.join(names)}.jpg"
        write_sheet(path, rows, side=224)
        written.append(path)
    return written


def export(results: Iterable[Result], folder: Path, size: int) -> None:
    """Copy the pictures to FOLDER/ROW/PHOTO-PAINTING.png, for `scripts/bench blind`."""
    for task, file, _, _ in results:
        if task.strength in (None, MIDDLE):
            row = task.row if task.size == size else f"{task.row}-{task.size}"
            target = folder / row / f"{task.pair.photo}-{task.pair.painting}.png"
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(file, target)
