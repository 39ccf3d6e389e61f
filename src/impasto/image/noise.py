"""White noise, from which a picture can start."""

import torch

from impasto.shapes import Image


def white_noise(height: int, width: int, *, seed: int, contrast: float, device: torch.device) -> Image:
    """Draw uniform noise around mid-grey.

    It is drawn on the CPU, so that a seed gives the same noise on every device.

    Args:
        height, width: in pixels.
        seed: of the random numbers.
        contrast: the width of the range, 0..1: values go from 0.5 − contrast/2 to 0.5 + contrast/2.
        device: where the result goes.
    Returns:
        (1, 3, height, width), float32.
    """
    generator = torch.Generator().manual_seed(seed)
    noise = torch.rand(1, 3, height, width, generator=generator)
    return (0.5 + contrast * (noise - 0.5)).to(device)
