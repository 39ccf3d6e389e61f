"""`impasto fast` and `impasto train`: painting in one pass, and learning to."""

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from impasto.app import console
from impasto.app.door import door, downloading
from impasto.app.options import with_settings
from impasto.app.output import Output
from impasto.app.run_files import Attempts
from impasto.errors import INTERRUPTED, DeviceError, ImageError, SettingsError
from impasto.image.outputs import InputFile, OutputFile, check_outputs, make_folder, same_file
from impasto.recipes.fast_settings import FastSettings, TrainSettings

if TYPE_CHECKING:
    from impasto.recipes.train import TrainProgress

Masks = Annotated[
    list[str] | None,
    typer.Option(
        metavar="MASK", help="As of stylize: the photo's mask, then each painting's; once for each."
    ),
]


@door
@with_settings(FastSettings)
def fast(
    content: Annotated[
        str, typer.Argument(metavar="CONTENT", help="The photograph to repaint, or a folder of them.")
    ],
    settings: FastSettings,
    style: Annotated[
        list[str] | None,
        typer.Argument(metavar="[STYLE]...", help="The painting; several are blended. None with --model."),
    ] = None,
    output: Annotated[
        str,
        typer.Option("-o", "--output", help="File to write, or folder. Default: CONTENT-STYLE.png, here."),
    ] = "",
    regions: Masks = None,
    bits: Annotated[int, typer.Option(help="Bits per channel: 8, or 16 for PNG and TIFF.")] = 8,
    quality: Annotated[int, typer.Option(help="1 to 100, of JPEG, WebP and AVIF.", min=1, max=100)] = 92,
) -> None:
    """Repaint CONTENT in one pass: any painting's style (AdaIN), or a trained painter's (--model)."""
    from impasto.app.painting import save
    from impasto.image.files import check_output
    from impasto.recipes.fast import FastPainter
    from impasto.recipes.inputs import settings_files, source_files

    hand = "-".join(Path(one).stem for one in style or [settings.model])
    inputs = [
        *source_files("the style image", *(style or ())),
        *source_files("the mask", *(regions or ())),
        *settings_files(settings),
    ]
    pairs = _pairs(content, hand, output, inputs)
    several = Path(content).is_dir()
    with downloading("fetching VGG-19 and the decoder") as on_download:
        painter = FastPainter(style or (), settings, on_download=on_download)
    if several:
        make_folder(Path(pairs[0][1]).parent)
    for _, path in pairs:
        check_output(path, bits=bits, longest=settings.size or None)
    failed = 0
    for photo, path in pairs:
        try:
            painting = painter.paint(photo, regions=regions or [])
        except (ImageError, DeviceError) as error:
            if not several:
                raise
            console.error(str(error))
            failed += 1
            continue
        save(painting, Output(path, bits, quality))
        result = painting.manifest["result"]
        console.note(f"Painted {path} ({result['width']}×{result['height']}, {result['seconds']:.1f} s).")
    if failed:
        console.note(f"{len(pairs) - failed} painted, {failed} failed.")
        raise typer.Exit(1)


def _pairs(content: str, hand: str, output: str, inputs: list[InputFile]) -> list[tuple[str, str]]:
    """Photographs, and where each painting goes, which is over none of the inputs."""
    from impasto.recipes.pairs import files, placed

    if not Path(content).is_dir():
        output = output or f"{Path(content).stem}-{hand}.png"
        check_outputs([OutputFile("-o", output)], [InputFile("the content image", content), *inputs])
        return [(content, output)]
    folder = Path(output or f"{Path(content).name}-{hand}")
    if Path(content).resolve() == folder.resolve():
        raise SettingsError(f"the paintings would go among the photos in '{content}'. Name another folder.")
    photos = files([content])
    named = [(photo, photo, f"{Path(photo).stem}-{hand}.png") for photo in photos]
    pairs = placed(named, folder, "png", inputs=inputs)
    return [(pair.content, pair.output) for pair in pairs]


@door
@with_settings(TrainSettings)
def train(
    style: Annotated[
        list[str],
        typer.Argument(metavar="STYLE...", help="The painting; several become one painter's styles."),
    ],
    settings: TrainSettings,
    images: Annotated[str, typer.Option(metavar="FOLDER", help="Photographs to train on; some hundreds do.")],
    output: Annotated[
        str, typer.Option("-o", "--output", help="File of the painter. Default: STYLE.safetensors, here.")
    ] = "",
    preview: Annotated[
        str, typer.Option(metavar="FILE", help="A picture of photos and what becomes of them, at every look.")
    ] = "",
    checkpoint: Annotated[
        str, typer.Option(metavar="FILE", help="At every look, all that is needed to go on after a stop.")
    ] = "",
    resume: Annotated[
        str, typer.Option(metavar="FILE", help="Go on from such a file; the painter comes out the same.")
    ] = "",
) -> None:
    """Train a painter that paints in the style of STYLE in one pass (impasto fast --model FILE)."""
    from impasto.app.bars import RunBar
    from impasto.device import join, rank
    from impasto.recipes.train import train_steps

    files = _TrainFiles(output or "-".join(Path(path).stem for path in style) + ".safetensors",
                        preview, checkpoint)  # fmt: skip
    files.check(style, images, resume, settings)
    join()
    with downloading("fetching VGG-19") as on_download:
        run = train_steps(style, images, settings, resume=resume, on_download=on_download)
    last, stopped = None, False
    with RunBar(quiet=rank() > 0) as bar, _between_steps() as wanted:
        try:
            for progress in run:
                last = progress
                bar.training(progress)
                if progress.looked and rank() == 0:
                    files.write(progress)
                if stopped := bool(wanted):
                    break
        except Exception:
            if last is not None and rank() == 0:
                files.salvage(last)
            raise
    if rank() or last is None:
        if stopped:
            raise typer.Exit(INTERRUPTED)
        return
    files.finish(last)
    _report(last, files.output, stopped)
    if stopped:
        console.note(f"Go on with: --resume {checkpoint}" if checkpoint else "There is no --checkpoint.")
        raise typer.Exit(INTERRUPTED)


@contextmanager
def _between_steps() -> Iterator[list[int]]:
    """Ctrl-C waits for the end of the step, so that what is saved is whole; a second one does not wait."""
    wanted: list[int] = []

    def stop(number: int, _: object) -> None:
        if wanted:
            raise KeyboardInterrupt
        wanted.append(number)

    before = signal.signal(signal.SIGINT, stop)
    try:
        yield wanted
    finally:
        signal.signal(signal.SIGINT, before)


@dataclass(frozen=True)
class _TrainFiles:
    """What a training writes: the painter, a picture of what it can do, all that is needed to go on."""

    output: str
    preview: str
    checkpoint: str
    attempts: Attempts = field(default_factory=Attempts)

    def check(self, style: list[str], images: str, resume: str, settings: TrainSettings) -> None:
        """Refuse, before anything is computed, files that would destroy something or cannot be written."""
        from impasto.image.disk import check_place
        from impasto.image.files import check_output
        from impasto.recipes.inputs import settings_files, source_files
        from impasto.recipes.photos import pictures_in

        outputs = [
            OutputFile("-o", self.output, "painter"),
            OutputFile("--preview", self.preview),
            OutputFile("--checkpoint", self.checkpoint, "training"),
        ]
        inputs = [
            *source_files("the style image", *style),
            *source_files("the photograph", *pictures_in(Path(images))),
            *settings_files(settings),
        ]
        if not (resume and self.checkpoint and same_file(resume, self.checkpoint)):
            inputs.append(InputFile("the training to go on with,", resume))
        check_outputs(outputs, inputs)
        if self.preview and Path(self.preview).resolve().is_relative_to(Path(images).resolve()):
            raise SettingsError(
                f"--preview '{self.preview}' would go among the photos in '{images}', and be taken for one "
                "of them the next time. Choose another folder for it."
            )
        for path in filter(None, (self.output, self.checkpoint)):
            check_place(path)
        if self.preview:
            check_output(self.preview)

    def write(self, progress: "TrainProgress") -> None:
        """Write all of them; what cannot be written is warned of, and tried again at the next look."""
        self.attempts.write("the painter", lambda: progress.model().save(self.output))
        self._write_others(progress)

    def finish(self, last: "TrainProgress") -> None:
        """Write all of them; the painter elsewhere, if its place has gone bad.

        Raises:
            WeightsError: saying where the painter is instead.
        """
        from impasto.recipes.rescue import save_or_rescue

        self._write_others(last)
        save_or_rescue(last.model().save, self.output, what="painter")

    def salvage(self, last: "TrainProgress") -> None:
        """Save the painter so far when an error ends the training."""
        from impasto.recipes.rescue import save_or_rescue

        try:
            save_or_rescue(last.model().save, self.output, what="painter")
        except Exception as error:  # noqa: BLE001 - the error that ended the training is the one to show
            console.warning(str(error))
        else:
            console.note(f"Ended by an error; the painter so far is in {self.output}.")

    def _write_others(self, progress: "TrainProgress") -> None:
        if self.preview:
            self.attempts.write("the preview", lambda: _write_preview(progress, self.preview))
        if self.checkpoint:
            self.attempts.write("the checkpoint", lambda: progress.save(self.checkpoint))


def _write_preview(progress: "TrainProgress", path: str) -> None:
    from impasto.image.arrays import from_tensor
    from impasto.image.files import write_picture

    write_picture(from_tensor(progress.preview()), path)


def _report(last: "TrainProgress", output: str, stopped: bool) -> None:
    if last.broken:
        console.note(f"{last.broken} of the photos are broken and were passed over.")
    console.note(
        f"{'Stopped; the painter so far is in' if stopped else 'Trained'} {output} ({last.step} steps, "
        f"{last.seconds:.0f} s, loss {last.loss:.3g}). Paint with: impasto fast PHOTO --model {output}"
    )
