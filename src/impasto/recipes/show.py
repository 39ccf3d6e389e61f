"""Plotting the losses of a painting."""

import os
from pathlib import Path

from impasto.errors import CheckpointError
from impasto.recipes.inputs import source_files
from impasto.results import manifest as manifests
from impasto.results.plots import check_figure_output, draw_losses
from impasto.storage.outputs import OutputFile, check_outputs


def loss_curves(path: str | os.PathLike[str], output: str | os.PathLike[str]) -> None:
    """Draw the losses of a painting against its steps.

    Args:
        path: a picture that Impasto painted.
        output: the file to write: PNG, PDF or SVG by its ending.
    Raises:
        ImageError: the file is no picture, or the output cannot be written.
        CheckpointError: as `results.manifest.read`; or the picture is older than the recording of losses.
        SettingsError: the output has another ending, or is the picture itself.
    """
    check_outputs([OutputFile("--curves", os.fspath(output))], source_files("the picture", path))
    check_figure_output(output)
    trace = manifests.read(path).get("trace")
    if not trace or not trace["rows"]:
        raise CheckpointError(f"{path} has no losses in its manifest: it was painted by an earlier Impasto.")
    draw_losses(trace["columns"], trace["rows"], Path(output))
