"""Painting in one pass: AdaIN equals its formula, tiles the whole; regions, shares, colours, models."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor
from typer.testing import CliRunner

from impasto import FastSettings, FastStylizer, ImageError, Model, SettingsError, WeightsError, stylize_fast
from impasto.cli.main import app
from impasto.errors import ImpastoError
from impasto.fast.models import bundled_models
from impasto.fast.models import load as load_model
from impasto.fast.one_pass import windows
from impasto.fast.transformer_net import NormStats, TransformerNet
from impasto.image.arrays import from_tensor
from impasto.image.color import luminance
from impasto.image.oklab import to_oklab
from impasto.image.read import read_picture
from impasto.image.resize import resize
from impasto.image.write import write_picture
from impasto.network.weight_records import ADAIN_DECODER
from impasto.network.weights import load
from impasto.shapes import Image
from small import EXAMPLES, red_blue_mask, save, scene, small_decoder_layers, small_layers, stripes

Layers = Mapping[str, tuple[Tensor, Tensor]]


@pytest.fixture
def small(small_file: str, decoder_file: str) -> FastSettings:
    return FastSettings(size=0, weights=small_file, decoder=decoder_file, precision="float32")


def plain_adain(encoder: Layers, decoder: Layers, photo: Image, style: Image, strength: float) -> Image:
    """AdaIN in plain PyTorch, written from the paper and the description of the network alone."""

    def convolved(image: Tensor, layer: tuple[Tensor, Tensor]) -> Tensor:
        return F.conv2d(F.pad(image, (1, 1, 1, 1), mode="reflect"), *layer)

    def encoded(image: Image) -> Tensor:
        response = image.flip(1) * 255 - torch.tensor([103.939, 116.779, 123.68]).view(1, 3, 1, 1)
        for name, layer in encoder.items():
            if name in ("conv2_1", "conv3_1", "conv4_1"):
                response = F.max_pool2d(response, 2, 2, ceil_mode=True)
            response = convolved(response, layer).relu()
            if name == "conv4_1":
                break
        return response

    def statistics(features: Tensor) -> tuple[Tensor, Tensor]:
        flat = features.flatten(2)
        return flat.mean(2)[..., None, None], (flat.var(2) + 1e-5).sqrt()[..., None, None]

    content, painting = encoded(photo), encoded(style)
    (mean, deviation), (style_mean, style_deviation) = statistics(content), statistics(painting)
    target = (content - mean) / deviation * style_deviation + style_mean
    response = strength * target + (1 - strength) * content
    for name, layer in decoder.items():
        response = convolved(response, layer)
        if name != "up1_1":
            response = response.relu()
        if name in ("up4_1", "up3_1", "up2_1"):
            response = response.repeat_interleave(2, 2).repeat_interleave(2, 3)
    return response[:, :, : photo.shape[2], : photo.shape[3]].clamp(0, 1)


@pytest.mark.parametrize("size", [(48, 64), (37, 51)])
@pytest.mark.parametrize("strength", [1.0, 0.4])
def test_adain_equals_its_formula(size: tuple[int, int], strength: float, small: FastSettings) -> None:
    photo, style = scene(*size), stripes(*size)
    painted = stylize_fast(photo, style, replace(small, strength=strength)).picture.pixels
    expected = plain_adain(small_layers(), small_decoder_layers(), photo, style, strength)
    assert float(expected.std()) > 0.02, "a picture of one colour proves nothing"
    torch.testing.assert_close(painted, expected, atol=1e-4, rtol=0)


@pytest.mark.weights
def test_adain_with_the_real_weights_equals_its_formula() -> None:
    photo, style = (read_picture(EXAMPLES / name).pixels for name in ("temple.jpg", "great-wave.jpg"))
    photo, style = resize(photo, 120, 161).clamp(0, 1), resize(style, 110, 161).clamp(0, 1)
    painted = stylize_fast(photo, style, FastSettings(size=0, precision="float32")).picture.pixels
    layers = load().layers, load(record=ADAIN_DECODER).layers
    torch.testing.assert_close(painted, plain_adain(*layers, photo, style, 1.0), atol=1e-4, rtol=0)


@pytest.mark.parametrize("size", [(96, 130), (77, 65)])
@pytest.mark.parametrize("tile", [16, 40, 48])
def test_tiles_paint_the_same_picture(size: tuple[int, int], tile: int, small: FastSettings) -> None:
    """The statistics are measured on the whole picture first, so tiles make no difference."""
    photo, style = scene(*size), stripes(80, 60)
    whole = stylize_fast(photo, style, small).picture.pixels
    tiled = stylize_fast(photo, style, replace(small, tile=tile)).picture.pixels
    torch.testing.assert_close(tiled, whole, atol=2e-5, rtol=0)


def test_paintings_count_by_their_shares(small: FastSettings) -> None:
    photo, painting, other = scene(48, 64), stripes(48, 64), scene(40, 50, seed=3).flip(1)
    alone = stylize_fast(photo, painting, small).picture.pixels
    painted = {
        blend: stylize_fast(photo, [painting, other], replace(small, blend=blend)).picture.pixels
        for blend in ("1,0", "1,1")
    }
    torch.testing.assert_close(painted["1,0"], alone)
    assert float((painted["1,1"] - alone).abs().mean()) > 1e-3
    torch.testing.assert_close(
        stylize_fast(photo, [painting, painting], small).picture.pixels, alone, atol=1e-5, rtol=0
    )


def test_each_region_has_its_own_painting(small: FastSettings) -> None:
    photo, mask = scene(64, 128), red_blue_mask(64, 128)
    red, blue = red_blue_mask(40, 40), red_blue_mask(40, 40)
    red[:, 0], red[:, 2], blue[:, 0], blue[:, 2] = 1, 0, 0, 1
    left_style, right_style, other_style = stripes(40, 40), scene(40, 40, seed=5), stripes(40, 40).flip(1)
    masks = [mask, red, blue]
    first = stylize_fast(photo, [left_style, right_style], small, regions=masks).picture.pixels
    second = stylize_fast(photo, [left_style, other_style], small, regions=masks).picture.pixels
    left, right = (slice(None),) * 3 + (slice(0, 16),), (slice(None),) * 3 + (slice(100, None),)
    torch.testing.assert_close(first[left], second[left])
    assert float((first[right] - second[right]).abs().mean()) > 1e-3


def test_a_mask_of_one_colour_changes_nothing_and_kept_regions_stay(small: FastSettings) -> None:
    photo, style = scene(48, 64), stripes(40, 40)
    plain = stylize_fast(photo, style, small).picture.pixels
    masked = stylize_fast(photo, style, small, regions=[torch.zeros(1, 3, 48, 64)]).picture.pixels
    torch.testing.assert_close(masked, plain, atol=1e-5, rtol=0)
    kept = stylize_fast(
        photo, style, replace(small, keep="red"), regions=[red_blue_mask(48, 64)]
    ).picture.pixels
    torch.testing.assert_close(kept[..., :32], photo[..., :32])
    assert float((kept[..., 32:] - photo[..., 32:]).abs().mean()) > 1e-2


def test_the_photos_colours_are_kept(small: FastSettings) -> None:
    photo, style = scene(48, 64), stripes(40, 40)
    painted = stylize_fast(photo, style, replace(small, colors="photo-luminance")).picture.pixels
    torch.testing.assert_close(painted - luminance(painted), photo - luminance(photo), atol=1 / 255, rtol=0)
    assert float((luminance(painted) - luminance(photo)).abs().mean()) > 1e-3
    matched = stylize_fast(photo, style, replace(small, colors="photo-match")).picture.pixels
    plain = stylize_fast(photo, style, small).picture.pixels
    assert float((matched - plain).abs().mean()) > 1e-3
    mapped = stylize_fast(photo, style, replace(small, colors="photo-palette")).picture.pixels
    torch.testing.assert_close(to_oklab(mapped)[:, :1], to_oklab(plain)[:, :1], atol=1e-3, rtol=0)
    assert float((mapped - plain).abs().mean()) > 1e-3


def test_a_stylizer_paints_many_photos_like_separate_calls(small: FastSettings) -> None:
    """What it keeps of a painting between photos changes nothing."""
    style = stripes(40, 40)
    stylizer = FastStylizer(style, small)
    for photo in (scene(48, 64), scene(40, 64, seed=2), scene(48, 64)):
        torch.testing.assert_close(
            stylizer.stylize(photo).picture.pixels,
            stylize_fast(photo, style, small).picture.pixels,
            atol=0,
            rtol=0,
        )


def small_model(path: Path, styles: int = 2) -> str:
    torch.manual_seed(0)
    network = TransformerNet(4, 2, styles)
    for parameter in network.parameters():
        parameter.data += 0.1 * torch.randn_like(parameter)
    Model(network, ("one", "two")[:styles], {"command": "train"}).save(path)
    return str(path)


def test_a_model_file_keeps_network_styles_and_manifest(tmp_path: Path) -> None:
    file = small_model(tmp_path / "small.safetensors")
    model = load_model(file)
    assert model.styles == ("one", "two")
    assert model.manifest == {"command": "train"}
    photo = scene(37, 50)
    painting = stylize_fast(
        photo, settings=FastSettings(size=0, model=file, blend="1,3", precision="float32")
    )
    shares = torch.tensor([[0.25, 0.75]])
    torch.testing.assert_close(painting.picture.pixels, model.network(photo, shares), atol=1e-6, rtol=0)
    half = stylize_fast(
        photo, settings=FastSettings(size=0, model=file, blend="1,3", strength=0.5, precision="float32")
    )
    torch.testing.assert_close(half.picture.pixels, (photo + painting.picture.pixels) / 2, atol=1e-6, rtol=0)
    assert painting.manifest["result"]["styles"] == ["one", "two"]


def test_a_models_tiles_are_exact_given_the_whole_pictures_statistics(tmp_path: Path) -> None:
    network = load_model(small_model(tmp_path / "small.safetensors")).network
    photo, shares, statistics = scene(300, 331), torch.tensor([[1.0, 0.0]]), NormStats()
    whole = network(photo, shares, statistics)
    torch.testing.assert_close(whole, network(photo, shares), atol=1e-5, rtol=0)
    for rows, columns, window, inside in windows(300, 331, 96):
        part = network(photo[:, :, window[0], window[1]], shares, statistics.again())
        torch.testing.assert_close(
            part[:, :, inside[0], inside[1]], whole[:, :, rows, columns], atol=2e-5, rtol=0
        )


def test_a_models_tiles_nearly_equal_the_whole(tmp_path: Path) -> None:
    """Tiles are normalised with statistics of samples; the error is largest for an untrained network."""
    settings = FastSettings(size=0, model=small_model(tmp_path / "small.safetensors"), precision="float32")
    photo = resize(read_picture(EXAMPLES / "temple.jpg").pixels, 400, 600).clamp(0, 1)
    whole = stylize_fast(photo, settings=settings).picture.pixels
    tiled = stylize_fast(photo, settings=replace(settings, tile=200)).picture.pixels
    assert float((tiled - whole).abs().mean()) < 0.03


@pytest.mark.parametrize("name", ["great-wave", "langlois-bridge"])
def test_bundled_models_paint(name: str) -> None:
    assert name in bundled_models()
    model = load_model(name)
    assert bundled_models()[name].stat().st_size < 4_000_000
    assert model.manifest["command"] == "train"
    photo = resize(read_picture(EXAMPLES / "temple.jpg").pixels, 160, 240).clamp(0, 1)
    painted = stylize_fast(
        photo, settings=FastSettings(size=0, model=name, precision="float32")
    ).picture.pixels
    assert float((painted - photo).abs().mean()) > 0.05
    assert float(painted.std()) > 0.1


def damaged(path: Path) -> str:
    data = bytearray(Path(small_model(path)).read_bytes())
    data[-10] ^= 255
    path.write_bytes(bytes(data))
    return str(path)


def later(path: Path) -> str:
    from impasto.storage.tensor_file import FileKind, TensorReader, write_tensors

    kind = FileKind("Impasto painter", 99, TensorReader.tensors_sha256, WeightsError, "")
    write_tensors(path, kind, {}, {})
    return str(path)


def foreign(path: Path) -> str:
    from safetensors.torch import save_file

    save_file({"a": torch.zeros(2)}, path)
    return str(path)


BAD_MODELS: dict[str, tuple[Callable[[Path], str], str]] = {
    "missing": (lambda path: str(path), "there is no file .* Name a file that `impasto train` wrote"),
    "damaged": (damaged, "is damaged"),
    "cut": (
        lambda path: (path.write_bytes(Path(small_model(path)).read_bytes()[:500]), str(path))[1],
        "damaged",
    ),
    "later": (later, r"has format 99 of Impasto painter; this Impasto \(.*\) reads 2"),
    "foreign": (foreign, "but no Impasto painter"),
    "text": (lambda path: (path.write_text("hello"), str(path))[1], "is damaged, or no Impasto painter"),
}


@pytest.mark.parametrize("kind", BAD_MODELS)
def test_bad_model_files(kind: str, tmp_path: Path) -> None:
    make, message = BAD_MODELS[kind]
    with pytest.raises(WeightsError, match=message):
        FastStylizer(settings=FastSettings(model=make(tmp_path / "bad.safetensors")))


def test_bad_combinations_are_refused(small: FastSettings, small_file: str, tmp_path: Path) -> None:
    model = small_model(tmp_path / "small.safetensors")
    cases: list[tuple[Callable[[], object], type[ImpastoError], str]] = [
        (lambda: stylize_fast(scene(32, 32), (), small), SettingsError, "neither a painting nor a model"),
        (
            lambda: stylize_fast(scene(32, 32), stripes(32, 32), FastSettings(model=model)),
            SettingsError,
            "a model",
        ),
        (
            lambda: FastStylizer(settings=FastSettings(model=model, blend="1")),
            SettingsError,
            "1 shares for 2",
        ),
        (
            lambda: FastStylizer(settings=FastSettings(model=model, colors="photo-match")),
            SettingsError,
            "photo-luminance",
        ),
        (
            lambda: FastStylizer(settings=FastSettings(model=model, colors="photo-palette")),
            SettingsError,
            "'photo-palette', which needs the painting, and model is .*small",
        ),
        (lambda: FastStylizer(settings=FastSettings(model=model, keep="red")), SettingsError, "--keep"),
        (lambda: stylize_fast(scene(32, 32), stripes(32, 32), replace(small, size=12)), ImageError, "16×16"),
        (
            lambda: stylize_fast(scene(32, 32), stripes(32, 32), replace(small, decoder="nowhere")),
            WeightsError,
            "nowhere",
        ),
        (
            lambda: stylize_fast(
                scene(32, 32), settings=FastSettings(model=model), regions=[red_blue_mask(32, 32)]
            ),
            SettingsError,
            "leave --regions out",
        ),
        (
            lambda: stylize_fast(scene(32, 32), stripes(4, 4), small),
            ImageError,
            "style image is 4×4",
        ),
    ]
    for act, kind, message in cases:
        with pytest.raises(kind, match=message):
            act()


def test_the_command_paints_what_the_library_paints(
    photo: str, painting: str, small_file: str, decoder_file: str, tmp_path: Path
) -> None:
    options = ["--weights", small_file, "--decoder", decoder_file, "--size", "40"]
    options += ["--precision", "float32"]
    done = CliRunner().invoke(app, ["fast", photo, painting, "-o", "out.png", *options])
    assert done.exit_code == 0, done.output
    settings = FastSettings(size=40, weights=small_file, decoder=decoder_file, precision="float32")
    stylize_fast(photo, painting, settings).save("python.png")
    assert torch.equal(read_picture("out.png").pixels, read_picture("python.png").pixels)
    shown = CliRunner().invoke(app, ["show", "out.png"])
    assert "impasto fast" in shown.output
    again = CliRunner().invoke(app, ["rerun", "out.png", "-o", "again.png"])
    assert again.exit_code == 0, again.output
    assert torch.equal(read_picture("out.png").pixels, read_picture("again.png").pixels)
    other = CliRunner().invoke(app, ["rerun", "out.png", "-o", "again.png", "--content", painting])
    assert other.exit_code == 1
    assert "has changed" in other.output


def test_the_command_paints_a_folder_of_photos(
    painting: str, small_file: str, decoder_file: str, tmp_path: Path
) -> None:
    folder = tmp_path / "photos"
    folder.mkdir()
    for number in range(2):
        save(scene(32, 40, seed=number), folder / f"photo{number}.png")
    (folder / "broken.jpg").write_bytes(b"no picture")
    options = ["--weights", small_file, "--decoder", decoder_file, "-o", "painted"]
    done = CliRunner().invoke(app, ["fast", str(folder), painting, *options])
    assert done.exit_code == 1
    assert "2 painted, 1 failed" in done.output
    assert sorted(path.name for path in Path("painted").iterdir()) == [
        "photo0-painting.png",
        "photo1-painting.png",
    ]
    write_picture(from_tensor(scene(20, 20)), folder / "small.png")
    into_itself = CliRunner().invoke(app, ["fast", str(folder), painting, *options[:-1], str(folder)])
    assert into_itself.exit_code == 2
