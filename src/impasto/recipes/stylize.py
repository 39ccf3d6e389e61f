"""The main job: repaint one picture in the style of another, as a stream of Progress."""

import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

import torch
from typing_extensions import Unpack

from impasto.choices import NEIGHBORS
from impasto.errors import SettingsError
from impasto.fast.stylizer import cached_stylizer
from impasto.image.picture import Picture
from impasto.image.read import Source, read_picture
from impasto.image.resize import fit, resize
from impasto.layers import Layer, check_size, deepest
from impasto.network.vgg import VGG19
from impasto.objective.custom import TermFactory
from impasto.objective.terms import IMAGE
from impasto.results.manifest import new
from impasto.results.painting import Painting
from impasto.run.choose_layout import choose_layouts, with_layouts
from impasto.run.layout import Layout
from impasto.run.loop import complete, iter_run
from impasto.run.memory_model import MemoryModel
from impasto.run.plan import RunPlan
from impasto.run.progress import Progress
from impasto.run.scales import Scale, coarse_to_fine, first_scales, solved_as_pyramid
from impasto.settings.fast import FastSettings
from impasto.settings.keywords import StylizeOptions, with_options
from impasto.settings.parsing import parse_duration
from impasto.settings.stylize import BUILT_IN_STARTS, PREVIEW, StylizeSettings
from impasto.style.cache import Cache
from impasto.style.matched_regions import with_regions
from impasto.style.style_images import StyleImages, StyleSources
from impasto.style.transfer import StyleTransfer, style_layers
from impasto.system.device import compute_for_settings

PARAMETERS = ("settings", "preset", "regions", "extra_terms", "cache", "layouts", "matching")
"""What `plan_stylize` takes by name besides settings."""

PALETTE_BYTES = 86.0
"""Bytes a pixel that photo-palette's colours take at the end; measured at 2048×2048."""

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
    layers = [*style_layers(asked), *asked.content_layers]
    last = deepest(every := [*layers, *_extra_layers(extra_terms)])
    scales, settings = _scales(photo, asked, last)
    schedule, canvas = settings.schedule, (scales[-1].height, scales[-1].width)
    check_size(*canvas, every, role="painting")
    for painting in paintings.pictures:
        check_size(painting.height, painting.width, layers, role="style image")
    network, weights = cache.network(settings, last.name, compute)
    inputs = {"content": photo, **paintings.inputs}
    if start is not None and asked.init not in BUILT_IN_STARTS:
        inputs["init"] = start
    inputs |= paintings.regions.inputs if paintings.regions else {}
    scene = StyleTransfer(network, cache, photo, paintings, settings, start, extra_terms)
    plan = RunPlan(
        canvas=canvas,
        scales=scales,
        network=network,
        objective=scene.objective,
        initial_image=scene.initial_image,
        rate=schedule.rate,
        rematch=settings.rematch,
        detail=schedule.detail if start is not None else 0.0,
        painting_detail=scene.painting_detail if settings.painting_detail_share else None,
        noisy=start is photo and settings.noise_share > 0,
        inputs=inputs,
        manifest=new("stylize", asked, inputs, weights, compute) | scene.manifest_entries(scales),
        memory_model=_memory_model(network, settings, paintings, every),
        style_sizes=lambda scale: paintings.sizes(scene.style_long_side(scale), scene.least_style_side),
        optimizer=schedule.optimizer,
        tolerance=settings.tolerance,
        alpha=photo.alpha,
        constraint=scene.constraint,
        finish=scene.finish,
        content_error=None if paintings.regions and not paintings.matching else settings.content_error,
        content_weight=settings.content_weight * sum(settings.content_layers.values()),
    )
    ready = with_layouts(plan, layouts) if layouts else choose_layouts(plan, settings)
    if settings.budget:
        ready = replace(
            ready, budget=max(0.0, parse_duration(settings.budget) - (time.perf_counter() - began))
        )
    return ready


def _extra_layers(extra_terms: Sequence[TermFactory]) -> list[str]:
    """The layers that losses of one's own need.

    Raises:
        SettingsError: two terms of one name.
    """
    names = [factory.name for factory in extra_terms]
    for name in names:
        if names.count(name) > 1:
            raise SettingsError(f"{names.count(name)} extra terms are called {name!r}. Name them apart.")
    return [layer for factory in extra_terms for layer in factory.layers if layer != IMAGE]


def _memory_model(
    network: VGG19, settings: StylizeSettings, paintings: StyleImages, layers: Sequence[str]
) -> MemoryModel:
    """What memory and time depend on, besides the size."""
    model = MemoryModel.of(network, layers, settings.content_layers, settings.schedule.optimizer)
    return replace(
        model,
        rotations=settings.rotations if NEIGHBORS in settings.style_mix else 0,
        extra_bytes_per_pixel=(paintings.regions.bytes if paintings.regions else 0.0)
        + (PALETTE_BYTES if settings.colors == "photo-palette" else 0.0),
    )


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
