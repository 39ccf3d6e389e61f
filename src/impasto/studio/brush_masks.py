"""Masks from brush strokes."""

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
"""Fraction of a picture; strokes that cover less are taken for accidents."""


def masks_from_strokes(
    strokes: Sequence[str], paintings: int, keep_unpainted: bool, folder: str
) -> tuple[tuple[str, ...], str]:
    """Turn strokes on a photo, and perhaps on its painting, into masks.

    With one painting, areas of the same colour belong together, and so do the unpainted areas. With several,
    the first colour stands for the first painting, the second for the second, and so on; unpainted areas stay
    a photo.

    Args:
        strokes: paths of pictures whose alpha marks the strokes: of the photo, then of the painting.
        paintings: number of paintings.
        keep_unpainted: whether unpainted areas of the photo stay unchanged.
        folder: for the masks.
    Returns:
        the values of the settings `regions` and `keep`; both empty if the photo has no strokes.
    """
    drawn = [_mask(path) for path in strokes]
    if not drawn or drawn[0] is None:
        return (), ""
    photo_mask, target = drawn[0], Path(folder)
    several = [photo_mask]
    if paintings > 1:  # each colour takes its style from a whole painting
        several += [_plain(BRUSH_COLORS[index]) for index in range(paintings)]
    elif len(drawn) > 1 and drawn[1] is not None:
        several.append(drawn[1])
    files = [str(target / f"regions-{index}.png") for index in range(len(several))]
    for file, pixels in zip(files, several, strict=True):
        write_picture(Picture(pixels, name="mask"), file)
    keep = "black" if (keep_unpainted or paintings > 1) and _has_black(photo_mask) else ""
    return tuple(files), keep


def _mask(path: str) -> Image | None:
    """Strokes over black, (1, 3, H, W), or None if there are hardly any."""
    if not path:
        return None
    picture = read_picture(path, role="strokes")
    if picture.alpha is None:  # no strokes but a mask
        return picture.pixels
    return None if float((picture.alpha > 0.5).float().mean()) < LEAST else picture.pixels * picture.alpha


def _plain(color: str) -> Image:
    """Return a mask of one colour, (1, 3, 64, 64); it is resized to its painting later."""
    return (
        (torch.tensor(read_color(color)) / 255).float()[None, :, None, None].expand(1, 3, 64, 64).contiguous()
    )


def _has_black(mask: Image) -> bool:
    # Every brush colour has a bright channel, so only unpainted pixels are this dark.
    return float((mask.amax(1) < 0.1).float().mean()) >= LEAST
