"""Automatic masks: a photo's subject, its light and dark areas, or the areas it shares with a painting."""

import torch

from impasto.choices import LIKE, MaskKind
from impasto.image.color_mask import ColorMask
from impasto.image.picture import Picture
from impasto.image.read import Source, read_single_picture
from impasto.masks.automatic import automatic_mask
from impasto.settings.mask import MaskSettings
from impasto.shapes import Image
from impasto.style.matched_regions import color_mask, find_match, warn_of_doubts


def mask(photo: Source, kind: MaskKind | str = "subject") -> Picture:
    """Make a mask of a photo: white for its subject, or for its light areas, with soft borders.

    Args:
        photo: a file, a `PIL.Image`, a NumPy array or a tensor (see `read_picture`).
        kind: "subject": found by U²-Net. "luminance": light and dark, by Otsu's threshold. "like:" followed
            by a painting's file: the first of `matching_masks`.
    Returns:
        A picture of the photo's size, for `write_picture` or `regions`.
    Raises:
        SettingsError: an unknown kind; onnxruntime is not installed.
        ImageError: the photo cannot be read; it has no subject, or nothing else; it is evenly lit.
        WeightsError: the network cannot be fetched.
    Example:
        >>> impasto.write_picture(impasto.mask("photo.jpg"), "mask.png")  # doctest: +SKIP
    """
    kind = MaskSettings(kind=kind).kind  # for the check of the kind
    if kind.startswith(LIKE):
        return matching_masks(photo, kind.removeprefix(LIKE))[0]
    soft_mask = automatic_mask(read_single_picture(photo, "photo"), kind).mask  # type: ignore[arg-type]
    return Picture(soft_mask.expand(-1, 3, -1, -1).contiguous(), name="mask")


def matching_masks(photo: Source, painting: Source, *, weights: str = "") -> tuple[Picture, Picture]:
    """Make masks of a photo and a painting, in which areas that resemble each other have the same colour.

    They are the masks that `match="regions"` uses, with hard borders, so they can be corrected by hand and
    given as `regions`. If the match is not trusted, there is a warning.

    Args:
        photo, painting: as in `mask`.
        weights: VGG-19's, as in `StylizeSettings`.
    Returns:
        The photo's mask and the painting's, each of its picture's size.
    Raises:
        ImageError: a picture cannot be read.
        WeightsError: the network cannot be fetched.
    """
    pictures = read_single_picture(photo, "photo"), read_single_picture(painting, "painting")
    match = find_match(pictures[0], pictures[1:], weights)
    warn_of_doubts(match, pictures[0], "Correct the masks before you use them.")
    first, second = (
        Picture(_flat_colors(color_mask(match, number, picture)), name="mask")
        for number, picture in enumerate(pictures)
    )
    return first, second


def _flat_colors(areas: ColorMask) -> Image:
    """Draw a mask's areas in their colours, (1, 3, H, W), with hard borders."""
    palette = torch.tensor(areas.colors) / 255  # (areas, 3)
    return palette[areas.labels.long()].permute(2, 0, 1)[None].contiguous()
