"""What a file says of itself before it is decoded. Loads no torch."""

import difflib
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

import pyvips

from impasto.errors import ImageError
from impasto.image.formats import HEAD, READABLE, Format, describe, sniff

# only the loaders in formats.py are called by name; this closes the rest to everything else in the process
pyvips.block_untrusted_set(True)

VipsImage: TypeAlias = Any
"""A pyvips.Image (pyvips has no type hints)."""


@dataclass(frozen=True)
class Header:
    """A picture file that can be opened.

    Attributes:
        format: its name.
        height, width: in pixels, as they are stored.
    """

    format: str
    height: int
    width: int


def read_header(
    path: str | os.PathLike[str], *, role: str = "image", max_pixels: int = 400_000_000
) -> Header:
    """Look at a picture file without decoding it.

    Args:
        path, role, max_pixels: as in `read_picture`.
    Raises:
        ImageError: as `read_picture`, but for damage further on in the file.
    """
    name = os.fspath(path)
    subject = f"{role} '{name}'"
    data, known = read_bytes(name, subject)
    image = open_image(data, known, subject)
    check_pixels(image.height, image.width, max_pixels, subject)
    return Header(known.name, image.height, image.width)


def check_pixels(height: int, width: int, max_pixels: int, subject: str) -> None:
    """Refuse a picture of more pixels than are to be decoded, with an ImageError."""
    if height * width > max_pixels:
        raise ImageError(
            f"{subject} is {width}×{height}, {height * width:,} pixels; at most {max_pixels:,} are read. "
            "Shrink it first, or raise max_pixels if you trust it."
        )


def read_bytes(name: str, subject: str) -> tuple[bytes, Format]:
    """All bytes of a file that starts like a picture; of another only the start is read."""
    suffix = Path(name).suffix
    with read_errors(name, subject), open(name, "rb") as file:
        head = file.read(HEAD)
        known = sniff(head, suffix)
        data = head + file.read() if known else head
    if not data:
        raise ImageError(f"{subject} is empty (0 bytes). Copy or export it again.")
    if known is None:
        raise ImageError(
            f"{subject} is no picture that can be read: it is {describe(head, suffix)}. "
            f"Export it as one of {READABLE}."
        )
    return data, known


def open_image(data: bytes, known: Format, subject: str) -> VipsImage:
    """The header; pixels are decoded when they are asked for."""
    source = pyvips.Source.new_from_memory(data)
    try:
        return getattr(pyvips.Image, known.loader)(source, access="sequential", fail_on="error")
    except pyvips.Error as error:
        raise damage_error(subject, known, error) from error


def damage_error(subject: str, known: Format, error: pyvips.Error) -> ImageError:
    """What to raise when libvips cannot go on with a file."""
    return ImageError(
        f"{subject} is cut off or damaged ({known.name}: {vips_reason(error)}). Copy or export it again."
    )


def vips_reason(error: pyvips.Error) -> str:
    """libvips' words for a failure, in one line."""
    lines = [line.strip() for line in (error.detail or "").splitlines()]
    lines = [line for line in lines if line and "bad seek" not in line]
    return lines[0].rstrip(".") if lines else "libvips cannot read it"


@contextmanager
def read_errors(name: str, subject: str) -> Iterator[None]:
    """Whatever goes wrong with opening and reading a file inside becomes an ImageError with the way out.

    Args:
        name: the file.
        subject: what to call it in messages.
    Raises:
        ImageError: missing, a folder, closed to this user, or unreadable.
    """
    try:
        yield
    except ImageError:  # is a ValueError too
        raise
    except FileNotFoundError as error:
        raise ImageError(f"{subject} does not exist.{_near(name)}") from error
    except IsADirectoryError as error:
        raise ImageError(f"{subject} is a folder; name a picture in it.") from error
    except PermissionError as error:
        raise ImageError(f"{subject} may not be read: {error.strerror}. Change its permissions.") from error
    except (OSError, ValueError) as error:  # ValueError: a zero byte in the name
        raise ImageError(f"{subject} cannot be read: {error}.") from error


def _near(name: str) -> str:
    """The way out of a missing file: the name most like it, or the folder that is missing."""
    path = Path(name)
    if not path.parent.is_dir():
        return f" Neither does its folder, {path.parent.absolute()}."
    try:
        close = difflib.get_close_matches(path.name, os.listdir(path.parent), 1)
    except OSError:
        close = []
    return (
        f" Did you mean '{path.with_name(close[0])}'?" if close else f" Looked in {path.parent.absolute()}."
    )
