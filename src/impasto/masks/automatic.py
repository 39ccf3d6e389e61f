"""A photo's mask by its kind: the one entrance to what is in this folder."""

import base64
import hashlib
import zlib
from dataclasses import dataclass

import numpy as np
import torch

from impasto.choices import MaskKind
from impasto.errors import CheckpointError
from impasto.image.picture import Picture
from impasto.masks.luminance import luminance_mask
from impasto.masks.subject import SIDE, SubjectMap, find_subject, subject_mask
from impasto.shapes import Mask


@dataclass(frozen=True, eq=False)
class AutomaticMask:
    """A photo's mask that nobody drew.

    Attributes:
        kind: how it was found.
        mask: (1, 1, H, W), 0..1: the subject, or what is light.
        where: what the net said, from which the mask can be made again without it; None: no net was asked.
    """

    kind: MaskKind
    mask: Mask
    where: SubjectMap | None = None

    @property
    def sha256(self) -> str | None:
        """Digest of what the net said."""
        return None if self.where is None else hashlib.sha256(self.where.numpy().tobytes()).hexdigest()


def automatic_mask(
    photo: Picture,
    kind: MaskKind,
    *,
    where: SubjectMap | None = None,
) -> AutomaticMask:
    """Divide a photo in two.

    Args:
        photo: the picture.
        kind: "subject" or "luminance".
        where: what the net has said of this photo before; it is not asked again.
    Raises:
        ImageError: no subject, or nothing beside it; no light and dark.
        SettingsError: onnxruntime is not installed.
        WeightsError: the net cannot be fetched.
    """
    if kind == "luminance":
        return AutomaticMask(kind, luminance_mask(photo))
    where = find_subject(photo) if where is None else where
    return AutomaticMask(kind, subject_mask(photo, where), where)


def to_text(where: SubjectMap) -> str:
    """What the net said as text for a manifest: 7,000 to 38,000 characters on twenty photographs."""
    return base64.b64encode(zlib.compress(where.numpy().tobytes(), 9)).decode("ascii")


def from_text(text: str) -> SubjectMap:
    """What `to_text` wrote.

    Raises:
        CheckpointError: it is damaged.
    """
    try:
        # One byte more than needed shows that it is too long.
        data = zlib.decompressobj().decompress(base64.b64decode(text, validate=True), SIDE * SIDE + 1)
        return torch.from_numpy(np.frombuffer(data, np.uint8).copy().reshape(SIDE, SIDE))
    except (ValueError, zlib.error) as error:
        raise CheckpointError(
            f"the mask in the manifest is damaged ({error}). Start the run anew."
        ) from error
