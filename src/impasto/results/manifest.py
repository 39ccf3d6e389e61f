"""The manifest: what a painting carries inside its file, so that it can be explained and painted again."""

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from impasto.errors import CheckpointError
from impasto.image.picture import Picture
from impasto.image.read import read_manifest
from impasto.network.weights import Weights
from impasto.settings.options import to_json
from impasto.system.device import Compute, describe_machine
from impasto.system.process import Repeatability, repeatability
from impasto.version import __version__

FORMAT = 1
"""Raised when a manifest of this version could no longer be read by an older Impasto."""


def new(
    command: str, settings: Any, inputs: Mapping[str, Picture], weights: Weights, compute: Compute
) -> dict[str, Any]:
    """What is known before a job starts.

    Args:
        command: the recipe's name.
        settings: its settings.
        inputs: pictures by role; kept are the names as the user gave them, and the SHA-256 of the files.
    """
    repeatable = repeatability(compute.device)
    if getattr(settings, "budget", ""):
        repeatable = Repeatability(False, "with a budget, the clock decides how many steps are taken")
    return {
        "format": FORMAT,
        "impasto": __version__,
        "command": command,
        "settings": to_json(settings),
        "inputs": {
            role: {"path": picture.name, "sha256": picture.sha256} for role, picture in inputs.items()
        },
        "weights": {"name": weights.name, "sha256": weights.sha256},
        "device": str(compute.device),
        "precision": str(compute.dtype).removeprefix("torch."),
        "machine": describe_machine(),
        "repeatable": repeatable.holds,
        **({} if repeatable.holds else {"repeatable_reason": repeatable.reason}),
    }


def to_text(manifest: Mapping[str, Any]) -> str:
    """JSON on one line; keys keep their order."""
    return json.dumps(manifest, ensure_ascii=False, allow_nan=False)


def read(path: str | os.PathLike[str]) -> dict[str, Any]:
    """The manifest inside a picture.

    Raises:
        ImageError: not a picture.
        CheckpointError: a picture without a manifest, or with one of a later format.
    """
    text = read_manifest(path)
    if text is None:
        raise CheckpointError(f"{path} carries no Impasto manifest; only pictures that Impasto wrote do.")
    try:
        manifest = json.loads(text)
        version = manifest["format"]
    except (ValueError, KeyError, TypeError):
        raise CheckpointError(f"the manifest in {path} is damaged; paint the picture again.") from None
    if version > FORMAT:
        raise CheckpointError(
            f"the manifest in {path} has format {version}; this Impasto ({__version__}) reads {FORMAT}. "
            f"Use Impasto {manifest.get('impasto', 'of a later version')}."
        )
    return dict(manifest)


def option_of(role: str) -> str:
    """The option that gives an input: style-2 is another --style, style-2-regions another --regions."""
    return "regions" if role.endswith("regions") else role.partition("-")[0]


def find_input(manifest: Mapping[str, Any], role: str, beside: str | os.PathLike[str]) -> str:
    """Where an input of the manifest lies now: where it was, or beside the picture.

    Raises:
        CheckpointError: it came from memory, or is in neither place.
    """
    recorded = manifest["inputs"][role]
    option = option_of(role)
    if recorded["sha256"] is None:
        raise CheckpointError(
            f"the {role} image of {beside} came from memory, not from a file. Give the file with --{option}."
        )
    path = Path(recorded["path"])
    for candidate in (path, Path(beside).parent / path, Path(beside).parent / path.name):
        if candidate.is_file():
            return str(candidate)
    raise CheckpointError(
        f"the {role} image {path} is no longer there. Say where it is with --{option} FILE."
    )


def check_input(manifest: Mapping[str, Any], role: str, picture: Picture, *, advice: str = ".") -> None:
    """Refuse an input that is not the one the manifest was made from.

    Args:
        advice: the end of the message, with other ways out.
    Raises:
        CheckpointError: naming both hashes.
    """
    check_digest(manifest, role, picture.name, picture.sha256, advice=advice)


def check_digest(
    manifest: Mapping[str, Any], role: str, name: str, sha256: str | None, *, advice: str = "."
) -> None:
    """As `check_input`, of an input of that name with that digest."""
    recorded = manifest["inputs"][role]["sha256"]
    if recorded is not None and recorded != sha256:
        now = (sha256 or "none")[:12]
        raise CheckpointError(
            f"the {role} image {name} has changed: SHA-256 was {recorded[:12]}…, now {now}…. "
            f"Give the original with --{option_of(role)} FILE{advice}"
        )
