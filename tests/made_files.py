"""Pictures with known values and helpers for files, for the tests of `image/`."""

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pyvips
from numpy.typing import NDArray
from PIL import Image as PilImage

from impasto.image.read import read_picture

RNG = np.random.default_rng(0)
RGB = RNG.integers(0, 256, (24, 31, 3), dtype=np.uint8)
RGBA = RNG.integers(0, 256, (24, 31, 4), dtype=np.uint8)
DEEP = RNG.integers(0, 65536, (24, 31, 3), dtype=np.uint16)
# smooth, as photographs mostly are, for the lossy formats
SMOOTH = np.stack(np.meshgrid(np.linspace(20, 230, 64), np.linspace(40, 200, 48)), -1)
SMOOTH = np.concatenate([SMOOTH, SMOOTH[..., :1] / 2 + SMOOTH[..., 1:] / 2], 2).round().astype(np.uint8)
MANIFEST = json.dumps(
    {"Stil": "Größe – 漢字 🎨", "xml": "<a href='&amp;'>]]>\"", "n": [1, 2.5]}, ensure_ascii=False
)
SUFFIXES = [".jpg", ".jpeg", ".png", ".webp", ".tif", ".tiff", ".avif"]


def vips(values: NDArray[Any], kind: str = "srgb") -> Any:
    return pyvips.Image.new_from_array(values).copy(interpretation=kind)


def profile_of(name: str) -> Any:
    return pyvips.Operation.call("profile_load", name)


def stored(values: NDArray[Any], orientation: int) -> NDArray[Any]:
    """The pixels that a file with this EXIF orientation stores of an upright picture."""
    turned = values.swapaxes(0, 1) if orientation >= 5 else values
    vertical = {3: -1, 4: -1, 6: -1, 7: -1}.get(orientation, 1)
    horizontal = {2: -1, 3: -1, 7: -1, 8: -1}.get(orientation, 1)
    return turned[::vertical, ::horizontal]


def saved(tmp_path: Path, values: NDArray[Any], name: str = "in.png", **options: Any) -> Path:
    PilImage.fromarray(values).save(tmp_path / name, **options)
    return tmp_path / name


def numbers(path: Path) -> NDArray[Any]:
    return read_picture(path).to_numpy()


def only(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


@contextmanager
def as_nobody() -> Iterator[None]:
    """Run as the user `nobody` if the tests run as root, whom no permission stops."""
    if os.geteuid() != 0:
        yield
        return
    os.seteuid(65534)
    try:
        yield
    finally:
        os.seteuid(0)
