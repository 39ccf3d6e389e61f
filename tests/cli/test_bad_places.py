"""Files and folders that fail during a run: the painting survives, and a sentence says what failed."""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from typer.testing import CliRunner

from checkpoints import read_facts
from impasto.cli.main import app
from impasto.errors import CheckpointError, DeviceError, ImageError, WeightsError
from impasto.fast import training_checkpoint
from impasto.fast.models import Model, load
from impasto.fast.trainer import Trainer
from impasto.network.weight_files import read
from impasto.network.weight_records import VGG19_NORMALIZED
from impasto.recipes.resume import plan_resume
from impasto.results import manifest as manifests
from impasto.results.painting import Painting
from impasto.run.plan import RunPlan
from impasto.solve import descent
from impasto.storage.rescue import save_or_rescue
from launched import torchrun
from small import save, scene

RUNNER = CliRunner()
STEPS = 6


@pytest.fixture
def run(photo: str, painting: str, small_file: str, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    monkeypatch.setenv("COLUMNS", "800")
    size = ["--size", "48", "--scales", "1", "--steps", str(STEPS), "--tolerance", "0"]
    return ["stylize", photo, painting, "-o", "out.png", "--weights", small_file, *size]


def at_step(number: int, act: Callable[[], object], monkeypatch: pytest.MonkeyPatch) -> None:
    """Call `act` before the solver's step of that number."""
    real_step, taken = descent.step, []

    def step(*arguments: object, **options: object) -> object:
        taken.append(1)
        if len(taken) == number:
            act()
        return real_step(*arguments, **options)  # type: ignore[arg-type]

    monkeypatch.setattr(descent, "step", step)


def failing(error: Exception) -> Callable[[], None]:
    def act() -> None:
        raise error

    return act


def is_complete() -> bool:
    return bool(manifests.read("out.png")["result"]["complete"])


def test_a_run_goes_on_without_its_checkpoint_and_trace(
    run: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Their folder is moved away after two steps and does not come back."""
    Path("on").mkdir()
    at_step(3, lambda: Path("on").rename("off"), monkeypatch)
    files = ["--checkpoint", "on/run", "--checkpoint-every", "1", "--trace", "on/trace"]
    result = RUNNER.invoke(app, [*run, *files])
    assert result.exit_code == 0, result.output
    assert is_complete()
    warnings = [line for line in result.stderr.splitlines() if line.startswith("Warning: ")]
    assert len(warnings) == 2, result.stderr
    assert "the trace 'on/trace' cannot be written: No such file" in warnings[0]
    assert "on/run cannot be written" in warnings[1]
    assert len(Path("off/trace").read_text().splitlines()) == 2
    Path("on").mkdir()  # for the trace
    assert RUNNER.invoke(app, ["resume", "off/run"]).exit_code == 0


def test_checkpoint_and_trace_are_complete_after_an_interruption(
    run: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Their folder is missing for two steps. The trace has no gap, and the checkpoint is the last step's."""
    Path("on").mkdir()
    at_step(3, lambda: Path("on").rename("off"), monkeypatch)
    at_step(5, lambda: Path("off").rename("on"), monkeypatch)
    files = ["--checkpoint", "on/run", "--checkpoint-every", "1", "--trace", "on/trace"]
    result = RUNNER.invoke(app, [*run, *files])
    assert result.exit_code == 0, result.output
    rows = [json.loads(line) for line in Path("on/trace").read_text().splitlines()]
    assert [row["step"] for row in rows] == list(range(1, STEPS + 1))
    assert result.stderr.count("could be written again.") == 2
    assert plan_resume("on/run")[1].step == STEPS


def test_a_half_written_row_of_the_trace_is_removed(run: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """The disk is full in the middle of a row."""
    resource = pytest.importorskip("resource")
    sizes: list[int] = []

    def fill() -> None:
        sizes.append(Path("trace").stat().st_size)
        resource.setrlimit(resource.RLIMIT_FSIZE, (sizes[0] + 100, resource.RLIM_INFINITY))

    def free() -> None:
        sizes.append(Path("trace").stat().st_size)
        resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))

    at_step(3, fill, monkeypatch)
    at_step(5, free, monkeypatch)
    try:
        result = RUNNER.invoke(app, [*run, "--trace", "trace"])
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
    assert result.exit_code == 0, result.output
    assert "the trace 'trace' cannot be written: File too large" in result.stderr
    assert sizes[0] == sizes[1]
    assert [json.loads(line)["step"] for line in Path("trace").read_text().splitlines()] == [1, 2, 3, 4, 5, 6]


def test_a_run_goes_on_without_its_previews(run: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    real_save, tried = Painting.save, []

    def full(self: Painting, path: str, **options: int) -> None:
        tried.append(path)
        if len(tried) in (2, 3):
            raise ImageError("cannot write: No space left on device.")
        real_save(self, path, **options)

    monkeypatch.setattr(Painting, "save", full)
    result = RUNNER.invoke(app, [*run, "--preview-every", "1"])
    assert result.exit_code == 0, result.output
    assert tried == ["out.png"] * (STEPS + 1)
    assert result.stderr.count("cannot write: No space left on device. The run goes on") == 1
    assert is_complete()


@pytest.mark.parametrize("option", ["--checkpoint", "--trace"])
def test_a_first_write_that_fails_ends_the_run(
    option: str, run: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    Path("on").mkdir()
    real_init = RunPlan.__init__

    def init(self: RunPlan, *arguments: object, **values: object) -> None:
        real_init(self, *arguments, **values)  # type: ignore[arg-type]
        if Path("on").is_dir():
            Path("on").rmdir()  # after the check, before the run

    monkeypatch.setattr(RunPlan, "__init__", init)
    result = RUNNER.invoke(app, [*run, option, "on/file"])
    assert result.exit_code == 1
    assert "cannot be written" in result.stderr
    assert len(result.stderr.strip().splitlines()) == 1
    assert not Path("out.png").exists()


@pytest.mark.parametrize("error", [DeviceError("the device is gone."), RuntimeError("a bug")])
def test_an_error_leaves_the_picture_and_the_checkpoint_so_far(
    error: Exception, run: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    at_step(4, failing(error), monkeypatch)
    result = RUNNER.invoke(app, [*run, "--checkpoint", "run", "--checkpoint-every", "100"])
    assert result.exit_code == 1
    assert "the picture so far is in out.png. Resume with: impasto resume run" in result.stderr
    assert not is_complete()
    if isinstance(error, DeviceError):
        assert result.stderr.strip().splitlines()[-1] == "Error: the device is gone."
    else:
        assert result.exception is error  # a bug keeps its traceback
    assert plan_resume("run")[1].step == 3
    assert RUNNER.invoke(app, ["resume", "run"]).exit_code == 0
    assert is_complete()


def test_an_error_before_the_first_step_leaves_nothing(
    run: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    at_step(1, failing(DeviceError("the device is gone.")), monkeypatch)
    result = RUNNER.invoke(app, run)
    assert (result.exit_code, result.stderr.strip()) == (1, "Error: the device is gone.")
    assert not Path("out.png").exists()


def test_an_error_while_saving_does_not_hide_the_first(
    run: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    at_step(4, failing(DeviceError("the device is gone.")), monkeypatch)
    monkeypatch.setattr(Painting, "save", lambda *_, **__: failing(RuntimeError("a bug"))())
    result = RUNNER.invoke(app, run)
    assert result.exit_code == 1
    assert result.stderr.strip().splitlines()[-1] == "Error: the device is gone."
    assert "the picture so far could not be saved (RuntimeError('a bug'))" in result.stderr


def test_rescuing_a_file_tries_several_folders_and_endings(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "home").mkdir()
    (tmp_path / "temporary").mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "temporary"))
    monkeypatch.setenv("HOME", str(tmp_path / "home"))

    def write(path: str) -> None:
        if not path.endswith(".png") or "temporary" in path or "var" in path:
            raise ImageError("no.")
        Path(path).write_bytes(b"painted")

    with pytest.raises(ImageError, match=r"^no\. The painting is in .*home/impasto-.*/o\.png instead\.$"):
        save_or_rescue(write, "o.jpg", what="painting", other_ending=".png")
    assert [path.read_bytes() for path in tmp_path.rglob("o.png")] == [b"painted"]
    with pytest.raises(ImageError, match=r"^no\. The model could not be saved elsewhere either"):
        save_or_rescue(write, "o.safetensors", what="model")
    assert [path.name for path in tmp_path.iterdir()] == ["home", "temporary"]
    assert len(list(tmp_path.rglob("impasto-*"))) == 1


@pytest.fixture
def training(painting: str, small_file: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    monkeypatch.setenv("COLUMNS", "800")
    (tmp_path / "photos").mkdir()
    for name in ("a.png", "b.png"):
        save(scene(40, 40), tmp_path / "photos" / name)
    small = ["--size", "32", "--style-size", "40", "--width", "4", "--blocks", "1", "--steps", "4"]
    files = ["-o", "painter", "--preview", "look.png", "--checkpoint", "run", "--check-every", "1"]
    return ["train", painting, "--images", "photos", "--weights", small_file, *small, *files]


def test_a_training_goes_on_if_its_files_cannot_be_written(
    training: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    real_save, tried = Model.save, []

    def full(self: Model, path: str) -> None:
        tried.append(path)
        if len(tried) in (2, 3):
            raise WeightsError("painter cannot be written: No space left on device.")
        real_save(self, path)

    monkeypatch.setattr(Model, "save", full)

    def never(*_: object) -> None:
        raise CheckpointError("run cannot be written: No space left on device.")

    monkeypatch.setattr(training_checkpoint, "write", never)
    monkeypatch.setattr("impasto.cli.train._write_preview", lambda *_: failing(ImageError("full."))())
    result = RUNNER.invoke(app, training)
    assert result.exit_code == 0, result.output
    assert result.stderr.count("Warning: ") == 3, result.stderr
    assert "The model could be written again." in result.stderr
    assert load("painter").manifest["result"]["steps"] == 4


def test_a_model_that_cannot_be_written_is_saved_elsewhere(
    training: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "refuge").mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "refuge"))
    real_save = Model.save

    def full(self: Model, path: str) -> None:
        if str(path) == "painter":
            raise WeightsError("painter cannot be written: No space left on device.")
        real_save(self, path)

    monkeypatch.setattr(Model, "save", full)
    result = RUNNER.invoke(app, training)
    assert result.exit_code == 1
    assert "Error: painter cannot be written: No space left on device. The model is in" in result.stderr
    (rescued,) = (tmp_path / "refuge").glob("impasto-*/painter")
    assert load(rescued).manifest["result"]["steps"] == 4


def test_an_error_in_training_leaves_the_model_so_far(
    training: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    real_step, taken = Trainer._train_step, []

    def broken(self: Trainer) -> object:
        taken.append(1)
        return real_step(self) if len(taken) < 3 else failing(DeviceError("the device is gone."))()

    monkeypatch.setattr(Trainer, "_train_step", broken)
    result = RUNNER.invoke(app, [*training, "--check-every", "100"])
    assert (result.exit_code, result.stderr.strip().splitlines()[-1]) == (1, "Error: the device is gone.")
    assert load("painter").manifest["result"]["steps"] == 2


@pytest.mark.parametrize("command", ["show", "figure", "features", "fast", "export", "batch", "train"])
def test_a_full_disk_at_the_end_is_a_single_line(
    command: str,
    run: list[str],
    training: list[str],
    photo: str,
    painting: str,
    small_file: str,
    decoder_file: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    if command == "export":
        pytest.importorskip("onnxruntime")
    if command == "show":
        assert RUNNER.invoke(app, run).exit_code == 0
    options = ["--weights", small_file, "--size", "48"]
    short = ["--scales", "1", "--steps", "1"]
    arguments = {
        "show": ["show", "out.png", "--curves", "curves.png"],
        "figure": ["figure", "1", photo, painting, *options, "--steps", "1", "-o", "figure.png"],
        "features": ["features", photo, *options, "-o", "features.png"],
        "fast": ["fast", photo, painting, *options, "--decoder", decoder_file, "-o", "fast.png"],
        "export": ["export", "great-wave", "-o", "net.onnx"],
        "batch": ["batch", photo, "--style", painting, "-o", "results", *options, *short],
        "train": training,
    }[command]
    before = {path for path in tmp_path.rglob("*") if path.is_file()}

    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    result = RUNNER.invoke(app, arguments)
    assert result.exit_code == 1, result.output
    assert isinstance(result.exception, SystemExit)
    errors = [line for line in result.stderr.splitlines() if line.startswith("Error: ")]
    assert len(errors) == 1, result.stderr
    assert "No space left on device" in errors[0]
    assert {path for path in tmp_path.rglob("*") if path.is_file()} == before


SAVING = """
import sys, torch
from impasto.system.distributed import all_sum, join_process_group, leave_process_group, rank
from impasto.errors import CheckpointError
from impasto.objective.bands import Band
from impasto.solve.space import Space
from impasto.objective.evaluate import Evaluation
from impasto.run import checkpoint
from impasto.solve import descent
from impasto.run.checkpoint import Snapshot

join_process_group()
band = Band.of(64, 32)
image = band.local_rows(torch.rand(1, 3, 64, 32))
evaluate = lambda x: Evaluation(torch.ones(()), x, ("a",), torch.ones(1))
state = descent.start(evaluate, image, descent.Solver("adam"))
snapshot = Snapshot(descent=state, space=Space(band))
for path in (sys.argv[1] + "/nowhere/run", sys.argv[1] + "/run"):
    try:
        checkpoint.save(path, snapshot, {})
    except CheckpointError:
        assert rank() == 0 and "nowhere" in path
    else:
        assert rank() == 1 or "nowhere" not in path
assert float(all_sum(torch.ones(()))) == 2
leave_process_group()
"""


def test_a_failing_checkpoint_does_not_hang_the_other_processes(tmp_path: Path) -> None:
    script = tmp_path / "saving.py"
    script.write_text(SAVING)
    result = torchrun(2, str(script), str(tmp_path))
    assert result.returncode == 0, result.stderr[-3000:]
    assert read_facts(tmp_path / "run") == {}


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="only Linux has /dev/full")
def test_a_full_output_loses_no_painting(run: list[str]) -> None:
    command = [sys.executable, "-m", "impasto"]
    with open("/dev/full", "w") as full:
        painted = subprocess.run([*command, *run], stderr=full, check=False)
        assert painted.returncode == 0
        assert is_complete()
        shown = subprocess.run(
            [*command, "show", "out.png"], stdout=full, stderr=subprocess.PIPE, text=True, check=False
        )
    assert shown.returncode == 1
    assert shown.stderr == "Error: the system refused to read or write: No space left on device.\n"


def test_a_pipe_in_place_of_weights_is_refused_at_once(tmp_path: Path) -> None:
    os.mkfifo("pipe")
    writer = os.open("pipe", os.O_RDWR)
    os.write(writer, bytes(20))
    with pytest.raises(WeightsError, match="it is a pipe or a device"):
        read(Path("pipe"), VGG19_NORMALIZED)
    os.close(writer)
