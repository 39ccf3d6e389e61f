"""`impasto fast`: stylizing in one pass."""

from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer

from impasto.cli import console
from impasto.cli.exit_codes import download_bar, handle_errors
from impasto.cli.options import with_settings
from impasto.cli.output import Output, with_output
from impasto.errors import DeviceError, ImageError, SettingsError
from impasto.settings.fast import FastSettings
from impasto.storage.outputs import InputFile, OutputFile, check_outputs, make_folder

Masks = Annotated[
    list[str] | None,
    typer.Option(
        metavar="MASK", help="As in stylize: the photo's mask, then each painting's; repeat the option."
    ),
]


@handle_errors
@with_settings(FastSettings)
@with_output("file or folder to write; default: CONTENT-STYLE.png here", fields=("bits", "quality"))
def fast(
    content: Annotated[
        str, typer.Argument(metavar="CONTENT", help="The photograph to repaint, or a folder of them.")
    ],
    settings: FastSettings,
    output: Output,
    style: Annotated[
        list[str] | None,
        typer.Argument(metavar="[STYLE]...", help="The painting; several are blended. Omit with --model."),
    ] = None,
    regions: Masks = None,
) -> None:
    """Repaint CONTENT in one pass, in any painting's style (AdaIN) or a trained model's (--model)."""
    from impasto.cli.run_command import save
    from impasto.fast.stylizer import FastStylizer
    from impasto.recipes.inputs import settings_files, source_files

    name = "-".join(Path(path).stem for path in style or [settings.model])
    inputs = [
        *source_files("the style image", *(style or ())),
        *source_files("the mask", *(regions or ())),
        *settings_files(settings),
    ]
    pairs = _pairs(content, name, output.path, inputs)
    several = Path(content).is_dir()
    with download_bar("fetching VGG-19 and the decoder"):
        stylizer = FastStylizer(style or (), settings)
    # Every file is checked before the first photo is painted.
    if several:
        make_folder(Path(pairs[0][1]).parent)
    for _, path in pairs:
        replace(output, path=path).check_format(settings.size or None)
    failed = 0
    for photo, path in pairs:
        try:
            painting = stylizer.stylize(photo, regions=regions or [])
        except (ImageError, DeviceError) as error:
            # In a folder, one bad photo must not keep the others from being painted.
            if not several:
                raise
            console.error(str(error))
            failed += 1
            continue
        save(painting, replace(output, path=path))
        result = painting.manifest["result"]
        console.note(f"Painted {path} ({result['width']}×{result['height']}, {result['seconds']:.1f} s).")
    if failed:
        console.note(f"{len(pairs) - failed} painted, {failed} failed.")
        raise typer.Exit(1)


def _pairs(content: str, name: str, output: str, inputs: list[InputFile]) -> list[tuple[str, str]]:
    """Return the photographs, each with the path of its painting.

    Raises:
        SettingsError: a painting would overwrite an input, or lie among the photographs.
    """
    from impasto.image.folders import picture_files
    from impasto.recipes.pairs import with_outputs

    if not Path(content).is_dir():
        output = output or f"{Path(content).stem}-{name}.png"
        check_outputs([OutputFile("-o", output)], [InputFile("the content image", content), *inputs])
        return [(content, output)]
    folder = Path(output or f"{Path(content).name}-{name}")
    if Path(content).resolve() == folder.resolve():
        raise SettingsError(
            f"the paintings would be written among the photos in '{content}'. Name another folder with -o."
        )
    photos = picture_files([content])
    # The photo twice, because a pair has a style; only its files are checked here.
    named = [(photo, photo, f"{Path(photo).stem}-{name}.png") for photo in photos]
    pairs = with_outputs(named, folder, "png", inputs=inputs)
    return [(pair.content, pair.output) for pair in pairs]
