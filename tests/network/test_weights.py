"""Weights agree with their record, or an error says what to do."""

import errno
import hashlib
import io
import os
import shutil
import socket
import subprocess
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from filelock import FileLock

from fake_index import (
    ARCHIVE,
    MEMBER,
    TINY,
    FakeIndex,
    assert_tiny,
    clean_environment,
    kept,
    tiny_layers,
    tiny_record,
)
from impasto.errors import WeightsError
from impasto.layers import CONVOLUTIONS
from impasto.network import download, package_index, weight_files, weight_records, weights
from impasto.network.weight_records import RECORDS
from impasto.storage import atomic
from made_files import as_nobody


@pytest.fixture(autouse=True)
def _clean_environment(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    if not request.node.get_closest_marker("weights"):
        clean_environment(monkeypatch)


@pytest.fixture
def closed_port() -> str:
    """The address of an index at which nothing answers."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return f"http://127.0.0.1:{listener.getsockname()[1]}/simple/"


# ---- fetching


def test_weights_are_fetched_once_and_then_need_no_network(
    index: FakeIndex, tmp_path: Path, closed_port: str
) -> None:
    cache = tmp_path / "new" / "cache"
    seen: list[tuple[int, int]] = []
    with download.report_downloads(lambda done, total: seen.append((done, total))):
        loaded = weights.load(cache=cache, index_url=index.url, record=TINY)
    assert_tiny(loaded)
    assert loaded.name == "tiny"
    assert loaded.path == str(cache / f"tiny-{TINY.tensors_sha256[:8]}.safetensors")
    assert [done for done, _ in seen] == sorted(done for done, _ in seen)
    assert seen[-1] == (len(ARCHIVE), len(ARCHIVE))
    assert {total for _, total in seen} == {len(ARCHIVE)}
    assert kept(cache) == {TINY.file_name}
    assert_tiny(weights.load(cache=cache, index_url=closed_port, record=TINY))
    assert index.downloads == 1


def test_force_fetches_again(index: FakeIndex, tmp_path: Path) -> None:
    for force in (False, False, True):
        path = weights.fetch(TINY, cache=tmp_path, index_url=index.url, force=force)
    assert index.downloads == 2
    assert_tiny(weights.load(path, record=TINY))


@pytest.mark.parametrize("mode", ["encoded", "short once"])
def test_odd_servers_do_no_harm(index: FakeIndex, tmp_path: Path, mode: str) -> None:
    index.mode = mode
    assert_tiny(weights.load(cache=tmp_path, index_url=index.url, record=TINY))
    assert kept(tmp_path) == {TINY.file_name}


@pytest.mark.parametrize(
    ("mode", "message", "downloads"),
    [
        (
            "short",
            r"2 attempts: (the connection broke off|[\d,]+ bytes came, [\d,]+ are needed)\. Run `impasto",
            2,
        ),
        ("lies", rf"2 attempts: its SHA-256 is [0-9a-f]{{64}}, {TINY.archive_sha256} is needed", 2),
        ("long", rf"more than {len(ARCHIVE):,} bytes came, {len(ARCHIVE):,} are needed", 2),
        ("hold", r"2 attempts: no answer within 0\.2 seconds\. Run `impasto", 2),
        ("missing", r"2 attempts: the server answered 404", 0),
        ("broken", r"cannot be reached: the server answered 500\. Run `impasto weights fetch`", 0),
        ("garbage", r"does not answer as a package index \(\w+\)\. Name another index", 0),
    ],
    ids=lambda value: value if str(value).isalpha() else "",  # without messages: they hold sizes
)
def test_bad_servers_are_an_error_with_advice(
    index: FakeIndex, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, mode: str, message: str, downloads: int
) -> None:
    index.mode = mode
    monkeypatch.setattr(download, "READ_SECONDS", 0.2)
    with pytest.raises(WeightsError, match=message):
        weights.load(cache=tmp_path, index_url=index.url, record=TINY)
    assert index.downloads == downloads
    assert kept(tmp_path) == set()


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        (
            {"package": "no-such-thing"},
            r"has no package no-such-thing\. Name another index with IMPASTO_INDEX_URL",
        ),
        ({"archive": "tiny_vgg19-2.0.tar.gz"}, r"but not tiny_vgg19-2\.0\.tar\.gz \(versions there: 1\.0\)"),
        ({"member": "tiny_vgg19-1.0/x.pth"}, r"has no member tiny_vgg19-1\.0/x\.pth\. Run `impasto"),
        (
            {"member_bytes": 7},
            rf"net\.pth in tiny_vgg19-1\.0\.tar\.gz is {len(MEMBER):,} bytes, 7 are needed",
        ),
        ({"member_sha256": "00"}, rf"net\.pth in .* has SHA-256 {TINY.member_sha256}, 00 is needed"),
        ({"tensors_sha256": "f" * 64}, rf"have digest {TINY.tensors_sha256}; f{{64}} is needed"),
    ],
)
def test_a_download_that_differs_from_its_record_is_refused(
    index: FakeIndex, tmp_path: Path, wrong: dict[str, Any], message: str
) -> None:
    with pytest.raises(WeightsError, match=message):
        weights.fetch(replace(TINY, **wrong), cache=tmp_path, index_url=index.url)
    assert kept(tmp_path) == set()


def test_a_download_that_is_no_archive_is_refused(tmp_path: Path) -> None:
    data = b"not an archive"
    with FakeIndex(data) as index, pytest.raises(WeightsError, match="cannot be unpacked"):
        weights.fetch(tiny_record(MEMBER, data), cache=tmp_path, index_url=index.url)


def test_without_a_network_the_error_names_the_ways_out(tmp_path: Path, closed_port: str) -> None:
    with pytest.raises(
        WeightsError, match=r"cannot be reached: no connection\. Run `impasto.*--weights PATH"
    ):
        weights.load(cache=tmp_path, index_url=closed_port, record=TINY)
    with pytest.raises(WeightsError, match=r"does not answer as a package index \(MissingSchema\)"):
        weights.load(cache=tmp_path, index_url="index", record=TINY)


def test_messages_do_not_show_passwords(closed_port: str, tmp_path: Path) -> None:
    with pytest.raises(WeightsError) as caught:
        weights.load(cache=tmp_path, index_url=closed_port.replace("//", "//user:secret@"), record=TINY)
    assert "127.0.0.1" in str(caught.value)
    assert "secret" not in str(caught.value)


def test_progress_that_raises_ends_the_download(index: FakeIndex, tmp_path: Path) -> None:
    def stop(done: int, total: int) -> None:
        raise BrokenPipeError("the reader is gone")

    with (
        download.report_downloads(stop),
        pytest.raises(BrokenPipeError, match="the reader is gone"),
    ):
        weights.load(cache=tmp_path, index_url=index.url, record=TINY)
    assert kept(tmp_path) == set()


def test_the_index_is_taken_from_argument_environment_and_pip(monkeypatch: pytest.MonkeyPatch) -> None:
    def pip(*_: Any, **__: Any) -> SimpleNamespace:
        return SimpleNamespace(returncode=0, stdout="from-pip\n")

    def hangs(*_: Any, **__: Any) -> None:
        raise subprocess.TimeoutExpired("pip", 5)

    monkeypatch.setattr(package_index.subprocess, "run", hangs)
    assert package_index.index_address() is None
    monkeypatch.setattr(package_index.subprocess, "run", pip)
    assert package_index.index_address() == "from-pip"
    monkeypatch.setenv("PIP_INDEX_URL", "from-environment")
    assert package_index.index_address() == "from-environment"
    monkeypatch.setenv("IMPASTO_INDEX_URL", "ours")
    assert package_index.index_address() == "ours"
    assert package_index.index_address("argument") == "argument"


# ---- the cache


@pytest.mark.parametrize("damage", ["flipped", "truncated", "text", "other weights", "empty"])
def test_a_damaged_cache_is_repaired(index: FakeIndex, tmp_path: Path, closed_port: str, damage: str) -> None:
    path = weights.fetch(TINY, cache=tmp_path, index_url=index.url)
    data = path.read_bytes()
    bad = {
        "flipped": data[:-5] + bytes([data[-5] ^ 64]) + data[-4:],
        "truncated": data[:-100],
        "text": b"<html>Please log in</html>",
        "other weights": b"",
        "empty": b"",
    }[damage]
    path.write_bytes(bad)
    if damage == "other weights":
        weight_files.save_tensors(weight_files.by_tensor(tiny_layers(seed=1)), path)
    with pytest.raises(
        WeightsError, match=r"are damaged and could not be fetched anew: .*no connection\. Run"
    ):
        weights.load(cache=tmp_path, index_url=closed_port, record=TINY)
    assert_tiny(weights.load(cache=tmp_path, index_url=index.url, record=TINY))
    assert index.downloads == 2


def test_verify_tells_absent_good_and_damaged_files(
    index: FakeIndex, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(weights, "RECORDS", {"tiny": TINY})
    path = tmp_path / TINY.file_name
    assert weights.verify(cache=tmp_path) == [weights.WeightStatus(TINY, path, "absent", 0)]
    weights.fetch(TINY, cache=tmp_path, index_url=index.url)
    size = path.stat().st_size
    assert weights.verify(cache=tmp_path) == [weights.WeightStatus(TINY, path, "good", size)]
    path.write_text("oops")
    assert weights.verify(cache=tmp_path) == [weights.WeightStatus(TINY, path, "damaged", 4)]


def test_too_little_space_is_noticed_before_the_download(
    index: FakeIndex, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(free=1234))
    needed = max(len(ARCHIVE), len(MEMBER))
    with pytest.raises(
        WeightsError, match=rf"is full: {needed:,} bytes are needed and 1,234 available\. Make"
    ):
        weights.load(cache=tmp_path, index_url=index.url, record=TINY)
    assert index.downloads == 0


@pytest.mark.parametrize(
    ("module", "opener"), [(download, "open_new"), (atomic, "open")], ids=["archive", "tensors"]
)
@pytest.mark.parametrize(
    ("number", "message"),
    [(errno.ENOSPC, r"is full: [\d,]+ bytes are needed and"), (errno.EROFS, r"cannot be written: Read-only")],
    ids=["full", "read-only"],
)
def test_a_failing_write_leaves_nothing_in_the_cache(
    index: FakeIndex,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    module: Any,
    opener: str,
    number: int,
    message: str,
) -> None:
    class Refusing(io.FileIO):
        def write(self, _: Any) -> int:
            raise OSError(number, os.strerror(number))

    monkeypatch.setattr(module, opener, lambda path, *_: Refusing(path, "w"), raising=False)
    with pytest.raises(WeightsError, match=message):
        weights.load(cache=tmp_path, index_url=index.url, record=TINY)
    assert kept(tmp_path) == set()


def test_an_unusable_cache_folder_is_named(
    index: FakeIndex, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "file"
    file.write_text("no folder")
    for cache in (file, file / "below"):
        with pytest.raises(WeightsError, match=r"file.* cannot be written: .*with IMPASTO_CACHE"):
            weights.load(cache=cache, index_url=index.url, record=TINY)
    (tmp_path / "cache" / TINY.file_name).with_suffix(".lock").mkdir(parents=True)
    with pytest.raises(
        WeightsError, match=r"\.lock cannot be locked: .*Choose another folder with IMPASTO_CACHE"
    ):
        weights.load(cache=tmp_path / "cache", index_url=index.url, record=TINY)


def test_a_read_only_cache_can_be_read_but_not_filled(index: FakeIndex, open_folder: Path) -> None:
    open_folder.chmod(0o555)
    with as_nobody(), pytest.raises(WeightsError, match=r"Permission denied.*IMPASTO_CACHE"):
        weights.load(cache=open_folder, index_url=index.url, record=TINY)
    open_folder.chmod(0o755)
    weights.fetch(TINY, cache=open_folder, index_url=index.url)
    open_folder.chmod(0o555)
    with as_nobody():
        assert_tiny(weights.load(cache=open_folder, record=TINY))


def test_a_lock_that_is_never_released_ends_in_an_error(
    index: FakeIndex, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(weights, "LOCK_SECONDS", 0.1)
    held = FileLock((tmp_path / TINY.file_name).with_suffix(".lock"))
    with held, pytest.raises(WeightsError, match=r"another process has held .* minutes"):
        weights.load(cache=tmp_path, index_url=index.url, record=TINY)


def test_environment_variables_choose_cache_index_and_weights(
    index: FakeIndex, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("IMPASTO_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("IMPASTO_INDEX_URL", index.url)
    assert weight_records.cache_folder() == tmp_path / "cache"
    assert weight_records.cache_folder(tmp_path) == tmp_path
    assert weights.load(record=TINY).path == str(tmp_path / "cache" / TINY.file_name)
    weight_files.save_tensors(weight_files.by_tensor(tiny_layers(seed=1)), tmp_path / "mine.safetensors")
    monkeypatch.setenv("IMPASTO_WEIGHTS", str(tmp_path / "mine.safetensors"))
    assert weights.load(record=TINY).name == "custom"
    assert weights.load(tmp_path / "cache" / TINY.file_name, record=TINY).name == "tiny"
    monkeypatch.delenv("IMPASTO_CACHE")
    assert weight_records.cache_folder().name == "impasto"


@pytest.mark.weights
def test_the_real_weights_equal_their_record() -> None:
    """They come from the user's cache or, if absent, from the machine's package index."""
    record = RECORDS["vgg19-normalized"]
    loaded = weights.load()
    assert (loaded.name, loaded.sha256) == (record.name, record.tensors_sha256)
    assert weight_files.digest(loaded.layers) == record.tensors_sha256
    widths = [64] * 2 + [128] * 2 + [256] * 4 + [512] * 8
    for channels, width, (name, (weight, bias)) in zip(
        [3, *widths], widths, loaded.layers.items(), strict=False
    ):
        assert (name, weight.shape, bias.shape) == (name, (width, channels, 3, 3), (width,))
    assert list(loaded.layers) == list(CONVOLUTIONS)
    # SHA-256 of the numbers in the original file, in order, computed once by an independent script.
    raw = hashlib.sha256()
    for weight, bias in loaded.layers.values():
        raw.update(weight.numpy().tobytes() + bias.numpy().tobytes())
    assert raw.hexdigest() == "ae90e03877ee0f735a0e55f0ec2bd334333884e8646202b33f3bb1bf6c1ab516"
    # the first number of these layers in the original file
    firsts = {"conv1_1": 0.0171214845, "conv3_4": -0.0073106266, "conv5_4": -0.0297887605}
    for name, first in firsts.items():
        assert loaded.layers[name][0].flatten()[0].item() == pytest.approx(first, rel=1e-6)
