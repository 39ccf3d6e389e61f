"""What a layer keeps of an image: from white noise, an image with the same responses, or the same style."""

from collections.abc import Iterator

from typing_extensions import Unpack

from impasto.errors import SettingsError
from impasto.image.read import Source, read_picture
from impasto.image.resize import fit
from impasto.layers import check_size, deepest, find_layer
from impasto.network.vgg import load_vgg19
from impasto.recipes.reconstruction import ContentReconstruction, StyleReconstruction
from impasto.results.manifest import new
from impasto.results.painting import Painting
from impasto.run.choose_layout import choose_layouts
from impasto.run.loop import complete, iter_run
from impasto.run.plan import RunPlan, layouts_entry
from impasto.run.progress import Progress
from impasto.run.scales import Scale, coarse_to_fine
from impasto.settings.keywords import ReconstructContentOptions, ReconstructStyleOptions, with_options
from impasto.settings.paper import ReconstructContentSettings, ReconstructStyleSettings
from impasto.solve.descent import Solver
from impasto.style.style_images import StyleSources, read_styles
from impasto.system.device import compute_for_settings


def reconstruct_content(
    image: Source,
    settings: ReconstructContentSettings | None = None,
    **options: Unpack[ReconstructContentOptions],
) -> Painting:
    """An image that the layer cannot tell from `image`: ½ Σ (F − P)² brought down from white noise.

    Gatys, Ecker and Bethge 2015 (arXiv:1508.06576), Eq. 1 and Fig. 1, content reconstructions.
    Differs: coarse to fine unless the settings say one scale, because one scale has not converged after
    hundreds of steps; and the loss is divided by ½ Σ P², which changes no minimum. Its root, the relative
    error of the features, is in the manifest's result with the PSNR to the image.

    Args:
        image: a file, a `PIL.Image`, a NumPy array or a tensor.
        settings: how; default `ReconstructContentSettings()`.
        options: fields of `ReconstructContentSettings`, such as `size=512`; they change the settings.
    Raises:
        ImpastoError: see `plan_content`.
    """
    return complete(plan_content(image, settings, **options))


def iter_reconstruct_content(
    image: Source,
    settings: ReconstructContentSettings | None = None,
    **options: Unpack[ReconstructContentOptions],
) -> Iterator[Progress]:
    """As `reconstruct_content`, step by step; checks at the call, computes at `next`.

    Raises:
        ImpastoError: see `plan_content`.
    """
    return iter_run(plan_content(image, settings, **options))


def reconstruct_style(
    image: StyleSources,
    settings: ReconstructStyleSettings | None = None,
    **options: Unpack[ReconstructStyleOptions],
) -> Painting:
    """An image with the style of `image`, of any size: Gram matrices matched from white noise. A texture.

    Gatys, Ecker and Bethge 2015 (arXiv:1508.06576), Eq. 3 to 5 and Fig. 1, style reconstructions.
    Differs: each E_l is divided by its value for a featureless image, so that layers count as their weights
    say, whatever the size of their responses.

    Args:
        image: a file, a `PIL.Image`, a NumPy array or a tensor; or a list of several, which are blended.
        settings: how; default `ReconstructStyleSettings()`.
        options: fields of `ReconstructStyleSettings`, such as `size=512`; they change the settings.
    Raises:
        ImpastoError: see `plan_style`.
    """
    return complete(plan_style(image, settings, **options))


def iter_reconstruct_style(
    image: StyleSources,
    settings: ReconstructStyleSettings | None = None,
    **options: Unpack[ReconstructStyleOptions],
) -> Iterator[Progress]:
    """As `reconstruct_style`, step by step; checks at the call, computes at `next`.

    Raises:
        ImpastoError: see `plan_style`.
    """
    return iter_run(plan_style(image, settings, **options))


def plan_content(
    image: Source,
    settings: ReconstructContentSettings | None = None,
    **options: Unpack[ReconstructContentOptions],
) -> RunPlan:
    """Read and check everything; the run that `reconstruct_content` completes, with its arguments.

    Raises:
        SettingsError, ImageError, WeightsError, DeviceError: before anything is computed.
    """
    settings = with_options(ReconstructContentSettings, settings, options)
    compute = compute_for_settings(settings)
    picture = read_picture(image)
    canvas = fit(picture.height, picture.width, settings.size)
    check_size(*canvas, [settings.layer], role="image")
    scales = coarse_to_fine(
        *canvas,
        scales=settings.scales,
        steps=settings.steps_taken,
        finest=settings.steps_taken,
        least=find_layer(settings.layer).stride,
    )
    network, weights = load_vgg19(
        settings.weights, pooling=settings.pooling, deepest_layer=settings.layer, compute=compute
    )
    problem = ContentReconstruction(network, settings, picture)
    stages = choose_layouts(problem, scales, settings)
    manifest = new("reconstruct content", settings, problem.inputs, weights, compute)
    solver = Solver(settings.optimizer, tolerance=settings.tolerance)
    return RunPlan(problem, stages, manifest | layouts_entry(stages), solver)


def plan_style(
    image: StyleSources,
    settings: ReconstructStyleSettings | None = None,
    **options: Unpack[ReconstructStyleOptions],
) -> RunPlan:
    """Read and check everything; the run that `reconstruct_style` completes, with its arguments.

    Raises:
        SettingsError, ImageError, WeightsError, DeviceError: before anything is computed.
    """
    settings = with_options(ReconstructStyleSettings, settings, options)
    compute = compute_for_settings(settings)
    paintings = read_styles(image, settings.blend)
    paintings.check(settings.layers)
    first = paintings.pictures[0]
    last = deepest(settings.layers)
    scales = coarse_to_fine(
        *settings.canvas(first.height, first.width),
        scales=settings.scales,
        steps=settings.steps,
        finest=settings.finest_steps,
        least=last.stride,
    )
    if settings.tileable:
        _check_tileable(scales, last.stride, last.name)
    check_size(scales[0].height, scales[0].width, settings.layers, role="picture")
    for picture in paintings.pictures:
        measured = fit(picture.height, picture.width, settings.style_size)
        check_size(*measured, settings.layers, role="style image")
    network, weights = load_vgg19(
        settings.weights, pooling=settings.pooling, deepest_layer=last.name, compute=compute
    )
    painting_network = network.with_padding("circular") if settings.tileable else network
    long = max(scales[-1].height, scales[-1].width)
    problem = StyleReconstruction(painting_network, settings, network, paintings, long)
    stages = choose_layouts(problem, scales, settings)
    manifest = new("reconstruct style", settings, problem.inputs, weights, compute)
    solver = Solver(settings.optimizer, tolerance=settings.tolerance)
    return RunPlan(problem, stages, manifest | layouts_entry(stages), solver)


def _check_tileable(scales: tuple[Scale, ...], stride: int, name: str) -> None:
    """A grid of positions closes on itself only where the picture is a whole number of them."""
    for scale in scales:
        if scale.height % stride or scale.width % stride:
            raise SettingsError(
                f"a tileable picture matched at {name} needs sides that are multiples of {stride} px; "
                f"{scale.width}×{scale.height} is not. Use --size {_near(scale.width, stride)}x"
                f"{_near(scale.height, stride)}" + (" or fewer --scales." if len(scales) > 1 else ".")
            )


def _near(side: int, stride: int) -> int:
    return max(1, round(side / stride)) * stride
