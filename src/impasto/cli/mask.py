"""`impasto mask`: a mask without drawing."""

from pathlib import Path
from typing import Annotated

import typer

from impasto.choices import LIKE
from impasto.cli import console
from impasto.cli.exit_codes import download_bar, handle_errors
from impasto.cli.options import with_settings
from impasto.settings.mask import MaskSettings


@handle_errors
@with_settings(MaskSettings)
def mask(
    photo: Annotated[str, typer.Argument(metavar="PHOTO", help="The photograph.")],
    settings: MaskSettings,
    output: Annotated[
        str, typer.Option("-o", "--output", help="File to write. Default: PHOTO-mask.png, here.")
    ] = "",
) -> None:
    """Write a mask of PHOTO, to mend and for --regions: its subject, or its light, white.

    With --kind like:PAINTING, areas that resemble each other have the same colour in the photo's mask and in
    the painting's, which is written beside it as MASK-painting.
    """
    from impasto.image.write import check_output, write_picture
    from impasto.recipes.inputs import source_files
    from impasto.recipes.mask import mask as find
    from impasto.recipes.mask import matching_masks
    from impasto.storage.outputs import OutputFile, check_outputs

    path = output or f"{Path(photo).stem}-mask.png"
    painting = settings.kind.removeprefix(LIKE) if settings.kind.startswith(LIKE) else ""
    beside = str(Path(path).with_stem(f"{Path(path).stem}-painting"))
    paths = [path, beside] if painting else [path]
    inputs = source_files("the photo", photo) + (source_files("the painting", painting) if painting else [])
    check_outputs([OutputFile("-o", file) for file in paths], inputs)
    for file in paths:
        check_output(file)
    with download_bar("fetching the network that finds masks"):
        masks = matching_masks(photo, painting) if painting else [find(photo, settings.kind)]
    for mask, file in zip(masks, paths, strict=True):
        write_picture(mask, file)
    console.note(f"Wrote {' and '.join(paths)}.")
