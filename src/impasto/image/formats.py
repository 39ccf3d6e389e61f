"""File formats: how to recognise each, and what it can hold."""

from dataclasses import dataclass

HEAD = 4096
"""How many of a file's first bytes `sniff` and `describe` need."""


@dataclass(frozen=True)
class Format:
    """A file format that can be read, written, or both.

    Args:
        name: as people write it.
        loader: the libvips operation that reads it; no other is ever called. Empty for a format that is only
            written.
        suffixes: the endings that choose this format for writing; empty for a format that is only read.
        alpha: whether it can hold transparency.
        bits: the bits per channel that can be written.
        packet: the largest XMP packet in bytes; None for no practical limit.
        longest: the longest side in pixels.
    """

    name: str
    loader: str
    suffixes: tuple[str, ...]
    alpha: bool = True
    bits: tuple[int, ...] = (8,)
    packet: int | None = None
    longest: int = 2**31 - 1


# libvips drops a larger XMP packet without an error; JPEG's own limit is 65,502
JPEG = Format("JPEG", "jpegload_source", (".jpg", ".jpeg"), alpha=False, packet=60_000, longest=65_500)
PNG = Format("PNG", "pngload_source", (".png",), bits=(8, 16), longest=1_000_000)
WEBP = Format("WebP", "webpload_source", (".webp",), longest=16_383)
TIFF = Format("TIFF", "tiffload_source", (".tif", ".tiff"), bits=(8, 16))
AVIF = Format("AVIF", "heifload_source", (".avif",), longest=16_384)
HEIC = Format("HEIC", "heifload_source", (".heic", ".heif"), longest=16_384)
GIF = Format("GIF", "gifload_source", ())
DEEP_ZOOM = Format("deep zoom", "", (".dz", ".dzi"))
SZI = Format("SZI", "", (".szi",))

FORMATS = (JPEG, PNG, WEBP, TIFF, AVIF, HEIC, GIF, DEEP_ZOOM, SZI)
PYRAMIDS = (DEEP_ZOOM, SZI)
"""The formats that are many tiles instead of one picture."""

READABLE = ", ".join(known.name for known in FORMATS if known.loader)
WRITABLE = ", ".join(suffix for known in FORMATS for suffix in known.suffixes)

DZI_NAMESPACE = b"schemas.microsoft.com/deepzoom"
"""What every .dzi contains near its start."""

_MAGIC = (
    (b"\xff\xd8\xff", JPEG),
    (b"\x89PNG\r\n\x1a\n", PNG),
    (b"GIF87a", GIF),
    (b"GIF89a", GIF),
    (b"II*\0", TIFF),
    (b"MM\0*", TIFF),
    (b"II+\0", TIFF),
    (b"MM\0+", TIFF),
)
_AVIF_BRANDS = (b"avif", b"avis")
_HEIC_BRANDS = (b"heic", b"heix", b"hevc", b"hevx", b"heim", b"heis", b"mif1", b"msf1")
_FOREIGN = (
    (b"%PDF", "a PDF document"),
    (b"BM", "a BMP picture"),
    (b"8BPS", "a Photoshop document"),
    (b"\xff\x0a", "a JPEG XL picture"),
    (b"\0\0\0\x0cJXL ", "a JPEG XL picture"),
    (b"\0\0\0\x0cjP  ", "a JPEG 2000 picture"),
    (b"v/1\x01", "an OpenEXR picture"),
    (b"PK\x03\x04", "a zip archive"),
    (b"\x1f\x8b", "a gzip archive"),
)


_RAW = (".dng", ".nef", ".nrw", ".cr2", ".arw", ".srw", ".pef", ".orf", ".rw2", ".3fr", ".iiq")


def sniff(head: bytes, suffix: str = "") -> Format | None:
    """Recognise a file's format by its first bytes.

    Args:
        head: the first `HEAD` bytes.
        suffix: the name's ending. It matters for camera raw files alone: they look like TIFF, with a
            thumbnail as the first picture.
    Returns:
        the format; None if it cannot be read.
    """
    if suffix.lower() in _RAW:
        return None
    for magic, known in _MAGIC:
        if head.startswith(magic):
            return known
    if head[:4] == b"RIFF" and head[8:12] == b"WEBP":
        return WEBP
    if head[4:8] == b"ftyp" and head[8:12] in _AVIF_BRANDS:
        return AVIF
    if head[4:8] == b"ftyp" and head[8:12] in _HEIC_BRANDS:
        # 'mif1' means just "a HEIF picture"; the brands after it say which kind.
        return AVIF if b"avif" in head[16 : int.from_bytes(head[:4], "big")] else HEIC
    return None


def describe(head: bytes, suffix: str = "") -> str:
    """Say what a file that cannot be read seems to be, for a message: 'text', 'a PDF document', …"""
    if suffix.lower() in _RAW:
        return "a camera raw file"
    if head.startswith(b"PK\x03\x04") and suffix.lower() in SZI.suffixes:
        return "a deep-zoom picture, which is only written"
    for magic, name in _FOREIGN:
        if head.startswith(magic):
            return name
    if head[4:8] == b"ftyp":
        return "a film"
    start = head.lstrip(b"\xef\xbb\xbf \t\r\n")[:1024].lower()
    if DZI_NAMESPACE in start:
        return "a deep-zoom picture, which is only written"
    if b"<svg" in start:
        return "an SVG drawing"
    if start.startswith((b"<!doctype html", b"<html")):
        return "a web page"
    try:
        head[: HEAD - 4].decode()  # 4 bytes short, because the last character may be cut
    except UnicodeDecodeError:
        return "data of an unknown kind"
    return "data of an unknown kind" if b"\0" in head else "text"


def by_suffix(suffix: str) -> Format | None:
    """Return the format that is written for an ending such as '.png', in any case; None if there is none."""
    return next((known for known in FORMATS if suffix.lower() in known.suffixes), None)
