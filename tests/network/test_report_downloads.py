"""A download is reported to the innermost `report_downloads` of the thread that fetches."""

import contextvars
import sys
from pathlib import Path
from threading import Thread

import pytest

from fake_index import ARCHIVE, TINY, FakeIndex
from impasto import report_downloads
from impasto.network import download, weights

Reports = list[tuple[int, int]]


@pytest.fixture(autouse=True)
def _small_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(download, "CHUNK", len(ARCHIVE) // 4)


def fetch(index: FakeIndex, folder: Path) -> None:
    weights.load(cache=folder, index_url=index.url, record=TINY)


def append_to(reports: Reports) -> download.ByteProgress:
    return lambda done, total: reports.append((done, total))


def test_bytes_are_reported_within_the_context_and_not_after_it(index: FakeIndex, tmp_path: Path) -> None:
    seen: Reports = []
    with report_downloads(append_to(seen)):
        fetch(index, tmp_path / "a")
    done = [count for count, _ in seen]
    assert len(done) >= 4
    assert done == sorted(set(done))
    assert seen[-1] == (len(ARCHIVE), len(ARCHIVE))
    reports = len(seen)
    fetch(index, tmp_path / "b")
    assert len(seen) == reports
    assert index.downloads == 2


def test_only_the_innermost_context_reports(index: FakeIndex, tmp_path: Path) -> None:
    outer: Reports = []
    inner: Reports = []
    with report_downloads(append_to(outer)):
        with report_downloads(append_to(inner)):
            fetch(index, tmp_path / "a")
        assert (bool(outer), bool(inner)) == (False, True)
        with report_downloads(None):
            fetch(index, tmp_path / "b")
        assert not outer
        fetch(index, tmp_path / "c")
    assert outer == inner


def test_an_error_within_the_context_ends_it(index: FakeIndex, tmp_path: Path) -> None:
    seen: Reports = []
    with pytest.raises(KeyboardInterrupt), report_downloads(append_to(seen)):
        raise KeyboardInterrupt
    fetch(index, tmp_path)
    assert not seen


def test_a_thread_reports_if_it_runs_in_the_context(index: FakeIndex, tmp_path: Path) -> None:
    seen: Reports = []
    with report_downloads(append_to(seen)):
        run = contextvars.copy_context().run
        threads = [
            Thread(target=run, args=(fetch, index, tmp_path / "a")),
            Thread(target=fetch, args=(index, tmp_path / "b")),
        ]
        for thread in threads:
            thread.start()
            thread.join()
    expected = 2 if getattr(sys.flags, "thread_inherit_context", 0) else 1  # new in Python 3.14
    assert [done for done, _ in seen].count(len(ARCHIVE)) == expected
    assert index.downloads == 2
