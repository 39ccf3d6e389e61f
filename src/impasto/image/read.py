"""Reading pictures from files and from memory."""

import hashlib
import os
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias, Union

import numpy as np
import pyvips
from numpy.typing import NDArray
from torch import Tensor

from impasto.errors import ImageError, ImpastoWarning
from impasto.image import heic, jpeg
from impasto.image.arrays import from_array, from_pil, from_tensor
from impasto.image.deepzoom import read_pyramid_manifest
from impasto.image.formats import JPEG, PYRAMIDS, Format, by_suffix
from impasto.image.header import VipsImage, check_pixels, damage_error, open_image, read_bytes
from impasto.image.picture import Picture
from impasto.image.srgb import to_srgb
from impasto.image.xmp import unpack

if TYPE_CHECKING:
    import PIL.Image

Source: TypeAlias = Union[str, "os.PathLike[str]", Picture, "PIL.Image.Image", NDArray[Any], Tensor]
"""Everything that a picture can be read from."""


def read_picture(source: Source, *, role: str = "image", max_pixels: int = 400_000_000) -> Picture:
    """Read a picture from a file, or take one from memory.

    Files are JPEG, PNG, WebP, TIFF, AVIF, GIF or (with the extra 'heic') HEIC, recognised by their bytes.
    The EXIF orientation is applied, colours become sRGB by the embedded profile, 16 bits stay 16 bits, and
    alpha is kept apart from the colours under it. A truncated file is an error, never a half-grey picture.

    Args:
        source: a path, a `Picture` (returned as it is), a Pillow image, an array or a tensor; `from_array`,
            `from_tensor` and `from_pil` in `arrays` say which shapes and types.
        role: what to call the picture in messages, such as "content image".
        max_pixels: the largest number of pixels to decode; checked before decoding.
    Returns:
        a picture with pixels (1, 3, H, W), 0..1, alpha, name and digest.
    Raises:
        ImageError: the file is missing, empty, a folder, unreadable, not a picture, damaged or too large; or
            the array has another shape, type or range.
    Warns:
        ImpastoWarning: there are several frames (the first is read), or the colour profile is broken (it is
            ignored).
    Example:
        >>> picture = read_picture("photo.jpg", role="content image")  # doctest: +SKIP
    """
    if isinstance(source, Picture):
        return source
    if isinstance(source, np.ndarray):
        return from_array(source, role=role)
    if isinstance(source, Tensor):
        return from_tensor(source, role=role)
    if isinstance(source, (str, os.PathLike)):
        return _read_file(os.fspath(source), role, max_pixels)
    # By name, so that Pillow is not imported for pictures that are not its own.
    if any(kind.__module__ == "PIL.Image" for kind in type(source).__mro__):
        return from_pil(source, role=role, max_pixels=max_pixels)
    raise ImageError(
        f"{role} is a {type(source).__name__}; needed: a path, an array, a tensor, a PIL image or a Picture."
    )


def read_single_picture(source: Source, role: str) -> Picture:
    """Read a picture, and refuse a batch of several.

    Args:
        source: as for `read_picture`.
        role: what messages call it.
    Raises:
        ImageError: the source cannot be read, or holds several pictures.
    """
    picture = read_picture(source, role=role)
    if (count := len(picture.pixels)) != 1:
        raise ImageError(f"{role} '{picture.name}' holds {count} pictures; pass them one at a time.")
    return picture


def read_manifest(path: "str | os.PathLike[str]") -> str | None:
    """Read the manifest (JSON text) that `write_picture` embedded in a file; None if it has none.

    Args:
        path: the picture; for a deep-zoom pyramid, the name it was written under or its .dzi.
    Raises:
        ImageError: the file cannot be read or is not a picture.
    """
    name = os.fspath(path)
    subject = f"picture '{name}'"
    if by_suffix(Path(name).suffix) in PYRAMIDS:
        return read_pyramid_manifest(name, subject)
    data, known = read_bytes(name, subject)
    header = open_image(data, known, subject)
    return unpack(header.get("xmp-data")) if header.get_typeof("xmp-data") else None


def _read_file(name: str, role: str, max_pixels: int) -> Picture:
    """`read_picture` of a path."""
    subject = f"{role} '{name}'"
    data, known = read_bytes(name, subject)
    header = open_image(data, known, subject)
    check_pixels(header.height, header.width, max_pixels, subject)
    pages = header.get("n-pages") if header.get_typeof("n-pages") else 1
    if pages > 1:
        warnings.warn(
            f"{subject} has {pages} frames or pages; only the first is used.", ImpastoWarning, stacklevel=3
        )
    pixels, alpha = to_srgb(_decode(header, data, known, subject), subject)
    return Picture(pixels, alpha, name, hashlib.sha256(data).hexdigest())


def _decode(header: VipsImage, data: bytes, known: Format, subject: str) -> VipsImage:
    """Decode the pixels into memory, upright."""
    try:
        return (jpeg.decode(data, subject) if known is JPEG else header.copy_memory()).autorot()
    except pyvips.Error as error:
        if header.get_typeof("heif-compression") and header.get("heif-compression") != "av1":
            return heic.decode(data, subject)
        raise damage_error(subject, known, error) from error
