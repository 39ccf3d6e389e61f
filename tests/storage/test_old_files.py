"""Files of earlier versions can be read for as long as there are such files."""

import dataclasses
import random
from pathlib import Path

import pytest

from impasto import StylizeSettings
from impasto.errors import CheckpointError, ImpastoError
from impasto.fast import models
from impasto.recipes.rerun import MovedInputs, plan_resume
from impasto.results import manifest as manifests
from impasto.run.layout import Layout
from impasto.run.loop import iter_run
from impasto.settings.options import from_json
from impasto.solve import lbfgs
from old_files import DATA, content_of, read_checkpoint, read_training

CHECKPOINT, PAINTER, TRAINING = (
    DATA / f"e78b87f-{name}" for name in ("checkpoint", "painter.safetensors", "training.safetensors")
)


def first_bytes(tensors: object) -> str:
    """The beginning of a digest of tensors."""
    return content_of(tensors).rsplit('"', 2)[1][:16]


def test_a_checkpoint() -> None:
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
    assert [first_bytes(tensor) for tensor in numbers] == [
        "864b3715dd2f1fbd",
        "8d8fd2a500bd2d3b",
        "6de9e3c066364e85",
    ]


def test_a_checkpoint_goes_on(photo: str, painting: str, small_file: str) -> None:
    moved = MovedInputs(photo, painting, weights=small_file)
    job, snapshot, _ = plan_resume(CHECKPOINT, moved, changed=True)
    assert job.manifest["settings"]["history"] == 2
    *_, last = iter_run(job, snapshot)
    assert last.step == 6
    assert last.loss < 3.5315
    assert last.painting().manifest["result"]["complete"]


@pytest.mark.parametrize("key", [b"command", b"settings", b"inputs", b"precision", b"machine", b"tile"])
def test_a_checkpoint_with_a_damaged_manifest(
    key: bytes, photo: str, painting: str, small_file: str, tmp_path: Path
) -> None:
    data, quoted = CHECKPOINT.read_bytes(), b'\\"' + key + b'\\":'
    last = data.rindex(quoted)
    (tmp_path / "c").write_bytes(data[:last] + quoted.replace(key[:1], b"X", 1) + data[last + len(quoted) :])
    with pytest.raises(CheckpointError, match=r"the manifest in .* is damaged .* Start the run anew"):
        plan_resume(tmp_path / "c", MovedInputs(photo, painting, weights=small_file), changed=True)


def test_a_painter() -> None:
    model = models.load(PAINTER)
    assert model.sha256 == "31b215b79793fa6accd543cfc38c80effffe84ddad21cc7043db2c4dc8a2157e"
    assert model.styles == ("painting",)
    assert model.network.shape == {"width": 4, "blocks": 1, "styles": 1}
    assert model.manifest["command"] == "train"
    assert model.manifest["settings"]["steps"] == 8


def test_a_painter_keeps_its_digest_when_it_is_saved_again(tmp_path: Path) -> None:
    """Manifests compare it, whichever format the painter's file has."""
    model = models.load(PAINTER)
    model.save(tmp_path / "again")
    again = models.load(tmp_path / "again")
    assert dataclasses.replace(again, name=model.name).sha256 == model.sha256
    assert (tmp_path / "again").read_bytes()[8:].startswith(b'{"__metadata__":{"file_sha256":"')


def test_a_training() -> None:
    painter, adam, best, standing = read_training(TRAINING)
    assert standing == {
        "step": 5, "seconds": 0.16876224200007073, "waited": 0, "looks": [[3, 4.657622337341309]],
    }  # fmt: skip
    assert best.keys() == painter.state_dict().keys()
    state = adam.state[painter.last.weight]
    assert float(state["step"]) == 5
    numbers = [painter.last.weight, best["last.weight"], state["exp_avg"], state["exp_avg_sq"]]
    digests = ["1be1d25415ceb64e", "8f394c4c5365b5c6", "9ef4459494039cd0", "8a49d639cbc5fde0"]
    assert [first_bytes(tensor) for tensor in numbers] == digests


def test_a_painting() -> None:
    manifest = manifests.read(DATA / "e78b87f-painting.png")
    settings = StylizeSettings(
        size=48, steps=6, finest_steps=10, optimizer="lbfgs", recipe=1, precision="float32",
        weights="small.safetensors", style_loss="gram",
    )  # fmt: skip
    assert from_json(StylizeSettings, manifest["settings"]) == settings
    assert manifest["inputs"]["content"]["path"] == "photo.png"
    assert manifest["result"]["complete"]


@pytest.mark.parametrize("path", [CHECKPOINT, PAINTER, TRAINING], ids=["checkpoint", "painter", "training"])
def test_flipped_bits_are_no_traceback(
    path: Path, photo: str, painting: str, small_file: str, tmp_path: Path
) -> None:
    """The headers of format 1 are under no digest: what is still a valid file may pass, nothing else."""
    read = {CHECKPOINT: read_checkpoint, PAINTER: models.load, TRAINING: read_training}[path]
    whole, rng = path.read_bytes(), random.Random(1)
    end = 8 + int.from_bytes(whole[:8], "little")
    refusals = []
    for place in rng.sample(range(end), 150):
        damaged = bytearray(whole)
        damaged[place] ^= 1 << rng.randrange(8)
        (tmp_path / "damaged").write_bytes(damaged)
        try:
            read(tmp_path / "damaged")  # type: ignore[operator]
        except ImpastoError as error:
            refusals.append(str(error))
    assert 75 < len(refusals) < 150
    assert all(len(message.splitlines()) == 1 for message in refusals)
    for place in rng.sample(range(end, len(whole)), 20):
        damaged = bytearray(whole)
        damaged[place] ^= 1 << rng.randrange(8)
        (tmp_path / "damaged").write_bytes(damaged)
        with pytest.raises(ImpastoError, match="is damaged: its SHA-256 is"):
            read(tmp_path / "damaged")  # type: ignore[operator]
