"""The worker, called in the process of the test, and the answers that it gives."""

from concurrent.futures import Future
from contextlib import suppress
from functools import partial
from multiprocessing import Pipe
from multiprocessing.connection import Connection
from pathlib import Path
from threading import Thread
from typing import Any

import pytest

from fake_index import ARCHIVE, TINY, FakeIndex, clean_environment
from impasto.errors import ImpastoError
from impasto.network import download, weights
from impasto.studio.messages import FoundMasks, JobRequest, Update
from impasto.studio.worker import Worker
from impasto.studio.worker_handle import settle


def receive_all(pipe: Connection, received: list[tuple[str, Any]]) -> None:
    """Receive messages until the other end is closed."""
    with suppress(EOFError):
        while True:
            received.append(pipe.recv())


def test_the_worker_reports_how_far_a_download_is(
    photo: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    clean_environment(monkeypatch)
    monkeypatch.setattr(download, "CHUNK", len(ARCHIVE) // 4)
    monkeypatch.setattr("impasto.studio.worker.EVERY", 0.0)
    test_end, worker_end = Pipe()
    received: list[tuple[str, Any]] = []
    reader = Thread(target=receive_all, args=(test_end, received))
    reader.start()
    with FakeIndex(ARCHIVE) as index:
        load = partial(weights.load, cache=tmp_path / "cache", index_url=index.url, record=TINY)
        monkeypatch.setattr("impasto.network.vgg.load", load)
        job = JobRequest(
            recipe="features", content=photo, settings={"layer": "conv1_1"}, folder=str(tmp_path)
        )
        worker = Worker(worker_end, {"weights": ""})
        for _ in range(2):
            worker.serve("paint", job)
        worker_end.close()
        reader.join()
        assert index.downloads == 1
    updates = [content for kind, content in received if kind == "news" and isinstance(content, Update)]
    texts = [update.text for update in updates if update.text.startswith("Fetching")]
    percents = [int(text.split("once: ")[1].split(" %")[0]) for text in texts]
    assert percents == sorted(set(percents))
    assert len(percents) >= 4
    assert percents[-1] == 100
    assert [update.state for update in updates if update.state != "working"] == ["finished"] * 2


def test_an_error_while_the_worker_warms_up_is_printed(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    queue_end, worker_end = Pipe()
    with queue_end, worker_end:
        Worker(worker_end, {"weights": str(tmp_path / "nowhere.safetensors")}).serve("warm")
    (message,) = caplog.messages
    assert message.startswith("The studio cannot paint: ")
    assert "nowhere.safetensors" in message


class Abandoned(Future[Any]):
    """A future that is cancelled just before it gets its result, as by an asker who has waited too long."""

    def set_result(self, result: Any) -> None:
        self.cancel()
        super().set_result(result)

    def set_exception(self, exception: BaseException | None) -> None:
        self.cancel()
        super().set_exception(exception)


@pytest.mark.parametrize("result", [FoundMasks(()), ImpastoError("no masks")])
def test_an_answer_that_nobody_waits_for_any_more_is_dropped(result: FoundMasks | ImpastoError) -> None:
    answer = Abandoned()
    settle(answer, result)
    assert answer.cancelled()
