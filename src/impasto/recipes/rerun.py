"""Painting a picture again from the manifest inside it, and resuming a run that was stopped."""

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

from impasto.errors import CheckpointError
from impasto.fast.stylizer import FastStylizer
from impasto.objective.custom import TermFactory
from impasto.recipes.reconstruct import plan_content, plan_style
from impasto.recipes.stylize import plan_stylize
from impasto.results import manifest as manifests
from impasto.results.painting import Painting
from impasto.run import checkpoint
from impasto.run.checkpoint import Snapshot
from impasto.run.layout import Layout
from impasto.run.loop import complete
from impasto.run.plan import RunPlan
from impasto.run.steering import ReplayedSteering, Steering, merged_changes
from impasto.settings.base import RunSettings
from impasto.settings.fast import FastSettings
from impasto.settings.options import from_json
from impasto.settings.paper import ReconstructContentSettings, ReconstructStyleSettings
from impasto.settings.stylize import StylizeSettings
from impasto.style.automatic_regions import recorded_mask
from impasto.system.distributed import launched_processes

RECIPES: dict[str, tuple[type[RunSettings], Callable[..., RunPlan]]] = {
    "stylize": (StylizeSettings, plan_stylize),
    "reconstruct content": (ReconstructContentSettings, plan_content),
    "reconstruct style": (ReconstructStyleSettings, plan_style),
}
"""The recipes that can be run again, by the command in the manifest: settings and planning function."""


@dataclass(frozen=True)
class MovedInputs:
    """The present paths of files that have moved since a picture was painted; those left empty have not.

    Attributes:
        content: the photograph.
        style, regions: the paintings and the masks: all of them, in order.
        weights: of the network, or the model if the picture was painted with one.
    """

    content: str = ""
    style: str | Sequence[str] = ()
    regions: Sequence[str] = ()
    weights: str = ""


def rerun(
    path: str | os.PathLike[str],
    *,
    content: str = "",
    style: str | Sequence[str] = "",
    regions: Sequence[str] = (),
    weights: str = "",
    extra_terms: Sequence[TermFactory] = (),
) -> Painting:
    """Paint a picture again from the manifest inside it. On the same machine, the pixels are identical.

    Args:
        path: a picture that Impasto painted.
        content, style, regions, weights: the present paths of files that have moved. Give several styles or
            masks in order.
        extra_terms: the custom losses that it was painted with, in order. No file holds them.
    Raises:
        ImpastoError: see `plan_rerun`.
    """
    moved = MovedInputs(content, style, regions, weights)
    manifest = manifests.read(path)
    if manifest["command"] == "fast":
        _check_extra_terms(manifest, extra_terms, path)
        return rerun_fast(path, moved)
    plan, steering = plan_rerun(path, moved, extra_terms=extra_terms)
    return complete(plan, steering=steering)


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
    recorded = _recorded_run(manifest, path, moved, extra_terms)
    plan = recorded.plan({})
    _check_inputs(manifest, plan, path)
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
    styles = _several(manifest, path, "style", moved.style)
    stylizer = FastStylizer(styles, settings)
    photo = moved.content or manifests.find_input(manifest, "content", path)
    painting = stylizer.stylize(photo, regions=_several(manifest, path, "regions", moved.regions))
    now = {"inputs": painting.manifest["inputs"], "weights": painting.manifest["weights"]}
    for role, entry in now["inputs"].items():
        manifests.check_digest(manifest, role, entry["path"], entry["sha256"])
    _check_weights(manifest, now, path)
    recorded, current = (facts["result"].get("decoder") for facts in (manifest, painting.manifest))
    if recorded != current:
        raise CheckpointError(
            f"{path} was painted with the decoder {str(recorded)[:12]}…, but {str(current)[:12]}… is here. "
            "Say where it is with IMPASTO_DECODER."
        )
    return painting


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
        changed: whether to resume even if an input or the weights have changed.
        check: called with the checkpoint's facts before any input is read or fetched.
    Returns:
        The plan, the state to resume from, and the output options recorded in the checkpoint.
    Raises:
        CheckpointError: the file is damaged, is no checkpoint, or has a later format; an input is missing or
            has changed.
        ImpastoError: as in `plan_stylize`.
    """
    advice = ", or resume with the present files: --changed."
    with checkpoint.opened(path) as saved:
        with _manifest_errors(path):
            manifest, output = saved.facts["manifest"], saved.facts["output"]
            check(saved.facts)
        recorded = _recorded_run(manifest, path, moved, extra_terms)
        plan = recorded.plan(merged_changes(recorded.turns))
        # Digests are compared after planning, which reads the inputs anyway.
        if not changed:
            _check_inputs(manifest, plan, path, advice)
        plan = plan.with_layouts(recorded.layouts) if recorded.layouts else plan
        if recorded.turns:  # the run was steered: its manifest keeps the first settings and the changes
            steered = {"settings": manifest["settings"], "turns": recorded.turns}
            plan = replace(plan, manifest=plan.manifest | steered)
        return plan, saved.snapshot(plan.space, plan.problem.network.device), output


@dataclass(frozen=True)
class _RecordedRun:
    """A run as recorded in a manifest, with the present paths of its inputs.

    Attributes:
        plan: makes its plan, given changes of its settings and further arguments of the recipe.
        layouts: layouts of its stages; empty in old files.
        turns: the changes of settings during the run.
    """

    plan: Callable[..., RunPlan]
    layouts: list[Layout]
    turns: Sequence[Mapping[str, Any]]


def _recorded_run(
    manifest: Mapping[str, Any],
    path: str | os.PathLike[str],
    moved: MovedInputs,
    extra_terms: Sequence[TermFactory],
) -> _RecordedRun:
    """Read a run from a manifest.

    Args:
        manifest: of the picture or checkpoint `path`.
        path: for messages, and to find inputs beside it.
        moved: the files that have moved.
        extra_terms: the custom losses of the run.
    """
    with _manifest_errors(path):
        if manifest["command"] not in RECIPES:
            raise CheckpointError(f"{path} was made by {manifest['command']!r}, which cannot be run again.")
        settings_class, recipe = RECIPES[manifest["command"]]
        settings = from_json(settings_class, manifest["settings"])
        # "auto" in the settings may choose otherwise on another machine, so the recorded choice is used.
        changes = {"precision": manifest["precision"], "weights": moved.weights or settings.weights}
        if launched_processes() == 1:  # under torchrun, each process has its own device and threads
            changes |= {"device": manifest["device"], "threads": manifest["machine"]["threads"]}
        if "init" in manifest["inputs"]:
            changes["init"] = manifests.find_input(manifest, "init", path)
        inputs: list[Any] = []
        if "content" in manifest["inputs"]:
            inputs.append(moved.content or manifests.find_input(manifest, "content", path))
        if styles := _several(manifest, path, "style", moved.style):
            inputs.append(styles)
        masks = _several(manifest, path, "regions", moved.regions)
        arguments: dict[str, Any] = {"regions": masks} if masks else {}
        _check_extra_terms(manifest, extra_terms, path)
        arguments |= {"extra_terms": extra_terms} if extra_terms else {}
        arguments |= {"matching": manifest["matching"]} if "matching" in manifest else {}
        layouts = [Layout(**layout) for layout in manifest.get("layouts", ())]

    def plan(steered: Mapping[str, Any], **further: Any) -> RunPlan:
        return recipe(*inputs, replace(settings, **changes, **steered), **arguments, **further)

    return _RecordedRun(plan, layouts, manifest.get("turns", ()))


def _check_inputs(
    manifest: Mapping[str, Any], plan: RunPlan, path: str | os.PathLike[str], advice: str = "."
) -> None:
    """Check that inputs and weights have not changed.

    Args:
        manifest: of the earlier run.
        plan: the new run, with its inputs read.
        path: for messages.
        advice: the end of the message about an input, with further ways out.
    Raises:
        CheckpointError: one has changed.
    """
    for role, picture in plan.problem.inputs.items():
        manifests.check_digest(manifest, role, picture.name, picture.sha256, advice=advice)
    _check_weights(manifest, plan.manifest, path)


@contextmanager
def _manifest_errors(path: str | os.PathLike[str]) -> Iterator[None]:
    """Turn errors from a manifest with missing keys or wrong types into a `CheckpointError`."""
    try:
        yield
    except (AttributeError, KeyError, TypeError) as error:
        raise CheckpointError(
            f"the manifest in {path} is damaged ({type(error).__name__}: {error}). Start the run anew."
        ) from error


def _several(
    manifest: Mapping[str, Any], path: str | os.PathLike[str], option: str, given: str | Sequence[str]
) -> list[Any]:
    """Return the present paths of the paintings or masks, in order; an automatic mask comes as a picture."""
    if option == "regions" and not given and (mask := recorded_mask(manifest)) is not None:
        return list(mask)
    roles = [role for role in manifest["inputs"] if manifests.option_of(role) == option]
    files = [given] if isinstance(given, str) and given else list(given)
    if files and len(files) != len(roles):
        what = {"style": "style images", "regions": "masks"}[option]
        raise CheckpointError(f"{path} has {len(roles)} {what}; {len(files)} were given. Give all.")
    return files or [manifests.find_input(manifest, role, path) for role in roles]


def _check_extra_terms(
    manifest: Mapping[str, Any], extra_terms: Sequence[TermFactory], path: str | os.PathLike[str]
) -> None:
    """Check that the custom losses are those that the picture was painted with.

    Raises:
        CheckpointError: they differ.
    """
    recorded = manifest.get("extra_terms", [])
    passed = [factory.manifest_entry for factory in extra_terms]
    if recorded != passed:
        was, given = (
            ", ".join(
                f"{term['name']!r} on {'+'.join(term['layers'])}, weight {term['weight']:g}" for term in terms
            )
            or "none"
            for terms in (recorded, passed)
        )
        raise CheckpointError(
            f"{path} was painted with extra terms that only the program that made it has: {was}; given: "
            f"{given}. In Python, pass the same terms: impasto.rerun(..., extra_terms=[...]), or resume."
        )


def _check_weights(manifest: Mapping[str, Any], now: Mapping[str, Any], path: str | os.PathLike[str]) -> None:
    """Check that the weights are those that the picture was painted with."""
    recorded, current = manifest["weights"], now["weights"]
    if current["sha256"] != recorded["sha256"]:
        raise CheckpointError(
            f"{path} was painted with weights {recorded['name']} ({recorded['sha256'][:12]}…), but "
            f"{current['name']} ({current['sha256'][:12]}…) are here. Say where they are with --weights FILE."
        )
