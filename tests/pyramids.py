"""Read deep-zoom pyramids back as a viewer does."""

import xml.etree.ElementTree as ET
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image as PilImage

from made_files import RNG, only

ENDINGS = [".dz", ".dzi", ".szi"]


def noise(height: int, width: int, channels: int = 4) -> NDArray[np.uint8]:
    return RNG.integers(0, 256, (height, width, channels), dtype=np.uint8)


def index_of(path: Path) -> dict[str, int | str]:
    """The tile size, overlap, format, width and height that a .dzi file declares."""
    root = ET.parse(path).getroot()
    assert root.tag == "{http://schemas.microsoft.com/deepzoom/2008}Image"
    (size,) = root
    return {
        "tile": int(root.attrib["TileSize"]), "overlap": int(root.attrib["Overlap"]),
        "format": root.attrib["Format"], "width": int(size.attrib["Width"]),
        "height": int(size.attrib["Height"]),
    }  # fmt: skip


def level(path: Path, number: int) -> NDArray[np.uint8]:
    """A level assembled from its tiles as the .dzi file declares. PNG tiles must agree where they overlap."""
    index = index_of(path)
    tile, overlap = int(index["tile"]), int(index["overlap"])
    levels = (max(int(index["width"]), int(index["height"])) - 1).bit_length()
    width, height = (-(-int(index[side]) // 2 ** (levels - number)) for side in ("width", "height"))
    folder = path.with_name(f"{path.stem}_files") / str(number)
    columns, rows = -(-width // tile), -(-height // tile)
    assert only(folder) == sorted(f"{c}_{r}.{index['format']}" for c in range(columns) for r in range(rows))
    whole: NDArray[np.uint8] | None = None
    for column in range(columns):
        for row in range(rows):
            with PilImage.open(folder / f"{column}_{row}.{index['format']}") as file:
                part = np.asarray(file)
            left, top = max(column * tile - overlap, 0), max(row * tile - overlap, 0)
            right = min((column + 1) * tile + overlap, width)
            bottom = min((row + 1) * tile + overlap, height)
            assert part.shape[:2] == (bottom - top, right - left)
            if whole is None:
                whole = np.zeros((height, width, part.shape[2]), np.uint8)
            if index["format"] == "png":
                above = whole[top : row * tile, left:right]  # from the tile above
                assert np.array_equal(part[: len(above)], above)
            whole[top:bottom, left:right] = part
    assert whole is not None
    return whole


def deepest(path: Path) -> int:
    return max(int(name) for name in only(path.with_name(f"{path.stem}_files")) if name.isdecimal())


def contents(folder: Path) -> dict[str, bytes]:
    """Every file below a folder."""
    return {
        str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if not path.is_dir()
    }
