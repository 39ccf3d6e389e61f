"""Writing pictures to files, completely or not at all."""

import os
from pathlib import Path

import pyvips

from impasto.errors import ImageError, SettingsError
from impasto.image import heic
from impasto.image.deepzoom import check_pyramid, write_pyramid
from impasto.image.encode import encode, output_format, over_white, xmp_packet
from impasto.image.formats import DEEP_ZOOM, HEIC, PYRAMIDS, by_suffix
from impasto.image.header import vips_reason
from impasto.image.picture import Picture
from impasto.storage.atomic import atomic_write
from impasto.storage.paths import check_writable


def write_picture(
    picture: Picture,
    path: "str | os.PathLike[str]",
    *,
    bits: int = 8,
    quality: int = 92,
    manifest: str | None = None,
) -> None:
    """Write a picture to a file, completely or not at all.

    The ending chooses the format: .jpg .jpeg .png .webp .tif .tiff .avif, and .heic .heif with the extra
    'heic'. The file contains an sRGB profile and, if given, the manifest in an XMP packet. It is written
    under a hidden name in the same folder and then renamed, so an older file stays as it was until the new
    one is complete. The same pixels give the same bytes. JPEG and AVIF keep full colour resolution from
    quality 90.

    .dz (or .dzi) writes a deep-zoom pyramid, `out.dzi` with its tiles in `out_files`, and .szi writes the
    same in one zip file; `deepzoom.write_pyramid` explains how an older pyramid is replaced. The tiles are
    JPEG, or PNG if the picture has alpha, and the manifest lies beside them as JSON.

    Args:
        picture: one picture; values outside 0..1 are clipped, then rounded.
        path: the file to write or replace.
        bits: 8, or 16 for PNG and TIFF.
        quality: 1..100 for JPEG (also in tiles), WebP, AVIF and HEIC; at 100 WebP and AVIF are lossless.
        manifest: JSON text to embed. JPEG can hold 60,000 bytes; a longer manifest is compressed there.
    Raises:
        SettingsError: the ending is unknown, the format does not have these bits, or quality is out of range.
        ImageError: the folder or file cannot be written, the disk is full, the picture is too large for the
            format or has NaN, or the manifest is too long for JPEG even when compressed.
    Warns:
        ImpastoWarning: transparency that JPEG cannot hold was laid over white.
    """
    check_output(path, bits=bits, longest=max(picture.height, picture.width))
    if not 1 <= quality <= 100:
        raise SettingsError(f"quality is {quality}; it must be from 1 to 100.")
    name = os.fspath(path)
    target = Path(os.path.realpath(path))  # write through a link instead of replacing it
    known = output_format(name)
    packet = None if manifest is None else xmp_packet(manifest, known, name)
    if not known.alpha:
        picture = over_white(picture, known)
    try:
        if known in PYRAMIDS:
            write_pyramid(picture.to_numpy(), name, quality, manifest)
            return
        data = encode(picture.to_numpy(bits), known, quality, packet)
        with atomic_write(target) as file:
            file.write(data)
    except pyvips.Error as error:
        raise ImageError(f"cannot make {known.name} for '{name}': {vips_reason(error)}. Try .png.") from error
    except OSError as error:
        raise ImageError(
            f"cannot write '{name}': {error.strerror or error}. Free some space or choose another folder."
        ) from error


def check_output(path: "str | os.PathLike[str]", *, bits: int = 8, longest: int | None = None) -> None:
    """Check, before any work is done, that a picture could be written to a path. Writes nothing.

    Args:
        path: the file to write or replace.
        bits: 8 or 16.
        longest: the picture's long side in pixels, if known.
    Raises:
        SettingsError: the ending is unknown, or the format does not have these bits.
        ImageError: the folder does not exist, the path is a folder or may not be written, the picture is too
            large for the format, the package for HEIC is missing, or something else lies where the tiles of a
            pyramid would go.
    """
    name = os.fspath(path)
    # First, because most folders have no ending. A pyramid's name is not the name of a file that is written.
    if os.path.isdir(name) and by_suffix(Path(name).suffix) is not DEEP_ZOOM:
        check_writable(name)
    known = output_format(name)
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
            check_writable(name)
    except OSError as error:  # a name too long, a loop of links
        raise ImageError(f"cannot write '{name}': {error.strerror or error}. Choose another name.") from error
