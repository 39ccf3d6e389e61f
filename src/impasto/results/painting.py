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
    """A finished (or stopped) painting.

    Attributes:
        picture: the pixels, with the photo's alpha if it had any.
        manifest: all that is needed to paint it again: settings, seed, versions, hashes, losses.
    """

    picture: Picture
    manifest: dict[str, Any]

    def save(self, path: str | os.PathLike[str], *, bits: int = 8, quality: int = 92) -> None:
        """Write it whole, or leave what was there; the extension says the format; the manifest goes inside.

        Args:
            bits: 8, or 16 for PNG and TIFF.
            quality: 1..100, of the formats that lose something.
        Raises:
            ImageError: it cannot be written there, or not like that.
        """
        write_picture(self.picture, path, bits=bits, quality=quality, manifest=to_text(self.manifest))

    def to_numpy(self, bits: int = 8) -> NDArray[Any]:
        """The pixels as `Picture.to_numpy` gives them."""
        return self.picture.to_numpy(bits)

    def to_pil(self) -> PillowImage:
        """The picture as `Picture.to_pil` gives it, without the manifest."""
        return self.picture.to_pil()

    def _repr_png_(self) -> bytes:
        """The picture, as a notebook shows it where a cell ends with it."""
        return self.picture._repr_png_()
