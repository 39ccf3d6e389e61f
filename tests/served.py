"""Start the studio for a test: `impasto web` with the small network, in its own process."""

import os
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil


@contextmanager
def studio(
    weights: str, decoder: str, *options: str, limit: float = 60.0
) -> Iterator[tuple[str, psutil.Process]]:
    """Serve the studio within the context; give its address and its process.

    `limit` is in seconds, for the start.
    """
    environment = {**os.environ, "IMPASTO_DECODER": decoder, "OMP_NUM_THREADS": "1", "COLUMNS": "200"}
    command = [sys.executable, "-m", "impasto", "web", "--port", "0", "--no-browser", "--weights", weights]
    log = Path(weights).with_name(f"studio-{os.getpid()}-{time.monotonic_ns()}.log")
    with log.open("w") as file:
        process = subprocess.Popen([*command, *options], stdout=file, stderr=file, env=environment)
    try:
        start = time.monotonic()
        while not (address := re.search(r"http://127\.0\.0\.1:\d+", log.read_text())):
            assert process.poll() is None, log.read_text()
            assert time.monotonic() - start < limit, "the studio did not open"
            time.sleep(0.1)
        yield address[0], psutil.Process(process.pid)
    finally:
        process.terminate()
        try:
            process.wait(timeout=20)
        except subprocess.TimeoutExpired:
            process.kill()
        print(log.read_text()[-4000:])  # noqa: T201 — pytest shows it with a failure
