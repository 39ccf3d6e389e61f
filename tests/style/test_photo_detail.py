"""The photo's fine detail: what finer scales add of it, and in which contrast."""

import numpy as np
import pytest
import torch

from impasto.image.color import luminance
from impasto.image.resize import resize
from impasto.shapes import Image
from impasto.style.photo_detail import STEEPEST, carry_detail, coherence, contour_detail
from small import scene


def bars(height: int, width: int) -> Image:
    """Vertical bars of strong contrast, in float64."""
    columns = torch.rand(1, 1, 1, width // 4, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    return resize(columns, 1, width).expand(1, 3, height, width).contiguous()


def test_carry_detail_adds_only_the_change_to_the_start() -> None:
    start = torch.rand(1, 3, 34, 51, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    coarse = resize(start, 17, 26)
    torch.testing.assert_close(carry_detail(coarse, start), start)
    torch.testing.assert_close(carry_detail(coarse + 0.1, start), start + 0.1)
    change = torch.zeros(1, 3, 17, 26, dtype=torch.float64)
    change[:, :, 5:9, 8:14] = 0.3
    torch.testing.assert_close(carry_detail(coarse + change, start) - start, resize(change, 34, 51))


@pytest.mark.parametrize("slopes", [(1.0, 1.0, 1.0), (0.5, 1.5, 0.0), (-1.0, 0.25, -0.5)])
def test_contours_have_the_contrast_of_the_picture(slopes: tuple[float, float, float]) -> None:
    """Where every colour is a line in the photo's luminance, so is the detail; it may be reversed."""
    start = bars(64, 96)
    coarse = resize(start, 32, 48)
    light = luminance(coarse)
    colours = torch.tensor(slopes, dtype=torch.float64).reshape(1, 3, 1, 1)
    detail = luminance(start) - resize(light, 64, 96)
    added = contour_detail(colours * light + 0.2, coarse, start)
    # The ridge, and noise in the structure tensor, make slopes a little smaller.
    assert (added - colours * detail).square().mean() < 0.15**2 * detail.square().mean()
    carried = carry_detail(colours * light + 0.2, start, 0.0, 0.6)
    torch.testing.assert_close(carried, resize(colours * light + 0.2, 64, 96) + 0.6 * added)


def test_coherence_is_one_along_edges_and_zero_where_they_have_no_direction() -> None:
    plane = bars(40, 60)[0, 0].numpy()
    assert coherence(plane).min() > 0.98
    np.testing.assert_allclose(coherence(plane.T.copy()), coherence(plane).T)
    slanted = np.add.outer(np.arange(40.0), np.arange(60.0))
    assert coherence(np.sin(slanted))[6:-6, 6:-6].min() > 0.99
    # Dots have as many edges in one direction as in any other.
    dots = np.sin(np.arange(40.0))[:, None] * np.sin(np.arange(60.0))
    assert coherence(dots)[8:-8, 8:-8].max() < 0.15


def test_a_flat_picture_gets_no_contours() -> None:
    start = scene(64, 96)
    coarse = resize(start, 32, 48)
    assert contour_detail(torch.full_like(coarse, 0.3), coarse, start).abs().max() < 1e-5


def test_slopes_are_limited() -> None:
    start = 0.5 + 0.02 * (scene(64, 96) - 0.5)
    coarse = resize(start, 32, 48)
    detail = luminance(start) - resize(luminance(coarse), 64, 96)
    added = contour_detail(50 * coarse, coarse, start)
    assert bool((added.abs() <= STEEPEST * detail.abs() + 1e-6).all())
