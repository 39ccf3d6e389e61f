"""Resuming a run that was stopped, from its checkpoint."""

import os
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

from impasto.errors import CheckpointError
from impasto.objective.custom import TermFactory
from impasto.recipes.recorded_run import (
    INPUTS_CHANGED,
    MovedInputs,
    check_inputs,
    manifest_errors,
    recorded_run,
)
from impasto.results.painting import Painting
from impasto.run import checkpoint
from impasto.run.checkpoint import Snapshot
from impasto.run.loop import complete
from impasto.run.plan import RunPlan
from impasto.run.scale_run import restarted
from impasto.run.steering import merged_changes


def resume(path: str | os.PathLike[str], *, extra_terms: Sequence[TermFactory] = ()) -> Painting:
    """Resume a run that was stopped, and complete it. Nothing is written.

    Args:
        path: a checkpoint (see `run/checkpoint.py`).
        extra_terms: the custom losses of the run, in order.
    Raises:
        ImpastoError: see `plan_resume`.
    """
    plan, snapshot, _ = plan_resume(path, extra_terms=extra_terms)
    return complete(plan, snapshot)


def plan_resume(
    path: str | os.PathLike[str],
    moved: MovedInputs = MovedInputs(),
    *,
    extra_terms: Sequence[TermFactory] = (),
    changed: bool = False,
    check: Callable[[dict[str, Any]], None] = lambda facts: None,
) -> tuple[RunPlan, Snapshot, dict[str, Any]]:
    """Plan the rest of a run that was stopped. It gives the same pixels as a run that was never stopped.

    Args:
        path: a checkpoint.
        moved, extra_terms: as in `plan_rerun`.
        changed: whether to resume even if an input or the weights have changed. If one has, the descent
            starts again from the same picture.
        check: called with the checkpoint's facts before any input is read or fetched.
    Returns:
        The plan, the state to resume from, and the output options recorded in the checkpoint.
    Raises:
        CheckpointError: the file is damaged, is no checkpoint, or has a later format; an input is missing or
            has changed; a changed photo has another shape.
        ImpastoError: as in `plan_stylize`.
    """
    advice = ", or resume with the present files: --changed."
    with checkpoint.opened(path) as saved:
        with manifest_errors(path):
            manifest, output = saved.facts["manifest"], saved.facts["output"]
            check(saved.facts)
        recorded = recorded_run(manifest, path, moved, extra_terms)
        plan = recorded.plan(merged_changes(recorded.turns))
        # Digests are compared after planning, which reads the inputs anyway.
        try:
            check_inputs(manifest, plan, path, advice)
        except CheckpointError:
            if not changed:
                raise
            return *_resume_with_changed_inputs(saved, plan, path), output
        plan = plan.with_layouts(recorded.layouts) if recorded.layouts else plan
        if recorded.turns:  # the run was steered: its manifest keeps the first settings and the changes
            steered = {"settings": manifest["settings"], "turns": recorded.turns}
            plan = replace(plan, manifest=plan.manifest | steered)
        return plan, saved.snapshot(plan.space, plan.problem.network.device), output


def _resume_with_changed_inputs(
    saved: checkpoint.Checkpoint, plan: RunPlan, path: str | os.PathLike[str]
) -> tuple[RunPlan, Snapshot]:
    """Read the state of a run for a plan with other inputs, and restart the descent from its image."""
    plan = replace(plan, manifest=plan.manifest | {INPUTS_CHANGED: True})
    try:
        snapshot = saved.snapshot(plan.space, plan.problem.network.device)
        plan = plan.with_layouts(snapshot.layouts)
    except (CheckpointError, ValueError) as error:
        height, width = plan.canvas
        raise CheckpointError(
            f"{path} does not fit the changed inputs, which give {width}×{height} px in {len(plan.stages)} "
            f"scales ({error}). Use a photo of the same shape, or start the run anew."
        ) from error
    return plan, restarted(plan, snapshot)
