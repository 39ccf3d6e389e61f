"""What is wrong, as a message on the page."""

from collections.abc import Iterator
from contextlib import contextmanager

import gradio as gr

from impasto.errors import ImpastoError


@contextmanager
def show_errors() -> Iterator[None]:
    """What a visitor can mend becomes a message on the page.

    Raises:
        gr.Error: in place of an ImpastoError.
    """
    try:
        yield
    except ImpastoError as error:
        raise gr.Error(str(error), print_exception=False) from error
