"""The paper's loss of a given image, term by term."""

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from typing_extensions import Unpack

from impasto.image.read import Source, read_single_picture
from impasto.image.resize import fit, resize
from impasto.layers import check_size, deepest
from impasto.network.vgg import VGG19, load_vgg19
from impasto.objective.build import content_terms, style_terms_from_images
from impasto.objective.evaluate import measure
from impasto.objective.objective import Objective
from impasto.settings.keywords import LossOptions, with_options
from impasto.settings.paper import LossSettings
from impasto.shapes import Image
from impasto.system.device import choose_compute


@dataclass(frozen=True)
class PaperLoss:
    """The literal loss of Gatys et al. 2015 and its parts.

    Attributes:
        width, height: size of the image, in pixels. The content image was resized to it, and the style image
            to its long side.
        content: L_content = ½ Σ (F − P)² by layer, Eq. 1.
        style: E_l by layer, Eq. 4.
        layer_weights: w_l by layer.
        total_content: L_content, summed over the content layers with their shares.
        total_style: L_style = Σ w_l E_l, Eq. 5.
        alpha, beta: their weights.
        total: L_total = α L_content + β L_style, Eq. 7.
    """

    width: int
    height: int
    content: dict[str, float]
    style: dict[str, float]
    layer_weights: dict[str, float]
    total_content: float
    total_style: float
    alpha: float
    beta: float
    total: float


def paper_loss(
    content: Source,
    style: Source,
    image: Source,
    settings: LossSettings | None = None,
    **options: Unpack[LossOptions],
) -> PaperLoss:
    """Compute the paper's loss of `image`, term by term, in float32 at the size of the image.

    Gatys, Ecker and Bethge 2015 (arXiv:1508.06576), Eq. 1, 4, 5 and 7, as in the paper. The content image is
    resized to the size of the image. The style image keeps its aspect ratio and gets the same long side, and
    each Gram matrix is divided by its own number of positions (see `style_distance`).

    Args:
        content, style, image: files, `PIL.Image`s, arrays or tensors.
        settings: layers, weights, pooling, device; if omitted, the paper's.
        options: fields of `LossSettings`, which change the settings.
    Raises:
        SettingsError: a bad setting or an unknown layer.
        ImageError: a picture cannot be read, or is too small for the layers.
        WeightsError: the weights cannot be loaded or fetched.
        DeviceError: the device does not exist.
    """
    settings = with_options(LossSettings, settings, options)
    pictures = {
        role: read_single_picture(source, role=f"{role} image" if role != "image" else role)
        for role, source in (("content", content), ("style", style), ("image", image))
    }
    canvas = pictures["image"].height, pictures["image"].width
    names = [*settings.layers, *settings.content_layers]
    check_size(*canvas, names, role="image")
    check_size(pictures["style"].height, pictures["style"].width, names, role="style image")

    compute = choose_compute(settings.device, "float32")
    network, _ = load_vgg19(
        settings.weights,
        pooling=settings.pooling,
        deepest_layer=deepest(names).name,
        compute=compute,
        fast=False,  # Winograd rounds more (1.8e-6), and speed does not matter for one evaluation
    )
    # As in a run: a style image keeps its shape, because stretching would change its statistics.
    style_size = fit(pictures["style"].height, pictures["style"].width, max(canvas))
    pixels = {
        role: resize(picture.pixels.to(compute.device), *(style_size if role == "style" else canvas))
        for role, picture in pictures.items()
    }
    return _report(canvas, _values(network, pixels, settings), settings)


def _values(
    network: VGG19, pixels: Mapping[str, Image], settings: LossSettings
) -> dict[tuple[str, str], float]:
    """Compute the content losses and E_l by kind and layer, without any weights."""
    # Weight 1 for every layer, so that values are E_l and the content losses themselves.
    contents, styles = (dict.fromkeys(layers, 1.0) for layers in (settings.content_layers, settings.layers))
    height, width = pixels["image"].shape[2:]
    objective = Objective(
        (
            *content_terms(network, pixels["content"], contents, weight=1.0, formula="paper"),
            *style_terms_from_images(
                network, [(pixels["style"], 1.0)], styles, canvas=(height, width), weight=1.0, formula="paper"
            ),
        )
    )
    with torch.no_grad():
        values = objective.score(measure(network, objective, pixels["image"])).tolist()
    return {(term.kind, term.layers[0]): value for term, value in zip(objective.terms, values, strict=True)}


def _report(
    canvas: tuple[int, int],
    by_layer: Mapping[tuple[str, str], float],
    settings: LossSettings,
) -> PaperLoss:
    """Add up the parts with their weights."""
    alpha, beta, shares = settings.alpha, settings.beta, settings.layers
    content = {name: value for (kind, name), value in by_layer.items() if kind == "content"}
    style = {name: value for (kind, name), value in by_layer.items() if kind == "style"}
    total_content = sum(settings.content_layers[name] * value for name, value in content.items())
    total_style = sum(shares[name] * value for name, value in style.items())
    return PaperLoss(
        width=canvas[1],
        height=canvas[0],
        content=content,
        style=style,
        layer_weights=dict(shares),
        total_content=total_content,
        total_style=total_style,
        alpha=alpha,
        beta=beta,
        total=alpha * total_content + beta * total_style,
    )
