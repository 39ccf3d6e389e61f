"""The results of a batch on one sheet, beside what they were made of."""

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
"""Pixels of a thumbnail's long side and between two."""

LONGEST = 4096
"""Pixels that a sheet may have a side; on one with more pictures the thumbnails are smaller."""

PAPER, MISSING = 1.0, 0.85
"""Brightness of the ground, and of a picture that is not there."""


def contact_sheet(results: Sequence[Pair]) -> Picture:
    """Thumbnails of the results, laid out by what they were made of.

    If each photograph was painted in the style of each painting: a row for a photograph, which stands first,
    a column for a painting, which stands on top. Otherwise photograph, painting and result side by side, such
    threes one below another, and in several columns if they are many.

    Args:
        results: whose `output` is the result's file, or empty if there is none. A picture that is missing or
            cannot be read is a grey field.
    """
    rows = _grid(results) or _threes(results)
    size = max(1, min(CELL, (LONGEST - GAP) // max(len(rows), len(rows[0])) - GAP))
    shown = [[thumbnail(path, size) if path else None for path in row] for row in rows]
    heights = _sides([[_side(image, 2) for image in row] for row in shown], size)
    widths = _sides([[_side(image, 3) for image in column] for column in zip(*shown, strict=True)], size)
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
    return 0 if image is None else image.shape[dimension]


def _sides(rows: Sequence[Sequence[int]], size: int) -> list[int]:
    """How high each row is (or wide each column), its gap included: as its largest thumbnail needs.

    Where all are missing it is as the largest of the others.
    """
    largest = [max(row) for row in rows]
    return [(side or max(largest) or size) + GAP for side in largest]


def _lay(cell: Float[Tensor, "1 3 _ _"], image: Float[Tensor, "1 3 _ _"]) -> None:
    """A thumbnail into the middle of its cell of the sheet."""
    height, width = image.shape[2:]
    top, left = (cell.shape[2] - height) // 2, (cell.shape[3] - width) // 2
    cell[:, :, top : top + height, left : left + width] = image


def _grid(results: Sequence[Pair]) -> list[list[str | None]]:
    """Files in rows and columns, None where nothing stands; no rows unless the pairs are a whole grid."""
    contents, styles = (list(dict.fromkeys(pair[i] for pair in results)) for i in (0, 1))
    made = {(pair.content, pair.style): pair.output for pair in results}
    if not len(made) == len(results) == len(contents) * len(styles):
        return []
    rows: list[list[str | None]] = [[None, *styles]]
    return rows + [[c, *(made[c, s] for s in styles)] for c in contents]


def _threes(results: Sequence[Pair]) -> list[list[str | None]]:
    """Photograph, painting, result; as many threes side by side as make the sheet about square."""
    columns = max(1, round(math.sqrt(len(results) / 3)))
    height = math.ceil(len(results) / columns)
    rows = [[path for pair in results[row::height] for path in pair] for row in range(height)]
    return [[*row, *[None] * (len(rows[0]) - len(row))] for row in rows]


def thumbnail(path: str, size: int) -> Image | None:
    """A picture at that long side, laid over the sheet's ground; None if it cannot be read."""
    try:
        picture = read_picture(path)
    except ImageError:
        return None
    shape = fit(picture.height, picture.width, size)
    pixels = resize(picture.pixels, *shape).clamp(0, 1)
    if picture.alpha is None:
        return pixels
    return PAPER + (pixels - PAPER) * resize(picture.alpha, *shape).clamp(0, 1)
