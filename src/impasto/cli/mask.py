"""`impasto mask`: a mask without drawing."""

from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer

from impasto.choices import LIKE
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
    """Write a mask of PHOTO, white on its subject or its light parts, to retouch or use as --regions.

    With --kind like:PAINTING, areas that resemble each other have the same colour in the photo's mask and in
    the painting's, which is written beside it as MASK-painting.
    """
    from impasto.image.write import write_picture
    from impasto.recipes.inputs import source_files
    from impasto.recipes.mask import mask as find
    from impasto.recipes.mask import matching_masks

    output = output.named(f"{Path(photo).stem}-mask.png")
    painting = settings.kind.removeprefix(LIKE) if settings.kind.startswith(LIKE) else ""
    outputs = [output]
    if painting:
        path = Path(output.path)
        outputs.append(replace(output, path=str(path.with_stem(f"{path.stem}-painting"))))
    inputs = source_files("the photo", photo) + (source_files("the painting", painting) if painting else [])
    # Checked before the network is fetched.
    for file in outputs:
        file.check(inputs)
    with download_bar("fetching the network that finds masks"):
        masks = matching_masks(photo, painting) if painting else [find(photo, settings.kind)]
    for mask, file in zip(masks, outputs, strict=True):
        write_picture(mask, file.path)
    console.note(f"Wrote {' and '.join(file.path for file in outputs)}.")
