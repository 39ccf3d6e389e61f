"""Each measure equals an independent computation in float64 NumPy and has the properties it is used for."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from impasto.metrics import neighbors, self_similarity
from impasto.metrics.histogram import histogram_distance, rgb_uv_histogram
from impasto.metrics.neighbors import neighbor_distance
from impasto.metrics.self_similarity import self_similarity_distance
from impasto.metrics.sifid import frechet_distance
from impasto.metrics.speckle import crispness, speckle


def seeded(seed: int, *shape: int) -> Tensor:
    return torch.rand(shape, generator=torch.Generator().manual_seed(seed))


def array(tensor: Tensor) -> NDArray[np.float64]:
    return tensor[0].double().numpy()


def blurred(image: Tensor, sigma: float = 1.5) -> Tensor:
    line = torch.exp(-(torch.arange(-6.0, 7.0) ** 2) / (2 * sigma**2))
    kernel = (line / line.sum()).view(1, 1, -1, 1).repeat(3, 1, 1, 1)
    padded = F.pad(image, (6, 6, 6, 6), mode="replicate")
    return F.conv2d(F.conv2d(padded, kernel, groups=3), kernel.transpose(2, 3), groups=3)


# ---- colours


def histogram_by_hand(image: NDArray[np.float64]) -> NDArray[np.float64]:
    """The RGB-uv histogram of an image (3, H, W), pixel by pixel."""
    histogram, middles = np.zeros((3, 64, 64)), np.linspace(-3, 3, 64)
    for pixel in image.reshape(3, -1).T:
        for channel in range(3):
            others = [index for index in range(3) if index != channel]
            u, v = (np.log(pixel[channel] + 1e-6) - np.log(pixel[other] + 1e-6) for other in others)
            row, column = (1 / (1 + (value - middles) ** 2 / 0.02**2) for value in (u, v))
            histogram[channel] += np.sqrt((pixel**2).sum() + 1e-6) * np.outer(row, column)
    return histogram / histogram.sum()


def test_histogram_equals_float64_pixel_by_pixel() -> None:
    first, second = seeded(0, 1, 3, 9, 12), seeded(1, 1, 3, 7, 5) ** 2
    by_hand = [histogram_by_hand(array(image)) for image in (first, second)]
    np.testing.assert_allclose(rgb_uv_histogram(first).numpy(), by_hand[0], rtol=1e-6)
    expected = np.linalg.norm(np.sqrt(by_hand[0]) - np.sqrt(by_hand[1])) / np.sqrt(2)
    assert histogram_distance(first, second) == pytest.approx(expected, rel=1e-6)
    assert histogram_distance(first, first) == 0


def test_large_pictures_are_shrunk_to_150_pixels_for_the_histogram() -> None:
    large = seeded(0, 1, 3, 151, 40)
    small = F.interpolate(large, (150, 150), mode="bilinear", align_corners=False)
    assert torch.equal(rgb_uv_histogram(large), rgb_uv_histogram(small))


# ---- SIFID


def test_frechet_distance_equals_float64() -> None:
    scipy = pytest.importorskip("scipy.linalg")
    first, second = seeded(0, 1, 6, 9, 8), 2 * seeded(1, 1, 6, 5, 7) + 0.3
    a, b = (array(features).reshape(6, -1) for features in (first, second))
    root = scipy.sqrtm(np.cov(a) @ np.cov(b)).real
    expected = ((a.mean(1) - b.mean(1)) ** 2).sum() + np.trace(np.cov(a) + np.cov(b) - 2 * root)
    assert frechet_distance(first, second) == pytest.approx(expected, rel=1e-9)
    assert frechet_distance(first, first) == pytest.approx(0, abs=1e-9)


def test_frechet_distance_with_fewer_positions_than_channels_is_finite() -> None:
    first, second = seeded(0, 1, 64, 3, 3), seeded(1, 1, 64, 3, 3)
    assert frechet_distance(first, first) == pytest.approx(0, abs=1e-6)
    assert 0 < frechet_distance(first, second) < 64


# ---- nearest neighbours


def patches_by_hand(features: NDArray[np.float64]) -> NDArray[np.float64]:
    _, height, width = features.shape
    patches = np.array(
        [features[:, y : y + 3, x : x + 3].ravel() for y in range(height - 2) for x in range(width - 2)]
    )
    return patches / np.linalg.norm(patches, axis=1, keepdims=True)


@pytest.mark.parametrize("block", [1024, 5])
def test_neighbor_distance_equals_float64(block: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(neighbors, "BLOCK", block)
    first, second = seeded(0, 1, 4, 6, 7), seeded(1, 1, 4, 8, 5)
    distances = 1 - patches_by_hand(array(first)) @ patches_by_hand(array(second)).T
    expected = max(distances.min(1).mean(), distances.min(0).mean())
    assert distances.min(1).mean() != pytest.approx(distances.min(0).mean(), rel=1e-3)
    assert neighbor_distance(first, second) == pytest.approx(expected, rel=1e-5)
    assert neighbor_distance(second, first) == pytest.approx(expected, rel=1e-5)
    assert neighbor_distance(first, 3 * first) == pytest.approx(0, abs=1e-6)


def test_repeating_a_single_patch_of_the_painting_is_not_near_to_it() -> None:
    painting = seeded(0, 1, 4, 9, 9)
    tile = painting[:, :, :3, :3]
    assert neighbor_distance(tile, painting) > 0.05


# ---- self-similarity


def test_self_similarity_equals_float64(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(self_similarity, "ROWS", 7)
    first, second = seeded(0, 1, 5, 4, 6), seeded(1, 1, 5, 4, 6)
    rows = []
    for features in (first, second):
        points = array(features).reshape(5, -1).T
        points /= np.linalg.norm(points, axis=1, keepdims=True)
        distances = np.clip(1 - points @ points.T, 0, None) + 1e-5
        rows.append(distances / distances.sum(1, keepdims=True))
    expected = np.abs(rows[0] - rows[1]).sum(1).mean() / 2
    assert self_similarity_distance(first, second) == pytest.approx(expected, rel=1e-4)
    assert self_similarity_distance(first, first) == 0
    assert self_similarity_distance(first, 3 * first) == pytest.approx(0, abs=1e-5)


def test_self_similarity_of_flat_pictures_is_zero() -> None:
    assert self_similarity_distance(torch.ones(1, 5, 4, 4), torch.zeros(1, 5, 4, 4)) < 1e-3
    almost_flat = 1 + 1e-4 * seeded(0, 1, 5, 4, 4)  # its distances are rounding errors
    assert self_similarity_distance(torch.ones(1, 5, 4, 4), almost_flat) < 0.01


# ---- speckle


CRISP_ENOUGH = 0.8
"""A picture whose `crispness` is below this is blurred (docs/measure.md)."""


def half_striped() -> Tensor:
    """A picture with a flat upper half and stripes below; (1, 3, 96, 96)."""
    stripes = (torch.arange(96) // 8 % 2).float().expand(1, 3, 96, 96).clone()
    stripes[:, :, :48] = 0.5
    return stripes


def test_speckle_counts_specks_and_not_strokes() -> None:
    photo = half_striped()
    strokes, specks = photo.clone(), photo.clone()
    strokes[:, :, :48] += 0.1 * (torch.arange(96) // 6 % 2).float()
    specks[:, :, 2:46:3, 1::3] += 0.1
    assert speckle(photo, photo) == 0
    assert speckle(strokes, photo) < 0.01
    assert speckle(specks, photo) > 5


def test_speckle_equals_float64() -> None:
    image, photo = seeded(0, 1, 3, 70, 40), torch.zeros(1, 3, 70, 40)
    light = np.tensordot([0.2126, 0.7152, 0.0722], 255 * array(image), 1)
    padded = np.pad(light, 1, mode="edge")
    median = np.array([[np.median(padded[y : y + 3, x : x + 3]) for x in range(40)] for y in range(70)])
    assert speckle(image, photo) == pytest.approx(np.sqrt(((light - median) ** 2).mean()), rel=1e-5)


def test_blurring_lowers_speckle_but_also_crispness() -> None:
    photo = half_striped()
    specks = photo.clone()
    specks[:, :, 2:46:3, 1::3] += 0.1
    assert crispness(photo, photo, photo) == 1
    assert crispness(specks, photo, photo) >= CRISP_ENOUGH
    assert speckle(blurred(specks), photo) < speckle(specks, photo) / 4
    assert crispness(blurred(specks), photo, photo) < CRISP_ENOUGH
    # Beside a painting that is softer than the photo, a soft picture is crisp enough.
    assert crispness(blurred(photo), photo, blurred(photo)) == pytest.approx(1, abs=0.05)
