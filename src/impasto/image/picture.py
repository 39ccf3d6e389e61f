"""`Picture`, the form in which all pictures are passed around: pixels, alpha, and a name for messages."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
import torch
from numpy.typing import NDArray

from impasto.errors import ImageError, SettingsError
from impasto.shapes import Image, Mask

if TYPE_CHECKING:
    import PIL.Image

PillowImage: TypeAlias = "PIL.Image.Image"
"""Quoted, because Pillow is imported only when a picture is converted to one of its images."""


@dataclass(frozen=True)
class Picture:
    """A picture in memory.

    Args:
        pixels: (1, 3, H, W), float32, RGB, sRGB-encoded, 0..1. Only a tensor from a caller can hold more than
            one picture, (B, 3, H, W).
        alpha: (1, 1, H, W), from 0 (transparent) to 1 (opaque), or None. The pixels are not multiplied by it.
        name: what the user typed, or 'array', 'tensor', 'PIL image'; used in messages.
        sha256: hexadecimal digest of the file's bytes; None for a picture from memory.
    """

    pixels: Image
    alpha: Mask | None = None
    name: str = "picture"
    sha256: str | None = None

    @property
    def height(self) -> int:
        """Rows of pixels."""
        return int(self.pixels.shape[-2])

    @property
    def width(self) -> int:
        """Columns of pixels."""
        return int(self.pixels.shape[-1])

    def to_numpy(self, bits: int = 8) -> NDArray[Any]:
        """Convert to whole numbers, clipped to the range and rounded to the nearest.

        Args:
            bits: 8 or 16, per channel.
        Returns:
            (H, W, 3), or (H, W, 4) if the picture has alpha; uint8 0..255 or uint16 0..65535.
        Raises:
            SettingsError: `bits` is another number.
            ImageError: the picture is a batch, or has NaN.
        """
        if bits not in (8, 16):
            raise SettingsError(f"bits is {bits}; a channel has 8 or 16.")
        if self.pixels.shape[0] != 1:
            raise ImageError(f"{self.name} holds {self.pixels.shape[0]} pictures; pass them one at a time.")
        kind = np.uint8 if bits == 8 else np.uint16
        parts = (self.pixels,) if self.alpha is None else (self.pixels, self.alpha)
        channels = sum(part.shape[1] for part in parts)
        out = np.empty((self.height, self.width, channels), kind)
        # Plane by plane, so that a large picture needs no second copy in float32.
        for channel, plane in enumerate(plane for part in parts for plane in part[0]):
            values = plane.detach().to("cpu", torch.float32)
            if bool(values.isnan().any()):
                raise ImageError(f"{self.name} holds NaN; it cannot be shown or written.")
            out[..., channel] = (values.clamp(0, 1) * np.iinfo(kind).max).round().numpy()
        return out

    def to_pil(self) -> PillowImage:
        """Convert to a Pillow image of mode 'RGB' or 'RGBA', 8 bits, sRGB.

        Raises:
            ImageError: Pillow is not installed, or the picture is a batch or has NaN.
        """
        try:
            import PIL.Image
        except ImportError as error:
            raise ImageError("a PIL image needs Pillow. Run pip install pillow.") from error
        return PIL.Image.fromarray(self.to_numpy())

    def _repr_png_(self) -> bytes:
        """Return the picture as a PNG file, 8 bits, which a notebook shows where a cell ends with a picture.

        Raises:
            ImageError: the picture is a batch, or has NaN.
        """
        from impasto.image.encode import encode_picture  # imported here, because it imports this module

        return encode_picture(self, ".png")
