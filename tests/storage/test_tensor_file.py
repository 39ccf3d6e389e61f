"""Tensor files give back what was written, and damage anywhere in a file is reported."""

import dataclasses
import hashlib
import json
import os
import random
import re
import tracemalloc
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import save_file

from impasto.errors import CheckpointError, WeightsError
from impasto.fast import models, training_checkpoint
from impasto.run import checkpoint
from impasto.storage import tensor_file
from impasto.storage.tensor_file import FileKind, TensorReader, open_tensors, write_tensors
from old_files import DATA, content_of, read_checkpoint, read_training

KIND = FileKind("test kind", 2, TensorReader.data_sha256, WeightsError, "Write it anew.")
REFUSALS = r"is damaged|is a safetensors file, but no|has format \d+ of"


def new_checkpoint(path: Path) -> None:
    facts, snapshot = read_checkpoint(DATA / "e78b87f-checkpoint")
    checkpoint.save(path, snapshot, facts)


def new_painter(path: Path) -> None:
    models.load(DATA / "e78b87f-painter.safetensors").save(path)


def new_training(path: Path) -> None:
    painter, adam, best, standing = read_training(DATA / "e78b87f-training.safetensors")
    training_checkpoint.write(path, painter, adam, best, {"width": 4}, standing)


KINDS: dict[str, tuple[Callable[[Path], None], Callable[[Path], Any], type[Exception]]] = {
    "checkpoint": (new_checkpoint, read_checkpoint, CheckpointError),
    "painter": (new_painter, models.load, WeightsError),
    "training": (new_training, read_training, CheckpointError),
}


@pytest.fixture(params=KINDS)
def kind(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def contents(kind: str, tmp_path: Path) -> bytes:
    """The bytes of a file of each kind."""
    KINDS[kind][0](tmp_path / "undamaged")
    return (tmp_path / "undamaged").read_bytes()


def open_and_close(path: Path) -> None:
    with open_tensors(path, KIND):
        pass


def header_end(data: bytes) -> int:
    return 8 + int.from_bytes(data[:8], "little")


def test_flipped_bits_are_refused(kind: str, contents: bytes, tmp_path: Path) -> None:
    """In the length, names, digest, facts, padding and numbers."""
    _, read, error = KINDS[kind]
    rng, end = random.Random(kind), header_end(contents)
    starts = [*range(8 + len('{"__metadata__":{"file_sha256":"')), *range(end - 8, end)]
    positions = [*starts, *rng.sample(range(end), 300), *rng.sample(range(end, len(contents)), 50)]
    for position in positions:
        damaged = bytearray(contents)
        damaged[position] ^= 1 << rng.randrange(8)
        (tmp_path / "damaged").write_bytes(damaged)
        with pytest.raises(error, match=REFUSALS):
            read(tmp_path / "damaged")


def test_files_that_are_too_short_or_too_long_are_refused(kind: str, contents: bytes, tmp_path: Path) -> None:
    _, read, error = KINDS[kind]
    rng, end = random.Random(kind), header_end(contents)
    lengths = [*range(10), end - 1, end, end + 1, len(contents) - 1, *rng.sample(range(len(contents)), 60)]
    for data in (*(contents[:length] for length in lengths), contents + b"\0", contents + contents):
        (tmp_path / "damaged").write_bytes(data)
        with pytest.raises(error, match="is damaged, or no"):
            read(tmp_path / "damaged")


def test_a_file_read_and_written_again_is_the_same(kind: str, contents: bytes, tmp_path: Path) -> None:
    write, read, _ = KINDS[kind]
    assert content_of(read(tmp_path / "undamaged")) == content_of(read(next(DATA.glob(f"*{kind}*"))))
    write(tmp_path / "again")
    assert (tmp_path / "again").read_bytes() == contents


def test_a_later_format_is_refused_with_the_version_that_reads_it(
    kind: str, contents: bytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _, read, error = KINDS[kind]
    with safe_open(tmp_path / "undamaged", "pt") as file:
        name = file.metadata()["kind"]
    later = FileKind(name, 3, TensorReader.data_sha256, WeightsError, "")
    with monkeypatch.context() as patch:
        patch.setattr(tensor_file, "__version__", "9.1")
        write_tensors(tmp_path / "later", later, {}, {})
    message = rf"has format 3 of {name}; this Impasto \(.+\) reads 2\. Use Impasto 9\.1\.$"
    with pytest.raises(error, match=message):
        read(tmp_path / "later")


def test_a_damaged_file_is_not_taken_for_one_of_format_1(kind: str, contents: bytes, tmp_path: Path) -> None:
    """Format 1 has a weaker digest, so neither its number nor a changed header may select it."""
    _, read, error = KINDS[kind]
    older = re.sub(rb'("format":"[A-Za-z ]+ )2(".*?"version":")2"', rb'\g<1>1\g<2>1"', contents, count=1)
    assert older.count(b'"version":"1"') == 1
    renamed = older.replace(b'{"__metadata__":{"file_sha256":', b'{"__metadata__":{   "filesha2":')
    for data in (older, renamed, renamed.replace(b'"filesha2"', b'  "sha256"')):
        assert len(data) == len(contents)
        (tmp_path / "damaged").write_bytes(data)
        with pytest.raises(error, match="is damaged"):
            read(tmp_path / "damaged")


def test_the_header_names_the_kind_and_version(kind: str, contents: bytes, tmp_path: Path) -> None:
    """Any safetensors reader can see them, and under `format` as in format 1."""
    with safe_open(tmp_path / "undamaged", "pt") as file:
        metadata = file.metadata()
    names = {"checkpoint": "impasto checkpoint", "painter": "Impasto painter", "training": "Impasto training"}
    assert metadata["format"] == f"{names[kind]} 2"
    assert (metadata["kind"], metadata["version"]) == (names[kind], "2")


def test_tensors_rows_and_facts_come_back(tmp_path: Path) -> None:
    torch.manual_seed(0)
    tensors = {
        "image": torch.randn(2, 3, 7, 5),
        "loss": torch.tensor(0.5, dtype=torch.float64),
        "none": torch.empty(0, 4),
        "half": torch.randn(3).half(),
        "columns": torch.randn(4, 6).t(),
    }
    facts = {"text": "Größe, \udcff, \0", "numbers": [1, 1.5, float("inf")], "nothing": None}
    write_tensors(tmp_path / "file", KIND, tensors, facts)
    with open_tensors(tmp_path / "file", KIND) as file:
        assert file.facts == facts
        assert file.names == tuple(tensors)
        for name, tensor in tensors.items():
            assert file.shape(name) == tuple(tensor.shape)
            assert file.tensor(name).dtype == tensor.dtype
            assert torch.equal(file.tensor(name), tensor)
        for rows in ((0, 7), (2, 5), (6, 7), (3, 3)):
            assert torch.equal(file.tensor("image", rows), tensors["image"][:, :, slice(*rows)])
        with pytest.raises(WeightsError, match="is damaged, or no test kind"), file.parsing():
            file.tensor("image", (0, 8))
    with safe_open(tmp_path / "file", "pt") as other:  # the safetensors library reads the same
        assert all(torch.equal(other.get_tensor(name), tensor) for name, tensor in tensors.items())


def test_memory_does_not_grow_with_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tensor_file, "PIECE", 1 << 16)
    image = torch.zeros(1, 3, 1024, 1024)  # 12 MiB, which tracemalloc does not see
    tracemalloc.start()
    try:
        write_tensors(tmp_path / "file", KIND, {"image": image}, {})
        with open_tensors(tmp_path / "file", KIND) as file:
            assert file.tensor("image", (5, 9)).shape == (1, 3, 4, 1024)
        assert tracemalloc.get_traced_memory()[1] < 1 << 20
        for length in (900_000_000, 1 << 40, (1 << 64) - 1):
            with open(tmp_path / "file", "r+b") as damaged:
                damaged.write(length.to_bytes(8, "little"))
                damaged.truncate(1_000_000_000)  # a sparse file, which takes no space
            with pytest.raises(WeightsError, match="a header of"):
                open_and_close(tmp_path / "file")
        assert tracemalloc.get_traced_memory()[1] < 1 << 20
    finally:
        tracemalloc.stop()


def test_lazy_tensors_are_made_one_at_a_time(tmp_path: Path) -> None:
    """Tensors gathered from several processes are large, so each is made only when it is written."""
    made: list[str] = []

    def lazy(name: str, value: float) -> tensor_file.LazyTensor:
        def make() -> torch.Tensor:
            assert (tmp_path / "part").exists()
            made.append(name)
            return torch.full((2, 2), value)

        return tensor_file.LazyTensor((2, 2), torch.float32, make)

    tensors = {"b": lazy("b", 1.0), "a": lazy("a", 2.0)}
    write_tensors(tmp_path / "file", KIND, tensors, {}, temporary=tmp_path / "part")
    assert made == ["b", "a"]
    with open_tensors(tmp_path / "file", KIND) as file:
        assert float(file.tensor("a").mean()) == 2


METADATA = {"kind": "test kind", "version": "1", "sha256": hashlib.sha256(bytes(4)).hexdigest(), "said": "{}"}
HEADERS: dict[str, Any] = {
    "no object": [1],
    "metadata is no object": {"__metadata__": 3},
    "version is no number": {"__metadata__": {**METADATA, "version": "one"}},
    "version is not text": {"__metadata__": {**METADATA, "version": 1}},
    "version 0": {"__metadata__": {**METADATA, "version": "0"}},
    "no digest": {"__metadata__": {"kind": "test kind", "version": "1", "said": "{}"}},
    "no facts": {"__metadata__": {key: METADATA[key] for key in ("kind", "version", "sha256")}},
    "no offsets": {"x": {"dtype": "F32", "shape": []}},
    "unknown type": {"x": {"dtype": "F8", "shape": [1], "data_offsets": [0, 4]}},
    "a shape that does not fit": {"x": {"dtype": "F32", "shape": [2], "data_offsets": [0, 4]}},
    "a negative shape": {"x": {"dtype": "F32", "shape": [-1, -1], "data_offsets": [0, 4]}},
    "a broken number": {"x": {"dtype": "F32", "shape": [1.0], "data_offsets": [0, 4]}},
    "a gap": {"x": {"dtype": "F32", "shape": [0], "data_offsets": [4, 4]}},
    "numbers of no tensor": {"x": {"dtype": "F32", "shape": [0], "data_offsets": [0, 0]}},
    "no numbers": {"x": {"dtype": "F32", "shape": [2], "data_offsets": [0, 8]}},
}


def write_header(path: Path, header: object) -> None:
    """Write a file with this header and one float32 number."""
    text = json.dumps(header).encode()
    path.write_bytes(len(text).to_bytes(8, "little") + text + bytes(4))


@pytest.mark.parametrize("name", HEADERS)
def test_bad_headers_are_refused(name: str, tmp_path: Path) -> None:
    header = {"__metadata__": METADATA, "x": {"dtype": "F32", "shape": [1], "data_offsets": [0, 4]}}
    write_header(tmp_path / "good", header)
    open_and_close(tmp_path / "good")
    change = HEADERS[name]
    write_header(tmp_path / "file", {**header, **change} if isinstance(change, dict) else change)
    with pytest.raises(WeightsError, match="is damaged, or no test kind"):
        open_and_close(tmp_path / "file")


@pytest.mark.parametrize("text", [b"{", b"\xff{}", b"[" * 200_000, b'"' + b"9" * 9, b"9" * 9_000])
def test_headers_that_are_not_json_are_refused(text: bytes, tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(len(text).to_bytes(8, "little") + text)
    with pytest.raises(WeightsError, match="is damaged, or no test kind"):
        open_and_close(tmp_path / "file")


def test_missing_and_other_files_are_refused(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    for name in ("nowhere", ".", "pipe", "no\0name"):
        with pytest.raises(WeightsError, match=r"there is no file .*\. Write it anew\."):
            open_and_close(tmp_path / name)
    save_file({"x": torch.zeros(3)}, tmp_path / "other")
    with pytest.raises(WeightsError, match=r"is a safetensors file, but no test kind\. Write it anew\."):
        open_and_close(tmp_path / "other")


def test_errors_of_the_caller_are_not_blamed_on_the_file(tmp_path: Path) -> None:
    write_tensors(tmp_path / "file", KIND, {}, {})
    with pytest.raises(KeyError), open_tensors(tmp_path / "file", KIND):
        raise KeyError("a mistake of the caller's")
    with open_tensors(tmp_path / "file", KIND) as file:
        with pytest.raises(CheckpointError, match="of another kind"), file.parsing():
            raise CheckpointError("of another kind")
        with pytest.raises(RuntimeError, match="no memory"), file.parsing():
            raise RuntimeError("no memory")
        with pytest.raises(WeightsError, match=r"is damaged, .*\(a shape\)"), file.parsing(RuntimeError):
            raise RuntimeError("a shape")


def test_writing_reports_errors_and_follows_links(tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match=r"cannot be written: No such file or directory\."):
        write_tensors(tmp_path / "no" / "file", KIND, {}, {})
    (tmp_path / "target").write_text("old")
    (tmp_path / "link").symlink_to(tmp_path / "target")
    write_tensors(tmp_path / "link", dataclasses.replace(KIND), {}, {"new": 1})
    assert (tmp_path / "link").is_symlink()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["link", "target"]
    with open_tensors(tmp_path / "target", KIND) as file:
        assert file.facts == {"new": 1}
