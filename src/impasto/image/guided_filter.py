"""The guided filter: values that follow the contours of a guide.

He, Sun and Tang 2013, "Guided Image Filtering" (IEEE PAMI 35). The time does not depend on the radius.
"""

from typing import TypeAlias

import numpy as np
from jaxtyping import Float64

Plane: TypeAlias = Float64[np.ndarray, "h w"]
"""One number for each pixel, in NumPy. The filter consists of many small steps. PyTorch divides each among
its threads, which took twenty times as long while other programs used the processor."""


def guided_lines(guide: Plane, values: Plane, radius: int, epsilon: float) -> tuple[Plane, Plane]:
    """Find the slope and the offset with which slope·guide + offset is the filtered image.

    Eq. 5, 6 and 8: in each window the values are fitted by a line in the guide, with a ridge epsilon. A pixel
    takes the mean of the lines of all windows that contain it.

    Args:
        guide: luminance or lightness, 0..1.
        values: to be filtered, of the same size, any range.
        radius: pixels from the middle of a window to its side; at the picture's borders windows are cut off.
        epsilon: a variance of the guide: windows that vary less count as flat, and values are averaged there.
    """
    mean_guide, mean_values = box_mean(guide, radius), box_mean(values, radius)
    covariance = box_mean(guide * values, radius) - mean_guide * mean_values
    variance = box_mean(guide * guide, radius) - mean_guide**2
    slope = covariance / (variance + epsilon)
    return box_mean(slope, radius), box_mean(mean_values - slope * mean_guide, radius)


def box_mean(values: Plane, radius: int) -> Plane:
    """Return the mean over the window around each pixel, of the pixels that are inside the picture."""
    # By running sums, so that the time does not depend on the radius.
    for axis in (0, 1):
        index = np.arange(values.shape[axis])
        first, after = np.maximum(index - radius, 0), np.minimum(index + radius + 1, len(index))
        sums = np.insert(values.cumsum(axis), 0, 0, axis)
        totals = sums.take(after, axis) - sums.take(first, axis)
        values = totals / np.expand_dims(after - first, 1 - axis)
    return values
