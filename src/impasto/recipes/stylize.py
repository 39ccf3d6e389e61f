"""The main job: repaint one picture in the style of another, as a stream of Progress."""

from collections.abc import Iterator
from dataclasses import replace

from impasto.image.files import Source, read_picture
from impasto.image.picture import Picture
from impasto.image.resize import fit
from impasto.network.fetch import ByteProgress
from impasto.network.layers import Layer, check_size, deepest
from impasto.network.vgg import VGG19
from impasto.objective.objective import Objective, content_terms, prior_terms, style_terms_towards
from impasto.recipes.job import Job, complete, run, white_noise
from impasto.recipes.machine import compute_for
from impasto.recipes.manifest import new
from impasto.recipes.planning import planned
from impasto.recipes.progress import Painting, Progress
from impasto.recipes.settings import PREVIEW, StylizeSettings
from impasto.recipes.styles import Sources, Styles
from impasto.recipes.workshop import Workshop
from impasto.shapes import Image
from impasto.solve.plan import Layout, Needs
from impasto.solve.pyramid import Scale, first_scales, plan


def stylize(content: Source, style: Sources, settings: StylizeSettings | None = None) -> Painting:
    """Repaint `content` in the style of `style`, and wait for it.

    Gatys, Ecker and Bethge 2015, "A Neural Algorithm of Artistic Style" (arXiv:1508.06576), Eq. 7.
    Differs: coarse to fine, and with weights that mean the same at any size, unless settings say otherwise.

    Args:
        content: a file, a `PIL.Image`, a NumPy array or a tensor (see `read_picture`).
        style: the same, or a list of several, whose styles are blended (see `StylizeSettings.blend`).
        settings: how; default `StylizeSettings()`.
    Raises:
        ImpastoError: see `prepare`.
    """
    return complete(prepare(content, style, settings))


def stylize_steps(
    content: Source, style: Sources, settings: StylizeSettings | None = None
) -> Iterator[Progress]:
    """The same, step by step. Leaving the loop early is an ordinary end; keep the last `progress.image()`."""
    return run(prepare(content, style, settings))


def prepare(
    content: Source,
    style: Sources,
    settings: StylizeSettings | None = None,
    *,
    on_download: ByteProgress | None = None,
    workshop: Workshop | None = None,
) -> Job:
    """Read and check everything, fetch the weights if they are not there, plan the scales.

    Args:
        on_download: called with bytes done and bytes in all while the weights are fetched.
        workshop: what earlier jobs have left, and later ones may use; default one of its own.
    Raises:
        SettingsError, ImageError, WeightsError, DeviceError: before anything is computed.
    """
    settings, workshop = settings or StylizeSettings(), workshop or Workshop()
    asked = settings
    compute = compute_for(settings)
    photo = read_picture(content, role="content image")
    paintings = workshop.styles(style, settings.blend)
    start = {"noise": None, "content": photo}.get(settings.init, ...)
    if start is ...:
        start = read_picture(settings.init, role="init image")

    layers = [*settings.layers, *settings.content_layers]
    last = deepest(layers)
    scales, settings = _scales(photo, settings, last)
    canvas = (scales[-1].height, scales[-1].width)
    check_size(*canvas, layers, role="painting")
    for painting in paintings.pictures:
        check_size(painting.height, painting.width, layers, role="style image")
    network, weights = workshop.network(settings, last.name, compute, on_download)
    inputs = {"content": photo, **paintings.inputs}
    if start is not None and start is not photo:
        inputs["init"] = start

    def first(scale: Scale) -> Image:
        if start is None:
            return white_noise(scale, settings, compute.device)
        return workshop.fitted(start, scale.height, scale.width, compute.device)

    least = deepest(settings.layers).stride
    job = Job(
        canvas=canvas,
        scales=scales,
        network=network,
        objective=lambda scale, layout: _objective(
            network, workshop, photo, paintings, settings, scale, layout
        ),
        first=first,
        detailed=start is not None,
        inputs=inputs,
        manifest=new("stylize", asked, inputs, weights, compute),
        needs=Needs.of(network, settings.layers, settings.content_layers, settings.optimizer),
        others=lambda scale: paintings.sizes(max(scale.height, scale.width), least),
        optimizer=settings.optimizer,
        tolerance=settings.tolerance,
        alpha=photo.alpha,
    )
    return planned(job, settings)


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


def _objective(
    network: VGG19,
    workshop: Workshop,
    photo: Picture,
    paintings: Styles,
    settings: StylizeSettings,
    scale: Scale,
    layout: Layout,
) -> Objective:
    """Targets of this scale: the style keeps its aspect ratio and is brought to the same long side."""
    canvas = (scale.height, scale.width)
    least = deepest(settings.layers).stride
    contents = content_terms(
        network,
        workshop.fitted(photo, *canvas, network.device),
        settings.content_layers,
        weight=settings.content_weight,
        formula=settings.formula,
        tile=layout.tile,
        keep=layout.keep,
    )
    styles = style_terms_towards(
        workshop.targets(network, paintings, settings.layers, max(canvas), least, tile=layout.tile),
        settings.layers,
        canvas=canvas,
        weight=settings.style_weight,
        formula=settings.formula,
    )
    priors = prior_terms(canvas, variation=settings.variation_weight, gamut=settings.gamut_weight)
    return Objective((*contents, *styles, *priors))
