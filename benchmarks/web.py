"""The studio: how long its page takes to load, and whether its memory grows from painting to painting.

    scripts/bench web [--paintings 20] [--size 128]

Needs the extra `dev` (Playwright, gradio_client) and Debian's chromium; the server is `impasto web` itself.
"""

import argparse
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
from common import IMAGES, keep
from gradio_client import Client, handle_file
from playwright.sync_api import sync_playwright

WATCH = """() => {
    const stage = document.querySelector('#paint-stage');
    let last = '';
    window.seen = [];
    new MutationObserver(() => {
        const image = stage.querySelector('img');
        if (image && image.src !== last) { last = image.src; window.seen.push(performance.now()); }
    }).observe(stage, {childList: true, subtree: true, attributes: true});
}"""
"""Notes when the picture on the page changes."""

WARM = 3
"""Paintings before memory is compared: the first ones load the network and fill what is kept."""


@contextmanager
def studio() -> Iterator[tuple[str, psutil.Process]]:
    """The command's address and process."""
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


def loads(address: str, times: int) -> list[float]:
    """Seconds until the page can be used, for new visitors with empty caches."""
    seconds = []
    with sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=shutil.which("chromium"), args=["--no-sandbox"])
        for _ in range(times):
            page = browser.new_context().new_page()
            began = time.perf_counter()
            page.goto(address)
            page.wait_for_selector("#paint-go")
            page.wait_for_selector("#photo input[type=file]", state="attached")
            seconds.append(round(time.perf_counter() - began, 2))
            page.context.close()
        browser.close()
    return seconds


def pictures(address: str, size: int) -> dict[str, float]:
    """A painting with the default settings: seconds from the click to its pictures, and between them."""
    with sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=shutil.which("chromium"), args=["--no-sandbox"])
        page = browser.new_page()
        page.goto(address)
        for place, name in (("photo", "temple"), ("painting", "great-wave")):
            page.wait_for_selector(f"#{place} input[type=file]", state="attached")
            page.set_input_files(f"#{place} input[type=file]", IMAGES / f"{name}.jpg")
            page.wait_for_selector(f"#{place} img")
        page.locator("#set-size input[type=number]").fill(str(size))
        page.keyboard.press("Tab")
        page.wait_for_selector("#forecast [data-seconds]")
        page.wait_for_timeout(1500)
        page.evaluate(WATCH)
        began = page.evaluate("performance.now()")
        page.click("#paint-go")
        page.wait_for_selector("#paint-status [data-state=finished]", timeout=600_000)
        times = [(time - began) / 1000 for time in page.evaluate("window.seen")]
        browser.close()
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
    """Of the server, and of the processes that paint."""
    easels = sum(child.memory_info().rss for child in server.children(recursive=True))
    return round(server.memory_info().rss / 1e6, 1), round(easels / 1e6, 1)


def growth(values: list[float]) -> float:
    """Per cent from the first ones after warming up to the last ones: of medians of three."""
    first, last = statistics.median(values[WARM : WARM + 3]), statistics.median(values[-3:])
    return round(100 * (last / first - 1), 1)


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--paintings", type=int, default=20)
    arguments.add_argument("--size", type=int, default=128)
    chosen = arguments.parse_args()
    pairs = [(photo, style) for photo in ("temple", "dandelion") for style in ("great-wave", "kandinsky")]
    with studio() as (address, server):
        time.sleep(10)  # the easel warms up; a visitor takes longer to choose two pictures
        seconds = loads(address, 5)
        live = [pictures(address, size) for size in (256, 512)]
        rows: list[tuple[float, float]] = []
        for number in range(WARM + chosen.paintings):
            photo, style = (handle_file(IMAGES / f"{name}.jpg") for name in pairs[number % len(pairs)])
            client = Client(address, verbose=False)
            client.predict(photo, style, {"size": chosen.size, "seed": number}, api_name="/paint")
            rows.append(megabytes(server))
            print(number, *rows[-1], flush=True)
    servers, easels = ([row[place] for row in rows] for place in (0, 1))
    keep(
        "web",
        {
            "page_load_s": {"first": seconds[0], "median": statistics.median(seconds)},
            "live": live,
            "paintings": chosen.paintings,
            "size": chosen.size,
            "server_mb": servers,
            "easel_mb": easels,
            "server_growth_percent": growth(servers),
            "easel_growth_percent": growth(easels),
        },
    )


if __name__ == "__main__":
    main()
