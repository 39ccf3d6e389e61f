"""The photo's colours, kept or carried over: exact in what they promise."""

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
    found, wanted = color_moments(match_colors(painting, photo, how)(painting)), color_moments(photo)  # type: ignore[arg-type]
    for one, other in zip(found, wanted, strict=True):
        torch.testing.assert_close(one, other, rtol=0, atol=1e-4)


def test_the_two_forms_are_those_of_the_paper() -> None:
    """Independently: NumPy's Cholesky factors and eigenvalue roots."""
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
        found = match_colors(painting, photo, how)  # type: ignore[arg-type]
        np.testing.assert_allclose(found.matrix.numpy(), matrix, rtol=1e-5, atol=1e-5)  # type: ignore[attr-defined]


def test_matched_histograms_are_the_photos() -> None:
    painting, photo = (read_picture(EXAMPLES / n).pixels for n in ("great-wave.jpg", "temple.jpg"))
    found = match_colors(painting, photo, "histogram")(painting)
    shares = torch.linspace(0.02, 0.98, 49)
    for color in range(3):
        ours = torch.quantile(found[0, color].flatten()[::7], shares)
        theirs = torch.quantile(photo[0, color].flatten()[::7], shares)
        assert float((ours - theirs).abs().max()) < 8 / 255
        assert float((ours - theirs).abs().mean()) < 1 / 255


def test_a_picture_of_one_colour_can_be_matched_too() -> None:
    plain = torch.full((1, 3, 8, 8), 0.25)
    for how in ("symmetric", "cholesky", "histogram"):
        for painting, photo in ((plain, scene(9, 9)), (scene(9, 9), plain)):
            found = match_colors(painting, photo, how)(painting)  # type: ignore[arg-type]
            assert bool(found.isfinite().all())
            assert float((found.mean((2, 3)) - photo.mean((2, 3))).abs().max()) < 0.02


def test_a_matched_luminance_has_the_photos_mean_and_deviation() -> None:
    painting, photo = stripes(40, 60), scene(50, 40)
    found = match_luminance(painting, photo)(painting)
    assert float((found[:, :1] - found).abs().max()) < 1e-6
    own, wanted = luminance(found), luminance(photo)
    assert float(own.mean()) == pytest.approx(float(wanted.mean()), abs=1e-5)
    assert float(own.std()) == pytest.approx(float(wanted.std()), rel=1e-3)


def test_another_luminance_leaves_the_chroma_and_can_be_shown() -> None:
    photo = scene(30, 40).clamp(0, 1)
    found = with_luminance(photo, torch.rand(1, 1, 30, 40) * 1.4 - 0.2)
    assert -1e-6 < float(found.min()) < float(found.max()) < 1 + 1e-6
    chroma = [image - luminance(image) for image in (photo, found)]
    torch.testing.assert_close(chroma[1], chroma[0], rtol=0, atol=1e-6)
    torch.testing.assert_close(with_luminance(photo, luminance(photo)), photo, rtol=0, atol=1e-6)


@pytest.mark.parametrize("scales", [1, 2])
def test_photo_luminance_keeps_the_chroma_through_the_file(small_file: str, scales: int) -> None:
    """To 1/255 in YIQ, after painting, saving with 8 bits and reading again."""
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
    there = read_picture("out.png").to_numpy().astype(float)[..., :3]
    before = photo[0].permute(1, 2, 0).numpy() * 255
    apart = (there - before) @ YIQ.T
    assert np.abs(apart[..., 1:]).max() <= 1.0
    assert np.abs(apart[..., 0]).max() > 3


def test_what_is_painted_in_luminance_is_grey_at_every_step(small_file: str) -> None:
    for optimizer in ("lbfgs", "adam"):
        settings = StylizeSettings(
            size=48, steps=4, scales=1, colors="photo-luminance", init="noise", optimizer=optimizer,
            weights=small_file, precision="float32",
        )  # fmt: skip
        for step in impasto.iter_stylize(scene(36, 48), stripes(40, 40), settings):
            here = step.snapshot()
            assert here.descent is not None
            assert here.space is not None
            image = here.space.whole_image(here.descent.point)
            torch.testing.assert_close(image, grey(image), rtol=0, atol=1e-5)
