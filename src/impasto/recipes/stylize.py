"""The main job: repaint one picture in the style of another, as a stream of Progress."""

import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

import torch
from typing_extensions import Unpack

from impasto.fast.stylizer import cached_stylizer
from impasto.image.picture import Picture
from impasto.image.read import Source, read_picture
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
from impasto.run.scales import Scale, coarse_to_fine, first_scales, solved_as_pyramid
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
"""What `plan_stylize` takes by name besides settings."""

FAST_SIZE = 1024
"""Long side at which the start `stylize_fast` is painted at most, in pixels."""


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
    """Repaint `content` in the style of `style`, and wait for it.

    Gatys, Ecker and Bethge 2015, "A Neural Algorithm of Artistic Style" (arXiv:1508.06576), Eq. 7.
    Differs: coarse to fine, and with weights that mean the same at any size, unless settings say otherwise.

    Args:
        content: a file, a `PIL.Image`, a NumPy array or a tensor (see `read_picture`).
        style: the same, or a list of several, whose styles are blended (see `StylizeSettings.blend`).
        settings: how; default `StylizeSettings()`.
        preset: instead of settings, the name of a preset (docs/presets.md).
        regions: masks: the photo's, then one for each painting; areas of the photo take their style from
            areas of the same colour (see `read_regions`).
        extra_terms: losses of one's own (see `custom_term`), added to the objective at every scale.
        options: fields of `StylizeSettings`, such as `size=1024, strength=0.7`; they change the settings or
            the preset.
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
    """Repaint `content` in the style of `style` step by step, for those who watch.

    Everything is read and checked at the call; computing begins with the first `next`. Leaving the loop early
    is an ordinary end: `progress.painting()` is the picture so far.

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
    """Read and check everything, fetch the weights if they are not there, plan the scales.

    Args:
        preset, regions, extra_terms, options: as in `stylize`.
        cache: what earlier jobs have left, and later ones may use; default one of its own.
        layouts: of a run that this one continues; default those that fit what memory is free now.
        matching: the regions that such a run had matched, from its manifest; default matched anew.
    Raises:
        SettingsError, ImageError, WeightsError, DeviceError: before anything is computed.
    """
    began = time.perf_counter()
    asked = with_options(StylizeSettings, settings, options, preset=preset, parameters=PARAMETERS).resolved()
    cache = cache or Cache()
    compute = compute_for_settings(asked)
    photo = read_picture(content, role="content image")
    paintings = with_regions(cache.styles(style, asked.blend), photo, asked, regions, cache, matching)
    paintings.check(asked.layers)
    start = _starting_picture(asked, photo, style, regions, cache)
    measured = [*style_layers(asked), *asked.content_layers]
    last = deepest(every := [*measured, *extra_layers(extra_terms)])
    scales, settings = _scales(photo, asked, last)
    check_size(scales[-1].height, scales[-1].width, every, role="painting")
    for painting in paintings.pictures:
        check_size(painting.height, painting.width, measured, role="style image")
    network, weights = cache.network(settings, last.name, compute)
    problem = StyleTransfer(network, cache, photo, paintings, settings, start, extra_terms)
    manifest = new("stylize", asked, problem.inputs, weights, compute) | problem.manifest_entries(scales)
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
    """Seconds that are left of the time to paint in, if there is one, after planning took `elapsed`."""
    return max(0.0, parse_duration(settings.budget) - elapsed) if settings.budget else None


def _starting_picture(
    settings: StylizeSettings,
    photo: Picture,
    style: StyleSources,
    masks: Sequence[Source],
    cache: Cache,
) -> Picture | None:
    """What the run starts from; None is white noise."""
    if settings.init == "noise":
        return None
    if settings.init == "fast":
        fast_settings = FastSettings.like(settings, size=min(settings.size, FAST_SIZE))
        if settings.colors == "photo-palette":  # painted in the painting's colours until the end
            fast_settings = replace(fast_settings, colors="style")
        painted = cached_stylizer(cache, style, fast_settings).stylize(photo, regions=masks).picture.pixels
        here = resize(photo.pixels, *painted.shape[2:])
        return Picture(torch.lerp(here, painted, 0.5).clamp(0, 1), name="fast")
    return photo if settings.init == "content" else read_picture(settings.init, role="init image")


def _scales(
    photo: Picture, settings: StylizeSettings, last: Layer
) -> tuple[tuple[Scale, ...], StylizeSettings]:
    """The plan of scales; for a preview its first ones, and weights that balance there as at the full size.

    The literal ½Σ(F−P)² grows with the number of pixels and E_l does not. A run of several scales meets its
    coarser ones with the same α; one that has only its full size would see less content at a smaller.
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
        scales = solved_as_pyramid(scales, schedule.optimizer)
    if not settings.preview or max(full) <= PREVIEW:
        return scales, settings
    small = first_scales(scales, PREVIEW)
    if settings.formula == "paper" and len(scales) == 1:
        fewer = full[0] * full[1] / (small[-1].height * small[-1].width)
        settings = replace(settings, alpha=settings.content_weight * fewer)
    return small, settings
