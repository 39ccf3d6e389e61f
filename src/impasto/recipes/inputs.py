"""The files that a command reads, by role: what its outputs must not overwrite."""

import os
from collections.abc import Iterable, Mapping, Sequence
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
_PAINTERS = {"model": "the model", "start": "the painter to start from"}


def source_files(role: str, *sources: Source) -> list[InputFile]:
    """The files among pictures that may come from memory too."""
    paths = [
        (source.name if source.sha256 else "") if isinstance(source, Picture) else source
        for source in sources
        if isinstance(source, (str, os.PathLike, Picture))
    ]
    return [InputFile(role, os.fspath(path)) for path in paths]


def settings_files(settings: object) -> list[InputFile]:
    """The files that a recipe's settings name, whichever recipe's, and those that the environment names."""
    files = [
        InputFile(f"the file of {record.variable}", _expanded(os.environ.get(record.variable, "")))
        for record in RECORDS.values()
    ]
    for name, role in _ROLES.items():
        value = str(getattr(settings, name, ""))
        if value and not (name == "init" and value in BUILT_IN_STARTS):
            files.append(InputFile(role, value if name == "init" else _expanded(value)))
    for name, role in _PAINTERS.items():
        if value := str(getattr(settings, name, "")):
            files.append(InputFile(role, painter_file(value)))
    return files


def painter_file(model: str | os.PathLike[str]) -> str:
    """The file of a painter, which may be a shipped one's name."""
    name = os.fspath(model)
    return str(bundled_models().get(name, _expanded(name)))


def manifest_files(
    manifest: Mapping[str, Any],
    beside: str | os.PathLike[str],
    moved: Mapping[str, str | Sequence[str]],
) -> list[InputFile]:
    """The files that a manifest names, where they are now; those that it names badly are left out.

    Args:
        beside: the picture or checkpoint that it is from.
        moved: what was given instead, by option: content, style, regions, weights.
    """
    files = [InputFile(_role(option), path) for option, given in moved.items() for path in _several(given)]
    for role in manifest.get("inputs") or ():
        option = option_of(role)
        if not moved.get(option):
            # What is missing or damaged is refused, with the way out, when it is to be read.
            with suppress(CheckpointError, KeyError, TypeError):
                files.append(InputFile(_role(option), find_input(manifest, role, beside)))
    settings = manifest.get("settings") or {}
    if not moved.get("weights"):
        with suppress(AttributeError, TypeError):
            model = settings.get("model")
            paths = [settings.get("weights") or "", painter_file(model) if model else ""]
            files += [InputFile("the weights", _expanded(path)) for path in paths]
    return files


def _role(option: str) -> str:
    return {"regions": "the mask", "weights": "the weights"}.get(option, f"the {option} image")


def _several(given: str | Iterable[str]) -> list[str]:
    return [given] if isinstance(given, str) else list(given)


def _expanded(path: str) -> str:
    return os.path.expanduser(path)
