"""Files that are complete but hold nothing that Impasto could have written are refused."""

from pathlib import Path
from typing import Any

import pytest
import torch

from checkpoints import load as load_checkpoint
from impasto.errors import CheckpointError, WeightsError
from impasto.fast import models, training_checkpoint
from impasto.objective.bands import Band
from impasto.run import checkpoint
from impasto.solve.space import Space
from impasto.storage.tensor_file import write_tensors
from old_files import DATA, read_checkpoint, read_training

RUN: dict[str, Any] = {"scale": 0, "step": 0, "spent": 0, "seconds": 0.5, "layouts": [], "descent": None}
LAYOUT = {"kind": "layout", "tile": 0, "keep": "memory", "history": 2}


@pytest.mark.parametrize(
    "change",
    [
        {"scale": "0"},
        {"step": 1.5},
        {"spent": True},
        {"seconds": None},
        {"layouts": [0]},
        {"layouts": [{**LAYOUT, "keep": "nowhere"}]},
        {"layouts": [{**LAYOUT, "kind": "unknown"}]},
        {"layouts": [{**LAYOUT, "more": 1}]},
        {"descent": LAYOUT},
        {"descent": {"tensor": "0"}},
        {"descent": {"tensor": ["0"]}},
        {"trace": [1.5]},
        {"balance": "1"},
        {"unknown": 1},
    ],
    ids=str,
)
def test_checkpoints_with_bad_fields_are_refused(change: dict[str, Any], tmp_path: Path) -> None:
    path, device = tmp_path / "c", torch.device("cpu")
    write_tensors(path, checkpoint.KIND, {}, {"run": {**RUN, "layouts": [LAYOUT]}, "facts": {}})
    assert load_checkpoint(path, space, device).seconds == 0.5
    write_tensors(path, checkpoint.KIND, {}, {"run": {**RUN, **change}, "facts": {}})
    with pytest.raises(CheckpointError, match="c is damaged, or no impasto checkpoint"):
        load_checkpoint(path, space, device)


def space(scale: int) -> Space:
    return Space(Band.of(32, 24))


def test_a_checkpoint_with_an_image_of_the_wrong_size_is_refused(tmp_path: Path) -> None:
    facts, snapshot = read_checkpoint(DATA / "e78b87f-checkpoint")
    checkpoint.save(tmp_path / "c", snapshot, facts)
    with pytest.raises(
        CheckpointError, match=r"is damaged, or no impasto checkpoint \(.*\(1, 3, 24, 32\), which"
    ):
        load_checkpoint(tmp_path / "c", space, torch.device("cpu"))


@pytest.mark.parametrize(
    "change",
    [
        {"shape": {"width": 8, "blocks": 1}},
        {"shape": {"width": "4"}},
        {"shape": 4},
        {"styles": "p"},
        {"styles": []},
        {"styles": [1]},
        {"manifest": []},
    ],
    ids=str,
)
def test_painters_with_bad_facts_are_refused(change: dict[str, Any], tmp_path: Path) -> None:
    model = models.load(DATA / "e78b87f-painter.safetensors")
    facts = {"shape": model.network.shape, "styles": list(model.styles), "manifest": {}, **change}
    write_tensors(tmp_path / "p", models._kind(), dict(model.network.state_dict()), facts)
    with pytest.raises(WeightsError, match=r"is damaged, or no Impasto painter \(.*shipped: great-wave"):
        models.load(tmp_path / "p")


@pytest.mark.parametrize(
    "change", [{"step": 1.5}, {"looks": [3]}, {"looks": [[3, "4.6"]]}, {"more": 1}, {"waited": None}], ids=str
)
def test_trainings_with_bad_facts_are_refused(change: dict[str, Any], tmp_path: Path) -> None:
    painter, adam, best, standing = read_training(DATA / "e78b87f-training.safetensors")
    training_checkpoint.write(tmp_path / "t", painter, adam, best, {"width": 4}, {**standing, **change})
    with pytest.raises(CheckpointError, match="t is damaged, or no Impasto training"):
        read_training(tmp_path / "t")
