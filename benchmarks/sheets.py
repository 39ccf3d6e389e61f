"""Contact sheets: JPEG files of limited size, with a label under each picture."""

import io
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from PIL import Image, ImageDraw, ImageFont

from impasto.image.picture import Picture
from impasto.recipes.contact_sheet import thumbnail
from impasto.storage.atomic import atomic_write

GAP, LABEL = 6, 18
"""Pixels between two pictures, and height in pixels of the line of text under each."""

MOST_BYTES = 300_000
"""The default limit of a sheet's file, in bytes."""

QUALITIES = (90, 85, 80, 75, 70)
"""JPEG qualities to try before the pictures are made smaller."""

LEAST_SIDE = 32
"""Pictures do not get smaller than this long side in pixels, even if the file is too large."""


class Cell(NamedTuple):
    """A picture on a sheet, and the text under it."""

    file: Path
    label: str


def write_sheet(
    path: Path, rows: Sequence[Sequence[Cell | None]], *, side: int = 256, most_bytes: int = MOST_BYTES
) -> None:
    """Write rows of pictures as one JPEG, with the best quality and size that `most_bytes` allows.

    Args:
        path: the file to write.
        rows: pictures from left to right; None leaves a cell empty. A file that cannot be read is shown grey.
        side: largest long side of a picture on the sheet, in pixels.
        most_bytes: largest size of the file.
    """
    while True:
        sheet = _sheet(rows, side)
        for quality in QUALITIES:
            buffer = io.BytesIO()
            sheet.save(buffer, "JPEG", quality=quality, optimize=True)
            if buffer.tell() <= most_bytes or (side <= LEAST_SIDE and quality == QUALITIES[-1]):
                with atomic_write(path) as file:
                    file.write(buffer.getvalue())
                return
        side = max(LEAST_SIDE, side * 7 // 8)


def _sheet(rows: Sequence[Sequence[Cell | None]], side: int) -> Image.Image:
    """Draw the sheet; columns are as wide and rows as high as their largest picture."""
    pictures = [[_thumbnail(cell, side) for cell in row] for row in rows]
    count = max(len(row) for row in rows)
    widths = [max((row[i].width for row in pictures if i < len(row)), default=0) for i in range(count)]
    heights = [max(picture.height for picture in row) for row in pictures]
    sheet = Image.new(
        "RGB", (GAP + sum(widths) + GAP * count, GAP + sum(heights) + (GAP + LABEL) * len(rows)), "white"
    )
    draw, font = ImageDraw.Draw(sheet), ImageFont.load_default(12)
    top = GAP
    for row, shown, height in zip(rows, pictures, heights, strict=True):
        left = GAP
        for cell, picture, width in zip(row, shown, widths, strict=False):
            if cell is not None:
                sheet.paste(picture, (left + (width - picture.width) // 2, top + height - picture.height))
                draw.text((left, top + height + 1), cell.label, fill="black", font=font)
            left += width + GAP
        top += height + LABEL + GAP
    return sheet


def _thumbnail(cell: Cell | None, side: int) -> Image.Image:
    """A cell's picture with a long side of at most `side` pixels."""
    if cell is None:
        return Image.new("RGB", (1, 1), "white")
    pixels = thumbnail(str(cell.file), side)
    return Image.new("RGB", (side, side), "lightgray") if pixels is None else Picture(pixels).to_pil()
