"""What a batch costs beside its painting: the default recipe, five photos in one painting's style.

    scripts/bench batch [--size 512] [--steps N]

The result has the seconds from one finished picture to the next, divided into evaluations, the solver's own
arithmetic, the targets of content and style, and the rest. The rest is the batch's own work: it reads,
checks, plans and saves. The first picture also loads the network. The last photo has a camera's 12
megapixels; the others have half a megapixel.

Then the same batch runs again, which skips all pictures. Last, one picture is painted by a new batch, which
loads the network anew: this is what each picture costs alone.
"""

import statistics
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from common import CONTENT, STYLE, argument_parser, example, parse_arguments, save_result

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

PHOTOS = [str(example(name)) for name in ("temple", "dandelion", "langlois-bridge", "kandinsky")]
KINDS = ("whole", "evaluations", "solver", "content targets", "rest")
"""Kinds of work in the result."""

spent: dict[str, float] = defaultdict(float)
"""Seconds by kind of work, since it was last cleared."""


@contextmanager
def counted(kind: str) -> Iterator[None]:
    """Add the seconds that a block takes to `spent`."""
    began = now()
    yield
    spent[kind] += now() - began


def now() -> float:
    """The time in seconds, after a GPU has finished its work."""
    if torch.cuda.is_available():
        torch.cuda.synchronize()
    return time.perf_counter()


def count_calls(module: Any, name: str, kind: str) -> None:
    """Replace a function of a module by one that counts its time."""
    function = getattr(module, name)

    def counting(*arguments: Any, **options: Any) -> Any:
        with counted(kind):
            return function(*arguments, **options)

    setattr(module, name, counting)


def count_solver_calls(name: str) -> None:
    """Replace one of the solver's functions by one that counts its time, and its evaluations' separately."""
    function = getattr(descent, name)

    def counting(evaluate: Callable[[torch.Tensor], Any], *arguments: Any, **options: Any) -> Any:
        def timed(image: torch.Tensor) -> Any:
            with counted("evaluations"):
                return evaluate(image)

        with counted("solver with evaluations"):
            return function(timed, *arguments, **options)

    setattr(descent, name, counting)


def paint(folder: str, settings: StylizeSettings, photos: list[str]) -> list[dict[str, float]]:
    """Paint a batch; the seconds of each picture by kind of work."""
    rows = []
    spent.clear()
    began = now()
    for progress in iter_batch(all_pairs(photos, [STYLE]), folder, settings):
        if progress.state == "painting":
            continue
        seconds = {"whole": now() - began, **spent}
        seconds["solver"] = seconds.pop("solver with evaluations", 0.0) - seconds.get("evaluations", 0.0)
        known = sum(value for kind, value in seconds.items() if kind != "whole")
        rows.append({**seconds, "rest": seconds["whole"] - known})
        print(progress.pair, progress.state, rounded(rows[-1]), flush=True)
        spent.clear()
        began = now()
    return rows


def rounded(seconds: dict[str, float]) -> dict[str, float]:
    """Seconds with three decimals."""
    return {kind: round(value, 3) for kind, value in seconds.items()}


def camera_photo(folder: str) -> str:
    """The file of an example photo, enlarged to a camera's 12 megapixels, with a little grain."""
    pixels = resize(read_picture(CONTENT).pixels, 2830, 4242).clamp(0, 1)
    grain = 0.02 * torch.randn(pixels.shape, generator=torch.Generator().manual_seed(0))
    path = f"{folder}/camera.jpg"
    write_picture(Picture(pixels + grain), path)
    return path


def main() -> None:
    """Paint the batch, skip it, and paint one picture alone."""
    parser = argument_parser(__doc__)
    parser.add_argument("--size", type=int, default=512, help="long side in pixels [512]")
    parser.add_argument("--steps", type=int, help="solver steps at the coarsest scale [the default's]")
    chosen = parse_arguments(parser, size=64, steps=4)
    settings = StylizeSettings(size=chosen.size, steps=chosen.steps)
    count_solver_calls("start")
    count_solver_calls("step")
    count_calls(transfer, "content_terms", "content targets")
    count_calls(style_images, "style_means", "style targets")
    with tempfile.TemporaryDirectory() as folder:
        photos = [*PHOTOS, camera_photo(folder)]
        pictures = paint(folder, settings, photos)
        began = time.perf_counter()
        skipped = len(paint(folder, settings, photos))
        seconds_skipping = time.perf_counter() - began
    with tempfile.TemporaryDirectory() as folder:
        (alone,) = paint(folder, settings, PHOTOS[1:2])
    later, camera = pictures[1:-1], pictures[-1]
    save_result(
        "batch",
        {
            "size": chosen.size,
            "precision": str(choose_compute().dtype).removeprefix("torch."),
            "first_picture": rounded(pictures[0]),
            "later_pictures_median": rounded(
                {kind: statistics.median(seconds[kind] for seconds in later) for kind in KINDS}
            ),
            "later_pictures_largest_rest": round(max(seconds["rest"] for seconds in later), 3),
            "photo_of_12_megapixels": rounded({kind: camera[kind] for kind in KINDS}),
            "second_picture_alone": rounded(alone),
            "skipping_one": round(seconds_skipping / skipped, 4),
        },
        chosen.results,
    )


if __name__ == "__main__":
    main()
