"""Converting a file's colours (by profile, CMYK, Lab, grey, 16 bits) to sRGB tensors."""

import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import pyvips
import torch
from jaxtyping import Float
from numpy.typing import NDArray
from torch import Tensor

from impasto.errors import ImageError, ImpastoWarning
from impasto.image.header import VipsImage, vips_reason
from impasto.shapes import Image, Mask

PROFILE = "icc-profile-data"

# The interpretations of libvips that depend on a profile, with the colour bands of each.
_DEVICE = {"b-w": 1, "grey16": 1, "srgb": 3, "rgb": 3, "rgb16": 3, "cmyk": 4}
# Those that libvips converts by formula: their values are absolute colours.
_ABSOLUTE = {"lab", "labs", "xyz", "scrgb", "yxy", "lch", "oklab", "oklch"}
_SAME = 0.5 / 255  # a profile that moves no colour further than this is sRGB under another name


def to_srgb(image: VipsImage, subject: str) -> tuple[Image, Mask | None]:
    """Convert a decoded libvips image to sRGB tensors.

    An embedded ICC profile is applied (relative colorimetric, black point compensation, at 16 bits), but if
    it is sRGB, the pixels stay exactly as they are. Without a profile, RGB and grey count as sRGB, and CMYK
    is converted by libvips' own CMYK profile. Linear float ('scRGB') is clipped to 0..1.

    Args:
        image: any libvips image, decoded and upright.
        subject: what to call it in messages.
    Returns:
        pixels (1, 3, H, W) and alpha (1, 1, H, W) or None, float32, 0..1.
    Raises:
        ImageError: the number of channels or the type of numbers is not a picture's.
    Warns:
        ImpastoWarning: a profile was ignored, because it is broken or belongs to another kind of picture.
    """
    colour, alpha = _split(image, subject)
    absolute = colour.interpretation in _ABSOLUTE
    try:
        converted = colour.colourspace("rgb16") if absolute else _apply_profile(colour, subject)
        pixels = planes(converted.numpy())
        return pixels, None if alpha is None else planes(alpha.numpy())
    except pyvips.Error as error:
        raise ImageError(
            f"{subject}: its colours ({image.interpretation}) cannot be converted ({vips_reason(error)}). "
            "Export it as PNG."
        ) from error


def planes(values: NDArray[Any]) -> Float[Tensor, "1 C H W"]:
    """Convert whole numbers (H, W, C) or (H, W), 8 or 16 bits, to a float32 tensor (1, C, H, W), 0..1."""
    values = values.reshape(*values.shape[:2], -1)
    height, width, channels = values.shape
    # Divided channel by channel into the result: a large picture needs no intermediate copy.
    out = np.empty((1, channels, height, width), np.float32)
    for channel in range(channels):
        np.divide(values[..., channel], np.float32(np.iinfo(values.dtype).max), out=out[0, channel])
    return torch.from_numpy(out)


def to_vips(values: NDArray[Any], kind: str, profile: bytes | None) -> VipsImage:
    """Wrap whole numbers in a libvips image.

    Args:
        values: (H, W, C) or (H, W), uint8 or uint16.
        kind: libvips' interpretation of them: 'srgb', 'rgb16', 'cmyk', ….
        profile: an ICC profile to attach, if any.
    """
    height, width = values.shape[:2]
    number = "ushort" if values.dtype.itemsize == 2 else "uchar"
    image = pyvips.Image.new_from_memory(
        np.ascontiguousarray(values).data, width, height, values.size // (height * width), number
    ).copy(interpretation=kind)
    if profile:
        image.set_type(pyvips.GValue.blob_type, PROFILE, profile)
    return image


def _split(image: VipsImage, subject: str) -> tuple[VipsImage, VipsImage | None]:
    """Split an image into its colour bands and its alpha band, at 8 or 16 bits, or None."""
    kind, number = image.interpretation, image.format
    whole = number in ("uchar", "ushort")
    bands = _DEVICE.get(kind, 3)
    if not (whole and kind in _DEVICE) and kind not in _ABSOLUTE:
        raise ImageError(
            f"{subject} holds {image.bands} channel(s) of {number} numbers ({kind}), which is no kind of "
            "picture known here. Export it as an 8- or 16-bit PNG."
        )
    if image.bands not in (bands, bands + 1):
        raise ImageError(
            f"{subject} has {image.bands} channels; {kind} needs {bands}, or {bands + 1} with transparency. "
            "Export it as a PNG."
        )
    colour = image.extract_band(0, n=bands) if image.bands > bands else image
    if image.bands == bands:
        return colour, None
    alpha = image.extract_band(bands)
    if not whole:
        # Alpha is 0..1 beside linear scRGB and 0..255 beside libvips' other absolute colours.
        alpha = (alpha * (1 if kind == "scrgb" else 1 / 255) * 65535).rint().cast("ushort")
    return colour, alpha


def _apply_profile(colour: VipsImage, subject: str) -> VipsImage:
    """Convert an image of a `_DEVICE` kind to sRGB, 3 bands of 8 or 16 bits."""
    cmyk = colour.interpretation == "cmyk"
    if colour.get_typeof(PROFILE):
        wrong = _trial(colour, subject)
        if wrong is None:
            return _transform(colour)
        if wrong:
            warnings.warn(
                f"{subject}: its colour profile is left out: {wrong}.", ImpastoWarning, stacklevel=2
            )
            colour = colour.copy()
            colour.remove(PROFILE)
    if cmyk:
        return _transform(colour)
    # Grey becomes the same value three times; libvips' own conversion to 16 bits would turn 255 into 65280.
    return colour if colour.bands == 3 else colour.bandjoin([colour, colour])


def _trial(colour: VipsImage, subject: str) -> str | None:
    """Try the profile on a grid of colours.

    Returns:
        None if the profile should be applied, '' if it is sRGB already, and the fault if it is broken.
    """
    bands = colour.bands
    levels = np.linspace(0, 65535, 256 if bands == 1 else 9 if bands == 3 else 3).round().astype(np.uint16)
    grid = np.stack(np.meshgrid(*[levels] * bands, indexing="ij"), -1).reshape(1, -1, bands)
    probe = to_vips(grid, {1: "grey16", 3: "rgb16", 4: "cmyk"}[bands], colour.get(PROFILE))
    with _vips_warnings() as heard:
        try:
            result = _transform(probe).numpy()
        except pyvips.Error as error:
            return vips_reason(error)
    # "fallback to suggested intent" is harmless; anything else means that libvips used its own profile.
    broken = [message for message in heard if "profile" in message and "fallback to suggested" not in message]
    if broken:
        return broken[-1]
    moved = bands == 4 or np.abs(result / 65535.0 - grid / 65535.0).max() > _SAME
    return None if moved else ""


def _transform(image: VipsImage) -> VipsImage:
    """Convert to 16-bit sRGB by the embedded profile."""
    how = {"intent": "relative", "black_point_compensation": True}
    if image.bands == 1:
        # In two steps: in one, lcms samples a grey curve so coarsely that the shadows of a linear curve come
        # out 10/255 too dark.
        return image.icc_import(embedded=True, pcs="xyz", **how).icc_export(
            output_profile="srgb", depth=16, **how
        )
    fallback = "cmyk" if image.bands == 4 else "srgb"
    return image.icc_transform("srgb", embedded=True, input_profile=fallback, depth=16, **how)


@contextmanager
def _vips_warnings() -> Iterator[list[str]]:
    """Collect libvips' warnings, which pyvips sends to the logger 'pyvips'."""
    heard: list[str] = []
    handler = logging.Handler(logging.WARNING)
    handler.emit = lambda record: heard.append(record.getMessage().removeprefix("VIPS: "))  # type: ignore[method-assign]
    logger = logging.getLogger("pyvips")
    logger.addHandler(handler)
    try:
        yield heard
    finally:
        logger.removeHandler(handler)
