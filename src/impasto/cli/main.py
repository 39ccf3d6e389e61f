"""The command `impasto`: parse, call a recipe, show, set the exit code.

Recipes are imported inside the commands, so that `impasto --help` loads no torch.
"""

import sys
from typing import Annotated

import typer

from impasto.cli import console
from impasto.cli.batch import batch
from impasto.cli.exit_codes import flush_streams, handle_errors
from impasto.cli.export import export
from impasto.cli.fast import fast
from impasto.cli.mask import mask
from impasto.cli.measure import measure
from impasto.cli.paper import features, figure, loss, reconstruct_app
from impasto.cli.show import show
from impasto.cli.stylize import plan, rerun, resume, stylize
from impasto.cli.train import train
from impasto.cli.web import web
from impasto.cli.weights import weights_app
from impasto.version import __version__

app = typer.Typer(
    name="impasto",
    help="Repaint a photograph in the style of a painting (Gatys, Ecker and Bethge 2015).",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
)

app.add_typer(weights_app, name="weights")
app.add_typer(reconstruct_app, name="reconstruct")


def main() -> None:
    """Run the command; the entry point of the script `impasto`."""
    console.show_warnings()
    if sys.argv[1:] in ([], ["--help"]):
        # The first page at once: rich's help loads a Markdown parser, a third of the whole time.
        app.rich_markup_mode = None
    try:
        app()
    except OSError as error:  # a full disk or standard output, no file handles left
        flush_streams()
        named = f": {error.filename}" if error.filename else ""
        console.error(f"the system refused to read or write: {error.strerror or error}{named}.")
        sys.exit(1)
    except ImportError as error:
        reason = (str(error).strip() or repr(error)).splitlines()[-1]  # NumPy's is a page
        console.error(
            f"a part of Impasto could not be loaded ({reason}). Give this process more memory, or reinstall "
            "Impasto."
        )
        sys.exit(1)
    finally:
        flush_streams()


def _version(show: bool) -> bool:
    if show:
        console.out.print(f"impasto {__version__}")
        raise typer.Exit
    return show


@app.callback()
def _root(
    version: Annotated[  # eager: answered before anything else is parsed
        bool, typer.Option("--version", help="Show the version.", callback=_version, is_eager=True)
    ] = False,
) -> None:
    pass


@handle_errors
def doctor() -> None:
    """Report on this machine: versions, device, threads, bfloat16, cache, weights."""
    from impasto.recipes.doctor import machine_report

    console.table("", [(name, str(value)) for name, value in machine_report().items()])


# The help lists them in this order.
for command in (
    stylize,
    rerun,
    resume,
    plan,
    doctor,
    web,
    fast,
    train,
    export,
    show,
    batch,
    loss,
    figure,
    features,
    mask,
    measure,
):
    app.command()(command)
