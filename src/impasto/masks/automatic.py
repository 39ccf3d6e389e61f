"""A photo's mask by its kind, and the network's output as text."""

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

OLD_WINDOW = 8
"""The guided filter's radius in manifests that do not tell it."""


@dataclass(frozen=True, eq=False)
class AutomaticMask:
    """A mask that was computed from the photo.

    Attributes:
        kind: "subject" or "luminance".
        mask: (1, 1, H, W), 0..1: how much of each pixel is the subject, or is light.
        where: the network's output, from which the mask can be made again without the network; None for
            "luminance", which needs none.
    """

    kind: MaskKind
    mask: Mask
    where: SubjectMap | None = None

    @property
    def sha256(self) -> str | None:
        """The digest of the network's output; None without a network."""
        return None if self.where is None else hashlib.sha256(self.where.levels.numpy().tobytes()).hexdigest()


def automatic_mask(photo: Picture, kind: MaskKind, *, where: SubjectMap | None = None) -> AutomaticMask:
    """Divide a photo into subject and background, or into light and dark.

    Args:
        photo: the picture.
        kind: "subject" or "luminance".
        where: the network's output for this photo, if it is known; then the network is not run.
    Raises:
        ImageError: no subject is found, or it fills the picture; or the photo has no light and dark.
        SettingsError: onnxruntime is not installed.
        WeightsError: the network cannot be fetched.
    """
    if kind == "luminance":
        return AutomaticMask(kind, luminance_mask(photo))
    where = find_subject(photo) if where is None else where
    return AutomaticMask(kind, subject_mask(photo, where), where)


def to_text(where: SubjectMap) -> str:
    """Encode the network's output for a manifest: 4,000 to 40,000 characters on twenty photographs."""
    levels = base64.b64encode(zlib.compress(where.levels.numpy().tobytes(), 9)).decode("ascii")
    return f"{where.window} {levels}"


def from_text(text: str) -> SubjectMap:
    """Decode the text of `to_text`.

    Raises:
        CheckpointError: the text is damaged.
    """
    window, _, encoded = text.rpartition(" ")
    try:
        # At most one byte more than needed: damaged data may expand to gigabytes.
        data = zlib.decompressobj().decompress(base64.b64decode(encoded, validate=True), SIDE * SIDE + 1)
        levels = torch.from_numpy(np.frombuffer(data, np.uint8).copy().reshape(SIDE, SIDE))
        return SubjectMap(levels, int(window or OLD_WINDOW))
    except (ValueError, zlib.error) as error:
        raise CheckpointError(
            f"the mask in the manifest is damaged ({error}). Start the run anew."
        ) from error
