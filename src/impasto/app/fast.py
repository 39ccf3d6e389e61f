"""`impasto fast` and `impasto train`: painting in one pass, and learning to."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from impasto.app import console
from impasto.app.door import door, downloading
from impasto.app.options import with_settings
from impasto.errors import INTERRUPTED, ImageError, SettingsError
from impasto.recipes.fast_settings import FastSettings, TrainSettings

if TYPE_CHECKING:
    from impasto.recipes.fast import FastPainter
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
    for _, path in pairs:
        check_output(path, bits=bits, longest=settings.size or None)
    with downloading("fetching VGG-19 and the decoder") as on_download:
        painter = FastPainter(style or (), settings, on_download=on_download)
    failed = 0
    for photo, path in pairs:
        try:
            _paint(painter, photo, path, regions or [], bits, quality)
        except ImageError as error:
            if len(pairs) == 1:
                raise
            console.error(str(error))
            failed += 1
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
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ImageError(f"the folder '{folder}' cannot be made: {error.strerror}.") from error
    photos = files([content])
    pairs = placed([(photo, photo, f"{Path(photo).stem}-{hand}.png") for photo in photos], folder, "png")
    return [(pair.content, pair.output) for pair in pairs]


def _paint(
    painter: "FastPainter", photo: str, path: str, regions: list[str], bits: int, quality: int
) -> None:
    painting = painter.paint(photo, regions=regions)
    painting.save(path, bits=bits, quality=quality)
    result = painting.manifest["result"]
    console.note(f"Painted {path} ({result['width']}×{result['height']}, {result['seconds']:.1f} s).")


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
    with RunBar(quiet=rank() > 0) as bar:
        try:
            for progress in run:
                last = progress
                bar.training(progress)
                if progress.looked and rank() == 0:
                    _keep(progress, output, preview, checkpoint)
        except KeyboardInterrupt:
            stopped = True
    if rank() or last is None:
        if stopped:
            raise typer.Exit(INTERRUPTED)
        return
    _keep(last, output, preview, checkpoint)
    _report(last, output, stopped)
    if stopped:
        console.note(f"Go on with: --resume {checkpoint}" if checkpoint else "There is no --checkpoint.")
        raise typer.Exit(INTERRUPTED)


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
