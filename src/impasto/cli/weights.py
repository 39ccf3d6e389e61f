"""`impasto weights`: list, fetch, verify."""

import typer

from impasto.cli import console
from impasto.cli.exit_codes import downloading, handle_errors

weights_app = typer.Typer(help="The network's weights: list, fetch, verify.", no_args_is_help=True)


@weights_app.command("list")
@handle_errors
def weights_list() -> None:
    """List the known weight files and whether they are in the cache."""
    _show_weights()


@weights_app.command("fetch")
@handle_errors
def weights_fetch() -> None:
    """Fetch the weights into the cache, unless good ones are there."""
    from impasto.network.weights import RECORDS, fetch

    for record in RECORDS.values():
        with downloading(f"fetching {record.name}") as on_download:
            path = fetch(record, progress=on_download)
        console.out.print(f"{record.name}: {path}")


@weights_app.command("verify")
@handle_errors
def weights_verify() -> None:
    """Check the bytes of the weights in the cache; exit 1 if any are damaged or absent."""
    if not _show_weights():
        raise typer.Exit(1)


def _show_weights() -> bool:
    from impasto.network.weights import verify

    statuses = verify()
    rows = [
        (s.record.name, s.state, f"{s.bytes / 1e6:.1f} MB", str(s.path), s.record.licence) for s in statuses
    ]
    console.table("", rows, ("name", "state", "size", "file", "licence"))
    return all(s.state == "good" for s in statuses)
