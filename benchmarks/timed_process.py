"""Functions timed in processes of their own, so that several candidates can take turns."""

import multiprocessing
import os
import time
from collections.abc import Callable, Mapping
from multiprocessing.connection import Connection
from typing import Any, TypeAlias

Functions: TypeAlias = Mapping[str, Callable[[], Any]]
"""Functions by name. What they return is sent to the other process, so it must be picklable."""


class TimedProcess:
    """A new process that builds some functions and times them on request.

    Args:
        build: loads everything and returns the functions. It runs in the new process, so it must be
            picklable.
        arguments: of `build`.
        environment: environment variables of the process, in addition to those of this one.
    """

    def __init__(
        self, build: Callable[..., Functions], *arguments: Any, environment: Mapping[str, str] | None = None
    ) -> None:
        spawn = multiprocessing.get_context("spawn")
        self._pipe, other = spawn.Pipe()
        self._process = spawn.Process(target=_serve, args=(other, build, arguments), daemon=True)
        before = dict(os.environ)
        os.environ.update(environment or {})  # inherited, and read before the process imports torch
        try:
            self._process.start()
        finally:
            os.environ.clear()
            os.environ.update(before)
        other.close()  # so that the end of the process is noticed here
        self.names: tuple[str, ...] = self._pipe.recv()

    def run(self, name: str) -> tuple[float, Any]:
        """Call a function in the process: its seconds and what it returns."""
        self._pipe.send(name)
        seconds, value = self._pipe.recv()
        return seconds, value

    def stop(self) -> None:
        """End the process."""
        self._pipe.send(None)
        self._process.join()


def _serve(pipe: Connection, build: Callable[..., Functions], arguments: tuple[Any, ...]) -> None:
    """Answer requests until None comes."""
    functions = build(*arguments)
    pipe.send(tuple(functions))
    while (name := pipe.recv()) is not None:
        began = time.perf_counter()
        value = functions[name]()
        pipe.send((time.perf_counter() - began, value))
