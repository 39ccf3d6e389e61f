"""The command: what it prints, what it writes, its exit codes, and what it does not import."""

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


def test_help_loads_nothing_heavy() -> None:
    """In a fresh interpreter: it answers in a fifth of a second because of what it does not load."""
    code = "import sys; sys.argv = ['impasto', '--help']\nfrom impasto.cli.main import main\n" \
        "try: main()\nexcept SystemExit: print(sorted(sys.modules), file=sys.stderr)"  # fmt: skip
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    loaded = set(re.findall(r"'([\w.]+)'", found.stderr))
    assert "impasto.cli.main" in loaded
    heavy = {"torch", "numpy", "pyvips", "PIL", "requests", "pypi_simple", "matplotlib", "gradio", "psutil"}
    assert not heavy & loaded
    assert len(loaded) < 700
    assert "stylize" in found.stdout


def test_import_loads_no_torch() -> None:
    code = "import impasto, sys; impasto.StylizeSettings(); print('torch' in sys.modules)"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "False"


def test_stylize_writes_the_picture_and_says_so(photo: str, painting: str, small_file: str) -> None:
    result = RUNNER.invoke(
        app, ["stylize", photo, painting, "-o", "out.png", "--weights", small_file, *QUICK]
    )
    assert result.exit_code == 0, result.output
    assert "Painted out.png (64×48," in result.stderr
    assert manifests.read("out.png")["settings"]["size"] == 64


def test_the_output_is_named_after_both_inputs_unless_said(
    photo: str, painting: str, small_file: str
) -> None:
    result = RUNNER.invoke(app, ["stylize", photo, painting, "--weights", small_file, *QUICK])
    assert result.exit_code == 0, result.output
    assert [path.name for path in Path().iterdir()] == ["photo-painting.png"]


def test_rerun_gives_the_same_pixels(photo: str, painting: str, small_file: str) -> None:
    own = ["--weights", small_file, *QUICK, "--precision", "float32"]
    RUNNER.invoke(app, ["stylize", photo, painting, "-o", "out.png", *own])
    result = RUNNER.invoke(app, ["rerun", "out.png"])
    assert result.exit_code == 0, result.output
    assert torch.equal(read_picture("out.png").pixels, read_picture("out-rerun.png").pixels)


def test_a_preset_gives_way_to_what_is_typed(photo: str, painting: str, small_file: str) -> None:
    own = ["-o", "out.png", "--weights", small_file, "--size", "48", "--steps", "2"]
    result = RUNNER.invoke(
        app, ["stylize", photo, painting, *own, "--preset", "gatys2015", "--pooling", "max"]
    )
    assert result.exit_code == 0, result.output
    settings = manifests.read("out.png")["settings"]
    assert (settings["formula"], settings["init"], settings["noise"]) == ("paper", "noise", 1)
    assert (settings["pooling"], settings["steps"]) == ("max", 2)


def test_sixteen_bits_and_every_format(photo: str, painting: str, small_file: str) -> None:
    for name, bits in (("a.tif", "16"), ("a.png", "16"), ("a.jpg", "8"), ("a.webp", "8"), ("a.avif", "8")):
        arguments = ["stylize", photo, painting, "-o", name, "--bits", bits, "--weights", small_file, *QUICK]
        result = RUNNER.invoke(app, arguments)
        assert result.exit_code == 0, result.output
        assert (read_picture(name).width, read_picture(name).height) == (64, 48)


def test_previews_are_written_on_the_way(
    photo: str, painting: str, small_file: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    from impasto.results.painting import Painting

    complete = []
    whole_save = Painting.save

    def watched(self: Painting, path: str, **options: int) -> None:
        complete.append(self.manifest["result"]["complete"])
        whole_save(self, path, **options)

    monkeypatch.setattr(Painting, "save", watched)
    RUNNER.invoke(
        app,
        ["stylize", photo, painting, "-o", "o.png", "--weights", small_file, *QUICK, "--preview-every", "2"],
    )
    assert complete == [False, False, True, True]


def command(*arguments: str) -> list[str]:
    return [sys.executable, "-m", "impasto", *arguments]


LONG = ["--size", "96", "--scales", "1", "--steps", "100000", "--optimizer", "adam"]
"""Never over by itself: Adam, unlike L-BFGS, does not end when it can gain nothing more."""


def started(photo: str, painting: str, small_file: str, *more: str) -> "subprocess.Popen[bytes]":
    """A run that paints for a long time, once its first preview is there."""
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


def test_ctrl_c_saves_what_there_is_and_exits_130(photo: str, painting: str, small_file: str) -> None:
    process = started(photo, painting, small_file, "--preview-every", "1")
    os.kill(process.pid, signal.SIGINT)
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 130, errors
    assert b"the picture so far is in out.png" in errors
    assert b"Traceback" not in errors
    assert manifests.read("out.png")["result"]["complete"] is False


def test_ctrl_c_that_a_callback_has_swallowed_still_ends_the_run(
    photo: str, painting: str, small_file: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As libvips' callbacks do it while a preview is written."""

    def swallow(files: RunFiles, step: Progress, count: int) -> None:
        if count == 2:
            with suppress(KeyboardInterrupt):
                os.kill(os.getpid(), signal.SIGINT)

    monkeypatch.setattr(RunFiles, "after", swallow)
    arguments = ["stylize", photo, painting, "-o", "out.png", "--weights", small_file, "--size", "48"]
    result = RUNNER.invoke(app, [*arguments, "--scales", "1", "--steps", "30", "--tolerance", "0"])
    assert result.exit_code == 130, result.output
    assert manifests.read("out.png")["result"]["evaluations"] < 10


def test_a_painting_is_not_lost_when_its_place_has_gone(
    photo: str, painting: str, small_file: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The folder is removed while it paints: the picture is saved elsewhere, and that is said."""
    (tmp_path / "gone").mkdir()
    (tmp_path / "refuge").mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "refuge"))
    whole = Progress.painting

    def painted(step: Progress) -> Painting:
        (tmp_path / "gone").rmdir()
        return whole(step)

    monkeypatch.setattr(Progress, "painting", painted)
    monkeypatch.setenv("COLUMNS", "500")
    result = RUNNER.invoke(
        app, ["stylize", photo, painting, "-o", "gone/o.png", "--weights", small_file, *QUICK]
    )
    assert result.exit_code == 1
    found = re.search(r"Error: .*gone.* The painting is in (\S+o\.png) instead\.", result.stderr)
    assert found is not None, result.stderr
    assert manifests.read(found[1])["result"]["complete"] is True


def test_doctor_and_weights(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
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


def test_version() -> None:
    assert RUNNER.invoke(app, ["--version"]).stdout.strip() == f"impasto {__version__}"


def test_warnings_are_one_line(painting: str, small_file: str) -> None:
    """In a fresh process: an animation is read as its first frame, and that is said."""
    frames = [PILImage.fromarray(np.full((32, 32, 3), shade, np.uint8)) for shade in (40, 200)]
    frames[0].save("moving.gif", save_all=True, append_images=frames[1:])
    arguments = command("stylize", "moving.gif", painting, "-o", "out.png", "--weights", small_file, *QUICK)
    found = subprocess.run(arguments, capture_output=True, text=True, check=False)
    assert found.returncode == 0, found.stderr
    assert len(re.findall("^Warning: .*moving.gif.*first", found.stderr, re.MULTILINE)) == 1
    assert ".py:" not in found.stderr


def test_facts_of_a_step() -> None:
    step = Progress(
        scale=2, scales=4, height=96, width=128, step=3, steps=40, loss=0.5, by_term={}, evaluations=50,
        seconds=10.0, eta=75.4, precision="bfloat16", peak_memory=0, image=lambda: scene(1, 1),
        snapshot=Snapshot, manifest={}, _finish=pytest.fail,
    )  # fmt: skip
    assert painting_facts(step) == "scale 2/4 · step 3/40 · loss 0.5 · 5.0 it/s · bfloat16 · 1:15 left"
    assert format_duration(3675) == "1:01:15"
