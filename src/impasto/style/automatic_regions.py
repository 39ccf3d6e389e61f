"""Regions from automatic masks: `auto:subject` as a mask, and `subject` among the colours to keep."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, get_args

import torch

from impasto.choices import AUTO, MaskKind
from impasto.errors import SettingsError
from impasto.image.color_mask import ColorMask
from impasto.image.picture import Picture
from impasto.image.read import Source
from impasto.masks.automatic import automatic_mask, from_text, to_text
from impasto.masks.subject import SubjectMap
from impasto.shapes import Mask

KEPT_SUBJECT = "subject"
"""What `keep` may name besides colours."""

WHITE, BLACK = (255, 255, 255), (0, 0, 0)
"""The colours of the subject (or the light area), and of the rest, in an automatic mask."""


@dataclass(frozen=True, eq=False)
class AutomaticAreas:
    """What `read_regions` needs of an automatic mask.

    Attributes:
        photo: a white and a black area with soft borders.
        paintings: the first all white and the second all black, if each is for one area; otherwise None for
            each.
        keep: the colours of the areas to keep, as text.
        inputs: the mask, by its role in the manifest.
        manifest_entries: the mask as the manifest records it, so that a rerun needs no network.
    """

    photo: ColorMask
    paintings: tuple[ColorMask | None, ...]
    keep: str
    inputs: dict[str, Picture]
    manifest_entries: Mapping[str, Any]


@dataclass(frozen=True, eq=False)
class RecordedMask(Picture):
    """An automatic mask that a manifest records.

    Attributes:
        where: the network's output.
    """

    where: SubjectMap | None = None


def automatic_areas(
    masks: Sequence[Source], keep: str, photo: Picture, paintings: int
) -> AutomaticAreas | None:
    """Divide a photo by an automatic mask. Returns None if the masks are files, or there are none.

    Args:
        masks: as in `read_regions`: "auto:subject", "auto:luminance", or the result of `recorded_mask`.
        keep: as in `read_regions`; `subject` may be among the colours.
        photo: the photo to divide.
        paintings: the number of paintings.
    Raises:
        SettingsError: an unknown kind of mask; `auto:` together with files; `subject` kept with a mask from a
            file; more paintings than areas.
        ImageError, WeightsError: as `automatic_mask`.
    """
    kept = [text.strip() for text in keep.split(";") if text.strip()]
    names = [_name(mask) for mask in masks]
    if not any(name.startswith(AUTO) for name in names):
        if KEPT_SUBJECT not in kept:
            return None
        if masks:
            raise SettingsError(
                f"keep is {keep!r}, and --regions names '{names[0]}': the subject is found only where there "
                "is no mask. Name a colour of the mask instead, or leave --regions out."
            )
        names = [AUTO + KEPT_SUBJECT]
    kind = _kind(names, kept)
    # If an area is kept, all paintings share the other one.
    if len(kept) == 0 and paintings > 2:
        raise SettingsError(
            f"'{names[0]}' has two areas, and there are {paintings} paintings. Give one or two, or "
            "masks as files."
        )
    where = masks[0].where if masks and isinstance(masks[0], RecordedMask) else None
    automatic = automatic_mask(photo, kind, where=where)
    name = AUTO + kind
    white, black = _plain(WHITE, name), _plain(BLACK, name)
    return AutomaticAreas(
        _soft_areas(automatic.mask, name),
        (white, black) if paintings == 2 and not kept else (None,) * paintings,
        ";".join("white" if text == KEPT_SUBJECT else text for text in kept),
        {"regions": Picture(automatic.mask.expand(-1, 3, -1, -1), name=name, sha256=automatic.sha256)},
        {} if automatic.where is None else {"masks": {kind: to_text(automatic.where)}},
    )


def recorded_mask(manifest: Mapping[str, Any]) -> list[Source] | None:
    """Return a run's automatic mask for `regions`, from the manifest; None if the run had none.

    Args:
        manifest: of the earlier run.
    Raises:
        CheckpointError: the recorded mask is damaged.
    """
    name = str(manifest["inputs"].get("regions", {}).get("path", ""))
    if not name.startswith(AUTO):
        return None
    text = manifest.get("masks", {}).get(name.removeprefix(AUTO))
    if text is None:  # light and dark are computed anew: they need no network
        return [name]
    where = from_text(text)
    levels = where.levels.float()[None, None].expand(-1, 3, -1, -1) / 255
    return [RecordedMask(levels.contiguous(), name=name, where=where)]


def _name(mask: Source) -> str:
    """Return the name of a mask, or "" if it has none."""
    return mask.name if isinstance(mask, Picture) else mask if isinstance(mask, str) else ""


def _kind(names: Sequence[str], kept: Sequence[str]) -> MaskKind:
    """Return the kind of an automatic mask, after checking that it stands alone and fits `keep`."""
    kinds: tuple[MaskKind, ...] = get_args(MaskKind)
    if len(names) > 1:
        raise SettingsError(
            f"'{next(name for name in names if name.startswith(AUTO))}' is one of {len(names)} masks. It "
            "stands for the photo's mask and for the paintings': give it alone."
        )
    for kind in kinds:
        if names[0] == AUTO + kind:
            if KEPT_SUBJECT in kept and kind != KEPT_SUBJECT:
                raise SettingsError(
                    f"keep names the subject, but '{names[0]}' does not look for it. Use --regions "
                    "auto:subject, or --keep white or black."
                )
            return kind
    raise SettingsError(f"'{names[0]}' is no mask; it must be one of {', '.join(AUTO + k for k in kinds)}.")


def _soft_areas(mask: Mask, name: str) -> ColorMask:
    """Divide a soft mask, (1, 1, H, W), into white and black areas that sum to 255 at every pixel.

    The larger area comes first.
    """
    light = (mask[0, 0] * 255).round().to(torch.uint8)
    shares, colors = [light, 255 - light], [WHITE, BLACK]
    if float(light.double().mean()) < 127.5:
        shares.reverse()
        colors.reverse()
    return ColorMask(tuple(colors), (shares[0] < 128).to(torch.uint8), name, torch.stack(shares))


def _plain(color: tuple[int, int, int], name: str) -> ColorMask:
    """Make a mask in which a whole painting is one area."""
    return ColorMask((color,), torch.zeros(1, 1, dtype=torch.uint8), name)
