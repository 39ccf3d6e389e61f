"""The command `impasto web` checks its options before the page opens, and leaves nothing at its end."""

import math
import signal
import time
from pathlib import Path
from typing import Any

import httpx
import pytest
from typer.testing import CliRunner

from impasto.cli.main import app
from impasto.errors import SettingsError
from impasto.studio.messages import Limits
from impasto.web.server import bound
from served import studio

RUNNER = CliRunner()


@pytest.fixture
def opened(monkeypatch: pytest.MonkeyPatch) -> list[tuple[Any, ...]]:
    """The arguments of each queue that the command makes; no worker is started, and no page is served."""
    queues: list[tuple[Any, ...]] = []
    monkeypatch.setattr("impasto.studio.job_queue.JobQueue", lambda *arguments: queues.append(arguments))
    monkeypatch.setattr("impasto.web.server.serve", lambda *_, **__: None)
    return queues


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--upload", "lots"], "upload is 'lots'; give a size"),
        (["--memory", "lots"], "memory is 'lots'; give a size"),
        (["--hours=-1"], "or equal to 0"),
    ],
)
def test_a_bad_option_ends_the_command(
    opened: list[tuple[Any, ...]], small_file: str, options: list[str], message: str
) -> None:
    result = RUNNER.invoke(app, ["web", "--weights", small_file, *options])
    assert result.exit_code == 2, result.output
    assert message in result.output
    assert not opened


@pytest.mark.parametrize(
    ("options", "seconds"), [([], 3600), (["--hours", "1.5"], 5400), (["--hours", "0"], math.inf)]
)
def test_the_longest_time_of_a_painting_is_given_in_hours(
    opened: list[tuple[Any, ...]], small_file: str, options: list[str], seconds: float
) -> None:
    result = RUNNER.invoke(app, ["web", "--weights", small_file, *options])
    assert result.exit_code == 0, result.output
    (arguments,) = opened
    limits = arguments[-1]
    assert isinstance(limits, Limits)
    assert limits.seconds == seconds


def test_no_port_after_the_last_one_is_tried() -> None:
    with pytest.raises(SettingsError, match=r"cannot listen on 127\.0\.0\.1:65535"):  # noqa: SIM117
        with bound("127.0.0.1", 65535):
            bound("127.0.0.1", 65535)


def test_a_second_ctrl_c_leaves_no_files(
    small_file: str, decoder_file: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The server waits for a page that is open; the second signal ends the waiting."""
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    with studio(small_file, decoder_file) as (address, process):
        with httpx.stream("GET", f"{address}/gradio_api/heartbeat/somebody", timeout=30):
            assert list(tmp_path.glob("impasto-studio-*/uploads"))
            process.send_signal(signal.SIGINT)
            time.sleep(0.7)
            process.send_signal(signal.SIGINT)
            process.wait(60)
        assert not list(tmp_path.glob("impasto-studio-*"))
