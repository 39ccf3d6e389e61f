"""`impasto export`: a trained model as an ONNX file."""

from typing import Annotated

import typer

from impasto.cli import console
from impasto.cli.exit_codes import handle_errors


@handle_errors
def export(
    model: Annotated[
        str,
        typer.Argument(
            metavar="MODEL", help="A file that `impasto train` wrote, or the name of a bundled model."
        ),
    ],
    output: Annotated[
        str, typer.Option("-o", "--output", help="File to write. Default: MODEL.onnx, beside MODEL.")
    ] = "",
    blend: Annotated[
        str,
        typer.Option(
            metavar="SHARES",
            help="The weight of each style, such as 1,3; fixed in the file. Default: equal.",
        ),
    ] = "",
) -> None:
    """Write MODEL as an ONNX file, for programs without PyTorch and for web pages."""
    from impasto.recipes.export import export_onnx as write

    written = write(model, output or model.removesuffix(".safetensors") + ".onnx", blend=blend)
    console.note(f"Wrote {written}.")
