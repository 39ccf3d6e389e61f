"""What a painting says of itself: its manifest, and the curves of its losses."""

import os
from pathlib import Path
from typing import Any

from impasto.errors import CheckpointError
from impasto.recipes.inputs import source_files
from impasto.results import manifest as manifests
from impasto.results.plots import check_figure_output, draw_losses
from impasto.storage.outputs import OutputFile, check_outputs


def manifest(path: str | os.PathLike[str]) -> dict[str, Any]:
    """The manifest inside a picture: settings, inputs with their hashes, versions, losses step by step.

    Raises:
        ImageError: not a picture.
        CheckpointError: a picture that Impasto did not write.
    """
    return manifests.read(path)


def loss_curves(path: str | os.PathLike[str], output: str | os.PathLike[str]) -> None:
    """Draw how a painting's losses fell.

    Args:
        path: a picture that Impasto painted.
        output: PNG, PDF or SVG by its ending.
    Raises:
        ImageError, CheckpointError: as `manifest`, or the picture was painted before losses were kept.
        SettingsError: another ending, or the output is the picture itself.
    """
    check_outputs([OutputFile("--curves", os.fspath(output))], source_files("the picture", path))
    check_figure_output(output)
    trace = manifests.read(path).get("trace")
    if not trace or not trace["rows"]:
        raise CheckpointError(f"{path} has no losses in its manifest: it was painted by an earlier Impasto.")
    draw_losses(trace["columns"], trace["rows"], Path(output))
