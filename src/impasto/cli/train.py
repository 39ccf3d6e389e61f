"""`impasto train`: training a network that stylizes in one pass."""

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from impasto.cli import console
from impasto.cli.exit_codes import download_bar, handle_errors
from impasto.cli.options import with_settings
from impasto.cli.run_files import Attempts
from impasto.errors import INTERRUPTED, SettingsError
from impasto.settings.fast import TrainSettings
from impasto.storage.outputs import InputFile, OutputFile, check_outputs, same_file

if TYPE_CHECKING:
    from impasto.fast.trainer import TrainProgress


@handle_errors
@with_settings(TrainSettings)
def train(
    style: Annotated[
        list[str],
        typer.Argument(metavar="STYLE...", help="The painting; several become styles of one model."),
    ],
    settings: TrainSettings,
    images: Annotated[
        str, typer.Option(metavar="FOLDER", help="Photographs to train on; a few hundred are enough.")
    ],
    output: Annotated[
        str, typer.Option("-o", "--output", help="The model's file. Default: STYLE.safetensors here.")
    ] = "",
    preview: Annotated[
        str, typer.Option(metavar="FILE", help="A picture of repainted photos, updated at every evaluation.")
    ] = "",
    checkpoint: Annotated[
        str, typer.Option(metavar="FILE", help="A file to resume from, updated at every evaluation.")
    ] = "",
    resume: Annotated[
        str,
        typer.Option(
            metavar="FILE", help="Resume from a checkpoint; the model is the same as without a stop."
        ),
    ] = "",
) -> None:
    """Train a network that paints in the style of STYLE in one pass (impasto fast --model FILE)."""
    from impasto.recipes.train import iter_train
    from impasto.system.distributed import join_process_group, rank

    name = output or "-".join(Path(path).stem for path in style) + ".safetensors"
    files = _TrainFiles(name, preview, checkpoint)
    files.check(style, images, resume, settings)
    join_process_group()
    with download_bar("fetching VGG-19"):
        run = iter_train(style, images, settings, resume=resume)
    last, stopped = _follow(run, files)
    if last is not None and rank() == 0:
        files.finish(last)
        _report(last, files, stopped)
    if stopped:
        raise typer.Exit(INTERRUPTED)


def _follow(run: "Iterator[TrainProgress]", files: "_TrainFiles") -> "tuple[TrainProgress | None, bool]":
    """Go through a training under a progress bar, and write its files at every evaluation.

    Returns:
        The last step (None if there was none), and whether Ctrl-C ended the training.
    """
    from impasto.cli.progress_bars import RunBar
    from impasto.system.distributed import rank

    last, stopped = None, False
    with RunBar(quiet=rank() > 0) as bar, _between_steps() as stop_requests:
        try:
            for last in run:
                bar.training(last)
                # Every process has the same network, so the first writes for all.
                if last.evaluated and rank() == 0:
                    files.write(last)
                if stopped := bool(stop_requests):
                    break
        except Exception:
            if last is not None and rank() == 0:
                files.salvage(last)
            raise
    return last, stopped


@contextmanager
def _between_steps() -> Iterator[list[int]]:
    """Let the first Ctrl-C wait for the end of a step, so that saved files are whole; the second does not."""
    requests: list[int] = []

    def stop(number: int, _: object) -> None:
        if requests:
            raise KeyboardInterrupt
        requests.append(number)

    before = signal.signal(signal.SIGINT, stop)
    try:
        yield requests
    finally:
        signal.signal(signal.SIGINT, before)


@dataclass(frozen=True)
class _TrainFiles:
    """The files that training writes: the model, a preview, and a checkpoint."""

    output: str
    preview: str
    checkpoint: str
    attempts: Attempts = field(default_factory=Attempts)

    def check(self, style: list[str], images: str, resume: str, settings: TrainSettings) -> None:
        """Refuse, before the training, files that would overwrite an input or cannot be written.

        Raises:
            ImageError, SettingsError: which file, why, and what to do.
        """
        from impasto.fast.training_photos import pictures_in
        from impasto.image.write import check_output
        from impasto.recipes.inputs import settings_files, source_files
        from impasto.storage.paths import check_writable

        outputs = [
            OutputFile("-o", self.output, "model"),
            OutputFile("--preview", self.preview),
            OutputFile("--checkpoint", self.checkpoint, "training"),
        ]
        inputs = [
            *source_files("the style image", *style),
            *source_files("the photograph", *pictures_in(Path(images))),
            *settings_files(settings),
        ]
        # A training may go on in the checkpoint that it is resumed from.
        if not (resume and self.checkpoint and same_file(resume, self.checkpoint)):
            inputs.append(InputFile("the training to go on with,", resume))
        check_outputs(outputs, inputs)
        if self.preview and Path(self.preview).resolve().is_relative_to(Path(images).resolve()):
            raise SettingsError(
                f"--preview '{self.preview}' would lie among the photos in '{images}', and the next training "
                "would use it as one. Choose another folder for it."
            )
        for path in filter(None, (self.output, self.checkpoint)):
            check_writable(path)
        if self.preview:
            check_output(self.preview)

    def write(self, progress: "TrainProgress") -> None:
        """Write all files; after a failure, warn and try again at the next evaluation."""
        self.attempts.write("the model", lambda: progress.model().save(self.output))
        self._write_others(progress)

    def finish(self, last: "TrainProgress") -> None:
        """Write all files; save the model elsewhere if its own place cannot be written.

        Raises:
            WeightsError: naming the file that holds the model instead.
        """
        # The model last: its error ends the command, and theirs are warnings.
        self._write_others(last)
        self._save(last)

    def salvage(self, last: "TrainProgress") -> None:
        """Save the current model when an error ends the training."""
        try:
            self._save(last)
        except Exception as error:  # noqa: BLE001 - the error that ended the training is the one to show
            console.warning(str(error))
        else:
            console.note(f"Ended by an error; the current model is in {self.output}.")

    def _save(self, last: "TrainProgress") -> None:
        from impasto.storage.rescue import save_or_rescue

        save_or_rescue(last.model().save, self.output, what="model")

    def _write_others(self, progress: "TrainProgress") -> None:
        if self.preview:
            self.attempts.write("the preview", lambda: _write_preview(progress, self.preview))
        if self.checkpoint:
            self.attempts.write("the checkpoint", lambda: progress.save(self.checkpoint))


def _write_preview(progress: "TrainProgress", path: str) -> None:
    from impasto.image.arrays import from_tensor
    from impasto.image.write import write_picture

    write_picture(from_tensor(progress.preview()), path)


def _report(last: "TrainProgress", files: _TrainFiles, stopped: bool) -> None:
    if last.broken:
        console.note(f"{last.broken} of the photos could not be read and were skipped.")
    output = files.output
    console.note(
        f"{'Stopped; the current model is in' if stopped else 'Trained'} {output} ({last.step} steps, "
        f"{last.seconds:.0f} s, loss {last.loss:.3g}). Paint with: impasto fast PHOTO --model {output}"
    )
    if stopped and files.checkpoint:
        console.note(f"Resume with: --resume {files.checkpoint}")
    elif stopped:
        console.note("It cannot be resumed, because there is no --checkpoint.")
