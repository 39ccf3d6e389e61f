"""`impasto web`: the studio in a browser."""

import math
import os
import subprocess
import sys
import webbrowser
from typing import Annotated

import typer

from impasto.cli import console
from impasto.cli.exit_codes import handle_errors
from impasto.errors import SettingsError
from impasto.settings.base import WEIGHTS_HELP, RunSettings
from impasto.settings.parsing import parse_bytes
from impasto.studio.messages import Limits


@handle_errors
def web(
    host: Annotated[
        str, typer.Option(help="Address to listen on; 0.0.0.0: open to other machines.")
    ] = "127.0.0.1",
    port: Annotated[
        int, typer.Option(min=0, max=65535, help="Port; if taken, the next free one. 0: any free port.")
    ] = 7860,
    name: Annotated[
        list[str] | None,
        typer.Option("--name", help="A host name that other machines use for it; may be repeated."),
    ] = None,
    device: Annotated[
        list[str] | None,
        typer.Option(help="Where to compute; repeat it to paint on several devices at once."),
    ] = None,
    weights: Annotated[str, typer.Option(help=f"{WEIGHTS_HELP.capitalize()}.")] = "",
    threads: Annotated[
        int, typer.Option(min=0, max=4096, help="Processor threads per device; 0: one per core.")
    ] = 0,
    memory: Annotated[str, typer.Option(help="The most memory that a painting may use, such as 8GB.")] = "",
    longest: Annotated[
        int, typer.Option(min=64, help="Largest long side of a painting, in px.")
    ] = Limits.size,
    upload: Annotated[str, typer.Option(help="Largest file that may be uploaded.")] = "64MB",
    waiting: Annotated[int, typer.Option(min=1, help="Longest queue of waiting pictures.")] = Limits.waiting,
    hours: Annotated[
        float, typer.Option(min=0, help="Hours after which a painting is stopped; 0: no limit.")
    ] = Limits.seconds / 3600,
    browser: Annotated[bool, typer.Option(help="Open the page in a browser.")] = True,
) -> None:
    """Open the studio, a page to paint on, for this machine or your network."""
    try:
        from impasto.web.server import serve
    except ModuleNotFoundError as error:  # Gradio and what it brings are an extra
        raise SettingsError(
            f"the studio needs {error.name}, which is not installed. Run: pip install 'impasto[web]'"
        ) from error
    from impasto.studio.job_queue import JobQueue

    devices = device or ["auto"]
    for device_name in devices:  # made for its checks alone: otherwise visitors would get the error
        RunSettings(device=device_name, weights=weights, threads=threads, memory=memory)
    limits = Limits(
        upload=_upload_bytes(upload), size=longest, waiting=waiting, seconds=hours * 3600 or math.inf
    )
    if not weights:  # before the page opens, or the first visitor would wait for the download
        _fetch_missing_weights()

    def ready(address: str) -> None:
        console.note(f"The studio is at {address} — Ctrl-C closes it.")
        if browser:
            webbrowser.open(address)

    common = {"weights": weights, "threads": threads, "memory": memory}
    serve(JobQueue(devices, common, limits), host, port, tuple(name or ()), on_ready=ready)


def _upload_bytes(text: str) -> int:
    try:
        return parse_bytes(text)
    except SettingsError:  # it names the option memory
        raise SettingsError(f"upload is {text!r}; give a size, for instance 64MB or 1GB.") from None


def _fetch_missing_weights() -> None:
    """Fetch missing weights with a bar, in another process, because the server itself never loads torch."""
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
