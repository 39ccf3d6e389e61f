"""What a run writes before its end: the trace, previews, checkpoints."""

import json
import os
from collections.abc import Callable
from contextlib import suppress
from dataclasses import asdict
from typing import TYPE_CHECKING

from impasto.choices import AUTO
from impasto.cli import console
from impasto.cli.output import Output
from impasto.errors import CheckpointError, ImageError, WeightsError

if TYPE_CHECKING:
    from impasto.run.plan import RunPlan
    from impasto.run.progress import Progress


class Attempts:
    """Writes that may fail, as the work goes on and they are tried again: only the first failure is told."""

    def __init__(self) -> None:
        self._failing: set[str] = set()

    def write(self, what: str, write: Callable[[], None]) -> None:
        """Write, or warn.

        Args:
            what: a name for the file; its failures are told once until it is written again.
        """
        try:
            write()
        except (ImageError, CheckpointError, WeightsError, OSError) as error:
            if what not in self._failing:
                console.warning(f"{error} The work goes on, and {what} will be tried again.")
            self._failing.add(what)
            return
        if what in self._failing:
            self._failing.remove(what)
            console.note(f"{what[0].upper()}{what[1:]} could be written again.")


class RunFiles:
    """The files that a run writes on the way, wanted or not."""

    def __init__(self, plan: "RunPlan", output: Output) -> None:
        self.job, self.output = plan, output
        self._attempts = Attempts()
        self._rows: list[str] = []  # of the trace, that are not written yet

    def begin(self) -> None:
        """Write a first checkpoint and an empty trace: a place that is bad already is an error.

        Raises:
            CheckpointError, ImageError: they cannot be written.
        """
        from impasto.system.distributed import rank

        if self.output.checkpoint:
            self._checkpoint(None)
        if self.output.trace and rank() == 0:
            try:
                with open(self.output.trace, "w", encoding="utf-8"):
                    pass
            except OSError as error:
                raise self._trace_error(error) from error

    def after(self, step: "Progress", count: int) -> None:
        """Write what is due after a step; what cannot be written is warned of, and the run goes on.

        Args:
            count: steps in this run of the command so far.
        """
        from impasto.system.distributed import rank

        output = self.output
        if output.trace and rank() == 0:
            self._rows.append(_row(step))
            self._attempts.write("the trace", self._write_rows)
        if output.preview_every and count % output.preview_every == 0:
            painting = step.painting()  # together with the other processes
            if rank() == 0:
                options = {"bits": output.bits, "quality": output.quality}
                self._attempts.write("the preview", lambda: painting.save(output.path, **options))
        if output.checkpoint and count % output.checkpoint_every == 0:
            self.checkpoint(step)

    def checkpoint(self, step: "Progress") -> None:
        """Write a checkpoint, if they are wanted; a failure is warned of."""
        if self.output.checkpoint:
            self._attempts.write("the checkpoint", lambda: self._checkpoint(step))

    def _checkpoint(self, step: "Progress | None") -> None:
        """Write a checkpoint; None is a run that has not begun."""
        from impasto.run import checkpoint

        manifest = step.manifest if step else self.job.manifest
        inputs = {
            role: {**entry, "path": os.path.abspath(entry["path"])}
            if entry["sha256"] and not entry["path"].startswith(AUTO)
            else entry
            for role, entry in manifest["inputs"].items()
        }
        settings = dict(manifest["settings"])
        if settings["weights"]:
            settings["weights"] = os.path.abspath(settings["weights"])
        facts = {
            "manifest": {**manifest, "settings": settings, "inputs": inputs},
            "output": {**asdict(self.output), "path": os.path.abspath(self.output.path)},
        }
        snapshot = step.snapshot() if step else checkpoint.Snapshot(layouts=self.job.layouts)
        checkpoint.save(self.output.checkpoint, snapshot, facts)

    def _write_rows(self) -> None:
        """Add the rows that are not in the file yet, all of them or none."""
        data = "".join(self._rows).encode()
        try:
            with open(self.output.trace, "ab", buffering=0) as file:
                before = os.fstat(file.fileno()).st_size
                try:
                    while data:
                        data = data[file.write(data) :]
                except OSError:
                    with suppress(OSError):  # half a row would spoil the next; a pipe cannot take it back
                        file.truncate(before)
                    raise
        except OSError as error:
            raise self._trace_error(error) from error
        self._rows.clear()

    def _trace_error(self, error: OSError) -> ImageError:
        return ImageError(f"the trace '{self.output.trace}' cannot be written: {error.strerror or error}.")


def _row(step: "Progress") -> str:
    """A line of JSON: one step's facts."""
    facts = {
        "scale": step.scale,
        "scales": step.scales,
        "width": step.width,
        "height": step.height,
        "step": step.step,
        "steps": step.steps,
        "loss": step.loss,
        "by_term": step.by_term,
        "evaluations": step.evaluations,
        "seconds": round(step.seconds, 3),
        "eta": round(step.eta, 3),
        "peak_memory": step.peak_memory,
        "note": step.note,
    }
    return json.dumps(facts, ensure_ascii=False) + "\n"
