"""Running a job in front of a person: bar, previews, Ctrl-C, saving."""

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from impasto.app import console
from impasto.app.bars import RunBar
from impasto.errors import INTERRUPTED, ImageError

if TYPE_CHECKING:
    from impasto.recipes.job import Job
    from impasto.recipes.progress import Painting


def paint(job: "Job", output: str, bits: int, quality: int, preview_every: int) -> None:
    """Run a job under a progress bar and save it; Ctrl-C saves what there is and exits with 130."""
    from impasto.image.files import check_output
    from impasto.recipes.job import finish, run

    check_output(output, bits=bits, longest=max(job.canvas))
    last, stopped, count = None, False, 0
    with RunBar() as bar:
        try:
            for last in run(job):
                bar.painting(last)
                count += 1
                if preview_every and count % preview_every == 0:
                    finish(job, last).save(output, bits=bits, quality=quality)
        except KeyboardInterrupt:
            stopped = True
    if last is None:  # every run has a first step, so it was stopped
        console.note("Stopped before the first step; nothing was written.")
        raise typer.Exit(INTERRUPTED)
    painting = finish(job, last)
    _save(painting, output, bits, quality)
    result = painting.manifest["result"]
    console.note(
        f"{'Stopped; saved what there is in' if stopped else 'Painted'} {output} "
        f"({result['width']}×{result['height']}, {result['evaluations']} evaluations, "
        f"{result['seconds']:.0f} s)."
    )
    if "relative_error" in result:
        console.note(
            f"Relative error of the features {result['relative_error']:.2%}; PSNR {result['psnr']:.1f} dB."
        )
    if stopped:
        raise typer.Exit(INTERRUPTED)


def _save(painting: "Painting", output: str, bits: int, quality: int) -> None:
    """Save; if the place has gone bad since it was checked, save elsewhere and say where: nothing is lost."""
    try:
        painting.save(output, bits=bits, quality=quality)
    except ImageError as error:
        refuge = Path(tempfile.mkdtemp(prefix="impasto-")) / Path(output).name
        painting.save(refuge, bits=bits, quality=quality)
        raise ImageError(f"{error} The painting is in {refuge} instead.") from error
