"""The photo's fine detail, as finer scales add it.

Some of it is added as it is. The contours are drawn in the contrast of the picture.
"""

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from impasto.image.color import luminance
from impasto.image.guided_filter import Plane, box_mean, guided_lines
from impasto.image.resize import resize
from impasto.shapes import Image

CONTOUR_RADIUS = 3
"""Pixels of the coarser scale from the middle of a window to its side, in `contour_detail`."""

CONTOUR_VARIANCE = 3e-3
"""A variance of luminance (0..1). Windows that vary less have no contours: with 1e-4, wood got its grain."""

EDGE_ENERGY = 1e-5
"""A mean squared gradient of luminance, for a coarser scale's pixels; smaller ones are noise."""

STEEPEST = 2.0
"""The largest factor from a contour of the photo to one of the picture. A painting may reverse contrasts."""


def carry_detail(
    image: Float[Tensor, "B 3 _ _"], start: Image, share: float = 1.0, contours: float = 0.0
) -> Image:
    """Enlarge the result of a coarser scale to the size of `start`, and add the fine detail of `start`.

    Enlarging alone gives a picture without fine detail, and the solver would spend most of its steps at the
    new scale on growing it from nothing. The detail is what `start` loses when it is resized to the coarser
    size and back.

    Args:
        image: the result of the coarser scale, (B, 3, h, w).
        start: the image that a run without coarser scales would start from, (B, 3, H, W).
        share: fraction of the detail to add, 0..1.
        contours: how strongly to draw the contours of `start` in addition (see `contour_detail`).
    Returns:
        (B, 3, H, W).
    """
    height, width = start.shape[2:]
    # start + up(image − down(start)) = up(image) + (start − up(down(start))), with one enlargement fewer.
    coarse = resize(start, *image.shape[2:])
    detailed = start + resize(image - coarse, height, width)
    if share != 1:
        detailed = torch.lerp(resize(image, height, width), detailed, share)
    return detailed + contours * contour_detail(image, coarse, start) if contours else detailed


def contour_detail(image: Float[Tensor, "1 3 h w"], coarse: Float[Tensor, "1 3 h w"], start: Image) -> Image:
    """Make the detail that a picture's contours have at a finer scale, in the picture's own contrast.

    In each window, the guided filter fits every colour of the picture by a line in the luminance of `start`
    (He, Sun and Tang 2013, "Guided Image Filtering"). The fine detail of that luminance times the line's
    slope makes the picture's contours sharp. Where the picture does not follow `start`, slopes are near 0.
    Texture of the photo, whose edges run in all directions, counts less: see `coherence`.

    Args:
        image: the result of the coarser scale, (1, 3, h, w).
        coarse, start: the starts of the coarser and of the finer scale, (1, 3, h, w) and (1, 3, H, W).
    Returns:
        (1, 3, H, W).
    """
    guide = luminance(coarse)
    plane, channels = guide[0, 0].double().cpu().numpy(), image[0].double().cpu().numpy()
    lines = [guided_lines(plane, channel, CONTOUR_RADIUS, CONTOUR_VARIANCE) for channel in channels]
    edges = coherence(plane) ** 2
    slopes = torch.stack([torch.from_numpy(slope * edges) for slope, _ in lines])[None].to(image)
    height, width = start.shape[2:]
    detail = luminance(start) - resize(guide, height, width)
    return resize(slopes.clamp(-STEEPEST, STEEPEST), height, width) * detail


def coherence(plane: Plane) -> Plane:
    """Compute how much the edges around each pixel run in one direction: 1 along a contour, 0 in foliage.

    It is the difference of the eigenvalues of the structure tensor divided by their sum (Weickert 1999,
    "Coherence-Enhancing Diffusion Filtering").
    """
    down, across = np.gradient(plane)
    products = (across * across, down * down, across * down)
    xx, yy, xy = (box_mean(box_mean(part, CONTOUR_RADIUS), CONTOUR_RADIUS) for part in products)
    share: Plane = np.hypot(xx - yy, 2 * xy) / (xx + yy + EDGE_ENERGY)
    return share
