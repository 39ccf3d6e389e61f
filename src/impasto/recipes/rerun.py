"""Painting a picture again from the manifest inside it."""

import os
from collections.abc import Callable, Sequence
from dataclasses import replace

from impasto.errors import CheckpointError
from impasto.network.fetch import ByteProgress
from impasto.recipes import manifest as manifests
from impasto.recipes.fields import from_json
from impasto.recipes.job import Job
from impasto.recipes.paper_settings import ReconstructContentSettings, ReconstructStyleSettings
from impasto.recipes.reconstruct import prepare_content, prepare_style
from impasto.recipes.settings import RunSettings, StylizeSettings
from impasto.recipes.stylize import prepare

RECIPES: dict[str, tuple[type[RunSettings], Callable[..., Job]]] = {
    "stylize": (StylizeSettings, prepare),
    "reconstruct content": (ReconstructContentSettings, prepare_content),
    "reconstruct style": (ReconstructStyleSettings, prepare_style),
}
"""Every recipe that leaves a manifest: its settings, how to prepare it."""


def prepare_rerun(
    path: str | os.PathLike[str],
    *,
    content: str = "",
    style: str | Sequence[str] = "",
    weights: str = "",
    on_download: ByteProgress | None = None,
) -> Job:
    """The job that made a picture, ready to run: same settings, device, precision and number of threads.

    On the same machine the pixels come out identical.

    Args:
        path: a picture that Impasto wrote.
        content, style, weights: where these files lie now, if not where they were; several styles in order.
    Raises:
        CheckpointError: no manifest, an input that is gone or has changed, other weights.
        ImpastoError: as in `prepare`.
    """
    manifest = manifests.read(path)
    if manifest["command"] not in RECIPES:
        raise CheckpointError(f"{path} was made by {manifest['command']!r}, which cannot be run again.")
    settings_class, prepare = RECIPES[manifest["command"]]
    settings = from_json(settings_class, manifest["settings"])
    changes = {
        "device": manifest["device"],
        "precision": manifest["precision"],
        "threads": manifest["machine"]["threads"],
        "weights": weights or settings.weights,
    }
    if "init" in manifest["inputs"]:
        changes["init"] = manifests.find_input(manifest, "init", path)
    inputs: list[str | list[str]] = []
    if "content" in manifest["inputs"]:
        inputs.append(content or manifests.find_input(manifest, "content", path))
    if roles := [role for role in manifest["inputs"] if role.startswith("style")]:
        moved = [style] if isinstance(style, str) and style else list(style)
        if moved and len(moved) != len(roles):
            raise CheckpointError(f"{path} has {len(roles)} style images; {len(moved)} were given. Give all.")
        inputs.append(moved or [manifests.find_input(manifest, role, path) for role in roles])
    job = prepare(*inputs, replace(settings, **changes), on_download=on_download)
    for role, picture in job.inputs.items():
        manifests.check_input(manifest, role, picture)
    if job.manifest["weights"]["sha256"] != manifest["weights"]["sha256"]:
        raise CheckpointError(
            f"{path} was painted with weights {manifest['weights']['name']} "
            f"({manifest['weights']['sha256'][:12]}…), but {job.manifest['weights']['name']} "
            f"({job.manifest['weights']['sha256'][:12]}…) are here. Say where they are with --weights FILE."
        )
    return job
