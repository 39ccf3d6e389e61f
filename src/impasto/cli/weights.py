"""`impasto weights`: list, fetch and verify the networks' weights."""

from typing import TYPE_CHECKING, Annotated

import typer

from impasto.cli import console
from impasto.cli.exit_codes import download_bar, handle_errors
from impasto.errors import SettingsError
from impasto.network.weight_records import ALL_RECORDS, RECORDS

if TYPE_CHECKING:
    from impasto.network.weights import WeightStatus

weights_app = typer.Typer(help="List, fetch or verify the networks' weights.", no_args_is_help=True)


@weights_app.command("list")
@handle_errors
def weights_list() -> None:
    """List the known weight files and whether they are in the cache."""
    _statuses()


@weights_app.command("fetch")
@handle_errors
def weights_fetch(
    name: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[NAME]...", help="Names as listed. Default: all weights that painting needs."
        ),
    ] = None,
) -> None:
    """Fetch weights into the cache, unless intact copies are there."""
    from impasto.network.weights import fetch

    # All names are checked before the first download, which may take minutes.
    for unknown in [given for given in name or () if given not in ALL_RECORDS]:
        raise SettingsError(f"there are no weights named '{unknown}'. Choose from {', '.join(ALL_RECORDS)}.")
    for record in [ALL_RECORDS[given] for given in name or RECORDS]:
        with download_bar(f"fetching {record.name}"):
            path = fetch(record)
        console.out.print(f"{record.name}: {path}")


@weights_app.command("verify")
@handle_errors
def weights_verify() -> None:
    """Verify the weights in the cache; exit with 1 if any are damaged or, if needed for painting, missing."""
    # Most people never measure and need no automatic masks, so the networks for these may be absent.
    if any(s.state == "damaged" or (s.state == "absent" and s.record.name in RECORDS) for s in _statuses()):
        raise typer.Exit(1)


def _statuses() -> "list[WeightStatus]":
    """Print which weights the cache holds, and return the same."""
    from impasto.network.weights import verify

    statuses = verify(ALL_RECORDS.values())
    rows = [
        (s.record.name, s.state, f"{s.bytes / 1e6:.1f} MB", str(s.path), s.record.licence) for s in statuses
    ]
    console.table("", rows, ("name", "state", "size", "file", "licence"))
    return statuses
