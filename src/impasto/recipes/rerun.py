"""Painting a picture again from the manifest inside it."""

import os
from collections.abc import Sequence
from dataclasses import replace

from impasto.errors import CheckpointError
from impasto.fast.stylizer import FastStylizer
from impasto.objective.custom import TermFactory
from impasto.recipes.recorded_run import (
    INPUTS_CHANGED,
    MovedInputs,
    check_extra_terms,
    check_inputs,
    check_weights,
    files_of,
    recorded_run,
)
from impasto.results import manifest as manifests
from impasto.results.painting import Painting
from impasto.run.loop import complete
from impasto.run.plan import RunPlan
from impasto.run.steering import ReplayedSteering, Steering
from impasto.settings.fast import FastSettings
from impasto.settings.options import from_json


def rerun(
    path: str | os.PathLike[str],
    *,
    content: str = "",
    style: str | Sequence[str] = "",
    regions: Sequence[str] = (),
    weights: str = "",
    init: str = "",
    extra_terms: Sequence[TermFactory] = (),
) -> Painting:
    """Paint a picture again from the manifest inside it. On the same machine, the pixels are identical.

    Args:
        path: a picture that Impasto painted.
        content, style, regions, weights, init: the present paths of files that have moved. Give several
            styles or masks in order.
        extra_terms: the custom losses that it was painted with, in order. No file holds them.
    Raises:
        ImpastoError: see `plan_rerun`.
    """
    moved = MovedInputs(content, style, regions, weights, init)
    manifest = manifests.read(path)
    if manifest["command"] == "fast":
        check_extra_terms(manifest, extra_terms, path)
        return rerun_fast(path, moved)
    plan, steering = plan_rerun(path, moved, extra_terms=extra_terms)
    return complete(plan, steering=steering)


def plan_rerun(
    path: str | os.PathLike[str],
    moved: MovedInputs = MovedInputs(),
    *,
    extra_terms: Sequence[TermFactory] = (),
) -> tuple[RunPlan, Steering | None]:
    """Plan the run that made a picture, with its settings, device, precision, threads and layouts.

    On the same machine, the pixels are identical.

    Args:
        path: a picture that Impasto painted.
        moved: the files that have moved.
        extra_terms: the custom losses that it was painted with, in order. No file holds them.
    Returns:
        The plan, and the steering that repeats changes made during the run (None if there were none).
    Raises:
        CheckpointError: there is no manifest, the extra terms or the weights differ, or an input is missing
            or has changed.
        ImpastoError: as in `plan_stylize`.
    """
    manifest = manifests.read(path)
    if manifest.get(INPUTS_CHANGED):
        raise CheckpointError(
            f"{path} cannot be painted again: its inputs or the weights changed while it was painted "
            "(impasto resume --changed)."
        )
    recorded = recorded_run(manifest, path, moved, extra_terms)
    plan = recorded.plan({})
    check_inputs(manifest, plan, path)
    # Other tiles round otherwise, so the same layouts are needed for the same pixels.
    plan = plan.with_layouts(recorded.layouts) if recorded.layouts else plan
    if not recorded.turns:
        return plan, None
    return plan, ReplayedSteering(
        recorded.turns, lambda changes: recorded.plan(changes, layouts=plan.layouts)
    )


def rerun_fast(path: str | os.PathLike[str], moved: MovedInputs = MovedInputs()) -> Painting:
    """Paint a one-pass picture again. On the same machine, the pixels are identical.

    Args:
        path, moved: as in `plan_rerun`.
    Raises:
        CheckpointError, ImpastoError: as `plan_rerun`.
    """
    manifest = manifests.read(path)
    settings = from_json(FastSettings, manifest["settings"])
    # One parameter for whichever network painted the picture: the user need not remember which it was.
    where = "model" if settings.model else "weights"
    changes = {"precision": manifest["precision"], "device": manifest["device"]}
    changes |= {where: moved.weights} if moved.weights else {}
    # Tiles of a trained model are approximate, so the same tiles are needed for the same pixels.
    tile = manifest["result"].get("tile", settings.tile)
    settings = replace(settings, threads=manifest["machine"]["threads"], tile=tile, **changes)
    styles = files_of(manifest, path, "style", moved.style)
    stylizer = FastStylizer(styles, settings)
    photo = moved.content or manifests.find_input(manifest, "content", path)
    painting = stylizer.stylize(photo, regions=files_of(manifest, path, "regions", moved.regions))
    now = {"inputs": painting.manifest["inputs"], "weights": painting.manifest["weights"]}
    for role, entry in now["inputs"].items():
        manifests.check_digest(manifest, role, entry["path"], entry["sha256"])
    check_weights(manifest, now, path)
    recorded, current = (facts["result"].get("decoder") for facts in (manifest, painting.manifest))
    if recorded != current:
        raise CheckpointError(
            f"{path} was painted with the decoder {str(recorded)[:12]}…, but {str(current)[:12]}… is here. "
            "Say where it is with IMPASTO_DECODER."
        )
    return painting
