"""Training: resumed = uninterrupted, two processes = one, the loss falls, photographs drawn alike."""

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
    """A folder of twelve photographs, one of them in a folder of its own, and one file that is broken."""
    folder = tmp_path_factory.mktemp("photos")
    (folder / "more").mkdir()
    for number in range(12):
        place = folder / ("more" if number == 11 else "") / f"photo{number:02}.png"
        save(scene(40 + number, 64 - 2 * number, seed=number), place)
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
    *_, found = steps
    return found


def numbers(progress: TrainProgress) -> torch.Tensor:
    return torch.cat([one.flatten() for one in progress.model().network.parameters()])


def test_a_resumed_training_is_an_uninterrupted_one(painting: str, photos: str, quick: TrainSettings) -> None:
    whole = last(iter_train(painting, photos, quick))
    for progress in iter_train(painting, photos, quick):
        if progress.step == 5:
            progress.save("run.checkpoint")
            break
    resumed = last(iter_train(painting, photos, quick, resume="run.checkpoint"))
    assert resumed.step == whole.step == 8
    assert torch.equal(numbers(resumed), numbers(whole))
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


def test_a_painter_starts_from_another(painting: str, photo: str, photos: str, quick: TrainSettings) -> None:
    """All but the styles are the other's; a style begins with the mean of the other's styles."""
    last(iter_train([painting, photo], photos, quick)).model().save("two.safetensors")
    settings = replace(quick, start="two.safetensors", rate=0.0, steps=1)
    found = last(iter_train(painting, photos, settings)).model().network.state_dict()
    for name, tensor in load_model("two.safetensors").network.state_dict().items():
        wanted = tensor.mean(0, keepdim=True) if name.endswith((".scale", ".shift")) else tensor
        assert torch.equal(found[name], wanted), name
    with pytest.raises(SettingsError, match="has width 4 and 1 blocks; 8 and 1 are wanted"):
        iter_train(painting, photos, replace(settings, width=8))


def test_it_ends_early_when_nothing_gets_better(painting: str, photos: str, quick: TrainSettings) -> None:
    settings = replace(quick, steps=50, rate=0.0, check_every=2, patience=3)
    found = last(iter_train(painting, photos, settings))
    assert found.finished
    assert found.step == 2 * (1 + 3)


def test_several_paintings_become_several_styles(
    painting: str, photo: str, photos: str, quick: TrainSettings, tmp_path: Path
) -> None:
    found = last(iter_train([painting, photo], photos, replace(quick, rate=0.02)))
    found.model().save(tmp_path / "two.safetensors")
    model = load_model(tmp_path / "two.safetensors")
    assert model.styles == ("painting", "photo")
    image = scene(40, 48)
    one, other = (model.network(image, shares[None]) for shares in torch.eye(2))
    assert float((one - other).abs().max()) > 1e-3
    assert found.preview().shape == (1, 3, 64, 32 * 1)


def test_two_processes_are_one(painting: str, photos: str, quick: TrainSettings, tmp_path: Path) -> None:
    """Each paints its share of a batch, and gradients are averaged."""
    options = ["--rate", "0.1", "--steps", "4", "--size", "32", "--style-size", "40", "--batch", "2",
               "--width", "4", "--blocks", "1", "--check-every", "3", "--weights", quick.weights]  # fmt: skip
    job = ["train", painting, "--images", photos, *options, "--precision", "float32"]
    done = launch(str(HERE / "forked.py"), "2", *job, "-o", str(tmp_path / "two.safetensors"))
    assert done.returncode == 0, done.stderr[-3000:]
    two = load_model(tmp_path / "two.safetensors").network.state_dict()
    alone = last(iter_train(painting, photos, replace(quick, rate=0.1, steps=4)))
    one = alone.model().network.state_dict()
    torch.manual_seed(0)
    begun = TransformerNet(4, 1).state_dict()
    moved = sum(float((tensor - begun[name]).abs().mean()) for name, tensor in one.items())
    apart = sum(float((tensor - two[name]).abs().mean()) for name, tensor in one.items())
    # Adam's first steps are as long for a gradient of nearly 0, whose sign is rounding's, as for any other.
    assert apart < 0.1 * moved, (apart, moved)


def test_a_batch_that_processes_cannot_share_is_refused(
    painting: str, photos: str, quick: TrainSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("impasto.fast.trainer.world_size", lambda: 3)
    with pytest.raises(SettingsError, match="batch is 2, which 3 processes cannot share"):
        iter_train(painting, photos, quick)


def test_every_photograph_comes_once_before_one_comes_again(photos: str) -> None:
    found = TrainingPhotos(photos, 32, seed=3)
    assert len(found) + len(found.held) == 13
    squares = [found.crop(number) for number in range(2 * len(found))]
    assert all(square.shape == (1, 3, 32, 32) for square in squares)
    assert all(float(square.min()) >= 0 and float(square.max()) <= 1 for square in squares)
    again = TrainingPhotos(photos, 32, seed=3)
    assert torch.equal(again.crop(7), squares[7])  # whatever was drawn before
    first = {float(square.mean()) for square in squares[: len(found)]}
    assert len(first) >= len(found) - 1  # one was broken, and the next stood in for it
    assert not torch.equal(TrainingPhotos(photos, 32, seed=4).crop(7), squares[7])
    held = [path.name for path in found.held]
    assert not {path.name for path in found.files} & set(held)


def test_a_broken_photograph_is_passed_over_and_counted(
    painting: str, photos: str, quick: TrainSettings
) -> None:
    found = last(iter_train(painting, photos, replace(quick, steps=12)))
    assert found.broken == 1
    assert found.model().manifest["result"]["broken"][0].endswith("photo05-broken.jpg")


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


def test_the_command(painting: str, photos: str, quick: TrainSettings) -> None:
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
