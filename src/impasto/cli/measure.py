"""`impasto measure`: how good stylized pictures are."""

import dataclasses
from pathlib import Path
from typing import Annotated

import typer

from impasto.cli import console
from impasto.cli.exit_codes import download_bar, handle_errors
from impasto.cli.options import with_settings
from impasto.settings.measure import MeasureSettings

_ROWS = {
    "lpips_alexnet": "LPIPS from the photo, AlexNet",
    "lpips_vgg16": "LPIPS from the photo, VGG-16",
    "self_similarity": "self-similarity, against the photo's",
    "neighbors_conv2_2": "nearest neighbours in the painting, conv2_2",
    "neighbors_conv3_3": "nearest neighbours in the painting, conv3_3",
    "sifid": "SIFID, against the painting",
    "histogram": "colour histogram, against the painting's",
    "speckle": "speckle, in 1/255",
    "crispness": "crispness (below 0.8: blurred)",
}


@handle_errors
@with_settings(MeasureSettings)
def measure(
    photo: Annotated[str, typer.Argument(metavar="PHOTO", help="The photograph.")],
    painting: Annotated[str, typer.Argument(metavar="PAINTING", help="The painting.")],
    out: Annotated[list[str], typer.Argument(metavar="OUT...", help="A picture made from the two.")],
    settings: MeasureSettings,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Measure the content, style, colours and speckle of OUT, with networks that did not paint it."""
    from impasto.recipes.measure import measure as compute

    with download_bar("fetching the judging networks"):
        measures = compute(photo, painting, out, settings)
    if as_json:
        console.out.print_json(data=dataclasses.asdict(measures))
        return
    rows = [
        (title, *(f"{getattr(picture, name):.4f}" for picture in measures.pictures))
        for name, title in _ROWS.items()
    ]
    console.table("", rows, ("", *(Path(picture.name).name for picture in measures.pictures)))
    for note in [note for picture in measures.pictures for note in picture.notes]:
        console.note(note)
