"""Reconstructing from white noise an image with the responses, or the style, of a given image."""

from collections.abc import Iterator

from typing_extensions import Unpack

from impasto.errors import SettingsError
from impasto.image.read import Source, read_single_picture
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
    """Make an image that a layer cannot distinguish from `image`, minimising ½ Σ (F − P)² from white noise.

    Gatys, Ecker and Bethge 2015 (arXiv:1508.06576), Eq. 1 and Fig. 1, content reconstructions.
    Differs: coarse to fine, unless the settings ask for one scale, because one scale has not converged after
    hundreds of steps. The loss is divided by ½ Σ P², which changes no minimum. The manifest's result holds
    its root, the relative error of the features, and the PSNR to the image.

    Args:
        image: a file, a `PIL.Image`, a NumPy array or a tensor.
        settings: layer, size and so on; if omitted, `ReconstructContentSettings()`.
        options: fields of `ReconstructContentSettings`, such as `size=512`, which change the settings.
    Returns:
        The reconstruction, with its manifest.
    Raises:
        ImpastoError: see `plan_content`.
    """
    return complete(plan_content(image, settings, **options))


def iter_reconstruct_content(
    image: Source,
    settings: ReconstructContentSettings | None = None,
    **options: Unpack[ReconstructContentOptions],
) -> Iterator[Progress]:
    """Reconstruct content as `reconstruct_content` does, and yield after every step.

    Everything is checked at the call. Computing begins with the first `next`.

    Args:
        image, settings, options: as in `reconstruct_content`.
    Raises:
        ImpastoError: see `plan_content`.
    """
    return iter_run(plan_content(image, settings, **options))


def reconstruct_style(
    image: StyleSources,
    settings: ReconstructStyleSettings | None = None,
    **options: Unpack[ReconstructStyleOptions],
) -> Painting:
    """Make a texture of any size with the style of `image`, by matching Gram matrices from white noise.

    Gatys, Ecker and Bethge 2015 (arXiv:1508.06576), Eq. 3 to 5 and Fig. 1, style reconstructions.
    Differs: each E_l is divided by its value for a featureless image. Layers therefore count as their weights
    say, however large their responses are.

    Args:
        image: a file, a `PIL.Image`, a NumPy array or a tensor; or a list of several, which are blended.
        settings: layers, size and so on; if omitted, `ReconstructStyleSettings()`.
        options: fields of `ReconstructStyleSettings`, such as `size=512`, which change the settings.
    Returns:
        The texture, with its manifest.
    Raises:
        ImpastoError: see `plan_style`.
    """
    return complete(plan_style(image, settings, **options))


def iter_reconstruct_style(
    image: StyleSources,
    settings: ReconstructStyleSettings | None = None,
    **options: Unpack[ReconstructStyleOptions],
) -> Iterator[Progress]:
    """Reconstruct style as `reconstruct_style` does, and yield after every step.

    Everything is checked at the call. Computing begins with the first `next`.

    Args:
        image, settings, options: as in `reconstruct_style`.
    Raises:
        ImpastoError: see `plan_style`.
    """
    return iter_run(plan_style(image, settings, **options))


def plan_content(
    image: Source,
    settings: ReconstructContentSettings | None = None,
    **options: Unpack[ReconstructContentOptions],
) -> RunPlan:
    """Read and check everything, and plan the run that `reconstruct_content` completes.

    Args:
        image, settings, options: as in `reconstruct_content`.
    Raises:
        SettingsError: a bad setting or an unknown layer.
        ImageError: the image cannot be read, or is too small for the layer.
        WeightsError: the weights cannot be loaded or fetched.
        DeviceError: the device does not exist, or has too little memory.
    """
    settings = with_options(ReconstructContentSettings, settings, options)
    compute = compute_for_settings(settings)
    picture = read_single_picture(image, "image")
    canvas = fit(picture.height, picture.width, settings.size)
    check_size(*canvas, [settings.layer], role="image")
    # Below the layer's stride, a scale would have no whole position to compare.
    scales = coarse_to_fine(
        *canvas,
        scales=settings.scales,
        steps=settings.steps_taken,
        finest=settings.steps_taken,
        least=find_layer(settings.layer).stride,
    )
    # Only now, so that no weights are fetched for bad inputs.
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
    """Read and check everything, and plan the run that `reconstruct_style` completes.

    Args:
        image, settings, options: as in `reconstruct_style`.
    Raises:
        SettingsError: a bad setting, an unknown layer, or a size that cannot be tiled.
        ImageError: an image cannot be read, or is too small for the layers.
        WeightsError: the weights cannot be loaded or fetched.
        DeviceError: the device does not exist, or has too little memory.
    """
    settings = with_options(ReconstructStyleSettings, settings, options)
    compute = compute_for_settings(settings)
    paintings = read_styles(image, settings.blend)
    paintings.check(settings.layers)
    first = paintings.pictures[0]  # gives the texture's aspect ratio, if the settings do not
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
    # Textures begin at the coarsest scale, which has the fewest positions.
    check_size(scales[0].height, scales[0].width, settings.layers, role="picture")
    for picture in paintings.pictures:
        measured = fit(picture.height, picture.width, settings.style_size)
        check_size(*measured, settings.layers, role="style image")
    # Only now, so that no weights are fetched for bad inputs.
    network, weights = load_vgg19(
        settings.weights, pooling=settings.pooling, deepest_layer=last.name, compute=compute
    )
    # The picture is painted on a torus; the paintings are measured as they are.
    painting_network = network.with_padding("circular") if settings.tileable else network
    long = max(scales[-1].height, scales[-1].width)
    problem = StyleReconstruction(painting_network, settings, network, paintings, long)
    stages = choose_layouts(problem, scales, settings)
    manifest = new("reconstruct style", settings, problem.inputs, weights, compute)
    solver = Solver(settings.optimizer, tolerance=settings.tolerance)
    return RunPlan(problem, stages, manifest | layouts_entry(stages), solver)


def _check_tileable(scales: tuple[Scale, ...], stride: int, name: str) -> None:
    """Check that the sides of every scale are multiples of the deepest layer's stride.

    Only then does the grid of a layer's positions close on itself.

    Raises:
        SettingsError: a side is not; the message names the nearest size.
    """
    for scale in scales:
        if scale.height % stride or scale.width % stride:
            raise SettingsError(
                f"a tileable picture matched at {name} needs sides that are multiples of {stride} px; "
                f"{scale.width}×{scale.height} is not. Use --size {_near(scale.width, stride)}x"
                f"{_near(scale.height, stride)}" + (" or fewer --scales." if len(scales) > 1 else ".")
            )


def _near(side: int, stride: int) -> int:
    """Return the multiple of `stride` nearest to a side, at least one stride."""
    return max(1, round(side / stride)) * stride
