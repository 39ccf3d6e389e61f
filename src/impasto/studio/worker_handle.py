"""The desk's end of one process that paints; a process that dies is replaced by another."""

import multiprocessing
import threading
import time
import traceback
from collections.abc import Mapping
from concurrent.futures import Future
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, Protocol, runtime_checkable

from impasto.errors import ImpastoError
from impasto.studio import worker
from impasto.studio.messages import Forecast, News, Order, View

NICENESS = 5
"""Of the easels' processes."""

PATIENCE = 30.0
"""Seconds that an easel has to end a step when its order is withdrawn; then it is ended."""


@dataclass
class Sitting:
    """One page: its order, and what is to be shown of it.

    Attributes:
        folder: where its files are.
        order: the newest.
        view: what is shown.
        wish: what the easel is to do with the order: "pause", "stop", "leave".
        changes: settings that the easel has not heard of.
        said: everything that has been steered in this order: a resumed one hears it again.
        spent: seconds of painting.
    """

    folder: str
    order: Order | None = None
    view: View = field(default_factory=View)
    wish: str = ""
    changes: dict[str, Any] = field(default_factory=dict)
    said: dict[str, Any] = field(default_factory=dict)
    spent: float = 0.0


@runtime_checkable
class Work(Protocol):
    """Where a process gets what it does: the desk."""

    closed: bool

    def next_one(self) -> "Sitting | tuple[Order, Future[Forecast]] | None":
        """What is next; waits for it. None: nothing any more."""

    def wishes(self, sitting: Sitting) -> "tuple[str, dict[str, Any], list[tuple[Order, Future[Forecast]]]]":
        """What a page wants of its order, what it changes, and what is to be foreseen."""

    def heard(self, sitting: Sitting, news: News) -> None:
        """Note what is said of an order."""


class EaselProcess:
    """Takes from the desk what is next, and has it done.

    Args:
        desk: where orders and questions come from.
        common: settings of every job.
    """

    def __init__(self, desk: Work, common: Mapping[str, Any]) -> None:
        self.desk, self.common = desk, common
        self._asked: dict[int, Future[Forecast]] = {}
        self._count = 0
        self._begin()
        self.thread = threading.Thread(target=self._serve, name="easel", daemon=True)
        self.thread.start()

    def _begin(self) -> None:
        context = multiprocessing.get_context("spawn")
        self.pipe, theirs = context.Pipe()
        self.process = context.Process(
            target=worker.main, args=(theirs, dict(self.common), NICENESS), daemon=True, name="impasto-easel"
        )
        self.process.start()
        theirs.close()
        self.pipe.send(("warm",))

    def _serve(self) -> None:
        while (thing := self.desk.next_one()) is not None:
            sitting = thing if isinstance(thing, Sitting) else None
            if not self.process.is_alive():  # it died of itself: what comes next has nothing to do with that
                self._replace(None)
            try:
                if isinstance(thing, Sitting):
                    self._paint(thing)
                    sitting = None  # it has ended, whatever happens to the questions
                else:
                    self._ask(*thing)
                while self._asked:
                    self._listen(None)
            except Exception as error:  # noqa: BLE001 — without this thread nothing would be painted any more
                if not isinstance(error, (EOFError, OSError)):
                    traceback.print_exc()
                self._replace(sitting)
        with suppress(OSError):
            self.pipe.close()
        self.process.join(timeout=2.0)
        if self.process.is_alive():
            self.process.kill()

    def _ask(self, order: Order, answer: "Future[Forecast]") -> None:
        if not answer.cancelled():
            self._count += 1
            self._asked[self._count] = answer
            self.pipe.send(("foresee", self._count, order))

    def _paint(self, sitting: Sitting) -> None:
        """Hand an order to the process, and what it says to the page, until it ends."""
        began, before, sent, wished = time.monotonic(), sitting.spent, "", 0.0
        self.pipe.send(("paint", sitting.order))
        while True:
            sitting.spent = before + time.monotonic() - began
            wish, changes, questions = self.desk.wishes(sitting)
            if changes:
                self.pipe.send(("steer", changes))
            if wish != sent:
                self.pipe.send((wish,))
                sent, wished = wish, time.monotonic()
            for order, answer in questions:
                self._ask(order, answer)
            if wish == "leave" and time.monotonic() - wished > PATIENCE:
                self.process.kill()  # one step of a very large picture can take minutes
            if self.pipe.poll(0.1) and self._listen(sitting):
                return

    def _listen(self, sitting: Sitting | None) -> bool:
        """Hear one thing from the process; whether it has ended the order."""
        what, found = self.pipe.recv()
        if what == "foreseen":
            number, forecast = found
            settle(self._asked.pop(number), forecast)
        elif what == "news" and sitting is not None:
            self.desk.heard(sitting, found)
            return bool(found.state != "working")
        return False

    def _replace(self, sitting: Sitting | None) -> None:
        """Begin another process, and say what has become of the one that died."""
        self.process.join(timeout=5.0)
        said = ended(self.process.exitcode)
        if self.process.is_alive():
            self.process.kill()
        for answer in self._asked.values():
            settle(answer, ImpastoError(said))
        self._asked = {}
        if sitting is not None:
            self.desk.heard(sitting, News("failed", said))
        while not self.desk.closed:
            try:
                self._begin()
            except OSError:  # no memory, no processes: not for ever
                time.sleep(2.0)
            else:
                return


def ended(code: int | None) -> str:
    """What an exit code says, for a person."""
    if code == -9:
        return (
            "The painting was ended by the system, most likely for want of memory. Choose a smaller size "
            "and try again."
        )
    return f"The painting ended unexpectedly (exit code {code}). Try again, perhaps with a smaller size."


def settle(answer: "Future[Forecast]", found: "Forecast | Exception") -> None:
    """Give an answer to who asked, if they still wait."""
    if answer.done():
        return
    if isinstance(found, Exception):
        answer.set_exception(found)
    else:
        answer.set_result(found)
