"""Strict decoding of JPEG: where a file ends too early, libjpeg fills in grey and only warns."""

import threading
from typing import Any

import pyvips

from impasto.errors import ImageError

_LOCK = threading.Lock()
"""libvips has one buffer of messages for all threads, so only one decoding at a time may use it."""


def decode(data: bytes, subject: str) -> Any:
    """Decode all pixels of a JPEG into a pyvips.Image in memory.

    libvips can stop at libjpeg's warnings, but it overlooks those about the last rows. And some warnings are
    harmless, such as one about bytes between two markers. So the first attempt stops at a warning. If that
    was harmless, the second goes on to the end, where libjpeg's messages are read.
    A progressive file that ends exactly between two of its passes is a valid, coarser JPEG, and is accepted.

    Args:
        data: the file.
        subject: what to call it in messages.
    Raises:
        ImageError: the file ends too early or is damaged.
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
    """Decode with libvips, which stops at a "warning" or at an "error"."""
    source = pyvips.Source.new_from_memory(data)
    return pyvips.Image.jpegload_source(source, access="sequential", fail_on=fail_on).copy_memory()


def _damage(messages: str) -> str:
    """Return the first of libjpeg's messages (jerror.h) that means lost pixels; "" if none does."""
    for line in messages.splitlines():
        message = line.partition("VipsJpeg: ")[2]
        lost = message.startswith("Corrupt JPEG data") and "extraneous bytes" not in message
        if lost or message.lower().startswith("premature end"):
            return message
    return ""


def _damaged(subject: str, messages: str) -> ImageError:
    """Return the error for a file about which libjpeg left these messages."""
    return ImageError(
        f"{subject} is cut off or damaged (JPEG: {_damage(messages).rstrip('.')}). Copy or export it again."
    )
