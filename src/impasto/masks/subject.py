"""A photo's subject by the small U²-Net (Qin et al. 2020, arXiv:2005.09007), which onnxruntime computes."""

from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
import torch
from jaxtyping import Float32, UInt8
from torch import Tensor

from impasto.errors import ImageError, SettingsError
from impasto.image.oklab import to_linear
from impasto.image.picture import Picture
from impasto.image.resize import fit_within, resize
from impasto.masks.guided_filter import refine
from impasto.network.weight_records import U2NETP
from impasto.network.weights import load_onnx
from impasto.shapes import Image, Mask

SIDE = 320
"""The side of the network's input in pixels. It was trained on pictures stretched to 320×320."""

MEAN, DEVIATION = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
"""Mean and standard deviation of red, green and blue over ImageNet, with which the network was trained."""

LEAST_CERTAINTY = 0.5
"""The least maximum of the network's output (0..1) for which a photo has a subject."""

LEAST_AREA, MOST_AREA = 0.01, 0.99
"""The smallest and the largest area of a subject, as fractions of the picture."""

LARGEST_SIDE = 1024
"""The long side to which a photo is shrunk before the network sees it, in pixels."""

MARGIN = 0.08
"""What is seen around the subject when it is looked at alone, as a fraction of its longer side.

From 0.05 to 0.12 the mean intersection over union of benchmarks/masks.py is between 0.92 and 0.93.
"""

_ADVICE = "Draw the mask by hand, or take light and dark: kind luminance (docs/regions.md)."

Plane = Float32[Tensor, "_ _"]
"""A map with one value per pixel or grid cell, in rows and columns."""

WINDOW = 3
"""The guided filter's radius, as `refine` takes it.

With 8 there was a light rim around dark hair, and the intersection over union was 0.927 instead of 0.931.
"""


@dataclass(frozen=True, eq=False)
class SubjectMap:
    """Where the subject is, as the network says.

    Attributes:
        levels: 0..255, in the photo stretched to a square.
        window: the radius with which the guided filter makes a mask of it, as `refine` takes it.
    """

    levels: UInt8[Tensor, "320 320"]
    window: int = WINDOW


def find_subject(photo: Picture, *, threads: int = 0) -> SubjectMap:
    """Find a photo's subject.

    Args:
        photo: the picture.
        threads: processor threads; 0: one per core.
    Returns:
        the network's output in whole numbers, so that machines agree and a manifest can hold it.
    Raises:
        SettingsError: onnxruntime is not installed.
        WeightsError: the network cannot be fetched.
        ImageError: no subject is found, or it fills the picture.
    """
    session, image = _session(threads), photo.pixels[:1].cpu()
    height, width = image.shape[2:]
    image = resize(image, *fit_within(height, width, LARGEST_SIDE)).clamp(0, 1)
    # The mean of three looks: at the whole photo, at the subject alone, and at the subject in linear light,
    # where reflections and shadows are darker. docs/regions.md has what each brings and what made it worse.
    whole = _whole(session, image)
    looks = [whole]
    if box := _box_of_subject(whole):
        rows, columns = box
        for version in (image, to_linear(image)):
            look = torch.zeros_like(whole)
            part = version[:, :, rows, columns]
            look[rows, columns] = _resized(_output(session, part), *part.shape[2:])
            looks.append(look)
    return subject_map(_resized(torch.stack(looks).mean(0), SIDE, SIDE), photo.name)


def _whole(session: Any, image: Image) -> Plane:
    """Return the network's output, (H, W), for a photo that bars of its mean colour make a square."""
    height, width = image.shape[2:]
    side = max(height, width)
    # Equal bars on both sides, so that a mirrored photo has the mirrored mask; the square may be 1 px off.
    top, left = (side - height + 1) // 2, (side - width + 1) // 2
    inside = slice(top, top + height), slice(left, left + width)
    square = image.mean((2, 3), keepdim=True).repeat(1, 1, height + 2 * top, width + 2 * left)
    square[:, :, inside[0], inside[1]] = image
    return _resized(_output(session, square), *square.shape[2:])[inside]


def _box_of_subject(whole: Plane) -> tuple[slice, slice] | None:
    """Return the rows and columns of a square around the subject, cut at the photo's borders.

    Returns None if there is no subject.
    """
    rows, columns = torch.where(whole >= 0.5)
    if len(rows) == 0:
        return None
    bounds = [(int(indices.min()), int(indices.max()) + 1) for indices in (rows, columns)]
    side = (1 + 2 * MARGIN) * max(last - first for first, last in bounds)
    box = []
    for (first, last), length in zip(bounds, whole.shape, strict=True):
        margin = int((side - (last - first)) / 2)
        box.append(slice(max(0, first - margin), min(length, last + margin)))
    return box[0], box[1]


def _output(session: Any, image: Image) -> Plane:
    """Return the mean of the network's outputs, 320×320, for an image, (1, 3, H, W), and its mirror image.

    In one photograph half of a man was missed, and in its mirror image he was whole.
    """
    name = session.get_inputs()[0].name
    outputs = [session.run(None, {name: net_input(view)})[0][0, 0] for view in (image, image.flip(3))]
    straight, mirrored = (torch.from_numpy(np.asarray(output, np.float32)) for output in outputs)
    return (straight + mirrored.flip(1)) / 2


def _resized(plane: Plane, height: int, width: int) -> Plane:
    """Resize to (height, width), and clip the filter's overshoot to 0..1."""
    return resize(plane[None, None], height, width)[0, 0].clamp(0, 1)


def net_input(image: Image) -> Float32[np.ndarray, "1 3 320 320"]:
    """Convert an image, (1, 3, H, W), 0..1, to the network's input.

    It is stretched to a square, divided by its largest value, and normalised by `MEAN` and `DEVIATION`, as in
    the authors' and rembg's code. Differs: a bicubic filter instead of Lanczos', which changes the mean
    intersection over union on twenty photographs by less than 0.001.
    """
    square = resize(image.cpu(), SIDE, SIDE).clamp(0, 1)
    square = square / square.max().clamp_min(1e-6)
    mean, deviation = (torch.tensor(values)[None, :, None, None] for values in (MEAN, DEVIATION))
    return ((square - mean) / deviation).numpy()


def subject_map(output: Float32[Tensor, "320 320"], name: str) -> SubjectMap:
    """Scale the network's output so that its smallest value becomes 0 and its largest 255.

    Args:
        output: 0..1.
        name: the photo's name, for messages.
    Raises:
        ImageError: there is no subject, or it fills the picture.
    """
    least, most = float(output.min()), float(output.max())
    if not most >= LEAST_CERTAINTY:
        raise ImageError(
            f"no subject was found in '{name}': the net's greatest value is {most:.2f}, and "
            f"{LEAST_CERTAINTY:g} is needed. {_ADVICE}"
        )
    # Judged before scaling, which would make a mask of any noise.
    area = float((output >= 0.5).double().mean())
    if area > MOST_AREA:
        raise ImageError(
            f"the subject fills '{name}': it takes {area:.1%} of the picture, and at most {MOST_AREA:.0%} "
            f"leave a rest. {_ADVICE}"
        )
    if area < LEAST_AREA:
        raise ImageError(
            f"no subject was found in '{name}': what stands out takes {area:.1%} of the picture, and "
            f"{LEAST_AREA:.0%} is needed. {_ADVICE}"
        )
    return SubjectMap(((output - least) / (most - least) * 255).round().to(torch.uint8))


def subject_mask(photo: Picture, where: SubjectMap) -> Mask:
    """Return how much of each pixel is subject, (1, 1, H, W), 0..1, with the photo's edges (see `refine`)."""
    return refine(where.levels.float()[None, None] / 255, photo.pixels[:1].cpu(), where.window)


def _session(threads: int) -> Any:
    """Load the network for the CPU; a second call takes it from memory."""
    try:
        import onnxruntime  # noqa: F401
    except ImportError as error:
        raise SettingsError(
            f"finding a subject needs onnxruntime, which is not here ({error}). Run "
            "pip install 'impasto[onnx]', or draw the mask by hand (docs/regions.md)."
        ) from error
    return _loaded(load_onnx(U2NETP), threads)


@lru_cache(maxsize=2)
def _loaded(data: bytes, threads: int) -> Any:
    """Make the session. Its arguments are the cache's key."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    # Its idle threads would otherwise spin and slow down PyTorch's: ten times in the filter that follows.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    options.log_severity_level = 3  # its warnings are about the file's age
    return onnxruntime.InferenceSession(data, options, providers=["CPUExecutionProvider"])
