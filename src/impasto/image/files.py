"""Reading pictures from files, and writing them whole."""

import hashlib
import os
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias, Union

import numpy as np
import pyvips
from numpy.typing import NDArray
from torch import Tensor

from impasto.errors import ImageError, ImpastoWarning, SettingsError
from impasto.image import heic, jpeg
from impasto.image.arrays import from_array, from_pil, from_tensor, to_numpy
from impasto.image.deepzoom import check_pyramid, read_pyramid_manifest, write_pyramid
from impasto.image.disk import check_place
from impasto.image.formats import (
    AVIF,
    DEEP_ZOOM,
    HEIC,
    JPEG,
    SZI,
    TIFF,
    WEBP,
    WRITABLE,
    Format,
    by_suffix,
)
from impasto.image.header import VipsImage, check_pixels, damaged, opened, read_bytes, reason
from impasto.image.picture import Picture
from impasto.image.srgb import to_srgb, wrap
from impasto.image.xmp import pack, unpack
from impasto.storage.atomic import atomic_write

if TYPE_CHECKING:
    import PIL.Image

Source: TypeAlias = Union[str, "os.PathLike[str]", Picture, "PIL.Image.Image", NDArray[Any], Tensor]
"""Whatever a picture can be read from."""

_PYRAMIDS = (DEEP_ZOOM, SZI)


def read_picture(source: Source, *, role: str = "image", max_pixels: int = 400_000_000) -> Picture:
    """Read a picture: a file, or what already is a picture in memory.

    Files are JPEG, PNG, WebP, TIFF, AVIF, GIF or (with the extra 'heic') HEIC, recognised by their bytes.
    The EXIF orientation is applied, colours become sRGB by the embedded profile, 16 bits stay 16 bits, the
    alpha channel comes apart and the colours under it are kept. A file that is cut off is an error, never
    a picture with a grey half.

    Args:
        source: a path, a `Picture` (handed back as it is), a Pillow image, an array or a tensor; see
            `from_array`, `from_tensor` and `from_pil` in `arrays` for the forms.
        role: what the picture is for, in messages: 'content image'.
        max_pixels: the most pixels that are decoded; checked before decoding.
    Returns:
        pixels (1, 3, H, W), 0..1, and what else a `Picture` has.
    Raises:
        ImageError: a file that is missing, empty, a folder, unreadable, no picture, damaged or too large; an
            array of another shape, kind or range.
    Warns:
        ImpastoWarning: more than one frame (the first is read); a broken colour profile (left out).
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
    if any(kind.__module__ == "PIL.Image" for kind in type(source).__mro__):
        return from_pil(source, role=role, max_pixels=max_pixels)
    raise ImageError(
        f"{role} is a {type(source).__name__}; needed: a path, an array, a tensor, a PIL image or a Picture."
    )


def write_picture(
    picture: Picture,
    path: "str | os.PathLike[str]",
    *,
    bits: int = 8,
    quality: int = 92,
    manifest: str | None = None,
) -> None:
    """Write a picture to a file, whole or not at all.

    The ending chooses the format: .jpg .jpeg .png .webp .tif .tiff .avif, and .heic .heif with the extra
    'heic'. The file has an sRGB profile and, if given, the manifest in an XMP packet. It is written beside
    its place under a hidden name and renamed, so a file of that name stays as it was until the new one is
    complete. The same pixels give the same bytes. JPEG and AVIF keep full colour resolution from quality 90.

    .dz (or .dzi) writes a deep-zoom pyramid, `out.dzi` and its tiles in `out_files`, and .szi the same in one
    zip file; see `deepzoom.write_pyramid` for how two names are replaced. The tiles are JPEG, or PNG if the
    picture has alpha, and the manifest lies beside them as JSON.

    Args:
        picture: one picture; values outside 0..1 are clipped, then rounded.
        path: where to.
        bits: 8, or 16 for PNG and TIFF.
        quality: 1..100 for JPEG, also in tiles, WebP, AVIF and HEIC; at 100 WebP and AVIF lose nothing.
        manifest: JSON text to embed. JPEG holds 60,000 bytes; a longer one is compressed there.
    Raises:
        SettingsError: an unknown ending, bits that the format has not, a quality out of range.
        ImageError: a folder or file that cannot be written, a full disk, a picture too large for the format,
            NaN, a manifest too long for JPEG even when compressed.
    Warns:
        ImpastoWarning: transparency that JPEG cannot hold was laid over white.
    """
    check_output(path, bits=bits, longest=max(picture.height, picture.width))
    if not 1 <= quality <= 100:
        raise SettingsError(f"quality is {quality}; it must be from 1 to 100.")
    name = os.fspath(path)
    target = Path(os.path.realpath(path))  # a link stays a link
    known = _output_format(name)
    packet = None if manifest is None else _packet(manifest, known, name)
    if not known.alpha:
        picture = _over_white(picture, known)
    try:
        if known in _PYRAMIDS:
            write_pyramid(to_numpy(picture), name, quality, manifest)
            return
        data = _encode(to_numpy(picture, bits), known, quality, packet)
        with atomic_write(target) as file:
            file.write(data)
    except pyvips.Error as error:
        raise ImageError(f"cannot make {known.name} for '{name}': {reason(error)}. Try .png.") from error
    except OSError as error:
        raise ImageError(
            f"cannot write '{name}': {error.strerror or error}. Free some space or choose another folder."
        ) from error


def encoded(picture: Picture, ending: str, *, quality: int = 92) -> bytes:
    """A picture as the bytes of a file, 8 bits, without a manifest.

    Args:
        ending: as in `write_picture`, of a format that is one file.
        quality: as there.
    """
    known = _output_format(f"picture{ending}")
    flat = picture if known.alpha else _over_white(picture, known)
    return _encode(to_numpy(flat, 8), known, quality, None)


def read_manifest(path: "str | os.PathLike[str]") -> str | None:
    """The manifest (JSON text) that `write_picture` embedded in a file; None if it has none.

    Args:
        path: the picture; of a deep-zoom pyramid the name it was written under, or its .dzi.
    Raises:
        ImageError: the file cannot be read or is no picture.
    """
    name = os.fspath(path)
    who = f"picture '{name}'"
    if by_suffix(Path(name).suffix) in _PYRAMIDS:
        return read_pyramid_manifest(name, who)
    data, known = read_bytes(name, who)
    header = opened(data, known, who)
    return unpack(header.get("xmp-data")) if header.get_typeof("xmp-data") else None


def check_output(path: "str | os.PathLike[str]", *, bits: int = 8, longest: int | None = None) -> None:
    """Refuse, before any work is done, a path that a picture could not be written to. Leaves nothing behind.

    Args:
        path: where the picture is to go.
        bits: 8 or 16.
        longest: pixels of its long side, if known.
    Raises:
        SettingsError: an unknown ending, or bits that the format has not.
        ImageError: no such folder, a folder in its place, a folder or file that may not be written, a
            picture too large for the format, HEIC without its package, or other things where the tiles of a
            pyramid would go.
    """
    name = os.fspath(path)
    known = _output_format(name)
    if bits not in known.bits:
        raise SettingsError(
            f"'{name}': {known.name} is written with {' or '.join(map(str, known.bits))} bits, not {bits}. "
            "Use .png or .tif for 16."
        )
    if longest is not None and longest > known.longest:
        raise ImageError(
            f"'{name}': {known.name} holds at most {known.longest:,} pixels a side, this picture has "
            f"{longest:,}. Use .tif."
        )
    if known is HEIC:
        heic.load(f"'{name}': {heic.NEEDED}, or choose .avif.")
    try:
        if known is DEEP_ZOOM:
            check_pyramid(name)
        else:
            check_place(name)
    except OSError as error:  # a name too long, a loop of links
        raise ImageError(f"cannot write '{name}': {error.strerror or error}. Choose another name.") from error


def _output_format(name: str) -> Format:
    suffix = Path(name).suffix
    known = by_suffix(suffix)
    if known is None:
        ending = f"the ending '{suffix}' is no known format" if suffix else "there is no ending"
        raise SettingsError(f"cannot tell the format of '{name}': {ending}. Use one of {WRITABLE}.")
    return known


def _read_file(name: str, role: str, max_pixels: int) -> Picture:
    who = f"{role} '{name}'"
    data, known = read_bytes(name, who)
    header = opened(data, known, who)
    check_pixels(header.height, header.width, max_pixels, who)
    pages = header.get("n-pages") if header.get_typeof("n-pages") else 1
    if pages > 1:
        warnings.warn(
            f"{who} has {pages} frames or pages; only the first is used.", ImpastoWarning, stacklevel=3
        )
    pixels, alpha = to_srgb(_decode(header, data, known, who), who)
    return Picture(pixels, alpha, name, hashlib.sha256(data).hexdigest())


def _decode(header: VipsImage, data: bytes, known: Format, who: str) -> VipsImage:
    """The pixels, upright, in memory."""
    try:
        return (jpeg.decode(data, who) if known is JPEG else header.copy_memory()).autorot()
    except pyvips.Error as error:
        if header.get_typeof("heif-compression") and header.get("heif-compression") != "av1":
            return heic.decode(data, who)
        raise damaged(who, known, error) from error


def _packet(manifest: str, known: Format, name: str) -> bytes:
    packet = pack(manifest, known.packet)
    if known.packet is not None and len(packet) > known.packet:
        raise ImageError(
            f"'{name}': the manifest takes {len(packet):,} bytes, {known.name} holds {known.packet:,}. "
            "Use .png, or write without it."
        )
    return packet


def _over_white(picture: Picture, known: Format) -> Picture:
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


def _encode(values: NDArray[Any], known: Format, quality: int, packet: bytes | None) -> bytes:
    """The file's bytes for (H, W, 3) or (H, W, 4) whole numbers."""
    if known is HEIC:
        return heic.encode(values, quality, pyvips.Operation.call("profile_load", "srgb"), packet)
    image = wrap(values, "rgb16" if values.dtype == np.uint16 else "srgb", None)
    image = image.copy(xres=72 / 25.4, yres=72 / 25.4)  # pixels per mm; libvips' own 1 would print huge
    if packet is not None:
        image.set_type(pyvips.GValue.blob_type, "xmp-data", packet)
    lossy: dict[str, Any] = {"Q": quality}
    options: dict[Format, dict[str, Any]] = {
        JPEG: lossy | {"optimize_coding": True},
        # exact: colours under full transparency are kept
        WEBP: lossy | {"lossless": quality == 100, "exact": True, "smart_subsample": True},
        TIFF: {"compression": "deflate", "predictor": "horizontal", "bigtiff": values.nbytes > 3_900_000_000},
        # effort 4, libvips' default, takes 7 times as long for a file 6 % smaller
        AVIF: lossy | {"lossless": quality == 100, "effort": 3},
    }
    encoded = image.write_to_buffer(known.suffixes[0], keep="xmp", profile="srgb", **options.get(known, {}))
    return bytes(encoded)
