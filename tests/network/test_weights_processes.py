"""Two processes download weights only once, and a killed download does no harm."""

import multiprocessing
import time
from pathlib import Path

from fake_index import TINY, FakeIndex, assert_tiny, kept, load_in_child
from impasto.network import weights


def test_two_processes_download_once(index: FakeIndex, tmp_path: Path) -> None:
    index.mode = "slow"
    spawn = multiprocessing.get_context("spawn")
    gate = spawn.Barrier(2)
    child = spawn.Process(target=load_in_child, args=(TINY, str(tmp_path), index.url, gate))
    child.start()
    gate.wait(60)  # the child has imported torch and is about to fetch too
    assert_tiny(weights.load(cache=tmp_path, index_url=index.url, record=TINY))
    child.join(30)
    assert child.exitcode == 0
    assert index.downloads == 1
    assert kept(tmp_path) == {TINY.file_name}


def test_a_killed_download_is_repeated_by_the_next_process(index: FakeIndex, tmp_path: Path) -> None:
    index.mode = "hold"
    spawn = multiprocessing.get_context("spawn")
    child = spawn.Process(target=load_in_child, args=(TINY, str(tmp_path), index.url))
    child.start()
    assert index.held.wait(30)
    deadline = time.monotonic() + 5
    while not list(tmp_path.glob("*.part")) and time.monotonic() < deadline:
        time.sleep(0.01)
    child.kill()
    child.join(30)
    assert [name for name in kept(tmp_path) if not name.endswith(".part")] == []
    assert len(kept(tmp_path)) == 1
    index.mode = "good"
    assert_tiny(weights.load(cache=tmp_path, index_url=index.url, record=TINY))
    assert kept(tmp_path) == {TINY.file_name}
