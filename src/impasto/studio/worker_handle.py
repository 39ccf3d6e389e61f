"""The queue's handle of a worker process; a process that dies is replaced by another."""

import multiprocessing
import threading
import time
import traceback
from collections.abc import Mapping
from concurrent.futures import Future, InvalidStateError
from contextlib import suppress
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, TypeAlias

from impasto.errors import ImpastoError
from impasto.studio import worker
from impasto.studio.messages import FoundMasks, JobEstimate, JobRequest, JobStatus, Update

if TYPE_CHECKING:
    from impasto.studio.job_queue import JobQueue

Question: TypeAlias = tuple[JobRequest, Future[Any]]
"""A job to estimate or to find masks for, and the future that gets the answer."""

NICENESS = 5
"""The niceness of worker processes, so that the server and its pages stay responsive."""

PATIENCE = 30.0
"""Seconds that a worker may take to end a step of a cancelled job before it is killed."""


@dataclass
class PageState:
    """A page and its job.

    Attributes:
        folder: for the page's files.
        job: the newest job.
        status: the state that the page shows.
        command: for the worker: "pause", "stop", "leave" or "".
        changes: settings that the worker has not received yet.
        applied: all settings changed since the job began; a resumed job receives them again.
        spent: seconds of painting since the job was begun or resumed.
    """

    folder: str
    job: JobRequest | None = None
    status: JobStatus = field(default_factory=JobStatus)
    command: str = ""
    changes: dict[str, Any] = field(default_factory=dict)
    applied: dict[str, Any] = field(default_factory=dict)
    spent: float = 0.0

    def show(self, **changes: Any) -> None:
        """Change fields of `status`, and its version, by which the page notices the change."""
        self.status = replace(self.status, **changes, version=self.status.version + 1)


class WorkerHandle:
    """A thread that gives the queue's tasks to a worker process, one after another.

    Args:
        queue: where jobs and questions come from.
        common: settings of every job.
    """

    def __init__(self, queue: "JobQueue", common: Mapping[str, Any]) -> None:
        self.queue, self.common = queue, common
        self._asked: dict[int, Future[Any]] = {}
        self._count = 0
        self._begin()
        self.thread = threading.Thread(target=self._serve, name="worker", daemon=True)
        self.thread.start()

    def _begin(self) -> None:
        # Not "fork": the server has threads, and CUDA does not survive a fork.
        context = multiprocessing.get_context("spawn")
        self.pipe, worker_end = context.Pipe()
        self.process = context.Process(
            target=worker.main,
            args=(worker_end, dict(self.common), NICENESS),
            daemon=True,
            name="impasto-worker",
        )
        self.process.start()
        # The process holds the only other end, so that reading fails as soon as it dies.
        worker_end.close()
        self.pipe.send(("warm",))

    def _serve(self) -> None:
        while (task := self.queue.next_task()) is not None:
            page_state = task if isinstance(task, PageState) else None
            if not self.process.is_alive():  # it died while idle: the next task is not to blame
                self._replace(None)
            try:
                if isinstance(task, PageState):
                    self._paint(task)
                    page_state = None  # the job has ended; an error from here on is about estimates
                else:
                    self._ask(*task)
                while self._asked:
                    self._listen(None)
            except Exception as error:  # noqa: BLE001 — the thread must survive, or nothing more is painted
                if not isinstance(error, (EOFError, OSError)):
                    traceback.print_exc()
                self._replace(page_state)
        with suppress(OSError):
            self.pipe.close()
        self.process.join(timeout=2.0)
        if self.process.is_alive():
            self.process.kill()

    def _ask(self, job: JobRequest, answer: Future[Any]) -> None:
        if not answer.cancelled():
            self._count += 1
            self._asked[self._count] = answer
            self.pipe.send(("ask", self._count, job))

    def _paint(self, page_state: PageState) -> None:
        """Send a job to the process, and its news to the page, until the job ends."""
        began, sent, wished = time.monotonic(), "", 0.0
        self.pipe.send(("paint", page_state.job))
        while True:
            page_state.spent = time.monotonic() - began
            command, changes, questions = self.queue.pending(page_state)
            if changes:
                self.pipe.send(("steer", changes))
            if command != sent:
                self.pipe.send((command,))
                sent, wished = command, time.monotonic()
            for question in questions:
                self._ask(*question)
            if command == "leave" and time.monotonic() - wished > PATIENCE:
                self.process.kill()  # one step of a very large picture can take minutes
            if self.pipe.poll(0.1) and self._listen(page_state):
                return

    def _listen(self, page_state: PageState | None) -> bool:
        """Receive one message from the process; return whether it has ended the job."""
        what, content = self.pipe.recv()
        if what == "answer":
            number, result = content
            settle(self._asked.pop(number), result)
        elif what == "news" and page_state is not None:
            self.queue.update(page_state, content)
            return bool(content.state != "working")
        return False

    def _replace(self, page_state: PageState | None) -> None:
        """Start another process, and report why the last one died."""
        self.process.join(timeout=5.0)  # its exit code is known a moment after the pipe breaks
        reason = describe_exit(self.process.exitcode)
        if self.process.is_alive():
            self.process.kill()
        for answer in self._asked.values():
            settle(answer, ImpastoError(reason))
        self._asked = {}
        if page_state is not None:
            self.queue.update(page_state, Update("failed", reason))
        while not self.queue.closed:
            try:
                self._begin()
            except OSError:  # too little memory or too many processes; this may pass
                time.sleep(2.0)
            else:
                return


def describe_exit(code: int | None) -> str:
    """Return the meaning of a process's exit code, as a sentence; negative codes are signals."""
    if code == -9:
        return (
            "The system ended the painting, most likely because memory ran out. Choose a smaller size and "
            "try again."
        )
    return f"The painting ended unexpectedly (exit code {code}). Try again, perhaps with a smaller size."


def settle(answer: Future[Any], result: JobEstimate | FoundMasks | Exception) -> None:
    """Pass a result or an error to the thread that waits for `answer`, unless it has stopped waiting."""
    with suppress(InvalidStateError):  # a check beforehand could be out of date: other threads cancel it
        if isinstance(result, Exception):
            answer.set_exception(result)
        else:
            answer.set_result(result)
