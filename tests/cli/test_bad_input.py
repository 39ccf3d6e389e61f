"""Bad input gives a clear sentence and the documented exit code, no traceback, and writes nothing."""

import builtins
import re
import struct
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest
from PIL import Image as PILImage
from typer.testing import CliRunner

from impasto.cli.main import app
from small import EXAMPLES, save, scene


@dataclass(frozen=True)
class Inputs:
    photo: str
    painting: str
    weights: str
    folder: Path


Case = Callable[[Inputs], list[str]]
CASES: dict[str, tuple[Case, int, str]] = {}
"""Name → (the arguments, the exit code, a pattern of the message)."""


def case(code: int, message: str) -> Callable[[Case], Case]:
    """Add a function that makes the arguments to `CASES`, with the exit code and the message to expect."""

    def add(function: Case) -> Case:
        CASES[function.__name__] = (function, code, message)
        return function

    return add


def paint(
    inputs: Inputs, *more: str, content: str = "", style: str = "", output: str = "out.png"
) -> list[str]:
    """The arguments of a short run of `impasto stylize`, with these changes."""
    weights = [] if "--weights" in more else ["--weights", inputs.weights]
    size = [] if "--size" in more else ["--size", "48"]
    steps = [] if "--steps" in more else ["--steps", "1"]
    pictures = [content or inputs.photo, style or inputs.painting]
    return ["stylize", *pictures, "-o", output, "--scales", "1", *weights, *size, *steps, *more]


def write(inputs: Inputs, name: str, data: bytes) -> str:
    path = inputs.folder / name
    path.write_bytes(data)
    return str(path)


@case(1, r"content image .nowhere\.jpg. does not exist")
def missing_file(inputs: Inputs) -> list[str]:
    return paint(inputs, content="nowhere.jpg")


@case(1, r"style image .*empty\.png.* empty")
def empty_file(inputs: Inputs) -> list[str]:
    return paint(inputs, style=write(inputs, "empty.png", b""))


@case(1, r"content image .*text\.jpg. is no picture that can be read: it is text")
def text_named_jpg(inputs: Inputs) -> list[str]:
    return paint(inputs, content=write(inputs, "text.jpg", b"Dear diary, today I painted."))


@case(1, r"content image .*drawing\.png. is no picture that can be read: it is an SVG drawing")
def svg_named_png(inputs: Inputs) -> list[str]:
    return paint(inputs, content=write(inputs, "drawing.png", b'<svg xmlns="http://www.w3.org/2000/svg"/>'))


@case(1, r"content image .*cut\.jpg. is cut off or damaged")
def truncated_jpeg(inputs: Inputs) -> list[str]:
    path = inputs.folder / "cut.jpg"
    save(scene(96, 96), path)
    path.write_bytes(path.read_bytes()[:-400])
    return paint(inputs, content=str(path))


@case(1, r"style image .*bomb\.png.*60000×60000")
def decompression_bomb(inputs: Inputs) -> list[str]:
    def chunk(kind: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    header = struct.pack(">IIBBBBB", 60000, 60000, 8, 0, 0, 0, 0)
    rows = zlib.compress(bytes(1000))
    data = b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", rows) + chunk(b"IEND", b"")
    return paint(inputs, style=write(inputs, "bomb.png", data))


@case(1, r"style image is 1×1; conv5_1 needs at least 16×16")
def one_pixel(inputs: Inputs) -> list[str]:
    return paint(inputs, style=save(scene(1, 1), inputs.folder / "dot.png"))


@case(1, r"painting is 48×1; conv5_1 needs at least 16×16")
def very_flat_photo(inputs: Inputs) -> list[str]:
    return paint(inputs, content=save(scene(3, 20000), inputs.folder / "thread.png"))


@case(1, r"content image .* is a folder; name a picture in it")
def directory(inputs: Inputs) -> list[str]:
    return paint(inputs, content=str(inputs.folder))


@case(1, r"content image .*secret\.png. may not be read: Permission denied")
def unreadable_file(inputs: Inputs) -> list[str]:
    path = inputs.folder / "secret.png"
    save(scene(32, 32), path)
    path.chmod(0)
    return paint(inputs, content=str(path))


@case(2, r"there is no layer 'conv9_9' in VGG-19")
def unknown_layer(inputs: Inputs) -> list[str]:
    return paint(inputs, "--layers", "conv1_1,conv9_9")


@case(2, r"size is -5 px; it must be from 16")
def negative_size(inputs: Inputs) -> list[str]:
    return paint(inputs, "--size", "-5")


@case(2, r"--size.*integer")
def size_that_is_no_number(inputs: Inputs) -> list[str]:
    return paint(inputs, "--size", "big")


@case(2, r"weight of conv1_1 is nan; it must be a number, 0 or more")
def nan_layer_weight(inputs: Inputs) -> list[str]:
    return paint(inputs, "--layers", "conv1_1=nan")


@case(2, r"beta is nan; it must be a finite number")
def nan_weight(inputs: Inputs) -> list[str]:
    return paint(inputs, "--beta", "nan")


@case(2, r"strength is 1\.5; it must be from 0 to 1")
def strength_too_large(inputs: Inputs) -> list[str]:
    return paint(inputs, "--strength", "1.5")


@case(2, r"there is nothing to paint")
def all_weights_zero(inputs: Inputs) -> list[str]:
    return paint(inputs, "--alpha", "0", "--beta", "0")


@case(1, r"style image '' does not exist")
def empty_style(inputs: Inputs) -> list[str]:
    return ["stylize", inputs.photo, "", "-o", "out.png", "--weights", inputs.weights]


@case(1, r"the folder of 'no-such-folder/out\.png' does not exist")
def output_folder_missing(inputs: Inputs) -> list[str]:
    return paint(inputs, output="no-such-folder/out.png")


@case(1, r"kept\.png. is read-only")
def read_only_output(inputs: Inputs) -> list[str]:
    path = inputs.folder / "kept.png"
    save(scene(20, 20), path)
    path.chmod(0o444)
    return paint(inputs, output=str(path))


@case(2, r"the ending '\.xyz' is no known format\. Use one of \.jpg")
def unknown_extension(inputs: Inputs) -> list[str]:
    return paint(inputs, output="out.xyz")


@case(1, r"at most 16,383 pixels a side, this picture has 20,000")
def too_large_for_the_format(inputs: Inputs) -> list[str]:
    return paint(inputs, "--size", "20000", output="out.webp")


@case(2, r"'out\.jpg': JPEG is written with 8 bits, not 16\. Use \.png or \.tif")
def sixteen_bits_in_jpeg(inputs: Inputs) -> list[str]:
    return paint(inputs, "--bits", "16", output="out.jpg")


@case(1, r"weights no-such-weights\.safetensors cannot be read: No such file")
def missing_weights_file(inputs: Inputs) -> list[str]:
    return paint(inputs, "--weights", "no-such-weights.safetensors")


@case(1, r"photo\.png .* a PNG picture\) holds no weights")
def wrong_weights_file(inputs: Inputs) -> list[str]:
    return paint(inputs, "--weights", inputs.photo)


@case(1, r"there is no device 'cuda:7' here; this machine has cpu")
def no_such_device(inputs: Inputs) -> list[str]:
    return paint(inputs, "--device", "cuda:7")


@case(2, r"device is 'abacus'; use auto, cpu")
def unknown_device(inputs: Inputs) -> list[str]:
    return paint(inputs, "--device", "abacus")


@case(2, r"steps is 0; it must be from 1")
def zero_steps(inputs: Inputs) -> list[str]:
    return paint(inputs, "--steps", "0")


@case(2, r"--pooling.*average.*max")
def unknown_pooling(inputs: Inputs) -> list[str]:
    return paint(inputs, "--pooling", "median")


@case(1, r"init image 'swirl' does not exist")
def unknown_start(inputs: Inputs) -> list[str]:
    return paint(inputs, "--init", "swirl")


@case(2, r"there is no preset 'monet'; known: gatys2015")
def unknown_preset(inputs: Inputs) -> list[str]:
    return paint(inputs, "--preset", "monet")


@case(2, r"a figure is written as \.png, \.pdf, \.svg; 'fig\.jpg' is none of them")
def figure_as_jpeg(inputs: Inputs) -> list[str]:
    return ["figure", "1", inputs.photo, inputs.painting, "-o", "fig.jpg"]


@case(2, r"size is '12'; it must be the long side")
def texture_too_small(inputs: Inputs) -> list[str]:
    return ["reconstruct", "style", inputs.painting, "--size", "12"]


@case(2, r"channel 99 was asked of conv1_1, which has 0 to 5")
def channel_too_high(inputs: Inputs) -> list[str]:
    options = ["--size", "48", "--weights", inputs.weights]
    return ["features", inputs.photo, "--layer", "conv1_1", "--channels", "99", *options]


@case(2, r"No such option")
def misspelt_option(inputs: Inputs) -> list[str]:
    return paint(inputs, "--stength", "0.3")


@case(1, r"carries no Impasto manifest")
def rerun_of_a_photo(inputs: Inputs) -> list[str]:
    return ["rerun", inputs.photo]


@case(1, r"image is 8×8; conv5_1 needs at least 16×16")
def loss_of_a_tiny_image(inputs: Inputs) -> list[str]:
    tiny = save(scene(8, 8), inputs.folder / "tiny.png")
    return ["loss", inputs.photo, inputs.painting, tiny, "--weights", inputs.weights]


def mask(inputs: Inputs, name: str, *colors: str) -> str:
    """A mask file of 48×36 pixels with vertical stripes of these colours."""
    picture = PILImage.new("RGB", (48, 36))
    for index, color in enumerate(colors):
        picture.paste(color, (48 * index // len(colors), 0, 48, 36))
    picture.save(inputs.folder / name)
    return str(inputs.folder / name)


@case(1, r"mask 'nowhere\.png' does not exist")
def missing_mask(inputs: Inputs) -> list[str]:
    return paint(inputs, "--regions", "nowhere.png")


@case(1, r"mask '.*temple\.jpg' has .* main colours.*each painted in one plain colour")
def photo_as_mask(inputs: Inputs) -> list[str]:
    return paint(inputs, "--regions", str(EXAMPLES / "temple.jpg"))


@case(1, r"region #0000ff of mask '.*' \(50% of the photo\) has no counterpart.*--keep '#0000ff'")
def region_without_counterpart(inputs: Inputs) -> list[str]:
    photo_mask, style_mask = mask(inputs, "mask.png", "red", "blue"), mask(inputs, "style.png", "red")
    resized = PILImage.open(style_mask).resize((40, 40))
    resized.save(style_mask)
    return paint(inputs, "--regions", photo_mask, "--regions", style_mask)


@case(2, r"3 masks were given for one photo and 1 paintings")
def too_many_masks(inputs: Inputs) -> list[str]:
    return paint(inputs, *["--regions", mask(inputs, "mask.png", "red")] * 3)


@case(2, r"keep is 'red', but there is no mask")
def keep_without_mask(inputs: Inputs) -> list[str]:
    return paint(inputs, "--keep", "red")


@case(2, r"keep names #008000, but mask '.*' has #.*Name one of these")
def keep_of_an_empty_region(inputs: Inputs) -> list[str]:
    return paint(inputs, "--regions", mask(inputs, "mask.png", "red", "blue"), "--keep", "green")


@case(2, r"'reddish' is no colour\. Write it like black")
def keep_of_no_colour(inputs: Inputs) -> list[str]:
    return paint(inputs, "--regions", mask(inputs, "mask.png", "red"), "--keep", "reddish")


@case(2, r"nothing to paint")
def keep_of_everything(inputs: Inputs) -> list[str]:
    return paint(inputs, "--regions", mask(inputs, "mask.png", "red"), "--keep", "red")


@case(2, r"no painting has a share of style layer conv4_1")
def layer_without_a_painting(inputs: Inputs) -> list[str]:
    return paint(inputs, "--blend", "fine")


@case(2, r"blend is '0'; one share must be above 0")
def blend_of_zeros(inputs: Inputs) -> list[str]:
    return paint(inputs, "--blend", "0")


@case(2, r"there is no layer 'conv9_1'")
def blend_at_an_unknown_layer(inputs: Inputs) -> list[str]:
    return paint(inputs, "--blend", "1@conv9_1")


@case(2, r"content and style both have weight 0")
def content_and_style_weight_zero(inputs: Inputs) -> list[str]:
    return paint(inputs, "--content-weight", "0", "--style-weight", "0")


@case(2, r"style-loss is 'gram=1,sliced=2'; 'sliced' is not one of gram, .*neighbors")
def unknown_style_loss(inputs: Inputs) -> list[str]:
    return paint(inputs, "--style-loss", "gram=1,sliced=2")


@case(2, r"style-loss: weight of neighbors is -1; it must be a number, 0 or more")
def style_loss_of_negative_weight(inputs: Inputs) -> list[str]:
    return paint(inputs, "--style-loss", "gram,neighbors=-1")


@case(2, r"style-loss is 'gram=0'; give at least one of gram, .* a weight above 0")
def style_loss_of_zeros(inputs: Inputs) -> list[str]:
    return paint(inputs, "--style-loss", "gram=0")


@case(2, r"style-loss is 'neighbors' and formula is 'paper'.*Use formula balanced, or another style-loss")
def neighbours_in_the_literal_formula(inputs: Inputs) -> list[str]:
    return paint(inputs, "--style-loss", "neighbors", "--formula", "paper")


@case(2, r"rotations is 3; it must be 1, 2 or 4")
def three_rotations(inputs: Inputs) -> list[str]:
    return paint(inputs, "--rotations", "3")


@case(2, r"'neighbors' is not one of 'gram', 'gaussian', 'histogram'")
def training_on_neighbours(inputs: Inputs) -> list[str]:
    options = ["--images", str(inputs.folder), "-o", "out.safetensors", "--weights", inputs.weights]
    return ["train", inputs.painting, *options, "--style-loss", "neighbors"]


@case(2, r"style-scale is 0\.0; it must be from 0\.05 to 8")
def style_scale_zero(inputs: Inputs) -> list[str]:
    return paint(inputs, "--style-scale", "0")


@case(1, r"carries no Impasto manifest")
def show_of_a_photo(inputs: Inputs) -> list[str]:
    return ["show", inputs.photo]


@case(2, r"budget is 'soon'; give a time above 0, for instance 10s or 2m")
def budget_that_is_no_duration(inputs: Inputs) -> list[str]:
    return paint(inputs, "--budget", "soon")


@case(2, r"neither a painting nor a model\. Name a STYLE, or --model NAME")
def fast_without_a_style(inputs: Inputs) -> list[str]:
    return ["fast", inputs.photo, "-o", "out.png"]


@case(1, r"there is no file nowhere\. Name a file that `impasto train` wrote")
def missing_model(inputs: Inputs) -> list[str]:
    return ["fast", inputs.photo, "--model", "nowhere", "-o", "out.png"]


@case(1, r"is damaged, or no Impasto painter")
def model_that_is_a_picture(inputs: Inputs) -> list[str]:
    return ["fast", inputs.photo, "--model", inputs.painting, "-o", "out.png"]


@case(1, r"there is no folder 'nowhere'\. Name one with photographs: --images FOLDER")
def training_without_photos(inputs: Inputs) -> list[str]:
    options = ["--images", "nowhere", "-o", "out.safetensors", "--weights", inputs.weights]
    return ["train", inputs.painting, *options]


@case(1, r"nowhere\.checkpoint\..* or start the training anew")
def training_from_a_missing_checkpoint(inputs: Inputs) -> list[str]:
    write(inputs, "photo.png", Path(inputs.photo).read_bytes())
    resume = ["--resume", "nowhere.checkpoint", "--size", "32", "--weights", inputs.weights]
    return ["train", inputs.painting, "--images", str(inputs.folder), "-o", "out.safetensors", *resume]


@case(2, r"output is 'out\.png'; the name of an ONNX file ends in \.onnx")
def export_under_another_ending(inputs: Inputs) -> list[str]:
    return ["export", "nowhere", "-o", "out.png"]


@pytest.mark.parametrize("name", CASES)
def test_bad_input_is_refused_in_a_sentence(
    name: str, photo: str, painting: str, small_file: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "500")
    build, code, message = CASES[name]
    arguments = build(Inputs(photo, painting, small_file, tmp_path))
    before = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    if name == "unreadable_file":  # root may read every file, so the refusal is simulated
        deny_reading(tmp_path / "secret.png", monkeypatch)
    result = CliRunner().invoke(app, arguments)
    assert result.exit_code == code, result.output
    assert not isinstance(result.exception, Exception)  # SystemExit is none
    assert re.search(message, result.stderr), result.stderr
    assert "Traceback" not in result.output
    if code == 1 or "Error: " in result.stderr:
        lines = [line for line in result.stderr.splitlines() if line.strip()]
        assert len(lines) == 1, result.stderr
        assert len(lines[0]) < 400
    monkeypatch.undo()
    after = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    assert after == before


def deny_reading(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real_open = builtins.open

    def guarded(file: object, *args: object, **kwargs: object) -> object:
        if str(file) == str(path):
            raise PermissionError(13, "Permission denied", str(path))
        return real_open(file, *args, **kwargs)  # type: ignore[call-overload]

    monkeypatch.setattr(builtins, "open", guarded)


@pytest.mark.weights
def test_an_unwritable_cache_is_an_error(photo: str, painting: str, tmp_path: Path) -> None:
    blocked = tmp_path / "file-not-folder"
    blocked.write_text("")
    result = CliRunner().invoke(app, ["stylize", photo, painting], env={"IMPASTO_CACHE": str(blocked / "in")})
    assert result.exit_code == 1
    assert re.search("Error: .*file-not-folder", result.stderr), result.stderr
    assert len(result.stderr.strip().splitlines()) == 1


def test_grey_cmyk_and_palette_pictures_are_accepted(
    photo: str, painting: str, small_file: str, tmp_path: Path
) -> None:
    PILImage.new("L", (40, 30), 128).save(tmp_path / "grey.png")
    PILImage.new("CMYK", (40, 30), (10, 200, 30, 0)).save(tmp_path / "ink.jpg")
    PILImage.new("P", (40, 30)).save(tmp_path / "palette.gif")
    inputs = Inputs(photo, painting, small_file, tmp_path)
    for name in ("grey.png", "ink.jpg", "palette.gif"):
        result = CliRunner().invoke(app, paint(inputs, content=str(tmp_path / name)))
        assert result.exit_code == 0, result.output
