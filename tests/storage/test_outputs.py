"""An output that would replace an input, another output or a foreign file is refused before the run."""

import json
import os
import re
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from typer.testing import CliRunner

from impasto.cli.main import app
from impasto.errors import ImageError, SettingsError
from impasto.fast import training_checkpoint
from impasto.fast.models import Model
from impasto.fast.transformer_net import TransformerNet
from impasto.recipes.batch import iter_batch
from impasto.recipes.export import export_onnx
from impasto.recipes.figure import iter_figure
from impasto.recipes.inputs import manifest_files
from impasto.recipes.show import loss_curves
from impasto.settings.stylize import StylizeSettings
from impasto.storage import outputs
from impasto.storage.outputs import InputFile, Kind, OutputFile, check_outputs, same_file
from small import save, scene, stripes

RUNNER = CliRunner()


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory, small_file: str) -> Path:
    """A folder with everything that commands read: pictures, weights, a model, and outputs of runs."""
    folder = tmp_path_factory.mktemp("template")
    (folder / "photos").mkdir()
    for name in ("photo.png", "photos/a.png", "photos/b.png", "mask.png", "mask2.png", "init.png", "x.png"):
        save(scene(36, 48), folder / name)
    for name in ("painting.png", "second.png"):
        save(stripes(40, 40), folder / name)
    shutil.copy(small_file, folder / "weights.safetensors")
    (folder / "notes.txt").write_text("buy paint\n")
    (folder / "other.jsonl").write_text('{"epoch": 1, "loss": 0.5}\n')
    (folder / "pairs.csv").write_text("photo.png,painting.png\n")
    (folder / "clash.csv").write_text("photo.png,painting.png,painting.png\n")
    painter = TransformerNet(4, 1, 1)
    Model(painter, ("stripes",), {}).save(folder / "painter.safetensors")
    shutil.copy(folder / "painter.safetensors", folder / "painter.onnx")
    training_checkpoint.write(
        folder / "training", painter, torch.optim.Adam(painter.parameters()), {}, {}, {}
    )
    run = ["stylize", "photo.png", "painting.png", "--weights", "weights.safetensors", "--size", "48"]
    run += ["--scales", "1", "--steps", "1", "-o", "painted.png", "--checkpoint", "run", "--trace", "trace"]
    fast = ["fast", "photo.png", "--model", "painter.safetensors", "--size", "48", "-o", "fast.png"]
    before = Path.cwd()
    os.chdir(folder)
    try:
        for command in (run, fast):
            result = RUNNER.invoke(app, command)
            assert result.exit_code == 0, result.output
    finally:
        os.chdir(before)
    return folder


STYLIZE = "stylize photo.png painting.png second.png --regions mask.png --regions mask2.png --init init.png "
TRAIN = "train painting.png second.png --images photos "
OVERWRITES = r"would overwrite the "

REFUSED: dict[str, tuple[int, str]] = {
    STYLIZE + "-o photo.png": (2, r"-o 'photo\.png' would overwrite the content image 'photo\.png'"),
    STYLIZE + "-o painting.png": (2, OVERWRITES + r"style image 'painting\.png'"),
    STYLIZE + "-o ../work/second.png": (2, OVERWRITES + r"style image 'second\.png'"),
    STYLIZE + "-o mask.png": (2, OVERWRITES + r"mask 'mask\.png'"),
    STYLIZE + "-o mask2.png": (2, OVERWRITES + r"mask 'mask2\.png'"),
    STYLIZE + "-o init.png": (2, OVERWRITES + r"init image 'init\.png'"),
    STYLIZE + "--checkpoint photo.png": (2, r"--checkpoint 'photo\.png' would overwrite the content image"),
    STYLIZE + "--checkpoint weights.safetensors --weights weights.safetensors": (2, OVERWRITES + "weights"),
    STYLIZE + "--trace photo.png": (2, r"--trace 'photo\.png' would overwrite the content image"),
    STYLIZE + "--checkpoint new --trace new": (2, r"--checkpoint 'new' and --trace 'new' are one file"),
    STYLIZE + "-o new.png --checkpoint ./new.png": (2, r"and --checkpoint '\./new\.png' are one file"),
    STYLIZE + "-o linked.png": (2, OVERWRITES + r"content image 'photo\.png'"),
    STYLIZE + "-o hard.png": (2, OVERWRITES + r"content image 'photo\.png'"),
    STYLIZE + "--checkpoint notes.txt": (1, r"is there already and is no checkpoint"),
    STYLIZE + "--checkpoint painter.safetensors": (1, "is no checkpoint that Impasto wrote"),
    STYLIZE + "--checkpoint training": (1, "is no checkpoint that Impasto wrote"),
    STYLIZE + "--trace notes.txt": (1, "is no trace that Impasto wrote"),
    STYLIZE + "--trace other.jsonl": (1, "is no trace that Impasto wrote"),
    STYLIZE + "--trace painted.png": (1, "is no trace that Impasto wrote"),
    STYLIZE + "--checkpoint /dev/null": (1, "is a device or a pipe"),
    "rerun painted.png -o painted.png": (2, OVERWRITES + r"picture to paint again 'painted\.png'"),
    "rerun painted.png -o photo.png": (2, OVERWRITES + r"content image 'photo\.png'"),
    "rerun painted.png -o new.png --style second.png --trace second.png": (2, OVERWRITES + "style image"),
    "rerun painted.png --checkpoint weights.safetensors": (2, OVERWRITES + "weights"),
    "rerun fast.png -o photo.png": (2, OVERWRITES + r"content image 'photo\.png'"),
    "rerun fast.png --checkpoint painter.safetensors": (2, OVERWRITES + r"weights 'painter\.safetensors'"),
    "resume run -o TEMPLATE/photo.png": (2, OVERWRITES + "content image '.*photo.png'"),
    "resume run -o TEMPLATE/painting.png": (2, OVERWRITES + "style image '.*painting.png'"),
    "resume run -o x.png --content x.png --changed": (2, OVERWRITES + r"content image 'x\.png'"),
    "reconstruct content photo.png -o photo.png": (2, OVERWRITES + r"image 'photo\.png'"),
    "reconstruct content photo.png --trace photo.png": (2, OVERWRITES + r"image 'photo\.png'"),
    "reconstruct style painting.png second.png -o second.png": (2, OVERWRITES + "style image 'second"),
    "reconstruct style painting.png --checkpoint notes.txt": (1, "is no checkpoint that Impasto wrote"),
    "fast photo.png painting.png -o photo.png": (2, OVERWRITES + r"content image 'photo\.png'"),
    "fast photo.png painting.png -o painting.png": (2, OVERWRITES + r"style image 'painting\.png'"),
    "fast photo.png painting.png --regions mask.png -o mask.png": (2, OVERWRITES + "mask"),
    "fast photos painting.png -o out": (2, OVERWRITES + r"style image 'painting\.png'"),  # a hard link
    "batch photo.png --style painting.png -o out --contact-sheet painting.png": (2, OVERWRITES + "style"),
    "batch photo.png --style painting.png -o out --contact-sheet out/photo-painting.png": (2, "are one file"),
    "batch --list clash.csv -o .": (2, OVERWRITES + r"style image '.*painting\.png'"),
    "batch --list pairs.csv -o out --contact-sheet pairs.csv": (2, OVERWRITES + "list 'pairs.csv'"),
    "batch x.png --style painting.png -o out --init out/x-painting.png": (2, OVERWRITES + "init image"),
    TRAIN + "-o painting.png": (2, OVERWRITES + "style image"),
    TRAIN + "-o x.png": (1, "is no model that Impasto trained"),
    TRAIN + "-o training": (1, "is no model that Impasto trained"),
    TRAIN + "--preview second.png": (2, OVERWRITES + r"style image 'second\.png'"),
    TRAIN + "--preview photos/a.png": (2, OVERWRITES + "photograph 'photos/a.png'"),
    TRAIN + "--preview photos/new.png": (2, "would lie among the photos in 'photos'"),
    TRAIN + "--checkpoint photos/b.png": (2, OVERWRITES + "photograph"),
    TRAIN + "--checkpoint painter.safetensors": (1, "is no training that Impasto saved"),
    TRAIN + "--start painter.safetensors -o painter.safetensors": (2, OVERWRITES + "model to start from"),
    TRAIN + "--resume training -o training": (2, OVERWRITES + "training to go on with, 'training'"),
    TRAIN + "--resume training --checkpoint training -o training": (2, "are one file"),
    "export painter.onnx -o painter.onnx": (2, OVERWRITES + "model"),
    "figure 1 photo.png painting.png -o photo.png": (2, OVERWRITES + "content image"),
    "figure 2 photo.png painting.png -o painting.png": (2, OVERWRITES + "style image"),
    "figure 1 kept/style-1.png painting.png -o new.png --panels kept": (2, OVERWRITES + "content image"),
    "figure 2 photo.png kept/transfer-E-4.png -o new.png --panels kept": (2, OVERWRITES + "style image"),
    "figure 1 .f-panels/photo.png painting.png -o f.png": (2, OVERWRITES + ".*photo.png' in '.*f-panels'"),
    "features photo.png -o photo.png": (2, OVERWRITES + r"image 'photo\.png'"),
    "show painted.png --curves painted.png": (2, OVERWRITES + r"picture 'painted\.png'"),
}  # fmt: skip
"""The exit code and the message of each command."""


@pytest.fixture
def work(template: Path, tmp_path: Path) -> Path:
    """A copy of that folder as the current one, with links that lead to the same files."""
    folder = tmp_path / "work"
    shutil.copytree(template, folder)
    os.chdir(folder)
    (folder / "linked.png").symlink_to("photo.png")
    os.link("photo.png", "hard.png")
    (folder / "out").mkdir()
    os.link("painting.png", "out/a-painting.png")
    shutil.copy("photo.png", "out/x-painting.png")
    for name in ("kept/style-1.png", "kept/transfer-E-4.png", ".f-panels/photo.png"):
        Path(name).parent.mkdir(exist_ok=True)
        shutil.copy("photo.png", name)
    return folder


def contents(folder: Path) -> dict[str, bytes]:
    return {str(path): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.mark.parametrize("command", REFUSED)
def test_a_command_that_would_overwrite_a_file_is_refused(
    command: str, template: Path, work: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "800")
    monkeypatch.setenv("IMPASTO_CACHE", str(work / "no-cache"))
    monkeypatch.setenv("PIP_INDEX_URL", "http://127.0.0.1:9/")  # nothing can be fetched
    before = contents(work), contents(template)
    result = RUNNER.invoke(app, command.replace("TEMPLATE", str(template)).split())
    assert (contents(work), contents(template)) == before
    code, message = REFUSED[command]
    assert result.exit_code == code, result.output
    lines = [line for line in result.stderr.splitlines() if line.strip()]
    assert len(lines) == 1, result.stderr
    assert re.match(f"Error: .*{message}", lines[0]), lines[0]
    assert Path("/dev/null").is_char_device()


def test_weights_named_by_the_environment_are_not_overwritten(
    work: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("IMPASTO_WEIGHTS", "weights.safetensors")
    before = contents(work)
    result = RUNNER.invoke(app, ["features", "photo.png", "-o", "weights.safetensors"])
    assert result.exit_code == 2
    assert "IMPASTO_WEIGHTS" in result.stderr
    assert contents(work) == before


LIBRARY: dict[str, Callable[[], object]] = {
    "loss_curves": lambda: loss_curves("painted.png", "painted.png"),
    "export": lambda: export_onnx("painter.onnx", "painter.onnx"),
    "figure": lambda: next(iter_figure(1, "photo.png", "painting.png", "photo.png")),
    "batch": lambda: next(iter_batch([("photo.png", "painting.png", "photo.png")], ".")),
    "batch over init": lambda: next(
        iter_batch([("x.png", "painting.png", "init.png")], ".", StylizeSettings(init="init.png"))
    ),
}


@pytest.mark.parametrize("name", LIBRARY)
def test_the_library_refuses_to_overwrite_inputs(name: str, work: Path) -> None:
    before = contents(work)
    with pytest.raises(SettingsError, match="would overwrite the"):
        LIBRARY[name]()
    assert contents(work) == before


@pytest.mark.parametrize(
    ("kind", "name"),
    [("checkpoint", "run"), ("model", "painter.safetensors"), ("training", "training"), ("trace", "trace")],
)
def test_an_output_replaces_only_a_file_of_its_kind(kind: Kind, name: str, work: Path) -> None:
    Path("empty").write_bytes(b"")
    for allowed in (name, "empty", "nowhere"):
        check_outputs([OutputFile("-o", allowed, kind)])
    headers = {
        "short": b"12",
        "long": (1 << 62).to_bytes(8, "little") + b"{}",
        "deep": (200_000).to_bytes(8, "little") + b"{" + b'"a":{' * 40_000,
        "list": (20).to_bytes(8, "little") + json.dumps({"__metadata__": [1]}).encode(),
        "zero": bytes(100),
    }
    for file, header in headers.items():
        Path(file).write_bytes(header)
    others = {"run", "painter.safetensors", "training", "trace", "photo.png", "notes.txt", *headers} - {name}
    for other in (*others, "weights.safetensors"):
        with pytest.raises(ImageError, match=r"is there already and is no .* Choose another name"):
            check_outputs([OutputFile("-o", other, kind)])


@pytest.mark.parametrize("broken", [{}, {"inputs": None, "settings": None}, {"inputs": {"content": 5}}])
def test_the_files_of_a_damaged_manifest_are_those_that_can_be_read(broken: dict[str, object]) -> None:
    assert manifest_files(broken, "p.png", {"style": ["s.png"]}) == [
        InputFile("the style image", "s.png"),
        InputFile("the weights", ""),
        InputFile("the weights", ""),
    ]
    assert not manifest_files({**broken, "settings": [1]}, "p.png", {})


def test_a_trace_may_be_written_into_a_pipe(work: Path) -> None:
    os.mkfifo("pipe")
    for name in ("pipe", "/dev/null"):
        check_outputs([OutputFile("--trace", name, "trace")])
    with pytest.raises(ImageError, match="a device or a pipe"):
        check_outputs([OutputFile("-o", "pipe")])


def test_a_deep_zoom_output_may_overwrite_no_input_with_its_tiles(work: Path) -> None:
    Path("p_files/0").mkdir(parents=True)
    shutil.copy("photo.png", "p_files/0/0_0.png")
    for file in ("p.dzi", "p_files/0/0_0.png"):
        with pytest.raises(SettingsError, match="would overwrite the photo"):
            check_outputs([OutputFile("-o", "p.dz")], [InputFile("the photo", file)])
    with pytest.raises(SettingsError, match="would overwrite the photo"):
        check_outputs([OutputFile("--trace", "p_files/new", "trace")], [InputFile("the photo", "p.dz")])
    with pytest.raises(SettingsError, match="are one file"):
        check_outputs([OutputFile("-o", "p.dz"), OutputFile("--checkpoint", "p_files/x", "checkpoint")])


@pytest.mark.parametrize("ignores", [True, False])
def test_names_that_differ_in_case_are_one_file_if_the_disk_ignores_case(
    ignores: bool, work: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(outputs, "_ignores_case", lambda folder: ignores)
    assert same_file("new/Out.png", "new/out.PNG") is ignores
    assert same_file("photo.png", "Photo.png") is ignores
    assert not same_file("new/a.png", "other/A.png")
    assert same_file("linked.png", "hard.png")


def test_asking_whether_a_disk_ignores_case_leaves_no_files(tmp_path: Path) -> None:
    (tmp_path / "lower").write_bytes(b"")
    assert outputs._ignores_case(str(tmp_path)) is (tmp_path / "LOWER").exists()
    assert [path.name for path in tmp_path.iterdir()] == ["lower"]
    assert not outputs._ignores_case(str(tmp_path / "nowhere"))


def test_a_run_may_replace_its_own_outputs(work: Path) -> None:
    """Its picture, trace and checkpoint, when it is repeated and when it is resumed."""
    quick = ["--weights", "weights.safetensors", "--size", "48", "--scales", "1", "--steps", "1"]
    files = ["-o", "painted.png", "--checkpoint", "run", "--trace", "trace"]
    for command in (["stylize", "photo.png", "painting.png", *quick, *files], ["resume", "run"]):
        result = RUNNER.invoke(app, command)
        assert result.exit_code == 0, result.output
    small = ["--size", "32", "--style-size", "40", "--width", "4", "--blocks", "1", "--check-every", "1"]
    train = ["train", "painting.png", "--images", "photos", "--weights", "weights.safetensors", *small]
    files = ["-o", "painter.safetensors", "--checkpoint", "training", "--preview", "x.png", "--patience", "2"]
    for steps in (["--steps", "2"], ["--steps", "2", "--resume", "training"]):
        result = RUNNER.invoke(app, [*train, *files, *steps])
        assert "would overwrite" not in result.output
    assert "had ended" in result.output  # the training was read, so it may overwrite its checkpoint
