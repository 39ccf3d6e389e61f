"""`impasto fast`: stylizing in one pass."""

from pathlib import Path
from typing import Annotated

import typer

from impasto.cli import console
from impasto.cli.exit_codes import download_bar, handle_errors
from impasto.cli.options import with_settings
from impasto.cli.output import Output
from impasto.errors import DeviceError, ImageError, SettingsError
from impasto.settings.fast import FastSettings
from impasto.storage.outputs import InputFile, OutputFile, check_outputs, make_folder

Masks = Annotated[
    list[str] | None,
    typer.Option(
        metavar="MASK", help="As of stylize: the photo's mask, then each painting's; once for each."
    ),
]


@handle_errors
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
    from impasto.cli.run_command import save
    from impasto.fast.stylizer import FastStylizer
    from impasto.image.write import check_output
    from impasto.recipes.inputs import settings_files, source_files

    name = "-".join(Path(path).stem for path in style or [settings.model])
    inputs = [
        *source_files("the style image", *(style or ())),
        *source_files("the mask", *(regions or ())),
        *settings_files(settings),
    ]
    pairs = _pairs(content, name, output, inputs)
    several = Path(content).is_dir()
    with download_bar("fetching VGG-19 and the decoder"):
        painter = FastStylizer(style or (), settings)
    if several:
        make_folder(Path(pairs[0][1]).parent)
    for _, path in pairs:
        check_output(path, bits=bits, longest=settings.size or None)
    failed = 0
    for photo, path in pairs:
        try:
            painting = painter.stylize(photo, regions=regions or [])
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


def _pairs(content: str, name: str, output: str, inputs: list[InputFile]) -> list[tuple[str, str]]:
    """Photographs, and where each painting goes, which is over none of the inputs."""
    from impasto.image.folders import picture_files
    from impasto.recipes.pairs import with_outputs

    if not Path(content).is_dir():
        output = output or f"{Path(content).stem}-{name}.png"
        check_outputs([OutputFile("-o", output)], [InputFile("the content image", content), *inputs])
        return [(content, output)]
    folder = Path(output or f"{Path(content).name}-{name}")
    if Path(content).resolve() == folder.resolve():
        raise SettingsError(f"the paintings would go among the photos in '{content}'. Name another folder.")
    photos = picture_files([content])
    named = [(photo, photo, f"{Path(photo).stem}-{name}.png") for photo in photos]
    pairs = with_outputs(named, folder, "png", inputs=inputs)
    return [(pair.content, pair.output) for pair in pairs]
