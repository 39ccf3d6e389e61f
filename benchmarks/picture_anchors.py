"""Published pictures compared with ours of the same pair: `scripts/bench pictures --anchors`."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from common import HERE
from picture_cache import PictureCache, Recipe
from picture_fronts import CONTENT, STYLES, Measured, at_equal_content
from picture_report import COLUMNS, MIDDLE, as_markdown
from picture_sources import Anchor
from sheets import Cell, write_sheet

from impasto.image.read import read_picture

SHEET_SIDE, SHEET_BYTES = 512, 2_000_000
"""The long side of the sheet's pictures, in pixels, and the largest size of its file, in bytes."""


def check_sheet(sheet: Path | None) -> None:
    """Refuse a file in the repository, because the pictures are not ours to publish.

    Raises:
        SystemExit: the file would be in the repository.
    """
    if sheet is not None and HERE.parent.resolve() in sheet.resolve().parents:
        raise SystemExit(
            f"{sheet} is in the repository, and these pictures are not ours to publish. "
            "Choose another folder."
        )


def compare_anchors(
    anchors: Sequence[Anchor],
    recipe: Callable[[float, int], Recipe],
    cache: PictureCache,
    *,
    strengths: Sequence[float] = (MIDDLE,),
    size: int = 0,
    sheet: Path | None = None,
) -> str:
    """Paint the published pairs at the published size, measure both, and return a Markdown table.

    Args:
        anchors: the published pictures.
        recipe: our recipe at a strength and a long side in pixels.
        cache: finds and keeps pictures and measures.
        strengths: our strengths; two or more give a front, which is compared at equal LPIPS.
        size: our long side, instead of the published one; then the published pictures are larger than ours.
        sheet: the file of a sheet with theirs above and ours below; None: no sheet.
    """
    table: list[dict[str, Any]] = []
    above: list[Cell | None] = []
    below: list[Cell | None] = []
    for subject in dict.fromkeys(anchor.subject for anchor in anchors):
        theirs = [anchor for anchor in anchors if anchor.subject == subject]
        photo, painting = theirs[0].photo, theirs[0].painting
        published = [anchor.published for anchor in theirs]
        first = read_picture(published[0])
        ours = []
        for strength in strengths:
            settings = recipe(strength, size or max(first.height, first.width))
            print(f"{subject}, strength {strength}", flush=True)
            ours.append(cache.find(settings, photo, painting) or cache.paint(settings, photo, painting))
        measured = cache.measure([*published, *ours], photo, painting)
        front = measured[len(published) :]
        for anchor, measures in zip(theirs, measured, strict=False):
            verdicts = _compared(front, measures) if len(front) > 1 else {}
            table.append(_line(subject, anchor.maker, measures) | verdicts)
        for strength, measures in zip(strengths, front, strict=True):
            verdicts = dict.fromkeys(_BELOW, "–") if len(front) > 1 else {}
            table.append(_line(subject, f"ours, {strength}", measures) | verdicts)
        columns = max(len(theirs), len(ours))
        above += [Cell(anchor.published, f"{subject}: {anchor.maker}") for anchor in theirs]
        above += [None] * (columns - len(theirs))
        below += [Cell(file, f"ours, {strength}") for file, strength in zip(ours, strengths, strict=True)]
        below += [None] * (columns - len(ours))
    if sheet is not None:
        write_sheet(sheet, [above, below], side=SHEET_SIDE, most_bytes=SHEET_BYTES)
    return as_markdown(table)


_BELOW = tuple(f"beaten in {style}" for style in STYLES)


def _line(subject: str, maker: str, measures: Measured) -> dict[str, Any]:
    return {"subject": subject, "by": maker, **{name: measures[name] for name in COLUMNS}}


def _compared(front: Sequence[Measured], rival: Measured) -> dict[str, str]:
    """Whether our front lies below a published picture at its LPIPS, by measure."""
    verdicts = {}
    for style, name in zip(STYLES, _BELOW, strict=True):
        points = [(point[CONTENT], point[style]) for point in front]
        ours = at_equal_content(points, rival[CONTENT])
        verdicts[name] = "outside" if ours is None else "yes" if ours < rival[style] else "no"
    return verdicts
