"""Files written by earlier versions can still be read, and their damage is reported."""

import dataclasses
import random
from pathlib import Path

import pytest

from impasto import StylizeSettings
from impasto.errors import CheckpointError, ImpastoError
from impasto.fast import models
from impasto.recipes.recorded_run import MovedInputs
from impasto.recipes.resume import plan_resume
from impasto.results import manifest as manifests
from impasto.run.layout import Layout
from impasto.run.loop import iter_run
from impasto.settings.options import from_json
from impasto.solve import lbfgs
from old_files import DATA, content_of, read_checkpoint, read_training

CHECKPOINT, PAINTER, TRAINING = (
    DATA / f"e78b87f-{name}" for name in ("checkpoint", "painter.safetensors", "training.safetensors")
)


def digest(tensor: object) -> str:
    """The first 16 hexadecimal digits of a tensor's SHA-256."""
    return content_of(tensor).rsplit('"', 2)[1][:16]


def test_an_old_checkpoint_is_read() -> None:
    facts, snapshot = read_checkpoint(CHECKPOINT)
    assert facts["manifest"]["settings"]["size"] == 32
    assert facts["manifest"]["impasto"] == "0.1.0"
    assert facts["output"]["path"].endswith("/out.png")
    assert (snapshot.scale, snapshot.step, snapshot.spent, snapshot.style_factor) == (0, 4, 0, 1.0)
    assert snapshot.layouts == (Layout(0, "memory", 2),)
    assert [row[3] for row in snapshot.trace] == [4.5704, 3.9552, 3.5898, 3.5315]
    assert snapshot.space is not None
    assert snapshot.space.band.is_whole
    descent = snapshot.descent
    assert descent is not None
    assert isinstance(descent.solver, lbfgs.LBFGSState)
    assert descent.solver.evaluations == 5
    assert descent.evaluation.names[0] == "content conv4_2"
    assert float(descent.evaluation.loss) == descent.losses[-1] == 3.531517744064331
    numbers = [descent.point, descent.solver.point_changes[1], descent.solver.gradient_changes[0]]
    assert [digest(tensor) for tensor in numbers] == [
        "864b3715dd2f1fbd",
        "8d8fd2a500bd2d3b",
        "6de9e3c066364e85",
    ]


def test_an_old_checkpoint_is_resumed(photo: str, painting: str, small_file: str) -> None:
    moved = MovedInputs(photo, painting, weights=small_file)
    plan, snapshot, _ = plan_resume(CHECKPOINT, moved, changed=True)
    assert plan.manifest["settings"]["history"] == 2
    *_, last = iter_run(plan, snapshot)
    assert last.step == 6
    assert last.loss < 3.5315
    assert last.painting().manifest["result"]["complete"]


@pytest.mark.parametrize("key", [b"command", b"settings", b"inputs", b"precision", b"machine", b"tile"])
def test_a_checkpoint_with_a_damaged_manifest_is_refused(
    key: bytes, photo: str, painting: str, small_file: str, tmp_path: Path
) -> None:
    data, quoted = CHECKPOINT.read_bytes(), b'\\"' + key + b'\\":'
    last = data.rindex(quoted)
    (tmp_path / "c").write_bytes(data[:last] + quoted.replace(key[:1], b"X", 1) + data[last + len(quoted) :])
    with pytest.raises(CheckpointError, match=r"the manifest in .* is damaged .* Start the run anew"):
        plan_resume(tmp_path / "c", MovedInputs(photo, painting, weights=small_file), changed=True)


def test_an_old_painter_is_read() -> None:
    model = models.load(PAINTER)
    assert model.sha256 == "31b215b79793fa6accd543cfc38c80effffe84ddad21cc7043db2c4dc8a2157e"
    assert model.styles == ("painting",)
    assert model.network.shape == {"width": 4, "blocks": 1, "styles": 1}
    assert model.manifest["command"] == "train"
    assert model.manifest["settings"]["steps"] == 8


def test_a_painter_that_is_saved_again_keeps_its_digest(tmp_path: Path) -> None:
    """Manifests compare digests, so they must not depend on the format of the file."""
    model = models.load(PAINTER)
    model.save(tmp_path / "again")
    loaded = models.load(tmp_path / "again")
    assert dataclasses.replace(loaded, name=model.name).sha256 == model.sha256
    assert (tmp_path / "again").read_bytes()[8:].startswith(b'{"__metadata__":{"file_sha256":"')


def test_an_old_training_is_read() -> None:
    painter, adam, best, standing = read_training(TRAINING)
    assert standing == {
        "step": 5, "seconds": 0.16876224200007073, "waited": 0, "looks": [[3, 4.657622337341309]],
    }  # fmt: skip
    assert best.keys() == painter.state_dict().keys()
    state = adam.state[painter.last.weight]
    assert float(state["step"]) == 5
    numbers = [painter.last.weight, best["last.weight"], state["exp_avg"], state["exp_avg_sq"]]
    digests = ["1be1d25415ceb64e", "8f394c4c5365b5c6", "9ef4459494039cd0", "8a49d639cbc5fde0"]
    assert [digest(tensor) for tensor in numbers] == digests


def test_the_manifest_of_an_old_painting_is_read() -> None:
    manifest = manifests.read(DATA / "e78b87f-painting.png")
    settings = StylizeSettings(
        size=48, steps=6, finest_steps=10, optimizer="lbfgs", recipe=1, precision="float32",
        weights="small.safetensors", style_loss="gram",
    )  # fmt: skip
    assert from_json(StylizeSettings, manifest["settings"]) == settings
    assert manifest["inputs"]["content"]["path"] == "photo.png"
    assert manifest["result"]["complete"]


@pytest.mark.parametrize("path", [CHECKPOINT, PAINTER, TRAINING], ids=["checkpoint", "painter", "training"])
def test_flipped_bits_in_old_files_are_reported_in_one_line(
    path: Path, photo: str, painting: str, small_file: str, tmp_path: Path
) -> None:
    """The digest of format 1 does not cover the header, so a header may pass if it is still valid."""
    read = {CHECKPOINT: read_checkpoint, PAINTER: models.load, TRAINING: read_training}[path]
    data, rng = path.read_bytes(), random.Random(1)
    end = 8 + int.from_bytes(data[:8], "little")
    refusals = []
    for position in rng.sample(range(end), 150):
        damaged = bytearray(data)
        damaged[position] ^= 1 << rng.randrange(8)
        (tmp_path / "damaged").write_bytes(damaged)
        try:
            read(tmp_path / "damaged")  # type: ignore[operator]
        except ImpastoError as error:
            refusals.append(str(error))
    assert 75 < len(refusals) < 150
    assert all(len(message.splitlines()) == 1 for message in refusals)
    for position in rng.sample(range(end, len(data)), 20):
        damaged = bytearray(data)
        damaged[position] ^= 1 << rng.randrange(8)
        (tmp_path / "damaged").write_bytes(damaged)
        with pytest.raises(ImpastoError, match="is damaged: its SHA-256 is"):
            read(tmp_path / "damaged")  # type: ignore[operator]
