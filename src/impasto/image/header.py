"""Reading a picture file's header before decoding it. Does not load torch."""

import difflib
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeAlias

import pyvips

from impasto.errors import ImageError
from impasto.image.formats import HEAD, READABLE, Format, describe, sniff

# Impasto calls only the loaders of formats.py. This keeps the rest of the process from libvips' unsafe ones.
pyvips.block_untrusted_set(True)

VipsImage: TypeAlias = Any
"""A pyvips.Image (pyvips has no type hints)."""


def check_header(path: str | os.PathLike[str], *, role: str = "image", max_pixels: int = 400_000_000) -> None:
    """Check a picture file by its header, without decoding the pixels.

    Args:
        path, role, max_pixels: as in `read_picture`.
    Raises:
        ImageError: as `read_picture`, except that damage later in the file goes unnoticed.
    """
    name = os.fspath(path)
    subject = f"{role} '{name}'"
    data, known = read_bytes(name, subject)
    image = open_image(data, known, subject)
    check_pixels(image.height, image.width, max_pixels, subject)


def check_pixels(height: int, width: int, max_pixels: int, subject: str) -> None:
    """Refuse a picture that is too large to decode.

    Raises:
        ImageError: it has more than `max_pixels`; `subject` names it in the message.
    """
    if height * width > max_pixels:
        raise ImageError(
            f"{subject} is {width}×{height}, {height * width:,} pixels; at most {max_pixels:,} are read. "
            "Shrink it first, or raise max_pixels if you trust it."
        )


def read_bytes(name: str, subject: str) -> tuple[bytes, Format]:
    """Read a file that starts like a picture, and recognise its format. Of any other only the start is read.

    Args:
        name: the path.
        subject: what to call the file in messages.
    Raises:
        ImageError: the file is missing, empty, unreadable, or not a picture.
    """
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
    """Open a picture with libvips, which decodes the pixels only when they are asked for.

    Args:
        data: the file.
        known: its format, which decides the loader.
        subject: what to call it in messages.
    Raises:
        ImageError: the header is damaged.
    """
    source = pyvips.Source.new_from_memory(data)
    try:
        return getattr(pyvips.Image, known.loader)(source, access="sequential", fail_on="error")
    except pyvips.Error as error:
        raise damage_error(subject, known, error) from error


def damage_error(subject: str, known: Format, error: pyvips.Error) -> ImageError:
    """Return the error to raise when libvips fails on a file."""
    return ImageError(
        f"{subject} is cut off or damaged ({known.name}: {vips_reason(error)}). Copy or export it again."
    )


def vips_reason(error: pyvips.Error) -> str:
    """libvips' reason for a failure, in one line."""
    lines = [line.strip() for line in (error.detail or "").splitlines()]
    lines = [line for line in lines if line and "bad seek" not in line]
    return lines[0].rstrip(".") if lines else "libvips cannot read it"


@contextmanager
def read_errors(name: str, subject: str) -> Iterator[None]:
    """Turn whatever goes wrong while a file is opened and read into an ImageError with advice.

    Args:
        name: the file.
        subject: what to call it in messages.
    Raises:
        ImageError: the file is missing, a folder, not permitted, or unreadable.
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
    """Advice on a missing file: the most similar name in its folder, or that the folder is missing."""
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
