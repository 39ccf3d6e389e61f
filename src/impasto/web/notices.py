"""Errors as messages on the page."""

from collections.abc import Iterator
from contextlib import contextmanager

import gradio as gr

from impasto.errors import ImpastoError


@contextmanager
def show_errors() -> Iterator[None]:
    """Show an error that the visitor can correct as a message on the page.

    Raises:
        gr.Error: in place of an ImpastoError.
    """
    try:
        yield
    except ImpastoError as error:
        raise gr.Error(str(error), print_exception=False) from error
