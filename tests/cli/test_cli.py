"""The command: what it prints and writes, its exit codes, and the libraries that it does not import."""

import os
import re
import signal
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image as PILImage
from typer.testing import CliRunner

from impasto.cli.main import app
from impasto.cli.progress_bars import painting_facts
from impasto.cli.run_files import RunFiles
from impasto.formatting import format_duration
from impasto.image.read import read_picture
from impasto.results import manifest as manifests
from impasto.results.painting import Painting
from impasto.run.checkpoint import Snapshot
from impasto.run.progress import Progress
from impasto.version import __version__
from small import scene

QUICK = ["--size", "64", "--steps", "4", "--finest-steps", "2", "--scales", "2"]
RUNNER = CliRunner()


@pytest.fixture
def quick(photo: str, painting: str, small_file: str) -> list[str]:
    """The arguments of a short run, without an output."""
    return ["stylize", photo, painting, "--weights", small_file, *QUICK]


def test_help_imports_no_heavy_library() -> None:
    """Tested in a fresh interpreter. This is why it answers in a fifth of a second."""
    code = "import sys; sys.argv = ['impasto', '--help']\nfrom impasto.cli.main import main\n" \
        "try: main()\nexcept SystemExit: print(sorted(sys.modules), file=sys.stderr)"  # fmt: skip
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    loaded = set(re.findall(r"'([\w.]+)'", result.stderr))
    assert "impasto.cli.main" in loaded
    heavy = {"torch", "numpy", "pyvips", "PIL", "requests", "pypi_simple", "matplotlib", "gradio", "psutil"}
    assert not heavy & loaded
    assert len(loaded) < 700
    assert "stylize" in result.stdout


def test_importing_the_package_loads_no_torch() -> None:
    code = "import impasto, sys; impasto.StylizeSettings(); print('torch' in sys.modules)"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert result.stdout.strip() == "False"


def test_stylize_writes_the_picture_and_prints_its_name(quick: list[str]) -> None:
    result = RUNNER.invoke(app, [*quick, "-o", "out.png"])
    assert result.exit_code == 0, result.output
    assert "Painted out.png (64×48," in result.stderr
    assert manifests.read("out.png")["settings"]["size"] == 64


def test_the_output_is_named_after_both_inputs_by_default(quick: list[str]) -> None:
    result = RUNNER.invoke(app, quick)
    assert result.exit_code == 0, result.output
    assert [path.name for path in Path().iterdir()] == ["photo-painting.png"]


def test_rerun_gives_the_same_pixels(quick: list[str]) -> None:
    RUNNER.invoke(app, [*quick, "-o", "out.png", "--precision", "float32"])
    result = RUNNER.invoke(app, ["rerun", "out.png"])
    assert result.exit_code == 0, result.output
    assert torch.equal(read_picture("out.png").pixels, read_picture("out-rerun.png").pixels)


def test_typed_options_override_a_preset(photo: str, painting: str, small_file: str) -> None:
    options = ["-o", "out.png", "--weights", small_file, "--size", "48", "--steps", "2"]
    options += ["--preset", "gatys2015", "--pooling", "max"]
    result = RUNNER.invoke(app, ["stylize", photo, painting, *options])
    assert result.exit_code == 0, result.output
    settings = manifests.read("out.png")["settings"]
    assert (settings["formula"], settings["init"], settings["noise"]) == ("paper", "noise", 1)
    assert (settings["pooling"], settings["steps"]) == ("max", 2)


def test_every_format_is_written_and_16_bits(quick: list[str]) -> None:
    for name, bits in (("a.tif", "16"), ("a.png", "16"), ("a.jpg", "8"), ("a.webp", "8"), ("a.avif", "8")):
        result = RUNNER.invoke(app, [*quick, "-o", name, "--bits", bits])
        assert result.exit_code == 0, result.output
        assert (read_picture(name).width, read_picture(name).height) == (64, 48)


def test_previews_are_written_during_the_run(quick: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    complete = []
    real_save = Painting.save

    def record(self: Painting, path: str, **options: int) -> None:
        complete.append(self.manifest["result"]["complete"])
        real_save(self, path, **options)

    monkeypatch.setattr(Painting, "save", record)
    RUNNER.invoke(app, [*quick, "-o", "o.png", "--preview-every", "2"])
    assert complete == [False, False, True, True]


def command(*arguments: str) -> list[str]:
    return [sys.executable, "-m", "impasto", *arguments]


LONG = ["--size", "96", "--scales", "1", "--steps", "100000", "--optimizer", "adam"]
"""A run that does not end by itself: Adam, unlike L-BFGS, never stops early."""


def start(photo: str, painting: str, small_file: str, *more: str) -> "subprocess.Popen[bytes]":
    """Start a long run and return when its first preview is written."""
    process = subprocess.Popen(
        command("stylize", photo, painting, "-o", "out.png", "--weights", small_file, *LONG, *more),
        stderr=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    deadline = time.monotonic() + 60
    while not Path("out.png").exists() and time.monotonic() < deadline and process.poll() is None:
        time.sleep(0.02)
    assert Path("out.png").exists(), process.communicate()
    return process


def test_ctrl_c_saves_the_picture_so_far_and_exits_130(photo: str, painting: str, small_file: str) -> None:
    process = start(photo, painting, small_file, "--preview-every", "1")
    os.kill(process.pid, signal.SIGINT)
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 130, errors
    assert b"the picture so far is in out.png" in errors
    assert b"Traceback" not in errors
    assert manifests.read("out.png")["result"]["complete"] is False


IN_CALLBACKS = """
import os, signal, time
from cffi import FFI
from impasto.cli.run_command import _remembered_interrupts

@FFI().callback("void()")
def interrupted_callback():
    os.kill(os.getpid(), signal.SIGINT)
    time.sleep(1)

@FFI().callback("void()")
def wrong_callback():
    raise ValueError

with _remembered_interrupts() as interrupted:
    interrupted_callback()
    print(interrupted())
    if {wrong}:
        wrong_callback()
"""


@pytest.mark.parametrize("wrong", [False, True])
def test_ctrl_c_within_a_callback_from_c_is_remembered_and_not_printed(wrong: bool) -> None:
    run = subprocess.run(
        [sys.executable, "-c", IN_CALLBACKS.format(wrong=wrong)], capture_output=True, text=True, timeout=60
    )
    assert run.stdout == "True\n", run.stderr
    assert "KeyboardInterrupt" not in run.stderr
    assert ("ValueError" in run.stderr) is wrong  # other errors are still shown


def test_ctrl_c_swallowed_by_a_callback_still_ends_the_run(
    photo: str, painting: str, small_file: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Callbacks of libvips swallow the exception while a preview is written."""

    def swallow(files: RunFiles, step: Progress, count: int) -> None:
        if count == 2:
            with suppress(KeyboardInterrupt):
                os.kill(os.getpid(), signal.SIGINT)

    monkeypatch.setattr(RunFiles, "after", swallow)
    arguments = ["stylize", photo, painting, "-o", "out.png", "--weights", small_file, "--size", "48"]
    result = RUNNER.invoke(app, [*arguments, "--scales", "1", "--steps", "30", "--tolerance", "0"])
    assert result.exit_code == 130, result.output
    assert manifests.read("out.png")["result"]["evaluations"] < 10


def test_a_painting_whose_folder_is_removed_is_saved_elsewhere(
    quick: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The folder is removed during the run; the error names the file that holds the picture."""
    (tmp_path / "gone").mkdir()
    (tmp_path / "refuge").mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "refuge"))
    real_painting = Progress.painting

    def remove_folder(step: Progress) -> Painting:
        (tmp_path / "gone").rmdir()
        return real_painting(step)

    monkeypatch.setattr(Progress, "painting", remove_folder)
    monkeypatch.setenv("COLUMNS", "500")
    result = RUNNER.invoke(app, [*quick, "-o", "gone/o.png"])
    assert result.exit_code == 1
    match = re.search(r"Error: .*gone.* The painting is in (\S+o\.png) instead\.", result.stderr)
    assert match is not None, result.stderr
    assert manifests.read(match[1])["result"]["complete"] is True


def test_doctor_and_weights_report_absent_weights(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("IMPASTO_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("COLUMNS", "200")
    result = RUNNER.invoke(app, ["doctor"])
    assert result.exit_code == 0, result.output
    for word in ("impasto", "torch", "threads", "bfloat16", "cache", "weights vgg19-normalized", "absent"):
        assert word in result.stdout
    listed = RUNNER.invoke(app, ["weights", "list"])
    assert listed.exit_code == 0
    assert "absent" in listed.stdout
    assert RUNNER.invoke(app, ["weights", "verify"]).exit_code == 1


@pytest.mark.weights
def test_real_weights_verify() -> None:
    assert RUNNER.invoke(app, ["weights", "fetch"]).exit_code == 0
    result = RUNNER.invoke(app, ["weights", "verify"])
    assert result.exit_code == 0, result.output
    assert "good" in result.stdout


def test_version_is_printed() -> None:
    assert RUNNER.invoke(app, ["--version"]).stdout.strip() == f"impasto {__version__}"


def test_a_warning_is_a_single_line(painting: str, small_file: str) -> None:
    """Tested in a fresh process, with an animation, of which only the first frame is read."""
    frames = [PILImage.fromarray(np.full((32, 32, 3), shade, np.uint8)) for shade in (40, 200)]
    frames[0].save("moving.gif", save_all=True, append_images=frames[1:])
    arguments = command("stylize", "moving.gif", painting, "-o", "out.png", "--weights", small_file, *QUICK)
    result = subprocess.run(arguments, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr
    assert len(re.findall("^Warning: .*moving.gif.*first", result.stderr, re.MULTILINE)) == 1
    assert ".py:" not in result.stderr


def test_the_progress_bar_shows_a_steps_facts() -> None:
    step = Progress(
        scale=2, scales=4, height=96, width=128, step=3, steps=40, loss=0.5, by_term={}, evaluations=50,
        seconds=10.0, eta=75.4, precision="bfloat16", peak_memory=0, image=lambda: scene(1, 1),
        snapshot=Snapshot, manifest={}, _finish=pytest.fail,
    )  # fmt: skip
    assert painting_facts(step) == "scale 2/4 · step 3/40 · loss 0.5 · 5.0 it/s · bfloat16 · 1:15 left"
    assert format_duration(3675) == "1:01:15"
