"""Painting a picture again from the manifest inside it, and going on with a run that was stopped."""

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from impasto.device import launched
from impasto.errors import CheckpointError
from impasto.network.fetch import ByteProgress
from impasto.objective.bands import Band
from impasto.recipes import manifest as manifests
from impasto.recipes.fields import from_json
from impasto.recipes.job import Job, complete
from impasto.recipes.paper_settings import ReconstructContentSettings, ReconstructStyleSettings
from impasto.recipes.planning import with_layouts
from impasto.recipes.progress import Painting
from impasto.recipes.reconstruct import prepare_content, prepare_style
from impasto.recipes.settings import RunSettings, StylizeSettings
from impasto.recipes.stylize import prepare
from impasto.solve import checkpoint
from impasto.solve.checkpoint import Snapshot
from impasto.solve.plan import Layout

RECIPES: dict[str, tuple[type[RunSettings], Callable[..., Job]]] = {
    "stylize": (StylizeSettings, prepare),
    "reconstruct content": (ReconstructContentSettings, prepare_content),
    "reconstruct style": (ReconstructStyleSettings, prepare_style),
}
"""Every recipe that leaves a manifest: its settings, how to prepare it."""


def resume(path: str | os.PathLike[str]) -> Painting:
    """Go on with a run that was stopped, to its end; nothing is written.

    Args:
        path: a checkpoint (see `solve/checkpoint.py`).
    Raises:
        ImpastoError: see `prepare_resume`.
    """
    job, snapshot, _ = prepare_resume(path)
    return complete(job, snapshot)


def prepare_rerun(
    path: str | os.PathLike[str],
    *,
    content: str = "",
    style: str | Sequence[str] = "",
    weights: str = "",
    on_download: ByteProgress | None = None,
) -> Job:
    """The job that made a picture, ready to run: same settings, device, precision, threads and layouts.

    On the same machine the pixels come out identical.

    Args:
        path: a picture that Impasto wrote.
        content, style, weights: where these files lie now, if not where they were; several styles in order.
    Raises:
        CheckpointError: no manifest, an input that is gone or has changed, other weights.
        ImpastoError: as in `prepare`.
    """
    moved = {"content": content, "style": style, "weights": weights}
    return _prepare(manifests.read(path), path, moved, on_download)


def prepare_resume(
    path: str | os.PathLike[str],
    *,
    content: str = "",
    style: str | Sequence[str] = "",
    weights: str = "",
    changed: bool = False,
    on_download: ByteProgress | None = None,
) -> tuple[Job, Snapshot, dict[str, Any]]:
    """A run that was stopped, where it stood, and what it was to write: the pixels of one that was not.

    Args:
        path: a checkpoint.
        content, style, weights: as in `prepare_rerun`.
        changed: whether to go on though an input or the weights have changed.
    Returns:
        the job, its state, and what was said of its output when the checkpoint was written.
    Raises:
        CheckpointError: damaged, foreign, of a later version; an input that is gone or has changed.
        ImpastoError: as in `prepare`.
    """
    facts = checkpoint.read_facts(path)
    moved = {"content": content, "style": style, "weights": weights}
    otherwise = ", or go on with what is there: --changed."
    job = _prepare(facts["manifest"], path, moved, on_download, changed=changed, otherwise=otherwise)
    scales = [(scale.height, scale.width) for scale in job.scales]
    bands = {size: Band.of(*size, wrap=job.network.wrap) for size in scales}
    snapshot = checkpoint.load(path, bands, job.network.device)
    return job, snapshot, facts["output"]


def _prepare(
    manifest: Mapping[str, Any],
    path: str | os.PathLike[str],
    moved: Mapping[str, str | Sequence[str]],
    on_download: ByteProgress | None,
    *,
    changed: bool = False,
    otherwise: str = ".",
) -> Job:
    """The job of a manifest, with its inputs found and, unless they may have changed, compared."""
    if manifest["command"] not in RECIPES:
        raise CheckpointError(f"{path} was made by {manifest['command']!r}, which cannot be run again.")
    settings_class, recipe = RECIPES[manifest["command"]]
    settings = from_json(settings_class, manifest["settings"])
    changes = {
        "precision": manifest["precision"],
        "weights": moved["weights"] or settings.weights,
    }
    if launched() == 1:  # torchrun gives each process its own
        changes |= {"device": manifest["device"], "threads": manifest["machine"]["threads"]}
    if "init" in manifest["inputs"]:
        changes["init"] = manifests.find_input(manifest, "init", path)
    inputs = _inputs(manifest, path, moved["content"], moved["style"])
    job = recipe(*inputs, replace(settings, **changes), on_download=on_download)
    if not changed:
        for role, picture in job.inputs.items():
            manifests.check_input(manifest, role, picture, otherwise=otherwise)
        _check_weights(manifest, job.manifest, path)
    layouts = [Layout(**layout) for layout in manifest.get("layouts", ())]
    return with_layouts(job, layouts) if layouts else job


def _inputs(
    manifest: Mapping[str, Any],
    path: str | os.PathLike[str],
    content: str | Sequence[str],
    style: str | Sequence[str],
) -> list[Any]:
    """Where the photo and the paintings lie now."""
    inputs: list[Any] = []
    if "content" in manifest["inputs"]:
        inputs.append(content or manifests.find_input(manifest, "content", path))
    if roles := [role for role in manifest["inputs"] if role.startswith("style")]:
        given = [style] if isinstance(style, str) and style else list(style)
        if given and len(given) != len(roles):
            raise CheckpointError(f"{path} has {len(roles)} style images; {len(given)} were given. Give all.")
        inputs.append(given or [manifests.find_input(manifest, role, path) for role in roles])
    return inputs


def _check_weights(manifest: Mapping[str, Any], now: Mapping[str, Any], path: str | os.PathLike[str]) -> None:
    then, here = manifest["weights"], now["weights"]
    if here["sha256"] != then["sha256"]:
        raise CheckpointError(
            f"{path} was painted with weights {then['name']} ({then['sha256'][:12]}…), but {here['name']} "
            f"({here['sha256'][:12]}…) are here. Say where they are with --weights FILE."
        )
