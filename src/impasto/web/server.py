"""The server of the studio: where it listens, and the application that it serves."""

import os
import socket
import threading
from collections.abc import Callable
from contextlib import asynccontextmanager
from typing import Any

import gradio as gr
import uvicorn
from fastapi import FastAPI
from gradio import processing_utils

from impasto.errors import SettingsError
from impasto.studio.job_queue import JobQueue
from impasto.web import html
from impasto.web.artworks import folders
from impasto.web.guard import SLACK, Guard, _nothing
from impasto.web.page import build

os.environ.setdefault("GRADIO_ANALYTICS_ENABLED", "False")  # looked at when gradio is loaded
os.environ.setdefault("HF_HUB_OFFLINE", "1")


def application(queue: JobQueue, hosts: tuple[str, ...] = ()) -> FastAPI:
    """The page behind its guard, as an ASGI application.

    Args:
        hosts: names under which it may be reached, besides addresses and localhost.
    """
    # a file that a request names may be an address, which Gradio would fetch, whole, and without a setting
    processing_utils.async_ssrf_protected_download = _nothing

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> Any:
        yield
        queue.close()

    os.environ["GRADIO_TEMP_DIR"] = os.path.join(queue.root, "uploads")  # goes with the queue
    app = FastAPI(lifespan=lifespan, docs_url=None, redoc_url=None, openapi_url=None)
    page = build(queue)
    page.queue(max_size=8 * queue.limits.pages, default_concurrency_limit=8, api_open=False)
    page._queue.max_thread_count = 4 * queue.limits.pages  # followers only look; none may starve the others
    page.state_session_capacity = 4 * queue.limits.pages
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
    # Gradio asks whether a file that a request names was uploaded only of pages that its own `launch` started
    page.has_launched = page.is_running = True
    app.add_middleware(Guard, hosts=hosts, most=queue.limits.upload + SLACK)
    return app


def serve(
    queue: JobQueue, host: str, port: int, hosts: tuple[str, ...], *, on_ready: Callable[[str], None]
) -> None:
    """Serve the page until it is interrupted.

    Args:
        host, port: where to listen; port 0 is any that is free, and of others the next free one is taken.
        hosts: names under which it may be reached.
        on_ready: called with the address.
    Raises:
        SettingsError: no port is free there, or the host is not this machine's.
    """
    try:
        listener = bound(host, port)
        app = application(queue, (*hosts, host))
    except BaseException:
        queue.close()
        raise
    shown = {"0.0.0.0": "127.0.0.1", "": "127.0.0.1", "::": "[::1]"}.get(host, host)
    shown = f"[{shown}]" if ":" in shown and "[" not in shown else shown
    config = uvicorn.Config(app, log_level="warning", timeout_graceful_shutdown=2)
    threading.Thread(target=on_ready, args=(f"http://{shown}:{listener.getsockname()[1]}",)).start()
    uvicorn.Server(config).run(sockets=[listener])


def bound(host: str, port: int, tries: int = 20) -> socket.socket:
    """A socket that listens there, or at one of the next ports.

    Raises:
        SettingsError: no port is free there, or the host is not this machine's.
    """
    problem = ""
    for number in range(port, port + (tries if port else 1)):
        listener = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind((host, number))
            listener.listen(128)
        except OSError as error:
            problem = error.strerror or str(error)
            listener.close()
            continue
        return listener
    raise SettingsError(f"cannot listen at {host}:{port} ({problem}). Choose another --port or --host.")
