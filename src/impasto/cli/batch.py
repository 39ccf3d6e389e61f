"""`impasto batch`: many pictures in one run."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from impasto.cli import console
from impasto.cli.exit_codes import download_bar, handle_errors
from impasto.cli.options import with_settings
from impasto.errors import SettingsError
from impasto.settings.stylize import StylizeSettings
from impasto.storage.outputs import InputFile, OutputFile

if TYPE_CHECKING:
    from impasto.recipes.batch import BatchProgress
    from impasto.recipes.pairs import Pair


@handle_errors
@with_settings(StylizeSettings, presets=True)
def batch(
    settings: StylizeSettings,
    output: Annotated[
        str,
        typer.Option("-o", "--output", metavar="FOLDER", help="Folder for the results; created if missing."),
    ],
    contents: Annotated[
        list[str] | None, typer.Argument(metavar="CONTENT", help="Photographs, or folders of photographs.")
    ] = None,
    style: Annotated[
        list[str] | None,
        typer.Option(metavar="STYLE", help="A painting, or a folder of paintings; may be repeated."),
    ] = None,
    pairs: Annotated[
        str,
        typer.Option(
            "--list",
            metavar="FILE",
            help="Instead of CONTENT and --style: a text file of lines content,style[,output].",
        ),
    ] = "",
    format: Annotated[str, typer.Option(help="File extension of the results.")] = "png",
    contact_sheet: Annotated[
        str, typer.Option(metavar="FILE", help="Write an overview of all results to this file at the end.")
    ] = "",
) -> None:
    """Repaint each CONTENT in each STYLE; skips finished pictures and lists failures at the end."""
    from impasto.cli.progress_bars import RunBar
    from impasto.recipes.batch import iter_batch
    from impasto.recipes.inputs import settings_files
    from impasto.recipes.pairs import process_share, with_outputs
    from impasto.system.distributed import wait_for_ranks

    # The sheet's folder as well: the next batch would paint a sheet that lies among the photographs.
    written = [output, *([str(Path(contact_sheet).parent)] if contact_sheet else [])]
    pairs_to_paint = _pairs_to_paint(contents or [], style or [], pairs, written)
    rank, count = process_share()
    inputs = [InputFile("the list", pairs), *settings_files(settings)]
    sheet = OutputFile("--contact-sheet", contact_sheet)
    # For its checks alone: iter_batch names the outputs again, but knows neither the list nor the sheet.
    with_outputs(pairs_to_paint, output, format, inputs=inputs, also=[sheet])
    if contact_sheet:
        _check_sheet(contact_sheet, count)
    results: list[BatchProgress] = []
    try:
        with download_bar("fetching VGG-19"), RunBar() as bar:
            for progress in iter_batch(pairs_to_paint, output, settings, format=format):
                bar.batch(progress)
                # The steps of a picture are for the bar alone; its last progress is its result.
                if progress.state != "painting":
                    results.append(progress)
    finally:  # also after Ctrl-C, and after an error that ends the whole batch
        _report(results, f"Rank {rank} of {count}: " if count > 1 else "")
    if contact_sheet:
        _write_sheet(results, contact_sheet)
    wait_for_ranks()  # torchrun ends the other processes as soon as one exits with an error
    if any(result.error for result in results):
        raise typer.Exit(1)


def _pairs_to_paint(contents: list[str], styles: list[str], pairs: str, written: list[str]) -> "list[Pair]":
    """Return the pairs on the list, or every photograph with every painting.

    Args:
        written: folders that this batch writes to, whose pictures are no inputs.
    Raises:
        SettingsError: both ways are mixed, or neither is complete.
    """
    from impasto.recipes.pairs import all_pairs, read_pairs

    if pairs and not contents and not styles:
        return read_pairs(pairs)
    if pairs or not (contents and styles):
        raise SettingsError(
            "batch needs either CONTENT... with --style, or --list alone. Give one of the two."
        )
    return all_pairs(contents, styles, written=written)


def _check_sheet(path: str, processes: int) -> None:
    """Refuse a contact sheet that cannot be written, or made.

    Raises:
        ImageError: it cannot be written.
        SettingsError: several processes paint the batch.
    """
    from impasto.image.write import check_output

    check_output(path)
    if processes > 1:
        raise SettingsError(
            "--contact-sheet does not work under torchrun, because each process knows only its own "
            "pictures. Run again without torchrun afterwards: nothing is painted twice."
        )


def _report(results: "list[BatchProgress]", subject: str) -> None:
    """Print the failures, a line each, and the number of pictures in each state."""
    for result in results:
        if result.error:
            console.error(f"{result.pair}: {result.error}")
    states = [result.state for result in results]
    counts = ", ".join(f"{states.count(state)} {state}" for state in ("painted", "skipped", "failed"))
    if results:
        console.note(f"{subject}{counts}.")


def _write_sheet(results: "list[BatchProgress]", path: str) -> None:
    from impasto.image.write import write_picture
    from impasto.recipes.contact_sheet import contact_sheet

    # In the order of the pairs; they were painted style by style.
    shown = sorted(results, key=lambda result: result.number)
    # Where a pair failed, the file of an earlier batch may still be, which is not its result.
    succeeded = [r.pair._replace(output="") if r.error else r.pair for r in shown]
    write_picture(contact_sheet(succeeded), path)
    console.note(f"Wrote {path}.")
