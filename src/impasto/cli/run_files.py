"""The files that a run writes before its end: trace, previews, checkpoints."""

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
    """Writes that may fail, because they are tried again later; only the first failure is reported."""

    def __init__(self) -> None:
        self._failing: set[str] = set()

    def write(self, what: str, write: Callable[[], None]) -> None:
        """Write a file; warn if that fails for the first time since it last worked.

        Args:
            what: a name for the file, such as "the trace".
            write: does it.
        """
        try:
            write()
        except (ImageError, CheckpointError, WeightsError, OSError) as error:
            if what not in self._failing:
                console.warning(f"{error} The run goes on, and will try to write {what} again.")
            self._failing.add(what)
            return
        if what in self._failing:
            self._failing.remove(what)
            console.note(f"{what[0].upper()}{what[1:]} could be written again.")


class RunFiles:
    """Writes the trace, previews and checkpoints of a run, as far as `output` asks for them.

    Args:
        plan: the run.
        output: which files, and how often.
    """

    def __init__(self, plan: "RunPlan", output: Output) -> None:
        self.plan, self.output = plan, output
        self._attempts = Attempts()
        self._rows: list[str] = []  # lines of the trace that are not in the file yet

    def begin(self) -> None:
        """Write a first checkpoint and an empty trace, so that an unwritable place is an error at once.

        Raises:
            CheckpointError, ImageError: a file cannot be written.
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
        """Write the files that are due after a step; a failure is a warning, and the run goes on.

        Args:
            step: the newest step.
            count: steps since this command started, which is not the run's own count after a resume.
        """
        from impasto.system.distributed import rank

        output = self.output
        if output.trace and rank() == 0:
            self._rows.append(_row(step))
            self._attempts.write("the trace", self._write_rows)
        if output.preview_every and count % output.preview_every == 0:
            painting = step.painting()  # every process must take part: it gathers the bands
            if rank() == 0:
                options = {"bits": output.bits, "quality": output.quality}
                self._attempts.write("the preview", lambda: painting.save(output.path, **options))
        if output.checkpoint and count % output.checkpoint_every == 0:
            self.checkpoint(step)

    def checkpoint(self, step: "Progress") -> None:
        """Write a checkpoint if there is a file for it; a failure is a warning."""
        if self.output.checkpoint:
            self._attempts.write("the checkpoint", lambda: self._checkpoint(step))

    def _checkpoint(self, step: "Progress | None") -> None:
        """Write a checkpoint; None: before the first step."""
        from impasto.run import checkpoint

        manifest = step.manifest if step else self.plan.manifest
        # Absolute paths, because the run may be resumed from another folder.
        inputs = {
            role: {**entry, "path": os.path.abspath(entry["path"])}
            if entry["sha256"] and not entry["path"].startswith(AUTO)
            else entry
            for role, entry in manifest["inputs"].items()
        }
        settings = dict(manifest["settings"])
        if settings["weights"]:
            settings["weights"] = os.path.abspath(os.path.expanduser(settings["weights"]))
        output = asdict(self.output)
        output |= {name: os.path.abspath(output[name]) for name in ("path", "trace") if output[name]}
        facts = {"manifest": {**manifest, "settings": settings, "inputs": inputs}, "output": output}
        snapshot = step.snapshot() if step else checkpoint.Snapshot(layouts=self.plan.layouts)
        checkpoint.save(self.output.checkpoint, snapshot, facts)

    def _write_rows(self) -> None:
        """Append the new rows to the file, all of them or none."""
        data = "".join(self._rows).encode()
        try:
            # Without a buffer, so that a failed write is noticed where half a row can still be removed.
            with open(self.output.trace, "ab", buffering=0) as file:
                before = os.fstat(file.fileno()).st_size
                try:
                    while data:
                        data = data[file.write(data) :]
                except OSError:
                    with suppress(OSError):  # half a row would spoil the next; a pipe cannot be truncated
                        file.truncate(before)
                    raise
        except OSError as error:
            raise self._trace_error(error) from error
        self._rows.clear()

    def _trace_error(self, error: OSError) -> ImageError:
        return ImageError(f"the trace '{self.output.trace}' cannot be written: {error.strerror or error}.")


_ROW = (
    "scale", "scales", "width", "height", "step", "steps", "loss", "by_term", "evaluations", "seconds", "eta",
    "peak_memory", "note",
)  # fmt: skip
"""The attributes of a step that the trace holds."""


def _row(step: "Progress") -> str:
    """Return one step as a line of JSON."""
    facts = {name: getattr(step, name) for name in _ROW}
    facts |= {name: round(facts[name], 3) for name in ("seconds", "eta")}
    return json.dumps(facts, ensure_ascii=False) + "\n"
