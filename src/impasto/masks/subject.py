"""A photo's subject by the small U²-Net (Qin et al. 2020, arXiv:2005.09007), which onnxruntime computes."""

from functools import lru_cache
from typing import Any

import numpy as np
import torch
from jaxtyping import Float32, UInt8
from torch import Tensor

from impasto.errors import ImageError, SettingsError
from impasto.image.picture import Picture
from impasto.image.resize import resize
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

_ADVICE = "Draw the mask by hand, or take light and dark: kind luminance (docs/regions.md)."

SubjectMap = UInt8[Tensor, "320 320"]
"""The network's output: where the subject is, 0..255, in the photo stretched to a square."""


def find_subject(photo: Picture, *, threads: int = 0) -> "SubjectMap":
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
    session, image = _session(threads), photo.pixels[:1]
    # The mean of a photo and its mirror image: over twenty photographs .907 instead of .902, and a man who
    # was half missed is whole. Looking again at the subject alone, enlarged, lost an aeroplane's tail.
    outputs = [_output(session, image), _output(session, image.flip(3)).flip(1)]
    return subject_map(torch.stack(outputs).mean(0), photo.name)


def _output(session: Any, image: Image) -> Float32[Tensor, "320 320"]:
    """Return the network's output for an image, (1, 3, H, W), 0..1."""
    (output, *_) = session.run(None, {session.get_inputs()[0].name: net_input(image)})
    return torch.from_numpy(np.asarray(output[0, 0], np.float32))


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


def subject_map(output: Float32[Tensor, "320 320"], name: str) -> "SubjectMap":
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
    return ((output - least) / (most - least) * 255).round().to(torch.uint8)


def subject_mask(photo: Picture, where: "SubjectMap") -> Mask:
    """Return how much of each pixel is subject, (1, 1, H, W), 0..1, with the photo's edges (see `refine`)."""
    return refine(where.float()[None, None] / 255, photo.pixels[:1].cpu())


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
