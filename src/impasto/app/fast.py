"""`impasto fast` and `impasto train`: painting in one pass, and learning to."""

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from impasto.app import console
from impasto.app.door import door, downloading
from impasto.app.options import with_settings
from impasto.errors import INTERRUPTED, DeviceError, ImageError, SettingsError
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
    from impasto.image.files import check_output
    from impasto.recipes.fast import FastPainter

    hand = "-".join(Path(one).stem for one in style or [settings.model])
    pairs = _pairs(content, hand, output)
    several = Path(content).is_dir()
    with downloading("fetching VGG-19 and the decoder") as on_download:
        painter = FastPainter(style or (), settings, on_download=on_download)
    if several:
        _make_folder(Path(pairs[0][1]).parent)
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
        painting.save(path, bits=bits, quality=quality)
        result = painting.manifest["result"]
        console.note(f"Painted {path} ({result['width']}×{result['height']}, {result['seconds']:.1f} s).")
    if failed:
        console.note(f"{len(pairs) - failed} painted, {failed} failed.")
        raise typer.Exit(1)


def _pairs(content: str, hand: str, output: str) -> list[tuple[str, str]]:
    """Photographs, and where each painting goes."""
    from impasto.recipes.pairs import files, placed

    if not Path(content).is_dir():
        return [(content, output or f"{Path(content).stem}-{hand}.png")]
    folder = Path(output or f"{Path(content).name}-{hand}")
    if Path(content).resolve() == folder.resolve():
        raise SettingsError(f"the paintings would go among the photos in '{content}'. Name another folder.")
    photos = files([content])
    pairs = placed([(photo, photo, f"{Path(photo).stem}-{hand}.png") for photo in photos], folder, "png")
    return [(pair.content, pair.output) for pair in pairs]


def _make_folder(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ImageError(f"the folder '{folder}' cannot be made: {error.strerror}.") from error


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
    from impasto.image.disk import check_place
    from impasto.image.files import check_output
    from impasto.recipes.train import train_steps

    output = output or "-".join(Path(one).stem for one in style) + ".safetensors"
    for place in filter(None, (output, checkpoint)):
        check_place(place)
    if preview:
        check_output(preview)
    join()
    with downloading("fetching VGG-19") as on_download:
        run = train_steps(style, images, settings, resume=resume, on_download=on_download)
    last, stopped = None, False
    with RunBar(quiet=rank() > 0) as bar, _between_steps() as wanted:
        for progress in run:
            last = progress
            bar.training(progress)
            if progress.looked and rank() == 0:
                _keep(progress, output, preview, checkpoint)
            if stopped := bool(wanted):
                break
    if rank() or last is None:
        if stopped:
            raise typer.Exit(INTERRUPTED)
        return
    _keep(last, output, preview, checkpoint)
    _report(last, output, stopped)
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


def _keep(progress: "TrainProgress", output: str, preview: str, checkpoint: str) -> None:
    """The painter so far, how it paints, and all that is needed to go on."""
    from impasto.image.arrays import from_tensor
    from impasto.image.files import write_picture

    progress.model().save(output)
    if preview:
        write_picture(from_tensor(progress.preview()), preview)
    if checkpoint:
        progress.save(checkpoint)


def _report(last: "TrainProgress", output: str, stopped: bool) -> None:
    if last.broken:
        console.note(f"{last.broken} of the photos are broken and were passed over.")
    console.note(
        f"{'Stopped; the painter so far is in' if stopped else 'Trained'} {output} ({last.step} steps, "
        f"{last.seconds:.0f} s, loss {last.loss:.3g}). Paint with: impasto fast PHOTO --model {output}"
    )
