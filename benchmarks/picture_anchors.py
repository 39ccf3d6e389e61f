"""Published pictures beside ours, from the same photo and painting: `scripts/bench pictures --anchors`."""

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
"""Of the sheet that shows them: it is looked at and thrown away, so it may be large."""


def check_sheet(sheet: Path | None) -> None:
    """Refuse a place in the repository: the pictures are not ours to publish.

    Raises:
        SystemExit: the file would lie in the repository.
    """
    if sheet is not None and HERE.parent.resolve() in sheet.resolve().parents:
        raise SystemExit(
            f"{sheet} lies in the repository; these pictures are not ours. Choose another place."
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
    """Paint what was published, at its size, measure both, and give a Markdown table.

    Args:
        recipe: of ours, from strength and long side.
        strengths: of ours; with two or more they make a front to compare with at equal LPIPS.
        size: the long side of ours instead; then the published pictures are larger than they compare to.
        sheet: the file of a sheet with theirs above and ours below.
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
