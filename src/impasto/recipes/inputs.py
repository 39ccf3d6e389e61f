"""The files that a recipe reads, by role; its outputs must not overwrite them."""

import os
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Any

from impasto.errors import CheckpointError
from impasto.fast.models import bundled_models
from impasto.image.picture import Picture
from impasto.image.read import Source
from impasto.network.weight_records import RECORDS
from impasto.results.manifest import find_input, option_of
from impasto.settings.stylize import BUILT_IN_STARTS
from impasto.storage.outputs import InputFile

_ROLES = {"weights": "the weights", "decoder": "the decoder's weights", "init": "the init image"}
_MODELS = {"model": "the model", "start": "the model to start from"}


def source_files(role: str, *sources: Source) -> list[InputFile]:
    """Return the files among pictures; the others are in memory."""
    # Only a picture that was read from a file has a digest, and then its name is the path.
    paths = [
        (source.name if source.sha256 else "") if isinstance(source, Picture) else source
        for source in sources
        if isinstance(source, (str, os.PathLike, Picture))
    ]
    return [InputFile(role, os.fspath(path)) for path in paths]


def settings_files(settings: object) -> list[InputFile]:
    """Return the files named by a recipe's settings (of any recipe) and by environment variables."""
    # Files that environment variables name are read as well, so no output may overwrite them.
    files = [
        InputFile(f"the file of {record.variable}", os.path.expanduser(os.environ.get(record.variable, "")))
        for record in RECORDS.values()
    ]
    for name, role in _ROLES.items():
        value = str(getattr(settings, name, ""))
        if value and not (name == "init" and value in BUILT_IN_STARTS):
            files.append(InputFile(role, value if name == "init" else os.path.expanduser(value)))
    for name, role in _MODELS.items():
        if value := str(getattr(settings, name, "")):
            files.append(InputFile(role, model_file(value)))
    return files


def model_file(model: str | os.PathLike[str]) -> str:
    """Return the file of a model, given its path or the name of a bundled model."""
    name = os.fspath(model)
    return str(bundled_models().get(name, os.path.expanduser(name)))


def manifest_files(
    manifest: Mapping[str, Any],
    beside: str | os.PathLike[str],
    moved: Mapping[str, str | Sequence[str]],
) -> list[InputFile]:
    """Return the files named by a manifest, at their present places. Damaged entries are left out.

    Args:
        manifest: of a picture or checkpoint.
        beside: that picture or checkpoint.
        moved: files given in place of the recorded ones, by option: content, style, regions, weights, init.
    """
    files = [
        InputFile(_role(option), path)
        for option, given in moved.items()
        for path in ([given] if isinstance(given, str) else given)
    ]
    for role in manifest.get("inputs") or ():
        option = option_of(role)
        if not moved.get(option):
            # A missing or damaged file is reported later, with the way out, when it is read.
            with suppress(CheckpointError, KeyError, TypeError):
                files.append(InputFile(_role(option), find_input(manifest, role, beside)))
    settings = manifest.get("settings") or {}
    if not moved.get("weights"):
        with suppress(AttributeError, TypeError):
            model = settings.get("model")
            paths = [settings.get("weights") or "", model_file(model) if model else ""]
            files += [InputFile("the weights", os.path.expanduser(path)) for path in paths]
    return files


def _role(option: str) -> str:
    """Return what messages call the files of an option."""
    return {"regions": "the mask", "weights": "the weights"}.get(option, f"the {option} image")
