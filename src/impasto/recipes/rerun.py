"""Painting a picture again from the manifest inside it."""

import os
from dataclasses import replace

from impasto.errors import CheckpointError
from impasto.network.fetch import ByteProgress
from impasto.recipes import manifest as manifests
from impasto.recipes.job import Job
from impasto.recipes.settings import stylize_from_json
from impasto.recipes.stylize import prepare


def prepare_rerun(
    path: str | os.PathLike[str],
    *,
    content: str = "",
    style: str = "",
    weights: str = "",
    on_download: ByteProgress | None = None,
) -> Job:
    """The job that made a picture, ready to run: same settings, device, precision and number of threads.

    On the same machine the pixels come out identical.

    Args:
        path: a picture that Impasto wrote.
        content, style, weights: where these files lie now, if not where they were.
    Raises:
        CheckpointError: no manifest, an input that is gone or has changed, other weights.
        ImpastoError: as in `prepare`.
    """
    manifest = manifests.read(path)
    if manifest["command"] != "stylize":
        raise CheckpointError(f"{path} was made by {manifest['command']!r}, which cannot be run again.")
    settings = stylize_from_json(manifest["settings"])
    settings = replace(
        settings,
        device=manifest["device"],
        precision=manifest["precision"],
        threads=manifest["machine"]["threads"],
        weights=weights or settings.weights,
        init=manifests.find_input(manifest, "init", path) if "init" in manifest["inputs"] else settings.init,
    )
    job = prepare(
        content or manifests.find_input(manifest, "content", path),
        style or manifests.find_input(manifest, "style", path),
        settings,
        on_download=on_download,
    )
    for role, picture in job.inputs.items():
        manifests.check_input(manifest, role, picture)
    if job.manifest["weights"]["sha256"] != manifest["weights"]["sha256"]:
        raise CheckpointError(
            f"{path} was painted with weights {manifest['weights']['name']} "
            f"({manifest['weights']['sha256'][:12]}…), but {job.manifest['weights']['name']} "
            f"({job.manifest['weights']['sha256'][:12]}…) are here. Say where they are with --weights FILE."
        )
    return job
