"""`impasto mask`: a mask without drawing."""

from pathlib import Path
from typing import Annotated

import typer

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
    """Write a mask of PHOTO: white where its subject is, or where it is light; to mend, and for --regions."""
    from impasto.image.write import check_output, write_picture
    from impasto.recipes.inputs import source_files
    from impasto.recipes.mask import mask as find
    from impasto.storage.outputs import OutputFile, check_outputs

    path = output or f"{Path(photo).stem}-mask.png"
    check_outputs([OutputFile("-o", path)], source_files("the photo", photo))
    check_output(path)
    with download_bar("fetching the network that finds subjects"):
        picture = find(photo, settings.kind)
    write_picture(picture, path)
    console.note(f"Wrote {path}.")
