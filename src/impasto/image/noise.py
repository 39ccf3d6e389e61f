"""White noise to start from."""

import torch

from impasto.shapes import Image


def white_noise(height: int, width: int, *, seed: int, contrast: float, device: torch.device) -> Image:
    """Uniform noise around mid-grey, (1, 3, height, width), from 0.5 − contrast/2 to 0.5 + contrast/2.

    Drawn on the CPU: a seed is the same noise on every device.
    """
    generator = torch.Generator().manual_seed(seed)
    noise = torch.rand(1, 3, height, width, generator=generator)
    return (0.5 + contrast * (noise - 0.5)).to(device)
