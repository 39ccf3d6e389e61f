"""Painting a picture again from the manifest inside it, and going on with a run that was stopped."""

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
"""Every recipe that leaves a manifest: its settings, how to prepare it."""


def rerun(
    path: str | os.PathLike[str],
    *,
    content: str = "",
    style: str | Sequence[str] = "",
    regions: Sequence[str] = (),
    weights: str = "",
    extra_terms: Sequence[TermFactory] = (),
) -> Painting:
    """Paint a picture again from the manifest inside it; on the same machine the pixels come out identical.

    Args:
        path: a picture that Impasto wrote.
        content, style, regions, weights, extra_terms: as in `plan_rerun`.
    Raises:
        ImpastoError: see `plan_rerun`.
    """
    manifest = manifests.read(path)
    if manifest["command"] == "fast":
        _check_extra_terms(manifest, extra_terms, path)
        return rerun_fast(path, content=content, style=style, regions=regions, weights=weights)
    plan, steering = plan_rerun(
        path, content=content, style=style, regions=regions, weights=weights, extra_terms=extra_terms
    )
    return complete(plan, steering=steering)


def resume(path: str | os.PathLike[str], *, extra_terms: Sequence[TermFactory] = ()) -> Painting:
    """Go on with a run that was stopped, to its end; nothing is written.

    Args:
        path: a checkpoint (see `run/checkpoint.py`).
        extra_terms: the losses of one's own that the run had.
    Raises:
        ImpastoError: see `plan_resume`.
    """
    plan, snapshot, _ = plan_resume(path, extra_terms=extra_terms)
    return complete(plan, snapshot)


def plan_rerun(
    path: str | os.PathLike[str],
    *,
    content: str = "",
    style: str | Sequence[str] = "",
    regions: Sequence[str] = (),
    weights: str = "",
    extra_terms: Sequence[TermFactory] = (),
) -> tuple[RunPlan, Steering | None]:
    """The run that made a picture: same settings, device, precision, threads and layouts.

    On the same machine the pixels come out identical.

    Args:
        path: a picture that Impasto wrote.
        content, style, regions, weights: where these files lie now, if not where they were; several styles
            and masks in order.
        extra_terms: the custom losses that it was painted with, in order: no file holds them.
    Returns:
        the plan, and what repeats the changes of settings during the run; None if there were none.
    Raises:
        CheckpointError: no manifest, other extra terms, an input that is gone or has changed, other weights.
        ImpastoError: as in `plan_stylize`.
    """
    moved = {"content": content, "style": style, "regions": regions, "weights": weights}
    manifest = manifests.read(path)
    recorded = _recorded_run(manifest, path, moved, extra_terms)
    plan = recorded.plan({})
    _check_inputs(manifest, plan, path)
    plan = plan.with_layouts(recorded.layouts) if recorded.layouts else plan
    if not recorded.turns:
        return plan, None
    return plan, ReplayedSteering(recorded.turns, lambda also: recorded.plan(also, layouts=plan.layouts))


def rerun_fast(
    path: str | os.PathLike[str],
    *,
    content: str = "",
    style: str | Sequence[str] = "",
    regions: Sequence[str] = (),
    weights: str = "",
) -> Painting:
    """Paint again what was painted in one pass; on the same machine the pixels come out identical.

    Args:
        path, content, style, regions: as in `plan_rerun`.
        weights: where the network's weights lie now, or the model, if it was painted with one.
    Raises:
        CheckpointError, ImpastoError: as `plan_rerun`.
    """
    manifest = manifests.read(path)
    settings = from_json(FastSettings, manifest["settings"])
    where = "model" if settings.model else "weights"
    changes = {"precision": manifest["precision"], "device": manifest["device"]}
    changes |= {where: weights} if weights else {}
    tile = manifest["result"].get("tile", settings.tile)
    settings = replace(settings, threads=manifest["machine"]["threads"], tile=tile, **changes)
    styles = _several(manifest, path, "style", style)
    painter = FastStylizer(styles, settings)
    photo = content or manifests.find_input(manifest, "content", path)
    painting = painter.stylize(photo, regions=_several(manifest, path, "regions", regions))
    now = {"inputs": painting.manifest["inputs"], "weights": painting.manifest["weights"]}
    for role, entry in now["inputs"].items():
        manifests.check_digest(manifest, role, entry["path"], entry["sha256"])
    _check_weights(manifest, now, path)
    then, here = (facts["result"].get("decoder") for facts in (manifest, painting.manifest))
    if then != here:
        raise CheckpointError(
            f"{path} was painted with the decoder {str(then)[:12]}…, but {str(here)[:12]}… is here. Say "
            "where it is with IMPASTO_DECODER."
        )
    return painting


def plan_resume(
    path: str | os.PathLike[str],
    *,
    content: str = "",
    style: str | Sequence[str] = "",
    regions: Sequence[str] = (),
    weights: str = "",
    extra_terms: Sequence[TermFactory] = (),
    changed: bool = False,
    check: Callable[[dict[str, Any]], None] = lambda facts: None,
) -> tuple[RunPlan, Snapshot, dict[str, Any]]:
    """A run that was stopped, where it stood, and what it was to write: the pixels of one that was not.

    Args:
        path: a checkpoint.
        content, style, regions, weights, extra_terms: as in `plan_rerun`.
        changed: whether to go on though an input or the weights have changed.
        check: called with what the checkpoint says of the run before anything is read or fetched for it.
    Returns:
        the job, its state, and what was said of its output when the checkpoint was written.
    Raises:
        CheckpointError: damaged, foreign, of a later version; an input that is gone or has changed.
        ImpastoError: as in `plan_stylize`.
    """
    moved = {"content": content, "style": style, "regions": regions, "weights": weights}
    advice = ", or go on with what is there: --changed."
    with checkpoint.opened(path) as saved:
        with _manifest_errors(path):
            manifest, output = saved.facts["manifest"], saved.facts["output"]
            check(saved.facts)
        recorded = _recorded_run(manifest, path, moved, extra_terms)
        plan = recorded.plan(merged_changes(recorded.turns))
        if not changed:
            _check_inputs(manifest, plan, path, advice)
        plan = plan.with_layouts(recorded.layouts) if recorded.layouts else plan
        if recorded.turns:  # it has been steered already, and remembers how
            steered = {"settings": manifest["settings"], "turns": recorded.turns}
            plan = replace(plan, manifest=plan.manifest | steered)
        return plan, saved.snapshot(plan.space, plan.problem.network.device), output


@dataclass(frozen=True)
class _RecordedRun:
    """A run as a manifest has it, with its inputs found.

    Attributes:
        plan: plans it, with changes of its settings and more arguments of the recipe.
        layouts: of its stages; empty in old files.
        turns: where its settings changed on the way.
    """

    plan: Callable[..., RunPlan]
    layouts: list[Layout]
    turns: Sequence[Mapping[str, Any]]


def _recorded_run(
    manifest: Mapping[str, Any],
    path: str | os.PathLike[str],
    moved: Mapping[str, str | Sequence[str]],
    extra_terms: Sequence[TermFactory],
) -> _RecordedRun:
    with _manifest_errors(path):
        if manifest["command"] not in RECIPES:
            raise CheckpointError(f"{path} was made by {manifest['command']!r}, which cannot be run again.")
        settings_class, recipe = RECIPES[manifest["command"]]
        settings = from_json(settings_class, manifest["settings"])
        changes = {
            "precision": manifest["precision"],
            "weights": moved["weights"] or settings.weights,
        }
        if launched_processes() == 1:  # torchrun gives each process its own
            changes |= {"device": manifest["device"], "threads": manifest["machine"]["threads"]}
        if "init" in manifest["inputs"]:
            changes["init"] = manifests.find_input(manifest, "init", path)
        inputs: list[Any] = []
        if "content" in manifest["inputs"]:
            inputs.append(moved["content"] or manifests.find_input(manifest, "content", path))
        if styles := _several(manifest, path, "style", moved["style"]):
            inputs.append(styles)
        masks = _several(manifest, path, "regions", moved["regions"])
        more: dict[str, Any] = {"regions": masks} if masks else {}
        _check_extra_terms(manifest, extra_terms, path)
        more |= {"extra_terms": extra_terms} if extra_terms else {}
        more |= {"matching": manifest["matching"]} if "matching" in manifest else {}
        layouts = [Layout(**layout) for layout in manifest.get("layouts", ())]

    def plan(also: Mapping[str, Any], **most: Any) -> RunPlan:
        return recipe(*inputs, replace(settings, **changes, **also), **more, **most)

    return _RecordedRun(plan, layouts, manifest.get("turns", ()))


def _check_inputs(
    manifest: Mapping[str, Any], plan: RunPlan, path: str | os.PathLike[str], advice: str = "."
) -> None:
    """Refuse inputs or weights that have changed.

    Args:
        advice: the end of the message about an input, with other ways out.
    """
    for role, picture in plan.problem.inputs.items():
        manifests.check_input(manifest, role, picture, advice=advice)
    _check_weights(manifest, plan.manifest, path)


@contextmanager
def _manifest_errors(path: str | os.PathLike[str]) -> Iterator[None]:
    """Refuse a manifest that lacks a key or holds something else than it should."""
    try:
        yield
    except (AttributeError, KeyError, TypeError) as error:
        raise CheckpointError(
            f"the manifest in {path} is damaged ({type(error).__name__}: {error}). Start the run anew."
        ) from error


def _several(
    manifest: Mapping[str, Any], path: str | os.PathLike[str], option: str, given: str | Sequence[str]
) -> list[Any]:
    """Where the paintings or the masks lie now, in their order; a mask that was found comes as a picture."""
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
    """Refuse other losses of one's own than the picture was painted with."""
    then = manifest.get("extra_terms", [])
    now = [factory.manifest_entry for factory in extra_terms]
    if then != now:
        was, given = (
            ", ".join(
                f"{term['name']!r} on {'+'.join(term['layers'])}, weight {term['weight']:g}" for term in terms
            )
            or "none"
            for terms in (then, now)
        )
        raise CheckpointError(
            f"{path} was painted with extra terms that only the program has which made it: {was}; given: "
            f"{given}. In Python, name the same: impasto.rerun(..., extra_terms=[...]), or resume."
        )


def _check_weights(manifest: Mapping[str, Any], now: Mapping[str, Any], path: str | os.PathLike[str]) -> None:
    then, here = manifest["weights"], now["weights"]
    if here["sha256"] != then["sha256"]:
        raise CheckpointError(
            f"{path} was painted with weights {then['name']} ({then['sha256'][:12]}…), but {here['name']} "
            f"({here['sha256'][:12]}…) are here. Say where they are with --weights FILE."
        )
