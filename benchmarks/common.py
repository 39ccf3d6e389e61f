"""What the benchmarks share: example pictures, command lines, and results that name machine and date."""

import argparse
import json
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import impasto
from impasto.image.read import read_picture
from impasto.image.resize import fit, resize
from impasto.shapes import Image
from impasto.system.device import describe_machine

HERE = Path(__file__).parent
IMAGES = HERE.parent / "examples" / "images"
FIGURES = HERE.parent / "docs" / "figures"
CONTENT, STYLE = IMAGES / "temple.jpg", IMAGES / "great-wave.jpg"


def argument_parser(description: str | None) -> argparse.ArgumentParser:
    """A parser whose help is a benchmark's docstring, with the options that all benchmarks have."""
    parser = argparse.ArgumentParser(
        description=description, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    add("--results", type=Path, default=HERE / "results", help="folder of the result [benchmarks/results]")
    add("--trial", action="store_true", help="run at a very small setting and keep nothing")
    return parser


def parse_arguments(parser: argparse.ArgumentParser, **trial: object) -> argparse.Namespace:
    """Read the command line.

    Args:
        trial: defaults of options under `--trial`. `results` is None then.
    """
    chosen = parser.parse_args()
    if chosen.trial:
        parser.set_defaults(**{"results": None, **trial})
        chosen = parser.parse_args()
    return chosen


def photo_and_painting(text: str) -> tuple[str, str]:
    """The two names in PHOTO:PAINTING, the value of an option.

    Raises:
        argparse.ArgumentTypeError: the text has another form, or examples/images lacks a picture.
    """
    photo, colon, painting = text.partition(":")
    if not colon:
        raise argparse.ArgumentTypeError(f"{text!r} is not PHOTO:PAINTING, such as temple:great-wave")
    for name in (photo, painting):
        if not example(name).is_file():
            raise argparse.ArgumentTypeError(f"{text!r}: there is no {example(name)}")
    return photo, painting


def example(name: str) -> Path:
    """The file of an example picture."""
    return IMAGES / f"{name}.jpg"


def pixels(path: Path, size: int) -> Image:
    """A picture with the given long side in pixels: (1, 3, H, W), RGB, 0..1."""
    picture = read_picture(path)
    return resize(picture.pixels, *fit(picture.height, picture.width, size)).clamp(0, 1)


def save_result(name: str, results: dict[str, Any], folder: Path | None, *, show: bool = True) -> None:
    """Print a result, and write it with machine and date to FOLDER/NAME-DATE.json.

    Args:
        folder: None: print only.
        show: False: do not print it, because it is long.
    """
    date = datetime.now(timezone.utc).isoformat(timespec="seconds")
    report = {
        "benchmark": name,
        "date": date,
        "impasto": impasto.__version__,
        "machine": describe_machine(),
        **results,
    }
    text = json.dumps(report, indent=2, ensure_ascii=False) + "\n"
    if show:
        print(text, end="")
    if folder is not None:
        folder.mkdir(parents=True, exist_ok=True)
        path = folder / f"{name}-{date[:10]}.json"
        path.write_text(text, encoding="utf-8")
        print(f"written to {path}")
