"""Pictures from NumPy arrays, tensors and Pillow images."""

from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from impasto.errors import ImageError
from impasto.image.header import check_pixels
from impasto.image.picture import Picture
from impasto.image.srgb import planes, to_srgb, to_vips

if TYPE_CHECKING:
    import PIL.Image

# How far a value may lie outside 0..1. The overshoot of a resampling filter passes and is clipped; pixels
# of 0..255 or -1..1, or with a mean subtracted, are refused.
_SLACK = 0.25
_SHAPES = "(H, W), (H, W, 1), (H, W, 3) or (H, W, 4)"
_TENSOR_SHAPES = "(3, H, W), (4, H, W), (1, 3, H, W) or (B, 3, H, W)"


def from_array(values: NDArray[Any], *, role: str = "image") -> Picture:
    """Make a picture from a NumPy array, which is copied.

    Args:
        values: (H, W), (H, W, 1), (H, W, 3) or (H, W, 4); uint8 0..255, uint16 0..65535 or float 0..1;
            sRGB-encoded grey, RGB, or RGB and alpha.
        role: what to call the picture in messages.
    Raises:
        ImageError: the shape or the type is another, or a value is NaN or out of range.
    """
    subject = f"{role} (array)"
    channels = values.shape[2] if values.ndim == 3 else 1
    if values.ndim not in (2, 3) or channels not in (1, 3, 4) or not values.size:
        raise ImageError(f"{subject} has shape {values.shape}; needed: {_SHAPES}, with at least one pixel.")
    if values.dtype.newbyteorder("=") in (np.uint8, np.uint16):  # either byte order
        tensor: Tensor = planes(values)
    elif np.issubdtype(values.dtype, np.floating):
        stacked = values.reshape(*values.shape[:2], -1).transpose(2, 0, 1)[None]  # (1, C, H, W)
        tensor = _checked(torch.from_numpy(np.array(stacked, np.float32, order="C")), subject)
    else:
        raise ImageError(
            f"{subject} holds {values.dtype} numbers; needed: uint8 (0..255), uint16 (0..65535) or "
            "float (0..1)."
        )
    return _picture(tensor, "array")


def from_tensor(values: Tensor, *, role: str = "image") -> Picture:
    """Make a picture from a tensor, which is copied to the CPU as float32, without its gradient.

    Args:
        values: (C, H, W) or (B, C, H, W), where C is 3 (RGB), 4 (alpha last) or 1 (grey); floating point,
            0..1, sRGB-encoded, on any device.
        role: what to call the picture in messages.
    Raises:
        ImageError: the shape or the type is another, or a value is NaN or out of range.
    """
    subject = f"{role} (tensor)"
    shape = tuple(values.shape)
    if len(shape) not in (3, 4) or shape[-3] not in (1, 3, 4) or not values.numel():
        raise ImageError(f"{subject} has shape {shape}; needed: {_TENSOR_SHAPES}, with at least one pixel.")
    if not values.is_floating_point():
        raise ImageError(
            f"{subject} holds {str(values.dtype).removeprefix('torch.')} numbers; needed: floating point, "
            "0..1. Divide whole numbers by 255 first."
        )
    batch = values if values.ndim == 4 else values[None]
    return _picture(_checked(batch.detach().to("cpu", torch.float32, copy=True), subject), "tensor")


def from_pil(image: "PIL.Image.Image", *, role: str = "image", max_pixels: int = 400_000_000) -> Picture:
    """Make a picture from a Pillow image of any mode.

    It is turned upright by its EXIF tag and converted to sRGB by its ICC profile.

    Args:
        image: a Pillow image, which is not changed. Modes 'I' and 'F' hold grey, 0..65535 and 0..1.
        role: what to call the picture in messages.
        max_pixels: the largest number of pixels to decode.
    Raises:
        ImageError: the image is too large, damaged (Pillow reads the file only now), or out of range.
    """
    from PIL import ImageOps

    subject = f"{role} (PIL image)"
    check_pixels(image.height, image.width, max_pixels, subject)
    try:
        upright = _plain_mode(ImageOps.exif_transpose(image))
    except (OSError, SyntaxError) as error:
        raise ImageError(f"{subject} is cut off or damaged ({error}). Copy or export it again.") from error
    values = np.asarray(upright)
    if upright.mode in ("I", "F"):
        if upright.mode == "I" and values.min() >= 0 and values.max() <= 65535:
            values = values.astype(np.uint16)
        pixels = from_array(values, role=role).pixels
        return Picture(pixels, None, "PIL image")
    deep = values.dtype.itemsize == 2  # Pillow has 16 bits for grey alone
    kinds = {"L": "b-w", "LA": "b-w", "CMYK": "cmyk"}
    kind = "grey16" if deep else kinds.get(upright.mode, "srgb")
    values = values.astype(np.uint16 if deep else np.uint8)  # 16 bits may be big-endian
    return Picture(*to_srgb(to_vips(values, kind, image.info.get("icc_profile")), subject), "PIL image")


def _picture(tensor: Tensor, name: str) -> Picture:
    """Split (B, 1 or 3 or 4, H, W) into colour and alpha; grey is repeated three times."""
    channels = tensor.shape[1]
    if channels == 1:
        return Picture(tensor.repeat(1, 3, 1, 1), None, name)
    if channels == 3:
        return Picture(tensor, None, name)
    return Picture(tensor[:, :3].contiguous(), tensor[:, 3:].contiguous(), name)


def _checked(values: Tensor, subject: str) -> Tensor:
    """Clip values to 0..1, or refuse them if they are clearly on another scale."""
    low, high = (float(bound) for bound in values.aminmax())
    if not (np.isfinite(low) and np.isfinite(high)):
        raise ImageError(f"{subject} holds NaN or infinite values; every value must be from 0 to 1.")
    if low < -_SLACK or high > 1 + _SLACK:
        hint = " Divide by 255 first." if low >= 0 and high <= 255 else ""
        raise ImageError(f"{subject} has values from {low:g} to {high:g}; needed: 0 to 1.{hint}")
    return values.clamp_(0, 1)


def _plain_mode(image: "PIL.Image.Image") -> "PIL.Image.Image":
    """Convert an image to a mode whose bytes are plain grey, RGB or CMYK, alpha last."""
    mode = image.mode
    if mode == "LAB":
        from PIL import ImageCms

        done = ImageCms.profileToProfile(
            image, ImageCms.createProfile("LAB"), ImageCms.createProfile("sRGB"), outputMode="RGB"
        )
        return image if done is None else done
    if "transparency" in image.info and mode in ("1", "L", "P", "RGB"):
        return image.convert("RGBA" if mode in ("P", "RGB") else "LA")
    plain = {"1": "L", "P": "RGB", "PA": "RGBA", "RGBa": "RGBA", "La": "LA"}
    if mode in ("L", "LA", "RGB", "RGBA", "CMYK", "I", "F") or mode.startswith("I;16"):
        return image
    return image.convert(plain.get(mode, "RGB"))  # YCbCr, HSV, RGBX
