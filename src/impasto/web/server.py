"""The studio's server: its application and the address that it listens on."""

import os

# The studio tells nobody that it runs. huggingface_hub, which gradio imports, reads its variable at import.
os.environ.setdefault("GRADIO_ANALYTICS_ENABLED", "False")
os.environ.setdefault("HF_HUB_OFFLINE", "1")

import socket
import tempfile
import threading
from collections.abc import Callable
from contextlib import asynccontextmanager
from typing import Any

import gradio as gr
import uvicorn
from fastapi import FastAPI

from impasto.errors import SettingsError
from impasto.studio.job_queue import JobQueue
from impasto.web import html
from impasto.web.artworks import folders
from impasto.web.gradio_internals import allow_events, check_uploads, forbid_downloads
from impasto.web.guard import SLACK, Guard
from impasto.web.page import build


def application(queue: JobQueue, hosts: tuple[str, ...] = ()) -> FastAPI:
    """Return the page behind its guard, as an ASGI application.

    Args:
        queue: paints the jobs; closed when the application ends.
        hosts: accepted host names, besides addresses and localhost.
    """
    forbid_downloads()

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> Any:
        yield
        queue.close()  # here as well as in `serve`, because uvicorn ends the process after a SIGTERM

    # Both are removed together with the queue. Gradio shows files only from the folder for temporary files.
    os.environ["GRADIO_TEMP_DIR"] = os.path.join(queue.root, "uploads")
    tempfile.tempdir = queue.root
    app = FastAPI(lifespan=lifespan, docs_url=None, redoc_url=None, openapi_url=None)
    page = build(queue)
    page.queue(max_size=8 * queue.limits.pages, default_concurrency_limit=8, api_open=False)
    allow_events(page, 4 * queue.limits.pages)  # most follow a job, which is waiting, not work
    page.state_session_capacity = 4 * queue.limits.pages
    # Fonts of the visitor's system, so that there are none to load.
    font = ["system-ui", "sans-serif"]
    gr.mount_gradio_app(
        app,
        page,
        path="/",
        allowed_paths=folders(),
        max_file_size=queue.limits.upload,
        show_error=False,
        ssr_mode=False,
        theme=gr.themes.Soft(font=font, font_mono=["ui-monospace", "monospace"]),
        css=html.STYLE,
        footer_links=[],
        run_history=False,
    )
    check_uploads(page)
    app.add_middleware(Guard, hosts=hosts, most=queue.limits.upload + SLACK)
    return app


def serve(
    queue: JobQueue, host: str, port: int, hosts: tuple[str, ...], *, on_ready: Callable[[str], None]
) -> None:
    """Serve the page until it is interrupted.

    Args:
        queue: paints the jobs.
        host, port: the address to listen on. Port 0 means any free port; a taken port, the next free one.
        hosts: accepted host names.
        on_ready: called with the page's address, in a thread of its own.
    Raises:
        SettingsError: no free port, or the host is not this machine's.
    """
    # Browsers cannot open "all addresses", but this machine's own is among them.
    shown = {"0.0.0.0": "127.0.0.1", "": "127.0.0.1", "::": "[::1]"}.get(host, host)
    shown = f"[{shown}]" if ":" in shown and "[" not in shown else shown
    try:
        listener = bound(host, port)
        app = application(queue, (*hosts, host))
        config = uvicorn.Config(app, log_level="warning", timeout_graceful_shutdown=2)
        threading.Thread(target=on_ready, args=(f"http://{shown}:{listener.getsockname()[1]}",)).start()
        uvicorn.Server(config).run(sockets=[listener])
    finally:  # uvicorn does not end the application after an error or a second Ctrl-C
        queue.close()


def bound(host: str, port: int, tries: int = 20) -> socket.socket:
    """Return a socket that listens on the port, or on one of the next `tries` ports.

    Raises:
        SettingsError: no free port, or the host is not this machine's.
    """
    problem = ""
    for number in range(port, min(port + (tries if port else 1), 65536)):
        listener = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET)
        # A port that an earlier studio has just left may be taken again at once.
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind((host, number))
            listener.listen(128)
        except OSError as error:
            problem = error.strerror or str(error)
            listener.close()
            continue
        return listener
    raise SettingsError(f"cannot listen on {host}:{port} ({problem}). Choose another --port or --host.")
