"""The command that writes a painter as ONNX."""

from typing import Annotated

import typer

from impasto.cli import console
from impasto.cli.exit_codes import handle_errors


@handle_errors
def export(
    model: Annotated[
        str, typer.Argument(metavar="MODEL", help="What `impasto train` wrote, or a painter that is shipped.")
    ],
    output: Annotated[
        str, typer.Option("-o", "--output", help="File to write. Default: MODEL.onnx, beside MODEL.")
    ] = "",
    blend: Annotated[
        str,
        typer.Option(
            metavar="SHARES",
            help="What each style has to say, as in 1,3; fixed in the file. Default: equally much.",
        ),
    ] = "",
) -> None:
    """Write MODEL as an ONNX file, for programs without PyTorch and for web pages."""
    from impasto.recipes.export import export_onnx as write

    written = write(model, output or model.removesuffix(".safetensors") + ".onnx", blend=blend)
    console.note(f"Wrote {written}.")
