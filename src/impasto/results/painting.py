"""A finished picture with its manifest."""

import os
from dataclasses import dataclass
from typing import Any

from numpy.typing import NDArray

from impasto.image.picture import Picture, PillowImage
from impasto.image.write import write_picture
from impasto.results.manifest import to_text


@dataclass(frozen=True)
class Painting:
    """A painting, finished or stopped.

    Attributes:
        picture: the pixels, with the photo's alpha if it had one.
        manifest: everything needed to paint it again: settings, seed, versions, hashes; and its losses.
    """

    picture: Picture
    manifest: dict[str, Any]

    def save(self, path: str | os.PathLike[str], *, bits: int = 8, quality: int = 92) -> None:
        """Write the painting with its manifest inside, completely or not at all (see `write_picture`).

        Args:
            path: the file to write or replace; its ending chooses the format.
            bits: 8, or 16 for PNG and TIFF.
            quality: 1..100, for lossy formats.
        Raises:
            SettingsError: the ending is unknown, or `bits` or `quality` does not fit.
            ImageError: the file cannot be written.
        """
        write_picture(self.picture, path, bits=bits, quality=quality, manifest=to_text(self.manifest))

    def to_numpy(self, bits: int = 8) -> NDArray[Any]:
        """Return the pixels as an array (see `Picture.to_numpy`)."""
        return self.picture.to_numpy(bits)

    def to_pil(self) -> PillowImage:
        """Return the picture as a Pillow image, without the manifest (see `Picture.to_pil`)."""
        return self.picture.to_pil()

    def _repr_png_(self) -> bytes:
        """Return a PNG file of the picture, which a notebook shows where a cell ends with a painting."""
        return self.picture._repr_png_()
