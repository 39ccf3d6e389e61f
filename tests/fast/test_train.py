"""Training: resuming and a second process change nothing, the loss falls, every photo has its turn."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from typer.testing import CliRunner

from impasto import (
    CheckpointError,
    ImageError,
    SettingsError,
    TrainProgress,
    TrainSettings,
    iter_train,
    load_model,
)
from impasto.cli.main import app
from impasto.fast.training_photos import TrainingPhotos
from impasto.fast.transformer_net import TransformerNet
from launched import HERE, launch
from small import save, scene


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A folder of twelve photos, one of them in a subfolder, a broken photo and a text file."""
    folder = tmp_path_factory.mktemp("photos")
    (folder / "more").mkdir()
    for number in range(12):
        path = folder / ("more" if number == 11 else "") / f"photo{number:02}.png"
        save(scene(40 + number, 64 - 2 * number, seed=number), path)
    (folder / "photo05-broken.jpg").write_bytes(b"\xff\xd8\xff no picture")
    (folder / "notes.txt").write_text("not a picture either")
    return str(folder)


@pytest.fixture
def quick(small_file: str) -> TrainSettings:
    return TrainSettings(
        steps=8, size=32, style_size=40, batch=2, width=4, blocks=1, check_every=3, weights=small_file,
        precision="float32",
    )  # fmt: skip


def last(steps: Iterator[TrainProgress]) -> TrainProgress:
    *_, progress = steps
    return progress


def parameters(progress: TrainProgress) -> torch.Tensor:
    return torch.cat([parameter.flatten() for parameter in progress.model().network.parameters()])


def test_a_resumed_training_equals_an_uninterrupted_one(
    painting: str, photos: str, quick: TrainSettings
) -> None:
    whole = last(iter_train(painting, photos, quick))
    for progress in iter_train(painting, photos, quick):
        if progress.step == 5:
            progress.save("run.checkpoint")
            break
    resumed = last(iter_train(painting, photos, quick, resume="run.checkpoint"))
    assert resumed.step == whole.step == 8
    assert torch.equal(parameters(resumed), parameters(whole))
    assert resumed.model().manifest["result"]["held_out"] == whole.model().manifest["result"]["held_out"]


def test_a_checkpoint_of_another_training_is_refused(
    painting: str, photo: str, photos: str, quick: TrainSettings
) -> None:
    next(iter_train(painting, photos, quick)).save("run.checkpoint")
    with pytest.raises(CheckpointError, match=r"with rate 0\.002; now it is 0\.01"):
        iter_train(painting, photos, replace(quick, rate=0.01), resume="run.checkpoint")
    last(iter_train(painting, photos, quick)).save("ended.checkpoint")
    with pytest.raises(CheckpointError, match="had ended, after 8 steps: there is nothing to go on with"):
        iter_train(painting, photos, quick, resume="ended.checkpoint")
    with pytest.raises(CheckpointError, match="with paintings"):
        iter_train(photo, photos, quick, resume="run.checkpoint")
    data = bytearray(Path("run.checkpoint").read_bytes())
    data[-20] ^= 255
    Path("run.checkpoint").write_bytes(bytes(data))
    with pytest.raises(CheckpointError, match="is damaged"):
        iter_train(painting, photos, quick, resume="run.checkpoint")


def test_training_lowers_the_loss(painting: str, photos: str, quick: TrainSettings) -> None:
    settings = replace(
        quick,
        steps=200,
        batch=1,
        size=64,
        style_size=64,
        rate=0.01,
        check_every=100,
        strength=1.0,
        tv=0.0,
        width=8,
    )
    losses = [progress.loss for progress in iter_train(painting, photos, settings)]
    assert sum(losses[-10:]) / 10 < sum(losses[:5]) / 5 / 5, (losses[:5], losses[-10:])


def test_a_model_starts_from_another(painting: str, photo: str, photos: str, quick: TrainSettings) -> None:
    """It takes everything from the other model; a new style starts as the mean of the other's styles."""
    last(iter_train([painting, photo], photos, quick)).model().save("two.safetensors")
    settings = replace(quick, start="two.safetensors", rate=0.0, steps=1)
    state = last(iter_train(painting, photos, settings)).model().network.state_dict()
    for name, tensor in load_model("two.safetensors").network.state_dict().items():
        expected = tensor.mean(0, keepdim=True) if name.endswith((".scale", ".shift")) else tensor
        assert torch.equal(state[name], expected), name
    with pytest.raises(SettingsError, match="has width 4 and 1 blocks; 8 and 1 are wanted"):
        iter_train(painting, photos, replace(settings, width=8))


def test_training_ends_early_without_improvement(painting: str, photos: str, quick: TrainSettings) -> None:
    settings = replace(quick, steps=50, rate=0.0, check_every=2, patience=3)
    progress = last(iter_train(painting, photos, settings))
    assert progress.finished
    assert progress.step == 2 * (1 + 3)


def test_several_paintings_become_several_styles(
    painting: str, photo: str, photos: str, quick: TrainSettings, tmp_path: Path
) -> None:
    progress = last(iter_train([painting, photo], photos, replace(quick, rate=0.02)))
    progress.model().save(tmp_path / "two.safetensors")
    model = load_model(tmp_path / "two.safetensors")
    assert model.styles == ("painting", "photo")
    image = scene(40, 48)
    first, second = (model.network(image, shares[None]) for shares in torch.eye(2))
    assert float((first - second).abs().max()) > 1e-3
    assert progress.preview().shape == (1, 3, 64, 32)


def test_two_processes_train_like_a_single_one(
    painting: str, photos: str, quick: TrainSettings, tmp_path: Path
) -> None:
    """Each process paints its share of a batch, and the gradients are averaged."""
    options = ["--rate", "0.1", "--steps", "4", "--size", "32", "--style-size", "40", "--batch", "2",
               "--width", "4", "--blocks", "1", "--check-every", "3", "--weights", quick.weights]  # fmt: skip
    job = ["train", painting, "--images", photos, *options, "--precision", "float32"]
    done = launch(str(HERE / "forked.py"), "2", *job, "-o", str(tmp_path / "two.safetensors"))
    assert done.returncode == 0, done.stderr[-3000:]
    parallel = load_model(tmp_path / "two.safetensors").network.state_dict()
    alone = last(iter_train(painting, photos, replace(quick, rate=0.1, steps=4)))
    single = alone.model().network.state_dict()
    torch.manual_seed(0)
    initial = TransformerNet(4, 1).state_dict()
    change = sum(float((tensor - initial[name]).abs().mean()) for name, tensor in single.items())
    difference = sum(float((tensor - parallel[name]).abs().mean()) for name, tensor in single.items())
    # Adam's first steps are as long for a gradient near 0, whose sign depends on rounding, as for any other.
    assert difference < 0.1 * change, (difference, change)


def test_a_batch_that_processes_cannot_share_is_refused(
    painting: str, photos: str, quick: TrainSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("impasto.fast.trainer.world_size", lambda: 3)
    with pytest.raises(SettingsError, match="batch is 2, which 3 processes cannot share"):
        iter_train(painting, photos, quick)


def test_every_photo_is_drawn_before_any_is_drawn_again(photos: str) -> None:
    sampler = TrainingPhotos(photos, 32, seed=3)
    assert len(sampler) + len(sampler.held) == 13
    squares = [sampler.crop(number) for number in range(2 * len(sampler))]
    assert all(square.shape == (1, 3, 32, 32) for square in squares)
    assert all(float(square.min()) >= 0 and float(square.max()) <= 1 for square in squares)
    again = TrainingPhotos(photos, 32, seed=3)
    assert torch.equal(again.crop(7), squares[7])  # does not depend on earlier draws
    first = {float(square.mean()) for square in squares[: len(sampler)]}
    assert len(first) >= len(sampler) - 1  # one is broken and replaced by the next
    assert not torch.equal(TrainingPhotos(photos, 32, seed=4).crop(7), squares[7])
    held = [path.name for path in sampler.held]
    assert not {path.name for path in sampler.files} & set(held)


def test_a_broken_photo_is_skipped_and_counted(painting: str, photos: str, quick: TrainSettings) -> None:
    progress = last(iter_train(painting, photos, replace(quick, steps=12)))
    assert progress.broken == 1
    assert progress.model().manifest["result"]["broken"][0].endswith("photo05-broken.jpg")


def test_folders_that_cannot_be_trained_on(painting: str, quick: TrainSettings, tmp_path: Path) -> None:
    with pytest.raises(ImageError, match="there is no folder 'nowhere'"):
        iter_train(painting, "nowhere", quick)
    empty = tmp_path / "empty"
    empty.mkdir()
    (empty / "notes.txt").write_text("hello")
    with pytest.raises(ImageError, match="has no pictures in it"):
        iter_train(painting, empty, quick)
    (empty / "one.jpg").write_bytes(b"\xff\xd8\xff")
    with pytest.raises(ImageError, match=r"all 1 pictures in .* are broken"):
        next(iter_train(painting, empty, quick))
    save(scene(4, 4), tmp_path / "tiny.png")
    with pytest.raises(ImageError, match="style image is 4×4"):
        iter_train(str(tmp_path / "tiny.png"), empty, quick)


def test_the_command_writes_model_preview_and_checkpoint(
    painting: str, photos: str, quick: TrainSettings
) -> None:
    options = ["--steps", "4", "--size", "32", "--style-size", "40", "--width", "4", "--blocks", "1",
               "--check-every", "2", "--weights", quick.weights]  # fmt: skip
    files = ["-o", "painter.safetensors", "--preview", "look.png", "--checkpoint", "run.checkpoint"]
    done = CliRunner().invoke(app, ["train", painting, "--images", photos, *options, *files])
    assert done.exit_code == 0, done.output
    assert {path.name for path in Path().iterdir()} == {"painter.safetensors", "look.png", "run.checkpoint"}
    painted = CliRunner().invoke(
        app,
        ["fast", f"{photos}/photo00.png", "--model", "painter.safetensors", "--size", "40", "-o", "p.png"],
    )
    assert painted.exit_code == 0, painted.output
    refused = CliRunner().invoke(app, ["train", painting, "--images", photos, "--steps", "0"])
    assert refused.exit_code == 2
