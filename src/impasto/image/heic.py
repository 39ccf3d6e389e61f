"""HEIC through the optional package pillow-heif, because libvips' binary wheel has no HEVC."""

import io
from types import ModuleType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from impasto.errors import ImageError
from impasto.image.header import VipsImage
from impasto.image.srgb import to_vips

NEEDED = "HEIC needs one more package. Run pip install 'impasto[heic]'"


def decode(data: bytes, subject: str) -> VipsImage:
    """Decode the primary picture of a HEIC file, upright, at the file's own bit depth, with its profile.

    Args:
        data: the file.
        subject: what to call it in messages.
    Raises:
        ImageError: pillow-heif is not installed, or the file is damaged.
    """
    heif = load(f"{subject}: {NEEDED}, or export it as JPEG.")
    try:
        decoded = heif.open_heif(data, convert_hdr_to_8bit=False)
        values = np.asarray(decoded)
    except (ValueError, OSError, EOFError, RuntimeError) as error:
        raise ImageError(
            f"{subject} is cut off or damaged (HEIC: {error}). Copy or export it again."
        ) from error
    deep = values.dtype.itemsize == 2
    grey = values.ndim == 2 or values.shape[2] < 3
    kind = ("grey16" if deep else "b-w") if grey else ("rgb16" if deep else "srgb")
    return to_vips(values, kind, decoded.info.get("icc_profile"))


def encode(values: NDArray[Any], quality: int, profile: bytes, packet: bytes | None) -> bytes:
    """Encode a HEIC file.

    Args:
        values: (H, W, 3) or (H, W, 4), uint8.
        quality: 1..100; below 90 colour is stored at half the resolution.
        profile: the ICC profile to embed.
        packet: the XMP packet to embed, or None.
    Returns:
        the bytes of the file.
    Raises:
        ImageError: pillow-heif is not installed, or cannot write the picture.
    """
    heif = load(f"{NEEDED}, or choose .avif.")
    height, width, channels = values.shape
    mode = "RGBA" if channels == 4 else "RGB"
    out = io.BytesIO()
    try:
        file = heif.from_bytes(mode=mode, size=(width, height), data=values.tobytes())
        file[0].info["icc_profile"] = profile
        if packet is not None:
            file[0].info["xmp"] = packet
        file.save(out, quality=quality, chroma=444 if quality >= 90 else 420)
    except (ValueError, OSError, RuntimeError) as error:
        raise ImageError(f"cannot write HEIC: {error}. Choose .png or .avif.") from error
    return out.getvalue()


def load(message: str) -> ModuleType:
    """Import pillow-heif.

    Raises:
        ImageError: it is not installed; `message` is the error's text.
    """
    try:
        import pillow_heif
    except ImportError as error:
        raise ImageError(message) from error
    return pillow_heif
