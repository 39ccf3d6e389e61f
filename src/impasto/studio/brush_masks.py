"""Masks of what was painted with a brush."""

from collections.abc import Sequence
from pathlib import Path

import torch

from impasto.image.color_mask import read_color
from impasto.image.picture import Picture
from impasto.image.read import read_picture
from impasto.image.write import write_picture
from impasto.shapes import Image
from impasto.studio.messages import BRUSH_COLORS

LEAST = 0.001
"""Share of a picture below which strokes are none."""


def masks_from_strokes(
    strokes: Sequence[str], paintings: int, keep_unpainted: bool, folder: str
) -> tuple[tuple[str, ...], str]:
    """Files for `--regions`, and colours for `--keep`, of strokes on a photo and perhaps on its painting.

    With one painting, areas of one colour belong together, and so does what is unpainted. With several, the
    first colour is for the first painting, the second for the second, and what is unpainted stays a photo.

    Args:
        strokes: pictures whose alpha says where was painted: of the photo, of the painting.
        paintings: how many there are.
        keep_unpainted: whether the photo's unpainted part stays as it is.
        folder: where the masks are written.
    Returns:
        nothing of both if nothing was painted on the photo.
    """
    drawn = [_mask(path) for path in strokes]
    if not drawn or drawn[0] is None:
        return (), ""
    photo_mask, target = drawn[0], Path(folder)
    several = [photo_mask]
    if paintings > 1:
        several += [_plain(BRUSH_COLORS[index]) for index in range(paintings)]
    elif len(drawn) > 1 and drawn[1] is not None:
        several.append(drawn[1])
    files = [str(target / f"regions-{index}.png") for index in range(len(several))]
    for file, pixels in zip(files, several, strict=True):
        write_picture(Picture(pixels, name="mask"), file)
    keep = "black" if (keep_unpainted or paintings > 1) and _has_black(photo_mask) else ""
    return tuple(files), keep


def _mask(path: str) -> Image | None:
    """Strokes over black, or None if there are hardly any."""
    if not path:
        return None
    picture = read_picture(path, role="strokes")
    if picture.alpha is None:
        return picture.pixels
    return None if float((picture.alpha > 0.5).float().mean()) < LEAST else picture.pixels * picture.alpha


def _plain(color: str) -> Image:
    """A mask of one colour; it is resized to its painting."""
    return (
        (torch.tensor(read_color(color)) / 255).float()[None, :, None, None].expand(1, 3, 64, 64).contiguous()
    )


def _has_black(mask: Image) -> bool:
    return float((mask.amax(1) < 0.1).float().mean()) >= LEAST
