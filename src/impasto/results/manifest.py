"""The manifest: JSON inside a painting's file, by which it can be explained and painted again."""

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
"""The manifest's version. Increase it when an older Impasto could no longer read a manifest."""


def new(
    command: str, settings: Any, inputs: Mapping[str, Picture], weights: Weights, compute: Compute
) -> dict[str, Any]:
    """Begin a manifest with everything that is known before a job starts.

    Args:
        command: the recipe's name.
        settings: its settings.
        inputs: pictures by role. Their names, as the user gave them, and the files' SHA-256 are stored.
        weights: the network's weights. Their name and digest are stored.
        compute: the device and number type.
    Returns:
        the manifest, to which the job adds its result.
    """
    repeatable = repeatability(compute.device)
    if getattr(settings, "budget", ""):  # only some commands have one
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
    """Write a manifest as JSON on one line; keys keep their order.

    Raises:
        ValueError: a number is not finite, which JSON cannot hold.
    """
    return json.dumps(manifest, ensure_ascii=False, allow_nan=False)


def read(path: str | os.PathLike[str]) -> dict[str, Any]:
    """Read the manifest inside a picture.

    Raises:
        ImageError: the file cannot be read or is not a picture.
        CheckpointError: the picture has no manifest, or one that is damaged or of a later format.
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
    """Return the option that names an input: --style for style-2, --regions for style-2-regions."""
    return "regions" if role.endswith("regions") else role.partition("-")[0]


def find_input(manifest: Mapping[str, Any], role: str, beside: str | os.PathLike[str]) -> str:
    """Find an input of a manifest: at its old path, or beside the picture.

    Args:
        manifest: of the picture.
        role: the input's role, such as "content".
        beside: the picture's path.
    Returns:
        the input's path.
    Raises:
        CheckpointError: the input came from memory, or is in neither place.
    """
    recorded = manifest["inputs"][role]
    option = option_of(role)
    if recorded["sha256"] is None:
        raise CheckpointError(
            f"the {role} image of {beside} came from memory, not from a file. Give the file with --{option}."
        )
    path = Path(recorded["path"])
    # Relative to the current folder, relative to the picture, or moved together with the picture.
    for candidate in (path, Path(beside).parent / path, Path(beside).parent / path.name):
        if candidate.is_file():
            return str(candidate)
    raise CheckpointError(
        f"the {role} image {path} is no longer there. Say where it is with --{option} FILE."
    )


def check_digest(
    manifest: Mapping[str, Any], role: str, name: str, sha256: str | None, *, advice: str = "."
) -> None:
    """Refuse an input that is not the one that the manifest was made from.

    Args:
        manifest: of the painting.
        role: the input's role, such as "content".
        name: the input's name now.
        sha256: the digest of its file now; None: it is in memory.
        advice: the end of the message, with other ways out.
    Raises:
        CheckpointError: the digests differ; the message names both.
    """
    recorded = manifest["inputs"][role]["sha256"]
    # An input from memory had no digest, so nothing is known against the one given now.
    if recorded is not None and recorded != sha256:
        now = (sha256 or "none")[:12]
        raise CheckpointError(
            f"the {role} image {name} has changed: SHA-256 was {recorded[:12]}…, now {now}…. "
            f"Give the original with --{option_of(role)} FILE{advice}"
        )
