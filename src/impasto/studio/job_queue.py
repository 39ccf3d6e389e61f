"""The queue: accepts jobs, keeps them in order, and hands each to the next free worker."""

import os
import shutil
import tempfile
import threading
from collections.abc import Mapping, Sequence
from concurrent.futures import Future
from concurrent.futures import TimeoutError as FutureTimeoutError
from dataclasses import replace
from pathlib import Path
from typing import Any

from impasto.errors import BusyError, ImageError
from impasto.studio.folders import new_folder
from impasto.studio.messages import FoundMasks, JobEstimate, JobRequest, JobStatus, Limits, Update
from impasto.studio.worker_handle import PATIENCE, PageState, Question, WorkerHandle
from impasto.system.scratch import scratch


class JobQueue:
    """Jobs of many pages. Each worker paints one at a time. All methods are safe to call from any thread.

    Args:
        devices: one worker for each; values of the setting `device`.
        common: settings of every job that pages may not change: weights, threads, memory.
        limits: on uploads, sizes, the queue and the time for a job.
    """

    def __init__(
        self,
        devices: Sequence[str] = ("auto",),
        common: Mapping[str, Any] | None = None,
        limits: Limits | None = None,
    ) -> None:
        self.limits = limits or Limits()
        self.root = tempfile.mkdtemp(prefix="impasto-studio-", dir=scratch())
        self._pages: dict[str, PageState] = {}
        self._queue: list[str] = []
        self._questions: list[Question] = []
        self._changed = threading.Condition()
        self.closed = False
        self._workers = [WorkerHandle(self, {**(common or {}), "device": device}) for device in devices]

    def submit(self, page: str, job: JobRequest) -> None:
        """Put a job into the queue. A page's second job is ignored while its first is queued or running.

        The job gets copies of its files, because Gradio removes uploads after a while. The files of the
        page's oldest jobs are removed, and the checkpoint of its last one.

        Raises:
            BusyError: the queue is full, or too many pages are open.
            ImageError: an input file no longer exists.
        """
        with self._changed:
            if not self.view(page).is_settled:
                return
            self._check_queue()  # first, because a new page may take the place of another visitor's
            page_state = self._page(page)
            job = copy_inputs(job, new_folder(page_state.folder, "job-"))
            if page_state.job is not None:
                Path(page_state.job.folder, "checkpoint").unlink(missing_ok=True)
            page_state.applied = {}
            page_state.status = JobStatus(version=page_state.status.version)
            self._put(page, page_state, job)

    def resume(self, page: str) -> None:
        """Put a paused or stopped job back into the queue, to go on from its checkpoint for as long again.

        Raises:
            BusyError: the queue is full.
        """
        with self._changed:
            page_state = self._pages.get(page)
            if (
                page_state is None
                or page_state.job is None
                or page_state.status.state not in ("paused", "stopped")
            ):
                return
            self._check_queue()
            checkpoint = Path(page_state.job.folder) / "checkpoint"
            path = str(checkpoint) if checkpoint.exists() else ""
            self._put(page, page_state, replace(page_state.job, checkpoint=path))

    def _check_queue(self) -> None:
        if len(self._queue) >= self.limits.waiting:
            raise BusyError(
                f"{len(self._queue)} pictures are waiting already; the limit is {self.limits.waiting}. "
                "Try again in a few minutes."
            )

    def _put(self, page: str, page_state: PageState, job: JobRequest) -> None:
        page_state.job, page_state.command, page_state.changes = job, "", dict(page_state.applied)
        page_state.show(state="waiting", text="")
        self._queue.append(page)
        self._renumber()

    def pause(self, page: str) -> None:
        """Pause the page's job and free the worker for the next one."""
        self._command(page, "pause")

    def stop(self, page: str) -> None:
        """Stop the page's job and keep the picture so far."""
        self._command(page, "stop")

    def steer(self, page: str, changes: Mapping[str, Any]) -> None:
        """Change settings of the page's job while it is queued, running or paused (`run/steering.py`)."""
        with self._changed:
            page_state = self._pages.get(page)
            if (
                page_state is None
                or page_state.job is None
                or page_state.status.state in ("finished", "failed")
            ):
                return
            shares = str(changes.get("blend", "")).count(",") + 1
            if "blend" in changes and shares != len(page_state.job.styles):
                return  # the page's paintings have changed since the job began; their shares do not fit it
            # Before a job begins, a change is simply another setting. Later it belongs to the run's history.
            if page in self._queue and not page_state.job.checkpoint:
                settings = {**page_state.job.settings, **changes}
                page_state.job = replace(page_state.job, settings=settings)
            else:
                page_state.applied |= changes
                page_state.changes |= changes
            self._changed.notify_all()

    def close_page(self, page: str) -> None:
        """End the job of a page that has been closed, and remove its files."""
        with self._changed:
            page_state = self._pages.pop(page, None)
            if page_state is None:
                return
            page_state.command = "leave"  # for the worker, if it is painting this job
            if page in self._queue:
                self._queue.remove(page)
            page_state.show(state="stopped")
            self._renumber()
        shutil.rmtree(page_state.folder, ignore_errors=True)

    def view(self, page: str) -> JobStatus:
        """Return the current state of the page's job."""
        with self._changed:
            page_state = self._pages.get(page)
            return page_state.status if page_state else JobStatus()

    def folder(self, page: str) -> str:
        """Return the folder for files of the page; removed with the page.

        Raises:
            BusyError: too many pages are open.
        """
        with self._changed:
            return self._page(page).folder

    def estimate(self, job: JobRequest, timeout: float = 20.0) -> JobEstimate:
        """Estimate a job; waits until a worker ends its current step.

        Args:
            job: as for `submit`.
            timeout: seconds to wait.
        Raises:
            ImpastoError: the same error as the job itself.
            TimeoutError: every worker is still busy with a step.
        """
        answer: JobEstimate = self._ask(job, timeout)
        return answer

    def find_masks(self, job: JobRequest, timeout: float = 120.0) -> FoundMasks:
        """Find layers for the brush's editors; waits until a worker ends its current step.

        Args:
            job: with the recipe "regions" or "subject", and a folder for the layers' files.
            timeout: seconds to wait.
        Raises:
            ImpastoError: as `mask` and `matching_masks`.
            TimeoutError: the workers are busy with a long step.
        """
        answer: FoundMasks = self._ask(job, timeout)
        return answer

    def _ask(self, job: JobRequest, timeout: float) -> Any:
        answer: Future[Any] = Future()
        with self._changed:
            self._questions.append((job, answer))
            self._changed.notify_all()
        try:
            return answer.result(timeout)
        except FutureTimeoutError:
            # A worker skips questions that nobody waits for any more.
            answer.cancel()
            raise TimeoutError from None

    def close(self) -> None:
        """End all workers, and remove all files. Closing it again does nothing more."""
        with self._changed:
            self.closed = True
            self._changed.notify_all()
        try:
            for worker in self._workers:
                worker.thread.join(timeout=PATIENCE)
        finally:  # also if Ctrl-C ends the waiting
            shutil.rmtree(self.root, ignore_errors=True)

    def _page(self, page: str) -> PageState:
        if page not in self._pages:
            if len(self._pages) >= self.limits.pages:
                self._forget_oldest()
            self._pages[page] = PageState(tempfile.mkdtemp(dir=self.root))
        return self._pages[page]

    def _forget_oldest(self) -> None:
        """Close the oldest page without a running job, to make room for another.

        Raises:
            BusyError: every page has a queued or running job.
        """
        for page, page_state in self._pages.items():  # in the order in which they were opened
            if page_state.status.is_settled:
                self.close_page(page)
                return
        raise BusyError(f"{len(self._pages)} pages are open, and all are painting. Try again later.")

    def _command(self, page: str, command: str) -> None:
        with self._changed:
            page_state = self._pages.get(page)
            if page_state is None or page_state.status.is_settled:
                return
            if page in self._queue:
                self._queue.remove(page)
                # With a checkpoint it has been painted for a while, and may be resumed later.
                begun = page_state.job is not None and bool(page_state.job.checkpoint)
                state, text = ("paused", "Paused.") if begun else ("nothing", "Cancelled.")
                page_state.show(state=state, text=text, position=0)
                self._renumber()
                return
            page_state.command = command
            self._changed.notify_all()

    def _renumber(self) -> None:
        """Update the position of every waiting page."""
        for position, page in enumerate(self._queue, start=1):
            page_state = self._pages[page]
            if page_state.status.position != position:
                page_state.show(position=position)
        self._changed.notify_all()

    def pending(self, page_state: PageState) -> tuple[str, dict[str, Any], list[Question]]:
        """Take what the worker of a page's job has not received yet.

        Returns:
            The command for the job ("" to go on), changed settings, and the questions of all pages.
        """
        with self._changed:
            changes, page_state.changes = page_state.changes, {}
            questions, self._questions = self._questions, []
            # A job that takes too long ends as if its visitor had stopped it, and its picture is kept.
            late = page_state.spent > self.limits.seconds
            command = "leave" if self.closed else page_state.command or ("stop" if late else "")
            return command, changes, questions

    def next_task(self) -> PageState | Question | None:
        """Wait for the next task of a free worker, and take it from the queue.

        Returns:
            A question if there is one, because somebody waits for the answer; otherwise the page whose job is
            first in the queue; None if the queue has been closed.
        """
        with self._changed:
            self._changed.wait_for(lambda: self.closed or self._questions or self._queue)
            if self.closed:
                return None
            if self._questions:
                return self._questions.pop(0)
            page_state = self._pages[self._queue.pop(0)]
            page_state.show(state="working", position=0, text="Getting ready.")
            self._renumber()
            return page_state

    def update(self, page_state: PageState, news: Update) -> None:
        """Apply a worker's news to the state that the page shows."""
        with self._changed:
            if news.state == "stopped" and not page_state.command:  # it was not the visitor who stopped it
                limit = f"Stopped after {in_hours(self.limits.seconds)}, the studio's limit"
                news = replace(news, text=news.text.replace("Stopped", limit, 1))
            shown, step = page_state.status, news.step
            changes = {
                name: new for name in ("text", "picture", "step", "files") if (new := getattr(news, name))
            }
            if step is not None and step != shown.step:
                row = (step["seconds"], step["loss"], step["content"], step["style"])
                changes["curve"] = thinned((*shown.curve, row))
            page_state.show(state=news.state, **changes)
            self._changed.notify_all()


def copy_inputs(job: JobRequest, folder: str) -> JobRequest:
    """Return a copy of the job whose input files are in its own folder.

    Args:
        job: the files may be anywhere.
        folder: exists and is empty.
    Raises:
        ImageError: a file no longer exists.
    """

    def kept(path: str, number: int) -> str:
        if not path:
            return ""
        target = Path(folder) / f"input-{number}" / Path(path).name
        target.parent.mkdir()
        try:
            os.link(path, target)  # costs nothing; a copy is only needed on another disk
        except OSError:
            try:
                shutil.copyfile(path, target)
            except OSError as error:
                message = f"'{Path(path).name}' is no longer here. Drop it again."
                raise ImageError(message) from error
        return str(target)

    paths = (job.content, *job.styles, *job.strokes)
    copies = [kept(path, number) for number, path in enumerate(paths)]
    count = 1 + len(job.styles)
    return replace(
        job, content=copies[0], styles=tuple(copies[1:count]), strokes=tuple(copies[count:]), folder=folder
    )


def in_hours(seconds: float) -> str:
    """Return a duration in hours, in words.

    >>> in_hours(3600), in_hours(5400)
    ('1 hour', '1.5 hours')
    """
    return f"{seconds / 3600:g} {'hour' if seconds == 3600 else 'hours'}"


ROWS = 240
"""Most points of the curve that a page draws."""


def thinned(curve: tuple[Any, ...]) -> tuple[Any, ...]:
    """Drop every other row, but not the last, once there are more than `ROWS`."""
    return curve if len(curve) <= ROWS else (*curve[:-1:2], curve[-1])
