"""Weights files named by the user: used if they hold VGG-19, otherwise refused, and never executed."""

import os
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor

from fake_index import (
    ARCHIVE,
    MEMBER,
    TINY,
    FakeIndex,
    assert_tiny,
    clean_environment,
    pickled,
    tiny_archive,
    tiny_layers,
    tiny_record,
    tiny_state_dict,
)
from impasto.errors import WeightsError
from impasto.network import weight_files, weights
from impasto.network.weight_records import WeightRecord


@pytest.fixture(autouse=True)
def _clean_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    clean_environment(monkeypatch)


@pytest.mark.parametrize("kind", ["safetensors", "old pth", "new pth"])
@pytest.mark.parametrize("record", [None, TINY], ids=["custom", "known"])
def test_every_kind_of_file_is_read(tmp_path: Path, kind: str, record: WeightRecord | None) -> None:
    path = tmp_path / "weights.bin"  # the name does not matter, the content does
    if kind == "safetensors":
        weight_files.save_tensors(weight_files.by_tensor(tiny_layers()), path, credit="nobody")
    else:
        path.write_bytes(pickled(tiny_state_dict(), zipped=kind == "new pth"))
    loaded = weights.load(path) if record is None else weights.load(path, record=record)
    assert_tiny(loaded)
    assert loaded.name == ("custom" if record is None else "tiny")
    assert loaded.path == str(path)
    weight, bias = loaded.layers["conv1_1"]
    assert (weight.dtype, weight.shape, bias.shape) == (torch.float32, (4, 3, 3, 3), (4,))


PNG = b"\x89PNG\r\n\x1a\n" + bytes(40)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"hello, this is text", r"\(19 bytes, text\) holds no weights\. Name a \.safetensors that Impasto"),
        (PNG, r"\(48 bytes, a PNG picture\) holds no weights"),
        (ARCHIVE, r"a gzip archive\) holds no weights"),
        (b"", r"\(0 bytes, empty\) holds no weights"),
        (b"\0" * 30, r"of an unknown kind\) holds no weights"),
        (MEMBER[:2000], r"is a damaged|is damaged"),
        (MEMBER[:-100], r"is a damaged state dict \(\w+\)"),
        (b"\x10\0\0\0\0\0\0\0{not quite json", r"is a damaged safetensors file"),
        (pickled([1, 2]), r"holds a list, not tensors by name"),
        (pickled({"a": 1}), r"lacks 32 of the tensors needed"),
    ],
)
def test_files_without_weights_are_named_for_what_they_are(
    tmp_path: Path, content: bytes, message: str
) -> None:
    path = tmp_path / "file"
    path.write_bytes(content)
    with pytest.raises(WeightsError, match=message):
        weights.load(path)


NAN = torch.full((4, 4, 3, 3), torch.nan)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"51.weight": None},
            r"lacks 1 of the tensors needed, 51\.weight among them; it holds 33 \(0\.weight, ",
        ),
        ({"0.bias": None}, r"lacks 1 of the tensors needed, 0\.bias"),
        ({"0.bias": torch.zeros(3)}, r"expects other colours than BGR, 0\.\.255, less \(103\.939, "),
        ({"5.weight": NAN}, r"conv1_2\.weight holds values that are infinite or not numbers"),
        ({"5.bias": torch.tensor([0, 1, torch.inf, 2])}, r"conv1_2\.bias holds values that are infinite"),
        (
            {"5.weight": torch.ones(4, 4, 3, 3, dtype=torch.int64)},
            r"is torch\.int64, .*floating point is needed",
        ),
        (
            {"5.weight": torch.ones(4, 4, 3, 3).to_sparse()},
            r"torch\.sparse_coo; plain floating point is needed",
        ),
        (
            {"5.weight": torch.ones(4, 5, 3, 3)},
            r"conv1_2 has weight \(4, 5, 3, 3\) .*\(N, 4, 3, 3\) and \(N,\)",
        ),
        ({"5.weight": torch.ones(5, 4, 3, 3)}, r"weight \(5, 4, 3, 3\) and bias \(4,\)"),
        ({"5.weight": torch.ones(4, 4, 1, 1)}, r"conv1_2 has weight \(4, 4, 1, 1\)"),
        ({"2.weight": torch.ones(0, 3, 3, 3), "2.bias": torch.ones(0)}, r"conv1_1 has weight \(0, 3, 3, 3\)"),
    ],
)
def test_networks_that_are_not_vgg19_are_refused(
    tmp_path: Path, changes: dict[str, Any], message: str
) -> None:
    state = {name: value for name, value in {**tiny_state_dict(), **changes}.items() if value is not None}
    path = tmp_path / "net.pth"
    path.write_bytes(pickled(state, zipped=True))
    with pytest.raises(WeightsError, match=message):
        weights.load(path)


def test_safetensors_with_other_keys_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "other.safetensors"
    save_file({"features.0.weight": torch.ones(1)}, path)
    with pytest.raises(
        WeightsError, match=r"lacks 32 .*conv1_1\.bias among them; it holds 1 \(features\.0\.weight\)"
    ):
        weights.load(path)
    layers = tiny_layers()
    del layers["conv3_2"]
    weight_files.save_tensors(weight_files.by_tensor(layers), path)
    with pytest.raises(WeightsError, match=r"lacks 2 of the tensors needed, conv3_2\.bias"):
        weights.load(path)


@pytest.mark.parametrize("name", ["nowhere.pth", "folder"])
def test_files_that_cannot_be_opened_are_named(tmp_path: Path, name: str) -> None:
    (tmp_path / "folder").mkdir()
    with pytest.raises(
        WeightsError, match=rf"weights .*{name} cannot be read: (No such file|Is a directory)"
    ):
        weights.load(tmp_path / name)


class Malicious:
    """Makes a folder when it is unpickled."""

    def __init__(self, mark: Path):
        self.mark = mark

    def __reduce__(self) -> Any:
        return os.mkdir, (str(self.mark),)


@pytest.mark.parametrize("zipped", [False, True])
def test_code_in_a_pickle_is_not_run(tmp_path: Path, zipped: bool) -> None:
    mark, path = tmp_path / "was run", tmp_path / "evil.pth"
    data = pickled({**tiny_state_dict(), "evil": Malicious(mark)}, zipped=zipped)
    path.write_bytes(data)
    with pytest.raises(WeightsError, match=r"holds code or objects besides tensors; it was not run"):
        weights.load(path)
    archive = tiny_archive(data)
    with FakeIndex(archive) as index, pytest.raises(WeightsError, match="it was not run"):
        weights.fetch(tiny_record(data, archive), cache=tmp_path / "cache", index_url=index.url)
    assert not mark.exists()


def test_saving_is_reproducible_and_leaves_no_other_file(tmp_path: Path) -> None:
    path = tmp_path / "net.safetensors"
    weight_files.save_tensors(weight_files.by_tensor(tiny_layers()), path)
    before = path.read_bytes()
    weight_files.save_tensors(weight_files.by_tensor(tiny_layers()), path)
    assert path.read_bytes() == before  # nothing in it depends on the hour
    assert list(tmp_path.iterdir()) == [path]
    with pytest.raises(WeightsError, match=r"net\.safetensors cannot be written: No such file or directory"):
        weight_files.save_tensors(
            weight_files.by_tensor(tiny_layers()), tmp_path / "no folder" / "net.safetensors"
        )


def test_the_digest_depends_only_on_the_numbers_and_their_order() -> None:
    layers = tiny_layers()
    relaid: dict[str, tuple[Tensor, Tensor]] = {
        name: (weight.contiguous(memory_format=torch.channels_last), bias)
        for name, (weight, bias) in layers.items()
    }
    assert weight_files.digest(relaid) == weight_files.digest(layers)
    relaid["conv5_4"] = (relaid["conv5_4"][0], relaid["conv5_4"][1] + 1e-6)
    assert weight_files.digest(relaid) != weight_files.digest(layers)
    swapped = dict(reversed(layers.items()))
    assert weight_files.digest(swapped) != weight_files.digest(layers)
