"""Contact sheets: the results of a batch beside the pictures they were made from."""

import math
from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor

from impasto.errors import ImageError
from impasto.image.picture import Picture
from impasto.image.read import read_picture
from impasto.image.resize import fit, resize
from impasto.recipes.pairs import Pair
from impasto.shapes import Image

CELL, GAP = 256, 8
"""Long side of a thumbnail and gap between two, in pixels."""

LONGEST = 4096
"""Longest side of a sheet, in pixels. If a sheet has many pictures, its thumbnails are smaller."""

PAPER, MISSING = 1.0, 0.85
"""Brightness of the background, and of a missing picture, 0..1."""


def contact_sheet(results: Sequence[Pair]) -> Picture:
    """Lay out thumbnails of the results beside the pictures they were made from.

    If every photograph was painted in the style of every painting, the sheet is a table: a row for each
    photograph, which stands first, and a column for each painting, which stands on top. Otherwise each
    photograph, painting and result stand side by side, one such group below another, in several columns if
    there are many.

    Args:
        results: pairs whose `output` is the file of the result, or "" if there is none. A picture that is
            missing or cannot be read becomes a grey field.
    Returns:
        The sheet, RGB, at most `LONGEST` pixels a side unless even thumbnails of one pixel need more.
    """
    rows = _grid(results) or _threes(results)
    size = max(1, min(CELL, (LONGEST - GAP) // max(len(rows), len(rows[0])) - GAP))
    shown = [[thumbnail(path, size) if path else None for path in row] for row in rows]
    heights = _sides([[_side(image, 2) for image in row] for row in shown], size)
    widths = _sides([[_side(image, 3) for image in column] for column in zip(*shown, strict=True)], size)
    # Rows and columns are as large as their thumbnails need, so portraits leave no wide gaps.
    sheet = torch.full((1, 3, GAP + sum(heights), GAP + sum(widths)), PAPER)
    for down, row in enumerate(rows):
        for across, path in enumerate(row):
            top, left = GAP + sum(heights[:down]), GAP + sum(widths[:across])
            cell = sheet[:, :, top : top + heights[down] - GAP, left : left + widths[across] - GAP]
            image = shown[down][across]
            if image is not None:
                _lay(cell, image)
            elif path is not None:
                cell.fill_(MISSING)
    return Picture(sheet, name="contact sheet")


def _side(image: Image | None, dimension: int) -> int:
    """Return the size of a thumbnail along a dimension; 0 if it is missing."""
    return 0 if image is None else image.shape[dimension]


def _sides(rows: Sequence[Sequence[int]], size: int) -> list[int]:
    """Return the height of each row (or the width of each column), including its gap.

    The largest thumbnail decides. A row without any thumbnail is as high as the largest of the others.
    """
    largest = [max(row) for row in rows]
    return [(side or max(largest) or size) + GAP for side in largest]


def _lay(cell: Float[Tensor, "1 3 _ _"], image: Float[Tensor, "1 3 _ _"]) -> None:
    """Copy a thumbnail to the middle of its cell, in place."""
    height, width = image.shape[2:]
    top, left = (cell.shape[2] - height) // 2, (cell.shape[3] - width) // 2
    cell[:, :, top : top + height, left : left + width] = image


def _grid(results: Sequence[Pair]) -> list[list[str | None]]:
    """Arrange the files as a table, None for an empty cell. No rows if some pair of the table is missing."""
    contents, styles = (list(dict.fromkeys(pair[i] for pair in results)) for i in (0, 1))
    # A dictionary drops pairs that occur twice, and then the lengths differ.
    made = {(pair.content, pair.style): pair.output for pair in results}
    if not len(made) == len(results) == len(contents) * len(styles):
        return []
    rows: list[list[str | None]] = [[None, *styles]]
    return rows + [[c, *(made[c, s] for s in styles)] for c in contents]


def _threes(results: Sequence[Pair]) -> list[list[str | None]]:
    """Arrange groups of photograph, painting and result in columns that make the sheet about square."""
    # c columns of n groups are 3c pictures wide and n/c high, which is equal for c = √(n/3).
    columns = max(1, round(math.sqrt(len(results) / 3)))
    height = math.ceil(len(results) / columns)
    rows = [[path for pair in results[row::height] for path in pair] for row in range(height)]
    return [[*row, *[None] * (len(rows[0]) - len(row))] for row in rows]


def thumbnail(path: str, size: int) -> Image | None:
    """Read a picture and shrink it, with its transparent parts over the sheet's background.

    Args:
        path: the file.
        size: long side, in pixels.
    Returns:
        (1, 3, h, w), 0..1, or None if the file cannot be read.
    """
    try:
        picture = read_picture(path)
    except ImageError:
        return None
    shape = fit(picture.height, picture.width, size)
    pixels = resize(picture.pixels, *shape).clamp(0, 1)
    if picture.alpha is None:
        return pixels
    return PAPER + (pixels - PAPER) * resize(picture.alpha, *shape).clamp(0, 1)
