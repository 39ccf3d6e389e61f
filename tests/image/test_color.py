"""Keeping the photo's colours: each method keeps exactly what it promises."""

import numpy as np
import pytest
import torch

import impasto
from impasto import StylizeSettings
from impasto.image.color import (
    color_moments,
    grey,
    luminance,
    match_colors,
    match_luminance,
    with_luminance,
)
from impasto.image.read import read_picture
from small import EXAMPLES, scene, stripes

YIQ = np.array([[0.299, 0.587, 0.114], [0.5959, -0.2746, -0.3213], [0.2115, -0.5227, 0.3112]])


@pytest.mark.parametrize("how", ["symmetric", "cholesky"])
@pytest.mark.parametrize("pair", [("langlois-bridge.jpg", "temple.jpg"), ("kandinsky.jpg", "dandelion.jpg")])
def test_a_matched_painting_has_the_photos_mean_and_covariance(how: str, pair: tuple[str, str]) -> None:
    painting, photo = (read_picture(EXAMPLES / name).pixels for name in pair)
    matched = match_colors(painting, photo, how)(painting)  # type: ignore[arg-type]
    for actual, expected in zip(color_moments(matched), color_moments(photo), strict=True):
        torch.testing.assert_close(actual, expected, rtol=0, atol=1e-4)


def test_both_matrices_equal_the_papers() -> None:
    """Computed independently from NumPy's Cholesky factors and from roots of the eigenvalues."""
    painting, photo = stripes(40, 60), scene(50, 40)
    (_, s), (_, t) = color_moments(painting), color_moments(photo)

    def root(matrix: np.ndarray) -> np.ndarray:
        values, vectors = np.linalg.eigh(matrix)
        return vectors * np.sqrt(values) @ vectors.T

    expected = {
        "cholesky": np.linalg.cholesky(t.numpy()) @ np.linalg.inv(np.linalg.cholesky(s.numpy())),
        "symmetric": root(t.numpy()) @ np.linalg.inv(root(s.numpy())),
    }
    for how, matrix in expected.items():
        mapping = match_colors(painting, photo, how)  # type: ignore[arg-type]
        np.testing.assert_allclose(mapping.matrix.numpy(), matrix, rtol=1e-5, atol=1e-5)  # type: ignore[attr-defined]


def test_matched_histograms_equal_the_photos() -> None:
    painting, photo = (read_picture(EXAMPLES / n).pixels for n in ("great-wave.jpg", "temple.jpg"))
    matched = match_colors(painting, photo, "histogram")(painting)
    shares = torch.linspace(0.02, 0.98, 49)
    for color in range(3):
        ours = torch.quantile(matched[0, color].flatten()[::7], shares)
        theirs = torch.quantile(photo[0, color].flatten()[::7], shares)
        assert float((ours - theirs).abs().max()) < 8 / 255
        assert float((ours - theirs).abs().mean()) < 1 / 255


def test_a_picture_of_a_single_colour_can_be_matched() -> None:
    plain = torch.full((1, 3, 8, 8), 0.25)
    for how in ("symmetric", "cholesky", "histogram"):
        for painting, photo in ((plain, scene(9, 9)), (scene(9, 9), plain)):
            matched = match_colors(painting, photo, how)(painting)  # type: ignore[arg-type]
            assert bool(matched.isfinite().all())
            assert float((matched.mean((2, 3)) - photo.mean((2, 3))).abs().max()) < 0.02


def test_a_matched_luminance_has_the_photos_mean_and_deviation() -> None:
    painting, photo = stripes(40, 60), scene(50, 40)
    matched = match_luminance(painting, photo)(painting)
    assert float((matched[:, :1] - matched).abs().max()) < 1e-6
    actual, expected = luminance(matched), luminance(photo)
    assert float(actual.mean()) == pytest.approx(float(expected.mean()), abs=1e-5)
    assert float(actual.std()) == pytest.approx(float(expected.std()), rel=1e-3)


def test_the_luminance_of_a_single_pixel_can_be_matched() -> None:
    pixel, painting = torch.full((1, 3, 1, 1), 0.25), stripes(9, 9)
    torch.testing.assert_close(match_luminance(painting, pixel)(painting), torch.full_like(painting, 0.25))
    assert float(match_luminance(pixel, painting)(pixel).mean()) == pytest.approx(
        float(luminance(painting).mean()), abs=0.02
    )


def test_changing_the_luminance_keeps_the_chroma_and_the_range() -> None:
    photo = scene(30, 40).clamp(0, 1)
    changed = with_luminance(photo, torch.rand(1, 1, 30, 40) * 1.4 - 0.2)
    assert -1e-6 < float(changed.min()) < float(changed.max()) < 1 + 1e-6
    chroma = [image - luminance(image) for image in (photo, changed)]
    torch.testing.assert_close(chroma[1], chroma[0], rtol=0, atol=1e-6)
    torch.testing.assert_close(with_luminance(photo, luminance(photo)), photo, rtol=0, atol=1e-6)


@pytest.mark.parametrize("scales", [1, 2])
def test_photo_luminance_keeps_the_chroma_through_the_file(small_file: str, scales: int) -> None:
    """It is kept to 1/255 in YIQ through painting, saving with 8 bits and reading."""
    photo = (0.9 * scene(48, 64) + 0.02).clamp(0, 1)
    settings = StylizeSettings(
        size=64,
        steps=8,
        scales=scales,
        colors="photo-luminance",
        weights=small_file,
        strength=0.9,
        precision="float32",
    )
    painting = impasto.stylize(photo, stripes(40, 40), settings)
    painting.save("out.png")
    saved = read_picture("out.png").to_numpy().astype(float)[..., :3]
    before = photo[0].permute(1, 2, 0).numpy() * 255
    change = (saved - before) @ YIQ.T
    assert np.abs(change[..., 1:]).max() <= 1.0
    assert np.abs(change[..., 0]).max() > 3


def test_a_run_in_luminance_is_grey_at_every_step(small_file: str) -> None:
    for optimizer in ("lbfgs", "adam"):
        settings = StylizeSettings(
            size=48, steps=4, scales=1, colors="photo-luminance", init="noise", optimizer=optimizer,
            weights=small_file, precision="float32",
        )  # fmt: skip
        count = 0
        for step in impasto.iter_stylize(scene(36, 48), stripes(40, 40), settings):
            count += 1
            snapshot = step.snapshot()
            assert snapshot.descent is not None
            assert snapshot.space is not None
            image = snapshot.space.whole_image(snapshot.descent.point)
            torch.testing.assert_close(image, grey(image), rtol=0, atol=1e-5)
        assert count > 1
