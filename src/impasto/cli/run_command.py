"""Running a plan for a person: progress bar, intermediate files, Ctrl-C, errors, saving."""

import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import typer

from impasto.cli import console
from impasto.cli.exit_codes import download_bar
from impasto.cli.output import Output
from impasto.cli.run_files import RunFiles
from impasto.errors import INTERRUPTED, ImpastoError
from impasto.storage.outputs import InputFile

if TYPE_CHECKING:
    from impasto.results.painting import Painting
    from impasto.run.checkpoint import Snapshot
    from impasto.run.plan import RunPlan
    from impasto.run.progress import Progress
    from impasto.run.steering import Steering


def plan_and_paint(
    make_plan: "Callable[[], RunPlan]",
    output: Output,
    inputs: Sequence[InputFile],
    longest: int | None = None,
) -> None:
    """Check the output, make the plan under a download bar, and run it under a progress bar.

    Args:
        make_plan: makes the plan, and downloads weights if they are missing.
        output: the files to write.
        inputs: every file that the command reads.
        longest: longest side of the picture in pixels, if known.
    Raises:
        ImpastoError: the output, an input or a setting cannot be used.
    """
    from impasto.system.distributed import join_process_group

    output.check(inputs, longest)
    join_process_group()
    with download_bar("fetching VGG-19"):
        plan = make_plan()
    paint(plan, output)


def paint(
    plan: "RunPlan",
    output: Output,
    snapshot: "Snapshot | None" = None,
    steering: "Steering | None" = None,
) -> None:
    """Run a plan under a progress bar and save the painting.

    Ctrl-C saves the picture so far and exits with 130. An error saves it too, and is then raised. If several
    processes share the picture, the first one shows the bar and saves.
    """
    from impasto.cli.progress_bars import RunBar
    from impasto.run.loop import iter_run
    from impasto.system.distributed import rank, world_size

    # Once more, now that the size is known: some formats have a longest side.
    output.check_format(max(plan.canvas))
    files = RunFiles(plan, output)
    if snapshot is None:  # a resumed run goes on with its trace and its checkpoint
        files.begin()
    last, stopped = None, False
    with RunBar(quiet=rank() > 0) as bar, _remembered_interrupts() as interrupted:
        try:
            for count, step in enumerate(iter_run(plan, snapshot, steering=steering), start=1):
                last = step
                bar.painting(step)
                files.after(step, count)
                if interrupted():
                    raise KeyboardInterrupt
        except KeyboardInterrupt:
            stopped = True
        except Exception:
            # Several processes could not gather their bands: the one that failed would not take part.
            if last is not None and world_size() == 1:
                _salvage(plan, last, output, files)
            raise
    # Other processes may have stopped at another step, so there are no bands of one picture to gather.
    if stopped and (last is None or world_size() > 1):
        console.note("Stopped; nothing new was written." + _resume_hint(output))
        raise typer.Exit(INTERRUPTED)
    assert last is not None, "every run has a first step"
    if stopped:
        files.checkpoint(last)
    painting = last.painting()
    if rank() == 0:
        save(painting, output)
        _report(painting.manifest["result"], output, stopped)
    if stopped:
        raise typer.Exit(INTERRUPTED)


@contextmanager
def _remembered_interrupts() -> Iterator[Callable[[], bool]]:
    """Yield a function that tells whether Ctrl-C was pressed.

    Ctrl-C still raises KeyboardInterrupt. But if the exception is raised in a callback from C (libvips makes
    some while it writes a preview), Python prints it and drops it, and the run would go on. It is not printed
    here, because the run stops after the step.
    """
    signals: list[int] = []
    print_unraisable = sys.unraisablehook

    def interrupt(number: int, _: object) -> None:
        signals.append(number)
        raise KeyboardInterrupt

    def unraisable(dropped: "sys.UnraisableHookArgs") -> None:
        if not issubclass(dropped.exc_type, KeyboardInterrupt):
            print_unraisable(dropped)

    # Only the main thread may set a handler, and a background process ignores Ctrl-C on purpose.
    main = threading.current_thread() is threading.main_thread()
    if not main or signal.getsignal(signal.SIGINT) is not signal.default_int_handler:
        yield lambda: False
        return
    signal.signal(signal.SIGINT, interrupt)
    sys.unraisablehook = unraisable
    try:
        yield lambda: bool(signals)
    finally:
        sys.unraisablehook = print_unraisable
        signal.signal(signal.SIGINT, signal.default_int_handler)


def save(painting: "Painting", output: Output) -> None:
    """Save the painting; if its file can no longer be written, save it elsewhere and name that file.

    Raises:
        ImageError: naming the file that holds the painting instead.
    """
    from impasto.storage.rescue import save_or_rescue

    save_or_rescue(
        lambda path: painting.save(path, bits=output.bits, quality=output.quality),
        output.path,
        what="painting",
        other_ending=".png",  # which can hold every picture
    )


def _salvage(plan: "RunPlan", last: "Progress", output: Output, files: RunFiles) -> None:
    """Save the picture so far after an error; failures here are only warnings."""
    try:
        files.checkpoint(last)
        painting = last.painting()
        save(painting, output)
    except ImpastoError as error:
        console.warning(str(error))
    except Exception as error:  # noqa: BLE001 - the error that ended the run is the one to show
        console.warning(f"the picture so far could not be saved ({error!r}).")
    else:
        console.note(f"Ended by an error; the picture so far is in {output.path}.{_resume_hint(output)}")


def _report(result: "dict[str, Any]", output: Output, stopped: bool) -> None:
    console.note(
        f"{'Stopped; the picture so far is in' if stopped else 'Painted'} {output.path} "
        f"({result['width']}×{result['height']}, {result['evaluations']} evaluations, "
        f"{result['seconds']:.0f} s)." + (_resume_hint(output) if stopped else "")
    )
    if "relative_error" in result:
        console.note(
            f"Relative error of the features {result['relative_error']:.2%}; PSNR {result['psnr']:.1f} dB."
        )


def _resume_hint(output: Output) -> str:
    exists = output.checkpoint and os.path.isfile(output.checkpoint)
    return f" Resume with: impasto resume {output.checkpoint}" if exists else ""
