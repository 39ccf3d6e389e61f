"""The studio: how fast its page loads and shows pictures, and whether memory grows from painting to painting.

    scripts/bench web [--paintings 20] [--size 128] [--live-sizes 256 512]

It starts `impasto web`, and needs the extra `dev` (Playwright, gradio_client) and Chromium.
"""

import os
import re
import shutil
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import pairwise
from pathlib import Path
from tempfile import TemporaryDirectory

import psutil
from common import argument_parser, example, parse_arguments, save_result
from gradio_client import Client, handle_file
from playwright.sync_api import Browser, sync_playwright

WATCH = """() => {
    const stage = document.querySelector('#paint-stage');
    let last = '';
    window.seen = [];
    new MutationObserver(() => {
        const image = stage.querySelector('img');
        if (image && image.src !== last) { last = image.src; window.seen.push(performance.now()); }
    }).observe(stage, {childList: true, subtree: true, attributes: true});
}"""
"""A script for the page that records when its picture changes, in `window.seen` (milliseconds)."""

WARM_UP = 3
"""Paintings before memory is compared: the first ones load the network and fill the caches."""


@contextmanager
def studio() -> Iterator[tuple[str, psutil.Process]]:
    """Run the studio: its address and its process."""
    with TemporaryDirectory() as folder:
        log = Path(folder) / "log"
        with log.open("w") as file:
            process = subprocess.Popen(
                [sys.executable, "-m", "impasto", "web", "--port", "0", "--no-browser"],
                stdout=file, stderr=file, env={**os.environ, "COLUMNS": "200"},
            )  # fmt: skip
        try:
            while not (match := re.search(r"http://127\.0\.0\.1:\d+", log.read_text())):
                assert process.poll() is None, log.read_text()
                time.sleep(0.05)
            yield match[0], psutil.Process(process.pid)
        finally:
            process.terminate()
            process.wait(30)


@contextmanager
def chromium() -> Iterator[Browser]:
    """The browser, without a window."""
    with sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=shutil.which("chromium"), args=["--no-sandbox"])
        yield browser
        browser.close()


def load_seconds(address: str, times: int) -> list[float]:
    """Seconds until the page can be used, for new visitors with empty caches."""
    seconds = []
    with chromium() as browser:
        for _ in range(times):
            page = browser.new_context().new_page()
            began = time.perf_counter()
            page.goto(address)
            page.wait_for_selector("#paint-go")
            page.wait_for_selector("#photo input[type=file]", state="attached")
            seconds.append(round(time.perf_counter() - began, 2))
            page.context.close()
    return seconds


def live_pictures(address: str, size: int) -> dict[str, float]:
    """Paint with the default settings: seconds from the click to the page's pictures, and between them."""
    with chromium() as browser:
        page = browser.new_page()
        page.goto(address)
        for role, name in (("photo", "temple"), ("painting", "great-wave")):
            page.wait_for_selector(f"#{role} input[type=file]", state="attached")
            page.set_input_files(f"#{role} input[type=file]", example(name))
            page.wait_for_selector(f"#{role} img")
        page.locator("#set-size input[type=number]").fill(str(size))
        page.keyboard.press("Tab")
        page.wait_for_selector("#forecast [data-seconds]")
        page.wait_for_timeout(1500)
        page.evaluate(WATCH)
        began = page.evaluate("performance.now()")
        page.click("#paint-go")
        page.wait_for_selector("#paint-status [data-state=finished]", timeout=600_000)
        times = [(milliseconds - began) / 1000 for milliseconds in page.evaluate("window.seen")]
    gaps = [after - before for before, after in pairwise(times)]
    return {
        "size": size,
        "first_s": round(times[0], 2),
        "pictures": len(times),
        "longest_gap_s": round(max(gaps), 2),
        "median_gap_s": round(statistics.median(gaps), 2),
        "finished_s": round(times[-1], 2),
    }


def megabytes(server: psutil.Process) -> tuple[float, float]:
    """Resident memory of the server, and of the processes that paint."""
    workers = sum(child.memory_info().rss for child in server.children(recursive=True))
    return round(server.memory_info().rss / 1e6, 1), round(workers / 1e6, 1)


def growth(values: list[float]) -> float:
    """Growth in per cent, from the median of the three values after the warm-up to that of the last three."""
    first, last = statistics.median(values[WARM_UP : WARM_UP + 3]), statistics.median(values[-3:])
    return round(100 * (last / first - 1), 1)


def main() -> None:
    """Load the page, paint in it, then paint many small pictures through the API."""
    parser = argument_parser(__doc__)
    add = parser.add_argument
    add("--paintings", type=int, default=20, help="number of paintings after the warm-up [20]")
    add("--size", type=int, default=128, help="their long side in pixels [128]")
    add("--live-sizes", type=int, nargs="+", default=[256, 512], help="sizes painted in the page [256 512]")
    chosen = parse_arguments(parser, paintings=1, size=64, live_sizes=[64])
    pairs = [(photo, style) for photo in ("temple", "dandelion") for style in ("great-wave", "kandinsky")]
    with studio() as (address, server):
        time.sleep(10)  # the worker warms up; a visitor takes longer to choose two pictures
        seconds = load_seconds(address, 5)
        live = [live_pictures(address, size) for size in chosen.live_sizes]
        memory: list[tuple[float, float]] = []
        for number in range(WARM_UP + chosen.paintings):
            photo, style = (handle_file(example(name)) for name in pairs[number % len(pairs)])
            client = Client(address, verbose=False)
            client.predict(photo, style, {"size": chosen.size, "seed": number}, api_name="/paint")
            memory.append(megabytes(server))
            print(number, *memory[-1], flush=True)
    servers, workers = ([pair[index] for pair in memory] for index in (0, 1))
    save_result(
        "web",
        {
            "page_load_s": {"first": seconds[0], "median": statistics.median(seconds)},
            "live": live,
            "paintings": chosen.paintings,
            "size": chosen.size,
            "server_mb": servers,
            "workers_mb": workers,
            "server_growth_percent": growth(servers),
            "workers_growth_percent": growth(workers),
        },
        chosen.results,
    )


if __name__ == "__main__":
    main()
