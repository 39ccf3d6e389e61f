"""Encoding pictures as the bytes of a file."""

import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pyvips
from numpy.typing import NDArray

from impasto.errors import ImageError, ImpastoWarning, SettingsError
from impasto.image import heic
from impasto.image.formats import AVIF, HEIC, JPEG, TIFF, WEBP, WRITABLE, Format, by_suffix
from impasto.image.picture import Picture
from impasto.image.srgb import to_vips
from impasto.image.xmp import pack


def encode_picture(picture: Picture, ending: str, *, quality: int = 92) -> bytes:
    """Encode a picture with 8 bits a channel and without a manifest.

    Args:
        picture: one picture.
        ending: as in `write_picture`, of a format that is a single file.
        quality: as in `write_picture`, 1..100.
    Returns:
        the bytes of the file.
    Raises:
        SettingsError: the ending is unknown.
        ImageError: the picture is a batch, has NaN, or cannot be encoded.
    """
    known = output_format(f"picture{ending}")
    flat = picture if known.alpha else over_white(picture, known)
    return encode(flat.to_numpy(8), known, quality, None)


def output_format(name: str) -> Format:
    """Return the format that a file's ending asks for.

    Raises:
        SettingsError: the ending is unknown.
    """
    suffix = Path(name).suffix
    known = by_suffix(suffix)
    if known is None:
        ending = f"the ending '{suffix}' is no known format" if suffix else "there is no ending"
        raise SettingsError(f"cannot tell the format of '{name}': {ending}. Use one of {WRITABLE}.")
    return known


def xmp_packet(manifest: str, known: Format, name: str) -> bytes:
    """Put a manifest into the XMP packet for a format.

    Args:
        manifest: JSON text.
        known: the format.
        name: of the file, for messages.
    Raises:
        ImageError: the packet is too long for the format even when compressed.
    """
    packet = pack(manifest, known.packet)
    if known.packet is not None and len(packet) > known.packet:
        raise ImageError(
            f"'{name}': the manifest takes {len(packet):,} bytes, {known.name} holds {known.packet:,}. "
            "Use .png, or write without it."
        )
    return packet


def over_white(picture: Picture, known: Format) -> Picture:
    """Lay a picture over white, for a format that holds no transparency.

    Warns:
        ImpastoWarning: some pixels are not opaque.
    """
    if picture.alpha is None:
        return picture
    if bool((picture.alpha < 1).any()):
        warnings.warn(
            f"{known.name} holds no transparency; {picture.name} is laid over white. Use .png to keep it.",
            ImpastoWarning,
            stacklevel=3,
        )
    pixels = picture.pixels.clamp(0, 1)
    return Picture(1 + (pixels - 1) * picture.alpha.clamp(0, 1), None, picture.name)


def encode(values: NDArray[Any], known: Format, quality: int, packet: bytes | None) -> bytes:
    """Encode whole numbers in a format that is a single file.

    Args:
        values: (H, W, 3) or (H, W, 4), uint8 or uint16.
        known: the format.
        quality: 1..100, where the format has it.
        packet: the XMP packet to embed, or None.
    Returns:
        the bytes of the file.
    Raises:
        ImageError: pillow-heif is not installed, or cannot write the picture.
        pyvips.Error: libvips cannot write it.
    """
    if known is HEIC:
        return heic.encode(values, quality, pyvips.Operation.call("profile_load", "srgb"), packet)
    image = to_vips(values, "rgb16" if values.dtype == np.uint16 else "srgb", None)
    image = image.copy(xres=72 / 25.4, yres=72 / 25.4)  # pixels per mm; libvips' default of 1 prints huge
    if packet is not None:
        image.set_type(pyvips.GValue.blob_type, "xmp-data", packet)
    lossy: dict[str, Any] = {"Q": quality}
    options: dict[Format, dict[str, Any]] = {
        JPEG: lossy | {"optimize_coding": True},
        # exact keeps the colours of fully transparent pixels
        WEBP: lossy | {"lossless": quality == 100, "exact": True, "smart_subsample": True},
        # a classic TIFF has offsets of 32 bits
        TIFF: {"compression": "deflate", "predictor": "horizontal", "bigtiff": values.nbytes > 3_900_000_000},
        # effort 4, libvips' default, takes 7 times as long for a file that is 6 % smaller
        AVIF: lossy | {"lossless": quality == 100, "effort": 3},
    }
    encoded = image.write_to_buffer(known.suffixes[0], keep="xmp", profile="srgb", **options.get(known, {}))
    return bytes(encoded)
