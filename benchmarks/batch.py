"""What a batch costs beside its painting: the default recipe, five photographs in one painting's style.

    scripts/bench batch [--size 512] [--steps 50]

Seconds between one finished picture and the next, and where they went: evaluations and the solver's own
arithmetic, the targets of the content and of the style, and the rest, which is the batch's own: reading,
checking, planning, saving. The first picture also pays for the network. Then the same batch again, all of it
skipped, and one picture for which the network is loaded anew, which is what each would cost alone. The last
photograph has a camera's 12 megapixels; the others have half of one.
"""

import argparse
import statistics
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from common import CONTENT, IMAGES, STYLE, keep

from impasto.image.picture import Picture
from impasto.image.read import read_picture
from impasto.image.resize import resize
from impasto.image.write import write_picture
from impasto.recipes.batch import iter_batch
from impasto.recipes.pairs import all_pairs
from impasto.settings.stylize import StylizeSettings
from impasto.solve import descent
from impasto.style import style_images, transfer
from impasto.system.device import choose_compute

PHOTOS = [str(IMAGES / f"{name}.jpg") for name in ("temple", "dandelion", "langlois-bridge", "kandinsky")]

spent: dict[str, float] = defaultdict(float)
"""Seconds by kind of work, since it was last emptied."""


@contextmanager
def counted(kind: str) -> Iterator[None]:
    began = now()
    yield
    spent[kind] += now() - began


def now() -> float:
    if torch.cuda.is_available():
        torch.cuda.synchronize()
    return time.perf_counter()


def watch(module: Any, name: str, kind: str) -> None:
    """Let a function of a module count its time."""
    whole = getattr(module, name)

    def watched(*arguments: Any, **more: Any) -> Any:
        with counted(kind):
            return whole(*arguments, **more)

    setattr(module, name, watched)


def watch_solver(name: str) -> None:
    """Let one of the solver's functions count its time, and apart from that the evaluations in it."""
    whole = getattr(descent, name)

    def watched(evaluate: Callable[[torch.Tensor], Any], *arguments: Any, **more: Any) -> Any:
        def timed(image: torch.Tensor) -> Any:
            with counted("evaluations"):
                return evaluate(image)

        with counted("solver with evaluations"):
            return whole(timed, *arguments, **more)

    setattr(descent, name, watched)


def paint(folder: str, settings: StylizeSettings, photos: list[str]) -> list[dict[str, float]]:
    """Seconds of each picture by kind of work."""
    rows = []
    spent.clear()
    began = now()
    for progress in iter_batch(all_pairs(photos, [STYLE]), folder, settings):
        if progress.state == "painting":
            continue
        here = now()
        seconds = {"whole": here - began, **spent}
        seconds["solver"] = seconds.pop("solver with evaluations", 0.0) - seconds.get("evaluations", 0.0)
        known = sum(value for kind, value in seconds.items() if kind != "whole")
        rows.append({**seconds, "rest": seconds["whole"] - known})
        print(progress.pair, progress.state, {k: round(v, 3) for k, v in rows[-1].items()}, flush=True)
        spent.clear()
        began = now()
    return rows


def camera_photo(folder: str) -> str:
    """One of the photographs, as large as a camera makes it."""
    pixels = resize(read_picture(CONTENT).pixels, 2830, 4242).clamp(0, 1)
    grain = 0.02 * torch.randn(pixels.shape, generator=torch.Generator().manual_seed(0))
    path = f"{folder}/camera.jpg"
    write_picture(Picture(pixels + grain), path)
    return path


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--size", type=int, default=512)
    arguments.add_argument("--steps", type=int, default=StylizeSettings().steps)
    chosen = arguments.parse_args()
    settings = StylizeSettings(size=chosen.size, steps=chosen.steps)
    watch_solver("start")
    watch_solver("step")
    watch(transfer, "content_terms", "content targets")
    watch(style_images, "style_means", "style targets")
    with tempfile.TemporaryDirectory() as folder:
        photos = [*PHOTOS, camera_photo(folder)]
        pictures = paint(folder, settings, photos)
        began = time.perf_counter()
        skipped = len(paint(folder, settings, photos))
        seconds_skipping = time.perf_counter() - began
    with tempfile.TemporaryDirectory() as folder:
        (alone,) = paint(folder, settings, PHOTOS[1:2])
    later, camera = pictures[1:-1], pictures[-1]
    kinds = ("whole", "evaluations", "solver", "content targets", "rest")
    keep(
        "batch",
        {
            "size": chosen.size,
            "precision": str(choose_compute().dtype).removeprefix("torch."),
            "first_picture": {kind: round(value, 3) for kind, value in pictures[0].items()},
            "later_pictures_median": {
                kind: round(statistics.median(seconds[kind] for seconds in later), 3) for kind in kinds
            },
            "later_pictures_largest_rest": round(max(seconds["rest"] for seconds in later), 3),
            "photo_of_12_megapixels": {kind: round(camera[kind], 3) for kind in kinds},
            "second_picture_alone": {kind: round(value, 3) for kind, value in alone.items()},
            "skipping_one": round(seconds_skipping / skipped, 4),
        },
    )


if __name__ == "__main__":
    main()
