"""`impasto mask`: a mask without drawing."""

from pathlib import Path
from typing import Annotated

import typer

from impasto.cli import console
from impasto.cli.exit_codes import download_bar, handle_errors
from impasto.cli.options import with_settings
from impasto.cli.output import Output, with_output
from impasto.settings.mask import MaskSettings


@handle_errors
@with_settings(MaskSettings)
@with_output("file to write; default: PHOTO-mask.png in the current folder", fields=())
def mask(
    photo: Annotated[str, typer.Argument(metavar="PHOTO", help="The photograph.")],
    settings: MaskSettings,
    output: Output,
) -> None:
    """Write a mask of PHOTO, white on its subject or its light parts, to retouch or use as --regions."""
    from impasto.image.write import write_picture
    from impasto.recipes.inputs import source_files
    from impasto.recipes.mask import mask as find

    output = output.named(f"{Path(photo).stem}-mask.png")
    output.check(source_files("the photo", photo))
    with download_bar("fetching the network that finds subjects"):
        picture = find(photo, settings.kind)
    write_picture(picture, output.path)
    console.note(f"Wrote {output.path}.")
