"""The main job: repaint one picture in the style of another, as a stream of Progress."""

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import torch

from impasto.image.color import grey, luminance, with_luminance
from impasto.image.files import Source, read_picture
from impasto.image.picture import Picture
from impasto.image.resize import fit, resize
from impasto.network.fetch import ByteProgress
from impasto.network.layers import Layer, check_size, deepest
from impasto.network.vgg import VGG19
from impasto.objective.constraint import Constraint
from impasto.objective.formulas import CONVENTIONS
from impasto.objective.guides import Area
from impasto.objective.objective import (
    Objective,
    Wanted,
    content_terms,
    prior_terms,
    style_terms_towards,
)
from impasto.objective.style import GRAM
from impasto.recipes.fast_settings import FastSettings
from impasto.recipes.fields import in_seconds
from impasto.recipes.job import Job, complete, run, white_noise
from impasto.recipes.machine import compute_for
from impasto.recipes.manifest import new
from impasto.recipes.planning import planned, with_layouts
from impasto.recipes.progress import Painting, Progress
from impasto.recipes.regions import Regions
from impasto.recipes.settings import OWN_STARTS, PREVIEW, StylizeSettings
from impasto.recipes.styles import Sources, Styles
from impasto.recipes.workshop import Workshop
from impasto.shapes import Image
from impasto.solve.plan import Layout, Needs
from impasto.solve.pyramid import Scale, first_scales, plan

FAST_SIZE = 1024
"""Long side at which the start `fast` is painted at most, in pixels."""


def stylize(
    content: Source,
    style: Sources,
    settings: StylizeSettings | None = None,
    *,
    regions: Sequence[Source] = (),
) -> Painting:
    """Repaint `content` in the style of `style`, and wait for it.

    Gatys, Ecker and Bethge 2015, "A Neural Algorithm of Artistic Style" (arXiv:1508.06576), Eq. 7.
    Differs: coarse to fine, and with weights that mean the same at any size, unless settings say otherwise.

    Args:
        content: a file, a `PIL.Image`, a NumPy array or a tensor (see `read_picture`).
        style: the same, or a list of several, whose styles are blended (see `StylizeSettings.blend`).
        settings: how; default `StylizeSettings()`.
        regions: masks: the photo's, then one for each painting; areas of the photo take their style from
            areas of the same colour (see `read_regions`).
    Raises:
        ImpastoError: see `prepare`.
    """
    return complete(prepare(content, style, settings, regions=regions))


def stylize_steps(
    content: Source,
    style: Sources,
    settings: StylizeSettings | None = None,
    *,
    regions: Sequence[Source] = (),
) -> Iterator[Progress]:
    """The same, step by step. Leaving the loop early is an ordinary end; keep the last `progress.image()`."""
    return run(prepare(content, style, settings, regions=regions))


def prepare(
    content: Source,
    style: Sources,
    settings: StylizeSettings | None = None,
    *,
    regions: Sequence[Source] = (),
    on_download: ByteProgress | None = None,
    workshop: Workshop | None = None,
    layouts: Sequence[Layout] = (),
) -> Job:
    """Read and check everything, fetch the weights if they are not there, plan the scales.

    Args:
        regions: as in `stylize`.
        on_download: called with bytes done and bytes in all while the weights are fetched.
        workshop: what earlier jobs have left, and later ones may use; default one of its own.
        layouts: of a run that this one continues; default those that fit what memory is free now.
    Raises:
        SettingsError, ImageError, WeightsError, DeviceError: before anything is computed.
    """
    began = time.perf_counter()
    asked, workshop = settings or StylizeSettings(), workshop or Workshop()
    compute = compute_for(asked)
    photo = read_picture(content, role="content image")
    paintings = workshop.styles(style, asked.blend).for_photo(photo, asked, regions)
    paintings.check(asked.layers)
    start = _start(asked, photo, style, regions, workshop, on_download)
    layers = [*asked.layers, *asked.content_layers]
    last = deepest(layers)
    scales, settings = _scales(photo, asked, last)
    canvas = (scales[-1].height, scales[-1].width)
    check_size(*canvas, layers, role="painting")
    for painting in paintings.pictures:
        check_size(painting.height, painting.width, layers, role="style image")
    network, weights = workshop.network(settings, last.name, compute, on_download)
    inputs = {"content": photo, **paintings.inputs}
    if start is not None and asked.init not in OWN_STARTS:
        inputs["init"] = start
    if paintings.regions:
        inputs |= paintings.regions.inputs
    scene = _Scene(network, workshop, photo, paintings, settings, start)
    job = Job(
        canvas=canvas,
        scales=scales,
        network=network,
        objective=scene.objective,
        first=scene.first,
        detailed=start is not None,
        noisy=start is photo and settings.noise_share > 0,
        inputs=inputs,
        manifest=new("stylize", asked, inputs, weights, compute),
        needs=replace(
            Needs.of(network, settings.layers, settings.content_layers, settings.optimizer),
            besides=paintings.regions.bytes if paintings.regions else 0.0,
        ),
        others=lambda scale: paintings.sizes(scene.long(scale), scene.least),
        optimizer=settings.optimizer,
        tolerance=settings.tolerance,
        alpha=photo.alpha,
        constraint=scene.constraint,
        finishing=scene.finishing,
        content_error=None if paintings.regions else settings.content_error,
        content_weight=settings.content_weight * sum(settings.content_layers.values()),
    )
    ready = with_layouts(job, layouts) if layouts else planned(job, settings)
    if settings.budget:
        ready = replace(ready, budget=max(0.0, in_seconds(settings.budget) - (time.perf_counter() - began)))
    return ready


def _start(
    settings: StylizeSettings,
    photo: Picture,
    style: Sources,
    masks: Sequence[Source],
    workshop: Workshop,
    on_download: ByteProgress | None,
) -> Picture | None:
    """What the run starts from; None is white noise."""
    if settings.init == "noise":
        return None
    if settings.init == "fast":
        own = FastSettings.like(settings, size=min(settings.size, FAST_SIZE))
        painted = workshop.fast(style, own, on_download).paint(photo, regions=masks).picture.pixels
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
    full = fit(photo.height, photo.width, settings.size)
    scales = plan(
        *full,
        scales=settings.scales,
        steps=settings.steps,
        finest=settings.finest_steps,
        least=last.stride,
    )
    if not settings.preview or max(full) <= PREVIEW:
        return scales, settings
    small = first_scales(scales, PREVIEW)
    if settings.formula == "paper" and len(scales) == 1:
        fewer = full[0] * full[1] / (small[-1].height * small[-1].width)
        settings = replace(settings, alpha=settings.content_weight * fewer)
    return small, settings


@dataclass(frozen=True, eq=False)
class _Scene:
    """What is painted, at any of its scales."""

    network: VGG19
    workshop: Workshop
    photo: Picture
    paintings: Styles
    settings: StylizeSettings
    start: Picture | None

    @property
    def least(self) -> int:
        """The shortest side of a painting that the deepest style layer can see, in pixels."""
        return deepest(self.settings.layers).stride

    def long(self, scale: Scale) -> int:
        """The long side of the paintings for a scale, in pixels."""
        return max(1, round(max(scale.height, scale.width) * self.settings.style_scale))

    def first(self, scale: Scale) -> Image:
        """The image to start from, with what is fixed as it is in the photo."""
        size, device = (scale.height, scale.width), self.network.device
        if self.start is None:
            image = white_noise(scale, self.settings, device)
        else:
            image = self.workshop.fitted(self.start, *size, device)
            if self.start is self.photo and self.settings.noise_share:
                noise = white_noise(scale, self.settings, device)
                image = torch.lerp(image, noise, self.settings.noise_share)
        image = grey(image) if self._grey else image
        constraint = self.constraint(scale)
        return constraint.held(image, self._content(scale)) if constraint.fixed is not None else image

    def constraint(self, scale: Scale) -> Constraint:
        """Regions that are kept, and one luminance instead of three colours."""
        fixed = self._regions.fixed(scale.height, scale.width) if self._regions else None
        return Constraint(None if fixed is None else fixed[0, 0] > 0.5, self._grey)

    def objective(self, scale: Scale, layout: Layout) -> Objective:
        """Targets of this scale: the paintings keep their shape and are brought to their long side."""
        settings, canvas = self.settings, (scale.height, scale.width)
        contents = content_terms(
            self.network,
            self._content(scale),
            settings.content_layers,
            weight=settings.content_weight,
            formula=settings.formula,
            tile=layout.tile,
            keep=layout.keep,
        )
        own = CONVENTIONS[settings.formula].statistic
        theirs = settings.style_loss == "gram" and own is not GRAM
        by_region = self.workshop.wanted(
            self.network,
            self.paintings,
            dict.fromkeys(settings.layers, own) if theirs else settings.style_loss,
            settings.layers,
            long=self.long(scale),
            least=self.least,
            blending=settings.blending,
            tile=layout.tile,
        )
        areas = self._regions.of_photo(*canvas, self.network.device) if self._regions else [None]
        styles = style_terms_towards(
            [_placed(one, area) for area, several in zip(areas, by_region, strict=True) for one in several],
            settings.layers,
            canvas=canvas,
            weight=settings.style_weight,
            formula=settings.formula,
        )
        priors = prior_terms(
            canvas,
            variation=settings.variation_weight,
            gamut=settings.gamut_weight,
            formula=settings.formula,
        )
        return Objective((*contents, *styles, *priors))

    def finishing(self, image: Image) -> Image:
        """The photo's chroma, if its colours are kept, and its kept regions, over what was painted."""
        size = (image.shape[2], image.shape[3])
        kept = self._regions.fixed(*size) if self._regions else None
        if not self._grey and kept is None:
            return image
        photo = self.workshop.fitted(self.photo, *size, torch.device("cpu"))
        if self._grey:
            image = with_luminance(photo, luminance(image))
        return image if kept is None else torch.lerp(image, photo, kept)

    @property
    def _grey(self) -> bool:
        return self.settings.colors == "photo-luminance"

    @property
    def _regions(self) -> Regions | None:
        return self.paintings.regions

    def _content(self, scale: Scale) -> Image:
        image = self.workshop.fitted(self.photo, scale.height, scale.width, self.network.device)
        return grey(image) if self._grey else image


def _placed(one: Wanted, area: Area | None) -> Wanted:
    """A style in its region; it counts by the region's share of the picture, so that each pixel counts."""
    if area is None:
        return one
    shares = {name: one.shares.get(name, 1.0) * area.share for name in one.means}
    return replace(one, area=area, shares=shares)
