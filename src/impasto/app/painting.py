"""Running a job in front of a person: bar, previews, checkpoints, Ctrl-C, saving."""

import json
import os
import tempfile
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from impasto.app import console
from impasto.app.bars import RunBar
from impasto.app.door import downloading
from impasto.app.output import Output
from impasto.errors import INTERRUPTED, ImageError

if TYPE_CHECKING:
    from impasto.recipes.job import Job
    from impasto.recipes.progress import Painting, Progress
    from impasto.solve.checkpoint import Snapshot


def prepared_and_painted(
    prepare: "Callable[[Callable[[int, int], None]], Job]", output: Output, longest: int | None = None
) -> None:
    """Check the output, prepare the job with a bar for the download, run it with one for the painting."""
    from impasto.device import join

    output.check(longest)
    join()
    with downloading("fetching VGG-19") as on_download:
        job = prepare(on_download)
    paint(job, output)


def paint(job: "Job", output: Output, snapshot: "Snapshot | None" = None) -> None:
    """Run a job under a progress bar and save it; Ctrl-C saves what there is and exits with 130.

    Of several processes that work on one picture, the first shows and saves.
    """
    from impasto.device import rank, ranks
    from impasto.recipes.job import finish, run

    output.check(max(job.canvas))
    keep = _keeper(job, output)
    if snapshot is None:
        keep(None)
        if output.trace and rank() == 0:
            Path(output.trace).write_text("")
    last, stopped = None, False
    with RunBar(quiet=rank() > 0) as bar:
        try:
            for count, step in enumerate(run(job, snapshot), start=1):
                last = step
                bar.painting(step)
                if output.trace and rank() == 0:
                    _trace(step, output.trace)
                if output.preview_every and count % output.preview_every == 0:
                    _save(finish(job, step), output)
                if output.checkpoint and count % output.checkpoint_every == 0:
                    keep(step)
        except KeyboardInterrupt:
            stopped = True
    if stopped and (last is None or ranks() > 1):
        console.note("Stopped; nothing new was written." + _way_on(output))
        raise typer.Exit(INTERRUPTED)
    assert last is not None, "every run has a first step"
    if stopped:
        keep(last)
    painting = finish(job, last)
    _save(painting, output)
    if rank() == 0:
        _report(painting.manifest["result"], output, stopped)
    if stopped:
        raise typer.Exit(INTERRUPTED)


def _keeper(job: "Job", output: Output) -> "Callable[[Progress | None], None]":
    """What writes a checkpoint, if one is wanted; None is a run that has not begun."""

    def keep(step: "Progress | None") -> None:
        if not output.checkpoint:
            return
        from impasto.solve import checkpoint

        manifest = step.manifest if step else job.manifest
        inputs = {
            role: {**found, "path": os.path.abspath(found["path"])} if found["sha256"] else found
            for role, found in manifest["inputs"].items()
        }
        settings = dict(manifest["settings"])
        if settings["weights"]:
            settings["weights"] = os.path.abspath(settings["weights"])
        facts = {
            "manifest": {**manifest, "settings": settings, "inputs": inputs},
            "output": {**asdict(output), "path": os.path.abspath(output.path)},
        }
        snapshot = step.snapshot() if step else checkpoint.Snapshot(layouts=job.layouts)
        checkpoint.save(output.checkpoint, snapshot, facts)

    return keep


def _trace(step: "Progress", path: str) -> None:
    """Add a line of JSON: one step's facts."""
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
    with open(path, "a", encoding="utf-8") as file:
        file.write(json.dumps(facts, ensure_ascii=False) + "\n")


def _report(result: "dict[str, Any]", output: Output, stopped: bool) -> None:
    console.note(
        f"{'Stopped; saved what there is in' if stopped else 'Painted'} {output.path} "
        f"({result['width']}×{result['height']}, {result['evaluations']} evaluations, "
        f"{result['seconds']:.0f} s)." + (_way_on(output) if stopped else "")
    )
    if "relative_error" in result:
        console.note(
            f"Relative error of the features {result['relative_error']:.2%}; PSNR {result['psnr']:.1f} dB."
        )


def _way_on(output: Output) -> str:
    return f" Go on with: impasto resume {output.checkpoint}" if output.checkpoint else ""


def _save(painting: "Painting", output: Output) -> None:
    """Save; if the place has gone bad since it was checked, save elsewhere and say where: nothing is lost."""
    from impasto.device import rank

    if rank() > 0:
        return
    try:
        painting.save(output.path, bits=output.bits, quality=output.quality)
    except ImageError as error:
        refuge = Path(tempfile.mkdtemp(prefix="impasto-")) / Path(output.path).name
        painting.save(refuge, bits=output.bits, quality=output.quality)
        raise ImageError(f"{error} The painting is in {refuge} instead.") from error
