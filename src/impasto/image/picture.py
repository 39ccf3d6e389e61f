"""The one form in which pictures travel: what was read, with the name to call it by in messages."""

from dataclasses import dataclass

from impasto.shapes import Image, Mask


@dataclass(frozen=True)
class Picture:
    """A picture in memory.

    Args:
        pixels: (1, 3, H, W), float32, RGB, sRGB-encoded, 0..1. Only a tensor given by a caller can hold
            more than one picture (B, 3, H, W).
        alpha: (1, 1, H, W), 0 is transparent and 1 opaque, or None. The pixels are not multiplied by it.
        name: what the user typed, or 'array', 'tensor', 'PIL image'; used in messages.
        sha256: hexadecimal digest of the file's bytes; None for a picture that came from memory.
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
