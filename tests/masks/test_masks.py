"""Automatic masks against independent computations; photos without a subject or contrast are refused."""

import json
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from PIL import Image as PILImage
from typer.testing import CliRunner

import impasto
from impasto.cli.main import app
from impasto.errors import CheckpointError, ImageError, SettingsError
from impasto.image.guided_filter import guided_lines
from impasto.image.picture import Picture
from impasto.image.read import read_picture
from impasto.masks import subject as subject_module
from impasto.masks.automatic import automatic_mask, from_text, to_text
from impasto.masks.guided_filter import EPSILON, RADIUS, refine
from impasto.masks.luminance import otsu_threshold
from impasto.masks.subject import DEVIATION, MEAN, find_subject, net_input, subject_map
from small import EXAMPLES, scene
from test_benchmarks import load

RUNNER = CliRunner()


def filter_by_window(guide: np.ndarray, mask: np.ndarray, radius: int, epsilon: float) -> np.ndarray:
    """The guided filter of He, Sun and Tang (2013), Eq. 5, 6 and 8, window by window in float64."""
    height, width = guide.shape

    def window(row: int, column: int) -> tuple[slice, slice]:
        return (
            slice(max(0, row - radius), row + radius + 1),
            slice(max(0, column - radius), column + radius + 1),
        )

    slope, offset = np.zeros_like(guide), np.zeros_like(guide)
    for row in range(height):
        for column in range(width):
            inside, values = guide[window(row, column)], mask[window(row, column)]
            covariance = ((inside - inside.mean()) * (values - values.mean())).mean()
            slope[row, column] = covariance / (inside.var() + epsilon)
            offset[row, column] = values.mean() - slope[row, column] * inside.mean()
    filtered = np.zeros_like(guide)
    for row in range(height):
        for column in range(width):
            around = window(row, column)
            filtered[row, column] = slope[around].mean() * guide[row, column] + offset[around].mean()
    return filtered


@pytest.mark.parametrize(("radius", "epsilon"), [(1, 1e-2), (3, 1e-4)])
def test_the_guided_filter_equals_the_papers_equations(radius: int, epsilon: float) -> None:
    random = np.random.default_rng(0)
    guide, mask = random.random((13, 17)), (random.random((13, 17)) > 0.5).astype(float)
    slope, offset = guided_lines(guide, mask, radius, epsilon)
    filtered = slope * guide + offset
    np.testing.assert_allclose(filtered, filter_by_window(guide, mask, radius, epsilon), atol=1e-12)


def test_a_small_photos_mask_is_refined_at_its_own_size() -> None:
    """At 64 px, the window has a radius of 8 · 64 / 512 = 1 pixel."""
    photo = scene(48, 64)
    mask = (photo[:, :1] > 0.5).float()
    guide = np.einsum("chw,c->hw", photo[0].double().numpy(), (0.299, 0.587, 0.114))
    expected = filter_by_window(guide, mask[0, 0].double().numpy(), 1, EPSILON).clip(0, 1)
    np.testing.assert_allclose(refine(mask, photo)[0, 0].numpy(), expected, atol=1e-5)


def test_a_large_photos_mask_follows_its_edges() -> None:
    """A blurred mask is sharpened at the edge of a photo of two halves, 1024 px wide."""
    photo = torch.zeros(1, 3, 256, 1024)
    photo[..., 500:] = 1
    ramp = ((torch.arange(320) - 148) / 16).clamp(0, 1).expand(1, 1, 320, 320).contiguous()
    before = torch.nn.functional.interpolate(ramp, (256, 1024), mode="bilinear")[0, 0, 128]
    after = refine(ramp, photo)[0, 0, 128]
    assert float(before[500] - before[499]) < 0.03
    assert float(after[500] - after[499]) > 0.3
    assert float(after[:400].max()) < 0.02
    assert float(after[600:].min()) > 0.98


def test_the_input_of_the_net_is_prepared_as_in_its_training() -> None:
    """Resized to 320×320 by Pillow's bicubic filter, divided by the maximum, normalised as for ImageNet."""
    photo = scene(100, 450) * 0.8
    square = [
        PILImage.fromarray(plane.numpy()).resize((320, 320), PILImage.Resampling.BICUBIC)
        for plane in photo[0]
    ]
    planes = np.stack([np.asarray(plane, np.float64) for plane in square]).clip(0, 1)
    planes /= planes.max()
    mean, deviation = np.array([0.485, 0.456, 0.406]), np.array([0.229, 0.224, 0.225])
    expected = (planes - mean[:, None, None]) / deviation[:, None, None]
    np.testing.assert_allclose(net_input(photo)[0], expected, atol=2e-5)


def test_the_nets_output_is_scaled_to_8_bits() -> None:
    output = torch.linspace(0.2, 0.8, 320 * 320).reshape(320, 320)
    expected = np.round((output.double().numpy() - 0.2) / 0.6 * 255)
    levels = subject_map(output, "photo").levels
    assert np.abs(levels.numpy() - expected).max() <= 1
    assert levels.max() == 255


class RedIsSubject:
    """A network that takes for the subject what is red; it remembers what it saw."""

    def __init__(self) -> None:
        self.seen: list[np.ndarray] = []

    def get_inputs(self) -> list[SimpleNamespace]:
        return [SimpleNamespace(name="image")]

    def run(self, _: None, inputs: dict[str, np.ndarray]) -> list[np.ndarray]:
        self.seen.append(inputs["image"])
        return [inputs["image"][:, :1] * DEVIATION[0] + MEAN[0]]


@pytest.mark.parametrize(("height", "width"), [(240, 401), (401, 240), (1200, 2000)])
def test_the_net_sees_the_photo_in_its_shape_and_then_the_subject(
    height: int, width: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A red rectangle on black is found at its place, although it is seen in a square and in a crop."""
    photo = torch.zeros(1, 3, height, width)
    top, bottom, left, right = height // 5, height // 2, width // 2, width * 4 // 5
    photo[:, 0, top:bottom, left:right] = 1
    network = RedIsSubject()
    monkeypatch.setattr(subject_module, "_session", lambda threads: network)
    levels = find_subject(Picture(photo)).levels.double() / 255
    y, x = (torch.arange(320) + 0.5) / 320 * height, (torch.arange(320) + 0.5) / 320 * width
    inside = ((y > top) & (y < bottom))[:, None] & ((x > left) & (x < right))
    # Apart from three cells at the rectangle's edges, where the three looks resample differently.
    blurred = F.avg_pool2d(inside.double()[None, None], 7, 1, 3)[0, 0]
    assert float(levels[blurred == 1].min()) > 0.98
    assert float(levels[blurred == 0].max()) < 0.02
    # A look is seen twice, once mirrored. In the crop the rectangle is as large as its margin lets it be.
    assert len(network.seen) == 6
    red = [float((seen[0, 0] > 1).mean()) for seen in network.seen]
    tall, wide = bottom - top, right - left
    assert red[0] == pytest.approx(tall * wide / max(height, width) ** 2, rel=0.05)
    side = 1.16 * max(tall, wide)
    assert red[2] == pytest.approx(tall * wide / (min(side, height) * min(side, width)), rel=0.1)


def spot(share: float) -> torch.Tensor:
    """An output of the net in which this share of the picture is subject."""
    output = torch.full((320 * 320,), 0.05)
    output[: round(share * 320 * 320)] = 0.95
    return output.reshape(320, 320)


@pytest.mark.parametrize(
    ("output", "message"),
    [
        (
            torch.full((320, 320), 0.49),
            r"no subject was found in 'sky.jpg'.*value is 0.49, and 0.5 is needed",
        ),
        (spot(0.009), r"no subject was found in 'sky.jpg'.*takes 0.9% of the picture, and 1% is needed"),
        (spot(0.992), r"the subject fills 'sky.jpg': it takes 99.2%"),
        (torch.full((320, 320), 0.9), r"the subject fills 'sky.jpg': it takes 100.0%"),
        (torch.full((320, 320), torch.nan), r"no subject was found in 'sky.jpg'"),
    ],
    ids=["unsure", "speck", "nearly full", "full", "nan"],
)
def test_a_photo_without_a_subject_or_full_of_it_is_refused(output: torch.Tensor, message: str) -> None:
    with pytest.raises(ImageError, match=message + r".*Draw the mask by hand"):
        subject_map(output, "sky.jpg")
    for share in (0.011, 0.989):
        subject_map(spot(share), "sky.jpg")


def test_otsus_threshold_maximises_the_variance_between_classes() -> None:
    """The best of all 255 levels, by brute force."""
    random = np.random.default_rng(0)
    values = np.concatenate([random.normal(0.3, 0.06, 4000), random.normal(0.7, 0.1, 2000)]).clip(0, 0.999)
    levels = np.floor(values * 256)
    scores = []
    for cut in range(1, 256):
        low, high = levels[levels < cut], levels[levels >= cut]
        scores.append(len(low) * len(high) * (low.mean() - high.mean()) ** 2 if len(low) and len(high) else 0)
    threshold = otsu_threshold(torch.from_numpy(values).float().reshape(1, 1, 60, 100))
    assert threshold == pytest.approx((int(np.argmax(scores)) + 1) / 256)


def test_a_luminance_mask_separates_a_dark_and_a_light_half() -> None:
    photo = torch.full((1, 3, 40, 60), 0.2)
    photo[..., 30:] = 0.6
    mask = impasto.mask(photo, "luminance").pixels
    assert mask.shape == photo.shape
    assert float(mask[..., :25].max()) < 1e-3
    assert float(mask[..., 35:].min()) > 1 - 1e-3
    with pytest.raises(ImageError, match=r"'tensor' has no light and dark: its luminance goes from 0\.5"):
        impasto.mask(torch.full((1, 3, 40, 60), 0.5), "luminance")


def test_bad_kinds_inputs_and_outputs_are_refused(photo: str, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(SettingsError, match=r"kind is 'sky'; it must be one of subject, luminance"):
        impasto.mask(photo, "sky")
    with pytest.raises(ImageError, match="holds 2 pictures"):
        impasto.mask(torch.zeros(2, 3, 20, 20))
    assert RUNNER.invoke(app, ["mask", photo, "--kind", "sky"]).exit_code == 2
    assert RUNNER.invoke(app, ["mask", photo, "-o", photo]).exit_code != 0
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    with pytest.raises(SettingsError, match=r"needs onnxruntime.*pip install 'impasto\[onnx\]'"):
        impasto.mask(photo)
    missing = RUNNER.invoke(app, ["mask", photo])
    assert missing.exit_code == 2
    assert "impasto[onnx]" in missing.output


def test_a_subject_map_survives_as_text() -> None:
    subject = subject_map(spot(0.3), "photo")
    again = from_text(to_text(subject))
    assert torch.equal(again.levels, subject.levels)
    assert again.window == subject.window
    # Manifests before 29 November 2026 do not tell the window.
    assert from_text(to_text(subject).rpartition(" ")[2]).window == RADIUS
    for text in ("", "no base64!", to_text(subject)[:40]):
        with pytest.raises(CheckpointError, match="mask in the manifest is damaged"):
            from_text(text)


# ---- with the real net


@pytest.mark.weights
def test_the_mask_of_the_dandelion_agrees_with_its_outline() -> None:
    """benchmarks/masks.py measures all twenty outlined photos; this one is in examples/."""
    benchmark = load("masks")
    photos = json.loads((benchmark.HERE / "mask_outlines.json").read_text(encoding="utf-8"))["photos"]
    (outline,) = (photo for photo in photos if photo["file"].endswith("dandelion.jpg"))
    picture = read_picture(EXAMPLES / "dandelion.jpg")
    mask = automatic_mask(picture, "subject").mask
    by_hand = benchmark.outlined(outline, picture.height, picture.width)
    assert benchmark.intersection_over_union(mask[0, 0] >= 0.5, by_hand) > 0.85
    assert float((mask - mask.round()).abs().max()) > 0  # soft


@pytest.mark.weights
def test_the_number_of_threads_changes_the_mask_by_rounding_only() -> None:
    picture = read_picture(EXAMPLES / "dandelion.jpg")
    single, double = (find_subject(picture, threads=count).levels.int() for count in (1, 2))
    assert int((single - double).abs().max()) <= 1


@pytest.mark.weights
def test_a_mirrored_photo_has_the_mirrored_mask() -> None:
    picture = read_picture(EXAMPLES / "dandelion.jpg")
    mirrored = Picture(picture.pixels.flip(3), name="mirrored.jpg")
    difference = find_subject(mirrored).levels.int() - find_subject(picture).levels.flip(1).int()
    assert int(difference.abs().max()) <= 1


@pytest.mark.weights
def test_the_net_refuses_a_grey_picture_and_noise() -> None:
    with pytest.raises(ImageError, match=r"no subject was found in 'grey\.png': .* value is 0\.0"):
        find_subject(Picture(torch.full((1, 3, 200, 300), 0.5), name="grey.png"))
    generator = torch.Generator().manual_seed(1)
    with pytest.raises(ImageError, match=r"the subject fills 'full\.png'"):
        find_subject(Picture(torch.rand(1, 3, 200, 300, generator=generator), name="full.png"))


@pytest.mark.weights
def test_the_command_writes_what_the_library_returns(tmp_path: Path) -> None:
    source = EXAMPLES / "dandelion.jpg"
    done = RUNNER.invoke(app, ["mask", str(source)])
    assert done.exit_code == 0, done.output
    written = read_picture("dandelion-mask.png").pixels
    assert float((written - impasto.mask(source).pixels).abs().max()) <= 0.5 / 255 + 1e-6
