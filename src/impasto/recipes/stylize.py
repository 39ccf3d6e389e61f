"""The main recipe: repainting a picture in the style of others."""

import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

import torch
from typing_extensions import Unpack

from impasto.fast.stylizer import cached_stylizer
from impasto.image.picture import Picture
from impasto.image.read import Source, read_single_picture
from impasto.image.resize import fit, resize
from impasto.layers import Layer, check_size, deepest
from impasto.objective.custom import TermFactory
from impasto.results.manifest import new
from impasto.results.painting import Painting
from impasto.run.choose_layout import choose_layouts
from impasto.run.layout import Layout
from impasto.run.loop import complete, iter_run
from impasto.run.plan import RunPlan, Stage, layouts_entry
from impasto.run.progress import Progress
from impasto.run.scales import (
    Scale,
    coarse_to_fine,
    count_solved,
    first_scales,
    solved_as_pyramid,
    with_finest,
)
from impasto.settings.effort import chroma_steps, finest_neighbors
from impasto.settings.fast import FastSettings
from impasto.settings.keywords import StylizeOptions, with_options
from impasto.settings.parsing import parse_duration
from impasto.settings.stylize import PREVIEW, StylizeSettings
from impasto.solve.descent import Solver
from impasto.style.cache import Cache
from impasto.style.matched_regions import with_regions
from impasto.style.style_images import StyleSources
from impasto.style.style_sizes import style_layers
from impasto.style.transfer import StyleTransfer, extra_layers
from impasto.system.device import compute_for_settings

PARAMETERS = ("settings", "preset", "regions", "extra_terms", "cache", "layouts", "matching")
"""Keyword parameters of `plan_stylize` that are no settings."""

FAST_SIZE = 1024
"""Long side at most of the one-pass painting that `init="fast"` starts from, in pixels."""


def stylize(
    content: Source,
    style: StyleSources,
    settings: StylizeSettings | None = None,
    *,
    preset: str = "",
    regions: Sequence[Source] = (),
    extra_terms: Sequence[TermFactory] = (),
    **options: Unpack[StylizeOptions],
) -> Painting:
    """Repaint `content` in the style of `style`, and wait for the result.

    Gatys, Ecker and Bethge 2015, "A Neural Algorithm of Artistic Style" (arXiv:1508.06576), Eq. 7.
    Differs: unless the settings say otherwise, it works from coarse to fine, its weights mean the same at any
    size, and it adds a term on nearest neighbours and the painting's own detail (docs/decisions.md).

    Args:
        content: a file, a `PIL.Image`, a NumPy array or a tensor (see `read_picture`).
        style: the same, or a list of several, whose styles are blended (see `StylizeSettings.blend`).
        settings: size, strength and so on; if omitted, `StylizeSettings()`.
        preset: the name of a preset to use in place of settings (docs/presets.md).
        regions: masks: the photo's, then one for each painting. Areas of the photo take their style from
            areas of the same colour in the paintings (see `read_regions`).
        extra_terms: custom losses (see `custom_term`), added to the objective at every scale.
        options: fields of `StylizeSettings`, such as `size=1024, strength=0.7`, which change the settings or
            the preset.
    Returns:
        The finished painting, with its manifest.
    Raises:
        ImpastoError: see `plan_stylize`.
    Example:
        >>> stylize("photo.jpg", "painting.jpg", size=1024, strength=0.7).save("out.png")  # doctest: +SKIP
    """
    return complete(
        plan_stylize(
            content, style, settings, preset=preset, regions=regions, extra_terms=extra_terms, **options
        )
    )


def iter_stylize(
    content: Source,
    style: StyleSources,
    settings: StylizeSettings | None = None,
    *,
    preset: str = "",
    regions: Sequence[Source] = (),
    extra_terms: Sequence[TermFactory] = (),
    **options: Unpack[StylizeOptions],
) -> Iterator[Progress]:
    """Repaint `content` in the style of `style`, and yield after every step.

    Everything is read and checked at the call. Computing begins with the first `next`. The loop may be left
    at any step: `progress.painting()` is the picture so far.

    Args:
        content, style, settings, preset, regions, extra_terms, options: as in `stylize`.
    Raises:
        ImpastoError: see `plan_stylize`.
    Example:
        >>> for progress in iter_stylize("photo.jpg", "painting.jpg", size=1024):  # doctest: +SKIP
        ...     if progress.seconds > 60:
        ...         break
        >>> progress.painting().save("out.png")  # doctest: +SKIP
    """
    return iter_run(
        plan_stylize(
            content, style, settings, preset=preset, regions=regions, extra_terms=extra_terms, **options
        )
    )


def plan_stylize(
    content: Source,
    style: StyleSources,
    settings: StylizeSettings | None = None,
    *,
    preset: str = "",
    regions: Sequence[Source] = (),
    extra_terms: Sequence[TermFactory] = (),
    cache: Cache | None = None,
    layouts: Sequence[Layout] = (),
    matching: Mapping[str, Any] | None = None,
    **options: Unpack[StylizeOptions],
) -> RunPlan:
    """Read and check everything, fetch the weights if they are missing, and plan the run.

    Args:
        content, style, settings, preset, regions, extra_terms, options: as in `stylize`.
        cache: results of earlier jobs, which this job may use and add to; if omitted, a new cache.
        layouts: the layouts of a run that is continued or repeated; if omitted, those that fit the memory.
        matching: the matched regions of such a run, from its manifest; if omitted, matched now.
    Raises:
        SettingsError: a bad setting or preset, or settings that contradict each other or the masks.
        ImageError: a picture or mask cannot be read, or is too small for the layers.
        WeightsError: the weights cannot be loaded or fetched.
        DeviceError: the device does not exist, or has too little memory (`OutOfMemoryError`).
        CheckpointError: `matching` is damaged.
    """
    began = time.perf_counter()
    chosen = with_options(StylizeSettings, settings, options, preset=preset, parameters=PARAMETERS).resolved()
    cache = cache or Cache()
    compute = compute_for_settings(chosen)
    photo = read_single_picture(content, "content image")
    paintings = with_regions(cache.styles(style, chosen.blend), photo, chosen, regions, cache, matching)
    paintings.check(chosen.layers)
    start = _starting_picture(chosen, photo, style, regions, cache)
    measured = [*style_layers(chosen), *chosen.content_layers]
    last = deepest(every := [*measured, *extra_layers(extra_terms)])
    # From here on, `settings` differ from `chosen` only in a preview.
    scales, settings = _scales(photo, chosen, last)
    check_size(scales[-1].height, scales[-1].width, every, role="painting")
    # Custom losses do not see the paintings, so `measured` leaves their layers out.
    for painting in paintings.pictures:
        check_size(painting.height, painting.width, measured, role="style image")
    network, weights = cache.network(settings, last.name, compute)
    problem = StyleTransfer(network, cache, photo, paintings, settings, start, extra_terms)
    # The manifest records the settings asked for, from which a rerun derives the others again.
    manifest = new("stylize", chosen, problem.inputs, weights, compute) | problem.manifest_entries(scales)
    if layouts:
        stages = tuple(Stage(scale, layout) for scale, layout in zip(scales, layouts, strict=True))
    else:
        stages = choose_layouts(problem, scales, settings)
    schedule = settings.schedule
    return RunPlan(
        problem,
        stages,
        manifest | layouts_entry(stages),
        solver=Solver(schedule.optimizer, schedule.rate, settings.tolerance),
        rematch=settings.rematch,
        budget=_budget(settings, time.perf_counter() - began),
    )


def _budget(settings: StylizeSettings, elapsed: float) -> float | None:
    """Return the seconds of the budget that remain after planning; None without a budget."""
    # Planning counts, because for the user the time begins with the call.
    return max(0.0, parse_duration(settings.budget) - elapsed) if settings.budget else None


def _starting_picture(
    settings: StylizeSettings,
    photo: Picture,
    style: StyleSources,
    masks: Sequence[Source],
    cache: Cache,
) -> Picture | None:
    """Return the picture that the run starts from; None: white noise."""
    if settings.init == "noise":
        return None
    if settings.init == "fast":
        fast_settings = FastSettings.like(settings, size=min(settings.size, FAST_SIZE))
        if settings.colors == "photo-palette":  # colours are mapped only at the end
            fast_settings = replace(fast_settings, colors="style")
        painted = cached_stylizer(cache, style, fast_settings).stylize(photo, regions=masks).picture.pixels
        resized = resize(photo.pixels, *painted.shape[2:])
        return Picture(torch.lerp(resized, painted, 0.5).clamp(0, 1), name="fast")
    return photo if settings.init == "content" else read_single_picture(settings.init, "init image")


def _scales(
    photo: Picture, settings: StylizeSettings, last: Layer
) -> tuple[tuple[Scale, ...], StylizeSettings]:
    """Plan the scales; for a preview only the first ones, with weights adjusted to them.

    The literal ½Σ(F−P)² grows with the number of pixels, and E_l does not. A run with several scales uses the
    same α at all of them, and so does its preview. For a run with a single scale, the preview is smaller than
    that scale and would have less content, so its α is multiplied by the ratio of the numbers of pixels.

    Returns:
        The scales, coarse to fine, and the settings for them.
    """
    full, schedule = fit(photo.height, photo.width, settings.size), settings.schedule
    scales = coarse_to_fine(
        *full,
        scales=settings.scales,
        steps=schedule.steps,
        finest=schedule.finest_steps,
        least=last.stride,
        smallest=schedule.coarsest,
    )
    if schedule.space == "pyramid":
        scales = solved_as_pyramid(scales, schedule.optimizer, chroma_steps(settings.recipe))
    if count_solved(scales) > 1:
        scales = with_finest(scales, neighbors=finest_neighbors(settings.recipe))
    if not settings.preview or max(full) <= PREVIEW:
        return scales, settings
    # They are the whole run's own first scales, so the preview is its picture at that size.
    small = first_scales(scales, PREVIEW)
    if settings.formula == "paper" and len(scales) == 1:
        fewer = full[0] * full[1] / (small[-1].height * small[-1].width)
        settings = replace(settings, alpha=settings.content_weight * fewer)
    return small, settings
