"""A run as its manifest records it: what painting it again and resuming it have in common."""

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

from impasto.errors import CheckpointError
from impasto.objective.custom import TermFactory
from impasto.recipes.reconstruct import plan_content, plan_style
from impasto.recipes.stylize import plan_stylize
from impasto.results import manifest as manifests
from impasto.run.layout import Layout
from impasto.run.plan import RunPlan
from impasto.settings.base import RunSettings
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

INPUTS_CHANGED = "inputs_changed"
"""The manifest's key of a run that was resumed with other inputs or weights."""


@dataclass(frozen=True)
class MovedInputs:
    """The present paths of files that have moved since a picture was painted; those left empty have not.

    Attributes:
        content: the photograph.
        style, regions: the paintings and the masks: all of them, in order.
        weights: of the network, or the model if the picture was painted with one.
        init: the image that the run started from, if that was a file.
    """

    content: str = ""
    style: str | Sequence[str] = ()
    regions: Sequence[str] = ()
    weights: str = ""
    init: str = ""


@dataclass(frozen=True)
class RecordedRun:
    """A run as recorded in a manifest, with the present paths of its inputs.

    Attributes:
        plan: makes its plan, given changes of its settings and further arguments of the recipe.
        layouts: layouts of its stages; empty in old files.
        turns: the changes of settings during the run.
    """

    plan: Callable[..., RunPlan]
    layouts: list[Layout]
    turns: Sequence[Mapping[str, Any]]


def recorded_run(
    manifest: Mapping[str, Any],
    path: str | os.PathLike[str],
    moved: MovedInputs,
    extra_terms: Sequence[TermFactory],
) -> RecordedRun:
    """Read a run from a manifest.

    Args:
        manifest: of the picture or checkpoint `path`.
        path: for messages, and to find inputs beside it.
        moved: the files that have moved.
        extra_terms: the custom losses of the run.
    """
    with manifest_errors(path):
        if manifest["command"] not in RECIPES:
            raise CheckpointError(f"{path} was made by {manifest['command']!r}, which cannot be run again.")
        settings_class, recipe = RECIPES[manifest["command"]]
        settings = from_json(settings_class, manifest["settings"])
        # "auto" in the settings may choose otherwise on another machine, so the recorded choice is used.
        changes = {"precision": manifest["precision"], "weights": moved.weights or settings.weights}
        if launched_processes() == 1:  # under torchrun, each process has its own device and threads
            changes |= {"device": manifest["device"], "threads": manifest["machine"]["threads"]}
        if "init" in manifest["inputs"]:
            changes["init"] = moved.init or manifests.find_input(manifest, "init", path)
        elif moved.init:  # it would have no effect, while for a new painting it chooses any start
            raise CheckpointError(f"{path} did not start from an image file. Leave out --init.")
        inputs: list[Any] = []
        if "content" in manifest["inputs"]:
            inputs.append(moved.content or manifests.find_input(manifest, "content", path))
        if styles := files_of(manifest, path, "style", moved.style):
            inputs.append(styles)
        masks = files_of(manifest, path, "regions", moved.regions)
        arguments: dict[str, Any] = {"regions": masks} if masks else {}
        check_extra_terms(manifest, extra_terms, path)
        arguments |= {"extra_terms": extra_terms} if extra_terms else {}
        arguments |= {"matching": manifest["matching"]} if "matching" in manifest else {}
        layouts = [Layout(**layout) for layout in manifest.get("layouts", ())]

    def plan(steered: Mapping[str, Any], **further: Any) -> RunPlan:
        return recipe(*inputs, replace(settings, **changes, **steered), **arguments, **further)

    return RecordedRun(plan, layouts, manifest.get("turns", ()))


def check_inputs(
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
    check_weights(manifest, plan.manifest, path)


@contextmanager
def manifest_errors(path: str | os.PathLike[str]) -> Iterator[None]:
    """Turn errors from a manifest with missing keys or wrong types into a `CheckpointError`."""
    try:
        yield
    except (AttributeError, KeyError, TypeError) as error:
        raise CheckpointError(
            f"the manifest in {path} is damaged ({type(error).__name__}: {error}). Start the run anew."
        ) from error


def files_of(
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


def check_extra_terms(
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


def check_weights(manifest: Mapping[str, Any], now: Mapping[str, Any], path: str | os.PathLike[str]) -> None:
    """Check that the weights are those that the picture was painted with."""
    recorded, current = manifest["weights"], now["weights"]
    if current["sha256"] != recorded["sha256"]:
        raise CheckpointError(
            f"{path} was painted with weights {recorded['name']} ({recorded['sha256'][:12]}…), but "
            f"{current['name']} ({current['sha256'][:12]}…) are here. Say where they are with --weights FILE."
        )
