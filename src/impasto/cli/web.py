"""The command that opens the studio."""

import os
import subprocess
import sys
import webbrowser
from typing import Annotated

import typer

from impasto.cli import console
from impasto.cli.exit_codes import handle_errors
from impasto.errors import SettingsError
from impasto.settings.parsing import parse_bytes
from impasto.studio.messages import Limits


@handle_errors
def web(
    host: Annotated[
        str, typer.Option(help="Where to listen; 0.0.0.0: for other machines as well.")
    ] = "127.0.0.1",
    port: Annotated[
        int, typer.Option(min=0, max=65535, help="The port, or the next free one; 0: any that is free.")
    ] = 7860,
    name: Annotated[
        list[str] | None,
        typer.Option("--name", help="A name under which other machines reach it; once for each."),
    ] = None,
    device: Annotated[
        list[str] | None,
        typer.Option(help="Where to compute; once for each of several, which paint at the same time."),
    ] = None,
    weights: Annotated[str, typer.Option(help="A file with the network's weights; default: the cache.")] = "",
    threads: Annotated[
        int, typer.Option(min=0, max=4096, help="Processor threads of each device; 0: one per core.")
    ] = 0,
    memory: Annotated[str, typer.Option(help="The most memory that a painting may use, such as 8GB.")] = "",
    longest: Annotated[
        int, typer.Option(min=64, help="Long side of what may be painted, in px.")
    ] = Limits.size,
    upload: Annotated[str, typer.Option(help="The largest file that may be uploaded.")] = "64MB",
    waiting: Annotated[
        int, typer.Option(min=1, help="How many pictures may wait in the queue.")
    ] = Limits.waiting,
    browser: Annotated[bool, typer.Option(help="Open the page in the browser.")] = True,
) -> None:
    """Open the studio: a page to paint in, here or for your network."""
    try:
        from impasto.web.server import serve
    except ModuleNotFoundError as error:
        raise SettingsError(
            f"the studio needs {error.name}, which is not installed. Use pip install 'impasto[web]'."
        ) from error
    from impasto.studio.job_queue import JobQueue

    if not weights:
        _fetch_what_is_missing()
    limits = Limits(upload=parse_bytes(upload), size=longest, waiting=waiting)
    common = {"weights": weights, "threads": threads, "memory": memory}

    def ready(address: str) -> None:
        console.note(f"The studio is at {address} — Ctrl-C closes it.")
        if browser:
            webbrowser.open(address)

    serve(JobQueue(device or ["auto"], common, limits), host, port, tuple(name or ()), on_ready=ready)


def _fetch_what_is_missing() -> None:
    """The network's weights, with a bar, before anybody waits; in a process of its own, which loads torch."""
    from impasto.network.weight_records import RECORDS, cache_folder

    missing = [
        record
        for record in RECORDS.values()
        if not (os.environ.get(record.variable) or (cache_folder() / record.file_name).exists())
    ]
    if missing:
        done = subprocess.run([sys.executable, "-m", "impasto", "weights", "fetch"], check=False)
        if done.returncode:
            raise typer.Exit(done.returncode)
