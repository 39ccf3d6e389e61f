"""Paints and measures the tasks of the picture benchmark, and makes the sheets that show them."""

import json
import shutil
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from statistics import fmean

import torch
from picture_cache import PictureCache, Recipe, speed_key
from picture_report import CONTROLS, MIDDLE, OLD, OURS, PaintingSpeckle, Result, Task
from picture_sources import Originals, Pair
from sheets import Cell, write_sheet
from speckle import flat, grain

from impasto.formatting import format_duration
from impasto.image.read import read_picture
from impasto.image.resize import fit, resized_pixels
from impasto.metrics.speckle import speckle

CPU = torch.device("cpu")

PHOTOS_ON_A_SHEET = 2

MEASURE_SECONDS, ADAIN_SECONDS = 3.0, 2.0
"""The approximate times of measuring a picture of 384 px, and of painting it with AdaIN, on two cores."""


class Run:
    """Paints and measures tasks, unless the cache has their pictures or measures.

    Args:
        originals: the files.
        cache: finds and keeps pictures and measures.
        recipe: the recipe of a task's picture.
    """

    def __init__(self, originals: Originals, cache: PictureCache, recipe: Callable[[Task], Recipe]) -> None:
        self.originals, self.cache, self.recipe = originals, cache, recipe
        self._known = cache.known_seconds()
        self._estimates: dict[str, float] = {}

    def missing(self, tasks: Iterable[Task]) -> list[Task]:
        """The tasks whose pictures are not in the cache; of several with the same picture, the first."""
        missing: dict[Path, Task] = {}
        for task in tasks:
            recipe, files = self.recipe(task), self.originals.of(task.pair)
            if self.cache.find(recipe, *files) is None:
                missing.setdefault(self.cache.path(recipe, *files), task)
        return list(missing.values())

    def seconds(self, task: Task) -> float:
        """Estimate the time of painting and measuring a picture: from earlier ones, or as `impasto plan`."""
        recipe = self.recipe(task)
        measuring = MEASURE_SECONDS * max(task.size / 384, 0.3) ** 2
        if recipe.method in CONTROLS:
            return measuring
        key = speed_key(recipe.facts())
        if key not in self._estimates:
            if key in self._known:
                self._estimates[key] = fmean(self._known[key])
            elif recipe.method == "adain":
                self._estimates[key] = ADAIN_SECONDS
            else:
                self._estimates[key] = self.cache.plan_seconds(recipe, *self.originals.of(task.pair))
        return self._estimates[key] + measuring

    def paint(self, tasks: Sequence[Task]) -> None:
        """Paint and measure the missing pictures, pair by pair, and print the time remaining."""
        missing = self.missing(tasks)
        left = sum(self.seconds(task) for task in missing)
        for index, task in enumerate(missing, 1):
            strength = "" if task.strength is None else f", strength {task.strength}"
            print(
                f"{index} of {len(missing)}, about {format_duration(left)} left: "
                f"{task.pair}, {task.row}{strength}, {task.size} px",
                flush=True,
            )
            self.cache.paint(self.recipe(task), *self.originals.of(task.pair))
            left -= self.seconds(task)
            if index == len(missing) or missing[index].pair != task.pair:
                self.results(
                    [other for other in tasks if other in missing[:index] and other.pair == task.pair]
                )

    def results(self, tasks: Sequence[Task]) -> list[Result]:
        """The measures of painted pictures, measured now if the cache lacks them."""
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

    def grains(self, results: Iterable[Result]) -> dict[Task, float]:
        """The grain of both defaults' pictures at MIDDLE strength, where the photo is flat."""
        values = {}
        for task, file, _, _ in results:
            if task.row in (OURS, OLD) and task.strength == MIDDLE:
                picture, photo = read_picture(file), read_picture(self.originals.photos[task.pair.photo])
                photo_pixels = resized_pixels(photo, picture.height, picture.width, CPU)
                values[task] = grain(picture.pixels, flat(photo_pixels))
        return values

    def paintings_speckle(self, tasks: Iterable[Task]) -> dict[tuple[str, int], PaintingSpeckle]:
        """The speckle and grain of each painting itself, by name and size of the tasks."""
        values = {}
        for name, size in {(task.pair.painting, task.size) for task in tasks}:
            picture = read_picture(self.originals.paintings[name])
            image = resized_pixels(picture, *fit(picture.height, picture.width, size), CPU)
            one_colour = torch.zeros_like(image)  # is flat everywhere, so the whole painting is measured
            values[name, size] = PaintingSpeckle(
                flat=speckle(image, image),
                whole=speckle(image, one_colour),
                grain=grain(image, flat(image)),
            )
        return values

    def _file(self, task: Task) -> Path:
        file = self.cache.find(self.recipe(task), *self.originals.of(task.pair))
        assert file is not None, "the picture has been painted"
        return file


def painted_seconds(file: Path) -> float | None:
    """The time that painting a picture of the cache took; None if it is not known."""
    facts = file.with_suffix(".json")
    return float(json.loads(facts.read_text())["seconds"]) if facts.is_file() else None


def write_sheets(results: Sequence[Result], originals: Originals, folder: Path, size: int) -> list[Path]:
    """Write sheets with a row for each photo: the old and the new default for each painting.

    Returns:
        The files, each with two photos.
    """
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
                for default, label in ((OLD, "old default"), (OURS, "new default")):
                    file = files.get(Task(Pair(photo, painting), default, size, MIDDLE))
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
