"""A resumed run equals an uninterrupted one, and unusable checkpoints are refused."""

import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from typer.testing import CliRunner

from checkpoints import load as load_checkpoint
from checkpoints import read_facts
from impasto import CheckpointError, StylizeSettings
from impasto.choices import Optimizer, SolverSpace
from impasto.cli.main import app
from impasto.cli.progress_bars import RunBar
from impasto.image.read import read_picture
from impasto.recipes.rerun import rerun
from impasto.recipes.resume import plan_resume
from impasto.recipes.stylize import plan_stylize
from impasto.results import manifest as manifests
from impasto.run import checkpoint
from impasto.run.checkpoint import Snapshot
from impasto.run.loop import iter_run
from small import save, scene, stripes

RUNNER = CliRunner()
HERE = Path(__file__).parents[1]


@pytest.fixture
def quick(small_file: str) -> StylizeSettings:
    return StylizeSettings(
        size=64, scales=2, steps=8, finest_steps=6, weights=small_file, precision="float32", history=4,
        style_loss="gram",
    )  # fmt: skip


@pytest.fixture
def stopped(photo: str, painting: str, quick: StylizeSettings, small_file: str) -> str:
    """A checkpoint of a run at its second scale."""
    arguments = ["stylize", photo, painting, "-o", "out.png", "--weights", small_file, "--size", "64"]
    options = ["--scales", "2", "--steps", "8", "--finest-steps", "6", "--precision", "float32"]
    result = RUNNER.invoke(app, [*arguments, *options, "--checkpoint", "c", "--checkpoint-every", "3"])
    assert result.exit_code == 0, result.output
    return "c"


def test_a_run_killed_ten_times_and_resumed_equals_an_uninterrupted_one(
    photo: str, painting: str, small_file: str
) -> None:
    """SIGKILL comes at random moments, while a checkpoint and a preview are written at every step.

    After each kill the preview is a whole picture.
    """
    job = ["stylize", photo, painting, "--weights", small_file, "--precision", "float32", "--scales", "2"]
    sizes = ["--size", "128", "--steps", "60", "--finest-steps", "60", "--tolerance", "0"]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(HERE)}
    process = subprocess.run(
        [sys.executable, str(HERE / "killed.py"), "10", *job, *sizes],
        capture_output=True, text=True, env=environment, timeout=280,
    )  # fmt: skip
    assert process.returncode == 0, process.stderr
    assert int(process.stdout) == 11
    assert torch.equal(read_picture("whole.png").pixels, read_picture("killed.png").pixels)
    result = manifests.read("killed.png")["result"]
    assert result["complete"]
    assert result["evaluations"] == manifests.read("whole.png")["result"]["evaluations"]
    # The next run removes the picture that a killed run had half written.
    assert sorted(path.name for path in Path().iterdir()) == ["killed.png", "run.checkpoint", "whole.png"]


@pytest.mark.parametrize("space", ["pixels", "pyramid"])
@pytest.mark.parametrize("optimizer", ["lbfgs", "adam"])
@pytest.mark.parametrize("stop", [0, 3, 5])
def test_a_resumed_run_has_the_same_losses_and_pixels(
    photo: str, painting: str, quick: StylizeSettings, stop: int, optimizer: Optimizer, space: SolverSpace
) -> None:
    """To the last bit, from a checkpoint at any step of either scale."""
    settings = replace(quick, optimizer=optimizer, space=space, steps=4, finest_steps=3)
    plan = plan_stylize(photo, painting, settings)
    uninterrupted = list(iter_run(plan))
    checkpoint.save("c", uninterrupted[stop].snapshot(), {"any": ["thing", 1.5]})
    assert read_facts("c") == {"any": ["thing", 1.5]}
    rest = list(iter_run(plan, load_checkpoint("c", plan.space, torch.device("cpu"))))
    assert [step.loss for step in rest] == [step.loss for step in uninterrupted[stop:]]
    assert [step.step for step in rest] == [step.step for step in uninterrupted[stop:]]
    assert torch.equal(rest[-1].image(), uninterrupted[-1].image())
    assert rest[-1].painting().manifest["result"]["complete"]
    assert all(step.eta > 0 for step in rest[:-1])
    assert rest[-1].seconds > uninterrupted[stop].seconds


@pytest.mark.parametrize("stop", [0, 2, 3, 5, 7, 9])
def test_a_resumed_run_keeps_its_nearest_neighbours(
    photo: str, painting: str, quick: StylizeSettings, stop: int
) -> None:
    """Each scale searches at steps 0 and 3; a checkpoint holds the neighbours of the last search."""
    settings = replace(quick, style_loss="gram=1,neighbors=1", rematch=3, steps=6, finest_steps=4)
    plan = plan_stylize(photo, painting, settings)
    uninterrupted = list(iter_run(plan))
    matches = [torch.stack(step.snapshot().matches) for step in uninterrupted]
    assert not torch.equal(matches[2], matches[3])
    assert torch.equal(matches[3], matches[4])
    checkpoint.save("c", uninterrupted[stop].snapshot(), {})
    rest = list(iter_run(plan, load_checkpoint("c", plan.space, torch.device("cpu"))))
    assert [step.loss for step in rest] == [step.loss for step in uninterrupted[stop:]]
    assert torch.equal(rest[-1].image(), uninterrupted[-1].image())


def test_a_checkpoint_from_before_the_first_step_starts_the_whole_run(
    photo: str, painting: str, quick: StylizeSettings
) -> None:
    plan = plan_stylize(photo, painting, quick)
    checkpoint.save("c", Snapshot(layouts=plan.layouts), {})
    loaded = load_checkpoint("c", plan.space, torch.device("cpu"))
    assert loaded.descent is None
    assert loaded.layouts == plan.layouts
    assert len(list(iter_run(plan, loaded))) == 14


def test_ctrl_c_leaves_a_checkpoint_of_the_last_step(
    photo: str, painting: str, small_file: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    original = RunBar.painting

    def interrupted(self: RunBar, step: object) -> None:
        original(self, step)  # type: ignore[arg-type]
        if step.step == 4:  # type: ignore[attr-defined]
            raise KeyboardInterrupt

    job = ["stylize", photo, painting, "-o", "a.png", "--weights", small_file, "--size", "48", "--steps", "9"]
    job += ["--precision", "float32"]
    with monkeypatch.context() as patch:
        patch.setattr(RunBar, "painting", interrupted)
        result = RUNNER.invoke(app, [*job, "--checkpoint", "c", "--checkpoint-every", "100"])
    assert result.exit_code == 130
    assert "Resume with: impasto resume c" in result.output
    assert not manifests.read("a.png")["result"]["complete"]
    assert RUNNER.invoke(app, ["resume", "c"]).exit_code == 0
    assert RUNNER.invoke(app, [*job[:4], "b.png", *job[5:]]).exit_code == 0
    assert torch.equal(read_picture("a.png").pixels, read_picture("b.png").pixels)


def test_a_damaged_byte_is_found_anywhere_in_the_file(stopped: str) -> None:
    data = Path(stopped).read_bytes()
    head = 8 + int.from_bytes(data[:8], "little")
    for position in (head, (head + len(data)) // 2, len(data) - 1):
        damaged = bytearray(data)
        damaged[position] ^= 1
        Path(stopped).write_bytes(damaged)
        with pytest.raises(CheckpointError, match="c is damaged: its SHA-256 is"):
            plan_resume(stopped)
    for cut in (0, 5, head - 3, head + 100, len(data) - 1):
        Path(stopped).write_bytes(data[:cut])
        with pytest.raises(CheckpointError, match="c is damaged, or no impasto checkpoint"):
            plan_resume(stopped)


def test_other_files_and_later_formats_are_refused(photo: str) -> None:
    with pytest.raises(CheckpointError, match=r"no file nowhere\. Name a file that --checkpoint wrote"):
        plan_resume("nowhere")
    with pytest.raises(CheckpointError, match="is damaged, or no impasto checkpoint"):
        plan_resume(photo)
    save_file({"x": torch.zeros(3)}, "other.safetensors")
    with pytest.raises(CheckpointError, match="safetensors file, but no impasto checkpoint"):
        plan_resume("other.safetensors")
    later = {"format": "impasto checkpoint 99", "impasto": "9.0", "said": json.dumps({})}
    save_file({"x": torch.zeros(3)}, "later", metadata=later)
    with pytest.raises(
        CheckpointError, match=r"has format 99 of .*; this Impasto \(.*\) reads 2. Use Impasto 9.0"
    ):
        plan_resume("later")


def test_changed_inputs_are_refused_without_the_option_changed(
    small_file: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    photo, painting = save(scene(36, 48), tmp_path / "p.png"), save(stripes(40, 40), tmp_path / "s.png")
    job = ["stylize", "p.png", "s.png", "-o", "a.png", "--weights", small_file, "--size", "48"]
    result = RUNNER.invoke(app, [*job, "--steps", "4", "--checkpoint", "c", "--checkpoint-every", "2"])
    assert result.exit_code == 0, result.output
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")  # a checkpoint holds absolute paths
    assert RUNNER.invoke(app, ["resume", "../c", "-o", "b.png"]).exit_code == 0
    save(scene(36, 48, seed=5), Path(photo))
    refused = RUNNER.invoke(app, ["resume", "../c"])
    assert refused.exit_code == 1
    assert "the content image" in refused.output
    assert "has changed: SHA-256 was" in refused.output
    assert "--changed" in refused.output
    assert RUNNER.invoke(app, ["resume", "../c", "--changed", "-o", "b.png"]).exit_code == 0
    Path(painting).unlink()
    missing = RUNNER.invoke(app, ["resume", "../c", "--changed"])
    assert missing.exit_code == 1
    assert "is no longer there. Say where it is with --style FILE" in missing.output


def test_a_checkpoint_is_resumed_from_another_folder(
    photo: str, painting: str, small_file: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its trace was a relative path, and ~ in the path of the weights was quoted, so the shell kept it."""
    monkeypatch.setenv("HOME", str(Path(small_file).parent))
    for name in ("logs", "elsewhere"):
        (tmp_path / name).mkdir()
    job = ["stylize", photo, painting, "-o", "a.png", "--weights", f"~/{Path(small_file).name}"]
    quick = ["--size", "48", "--scales", "1", "--steps", "4", "--checkpoint", "c", "--checkpoint-every", "3"]
    result = RUNNER.invoke(app, [*job, *quick, "--trace", "logs/t.jsonl"])
    assert result.exit_code == 0, result.output
    assert len(Path("logs/t.jsonl").read_text().splitlines()) == 4
    monkeypatch.chdir(tmp_path / "elsewhere")
    resumed = RUNNER.invoke(app, ["resume", str(tmp_path / "c")])
    assert resumed.exit_code == 0, resumed.output
    assert len((tmp_path / "logs/t.jsonl").read_text().splitlines()) > 4
    assert not list((tmp_path / "elsewhere").iterdir())


def test_a_moved_init_image_is_named_with_init(
    photo: str, painting: str, small_file: str, tmp_path: Path
) -> None:
    save(scene(36, 48, seed=3), tmp_path / "start.png")
    job = ["stylize", photo, painting, "-o", "a.png", "--weights", small_file, "--init", "start.png"]
    quick = ["--size", "48", "--scales", "1", "--steps", "4", "--precision", "float32"]
    result = RUNNER.invoke(app, [*job, *quick, "--checkpoint", "c", "--checkpoint-every", "3"])
    assert result.exit_code == 0, result.output
    (tmp_path / "moved").mkdir()
    Path("start.png").rename("moved/elsewhere.png")
    for command in (["rerun", "a.png"], ["resume", "c"]):
        missing = RUNNER.invoke(app, [*command, "-o", "b.png"])
        assert missing.exit_code == 1
        assert "Say where it is with --init FILE" in " ".join(missing.output.split())
        overwriting = RUNNER.invoke(
            app, [*command, "-o", "moved/elsewhere.png", "--init", "moved/elsewhere.png"]
        )
        assert "would overwrite the init image" in " ".join(overwriting.output.split())
        again = RUNNER.invoke(app, [*command, "-o", "b.png", "--init", "moved/elsewhere.png"])
        assert again.exit_code == 0, again.output
        assert torch.equal(read_picture("a.png").pixels, read_picture("b.png").pixels)
    rerun("a.png", init="moved/elsewhere.png").save("b.png")
    assert torch.equal(read_picture("a.png").pixels, read_picture("b.png").pixels)


def test_an_init_image_is_refused_for_a_run_that_had_none(stopped: str, photo: str) -> None:
    for command in (["rerun", "out.png"], ["resume", stopped]):
        refused = RUNNER.invoke(app, [*command, "--init", photo])
        assert refused.exit_code == 1
        assert "did not start from an image file. Leave out --init" in " ".join(refused.output.split())


def test_a_checkpoint_that_cannot_be_written_is_refused_before_the_run(
    photo: str, painting: str, small_file: str
) -> None:
    job = ["stylize", photo, painting, "-o", "a.png", "--weights", small_file, "--size", "48"]
    refused = RUNNER.invoke(app, [*job, "--checkpoint", "no/such/folder/c"])
    assert refused.exit_code == 1
    assert "no checkpoint can be written: the folder of" in refused.output
    assert not Path("a.png").exists()
