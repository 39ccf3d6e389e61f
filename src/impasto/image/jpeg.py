"""Decoding JPEG strictly: where a file ends too early, libjpeg fills in grey and only warns."""

import threading
from typing import Any

import pyvips

from impasto.errors import ImageError

_LOCK = threading.Lock()
"""libvips has one buffer of messages for all threads; a decoding must see its own."""


def decode(data: bytes, subject: str) -> Any:
    """All pixels of a JPEG, as a pyvips.Image in memory.

    libvips stops at libjpeg's warnings if it is asked to, but overlooks those of the last rows; and some
    warnings do no harm, such as one about bytes between two markers. So a warning stops the decoding, a
    harmless one starts it again without stopping, and libjpeg's messages are read at the end.
    A progressive file that ends exactly between two of its passes is a valid, coarser JPEG, and is read.

    Args:
        data: the file.
        subject: what to call it in messages.
    Raises:
        ImageError: it ends too early or is damaged.
        pyvips.Error: it cannot be decoded for another reason.
    """
    with _LOCK:
        pyvips.vips_lib.vips_error_clear()
        try:
            image = _decode(data, fail_on="warning")
        except pyvips.Error as error:
            if _damage(error.detail or ""):
                raise _damaged(subject, error.detail) from error
            image = _decode(data, fail_on="error")
        messages = pyvips.ffi.string(pyvips.vips_lib.vips_error_buffer()).decode(errors="replace")
        pyvips.vips_lib.vips_error_clear()
    if _damage(messages):
        raise _damaged(subject, messages)
    return image


def _decode(data: bytes, fail_on: str) -> Any:
    source = pyvips.Source.new_from_memory(data)
    return pyvips.Image.jpegload_source(source, access="sequential", fail_on=fail_on).copy_memory()


def _damage(messages: str) -> str:
    """The first of libjpeg's messages (jerror.h) that means lost pixels; "" if there is none."""
    for line in messages.splitlines():
        message = line.partition("VipsJpeg: ")[2]
        lost = message.startswith("Corrupt JPEG data") and "extraneous bytes" not in message
        if lost or message.lower().startswith("premature end"):
            return message
    return ""


def _damaged(subject: str, messages: str) -> ImageError:
    return ImageError(
        f"{subject} is cut off or damaged (JPEG: {_damage(messages).rstrip('.')}). Copy or export it again."
    )
