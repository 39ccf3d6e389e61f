"""Resizing agrees with Pillow and keeps constants; fitting rounds correctly."""

import numpy as np
import pytest
import torch
from PIL import Image as PilImage

from impasto.errors import SettingsError
from impasto.image.resize import fit, fit_within, resize


def noise(height, width, channels=1):
    return torch.rand(1, channels, height, width, generator=torch.Generator().manual_seed(1))


@pytest.mark.parametrize("size", [(20, 31), (7, 9), (1, 1), (90, 111), (20, 111), (90, 30)])
def test_resize_equals_pillows_antialiased_bicubic(size):
    image = noise(60, 90)
    ours = resize(image, *size)[0, 0].numpy()
    theirs = PilImage.fromarray(image[0, 0].numpy()).resize(size[::-1], PilImage.Resampling.BICUBIC)
    np.testing.assert_allclose(ours, np.asarray(theirs), atol=2e-5)  # float32 weights


@pytest.mark.parametrize("size", [(3, 5), (17, 40), (64, 64)])
def test_a_constant_stays_constant(size):
    image = torch.full((2, 3, 31, 47), 0.3)
    torch.testing.assert_close(resize(image, *size), torch.full((2, 3, *size), 0.3), atol=1e-6, rtol=0)


def test_resizing_to_the_same_size_returns_the_image():
    image = noise(5, 6, 3)
    assert resize(image, 5, 6) is image


def test_shrinking_does_not_alias():
    stripes = torch.zeros(1, 1, 8, 64)
    stripes[..., ::2] = 1
    inner = resize(stripes, 8, 16)[..., 2:-2]
    assert float((inner - 0.5).abs().max()) < 0.01


def test_channels_and_pictures_of_a_batch_do_not_mix():
    image = torch.rand(2, 4, 12, 10, generator=torch.Generator().manual_seed(2))
    whole = resize(image, 5, 7)
    channel = resize(image[1:, 2:3], 5, 7)
    torch.testing.assert_close(whole[1:, 2:3], channel)


def test_overshoot_is_not_clipped():
    edge = torch.zeros(1, 1, 4, 16)
    edge[..., 8:] = 1
    result = resize(edge, 8, 32)
    assert float(result.max()) > 1.01
    assert float(result.min()) < -0.01
    assert float(result.max()) < 1.15


@pytest.mark.parametrize("size", [(0, 5), (5, 0), (-1, 3)])
def test_resize_to_nothing_is_refused(size):
    with pytest.raises(SettingsError, match=f"cannot resize to {size[1]}×{size[0]}; .* at least 1 pixel"):
        resize(noise(4, 4), *size)


@pytest.mark.cuda
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
@pytest.mark.parametrize("size", [(20, 31), (90, 111)])
def test_resize_on_cuda_equals_cpu(size):
    image = noise(60, 90, 3)
    torch.testing.assert_close(resize(image.cuda(), *size).cpu(), resize(image, *size), atol=1e-5, rtol=0)


@pytest.mark.parametrize(
    ("height", "width", "size", "expected"),
    [
        (3000, 4000, 512, (384, 512)),
        (4000, 3000, 512, (512, 384)),
        (512, 512, 300, (300, 300)),
        (100, 200, 400, (200, 400)),
        (200, 3, 100, (100, 2)),  # 1.5 is rounded up
        (1, 10_000, 100, (1, 100)),  # at least 1
        (2, 7, 5, (1, 5)),  # 1.43
        (333, 1000, 1, (1, 1)),
        (640, 480, 640, (640, 480)),
    ],
)
def test_fit_keeps_the_aspect_ratio(height, width, size, expected):
    assert fit(height, width, size) == expected


@pytest.mark.parametrize(("size", "expected"), [(512, (300, 400)), (400, (300, 400)), (200, (150, 200))])
def test_fit_within_does_not_enlarge(size, expected):
    assert fit_within(300, 400, size) == expected


@pytest.mark.parametrize("size", [0, -5])
def test_fit_to_no_size_is_refused(size):
    with pytest.raises(SettingsError, match=f"size is {size}; .* at least 1 pixel"):
        fit(10, 10, size)


def test_a_picture_without_pixels_cannot_be_fitted():
    with pytest.raises(SettingsError, match="a picture of 4×0 pixels cannot be fitted"):
        fit(0, 4, 10)
