"""All uses of Gradio's private parts, written for Gradio 6.31. Check each after an upgrade of Gradio."""

from collections.abc import Callable
from typing import Any, TypeVar

import gradio as gr
from gradio import processing_utils
from gradio.utils import get_upload_folder

Method = TypeVar("Method", bound=Callable[..., Any])


def replace_methods(component: gr.components.Component, **methods: Callable[..., Any]) -> None:
    """Replace methods of one component.

    A subclass would be cleaner, but Gradio writes a stub file beside the module of every subclass.
    """
    vars(component).update(methods)


def for_the_browser(method: Method) -> Method:
    """Mark a component's method as one that the browser may call; Gradio refuses to call any other."""
    method._is_server_fn = True  # type: ignore[attr-defined]
    return method


def upload_folder() -> str:
    """Return the folder into which Gradio writes uploaded files."""
    return get_upload_folder()


def unread_messages(page: gr.Blocks, session: str) -> int:
    """Return the number of messages that the browser of a session has not read yet."""
    messages = page._queue.pending_messages_per_session.get(session)
    return 0 if messages is None else messages.qsize()


def allow_events(page: gr.Blocks, count: int) -> None:
    """Let this many events run at once. Gradio's own limit is for threads that compute, 40 by default."""
    page._queue.max_thread_count = count


def check_uploads(page: gr.Blocks) -> None:
    """Make Gradio check that a file named in a request was uploaded, as on pages that `launch` started."""
    page.has_launched = page.is_running = True


def forbid_downloads() -> None:
    """Make Gradio refuse a URL in place of a file. It would download it, and no setting forbids that."""
    processing_utils.async_ssrf_protected_download = _refuse_download


async def _refuse_download(*_: Any, **__: Any) -> str:
    raise gr.Error("only uploads are read here", print_exception=False)
