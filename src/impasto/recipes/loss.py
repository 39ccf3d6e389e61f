"""Every term of the paper's loss for a given image."""

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from typing_extensions import Unpack

from impasto.image.read import Source, read_picture
from impasto.image.resize import fit, resize
from impasto.layers import check_size, deepest
from impasto.network.vgg import VGG19
from impasto.network.weights import load
from impasto.objective.build import content_terms, style_terms_from_images
from impasto.objective.evaluate import measure
from impasto.objective.objective import Objective
from impasto.settings.keywords import LossOptions, with_options
from impasto.settings.paper import LossSettings
from impasto.shapes import Image
from impasto.system.device import Compute, choose_compute


@dataclass(frozen=True)
class PaperLoss:
    """The literal loss of Gatys et al. 2015 and its parts.

    Attributes:
        width, height: of the image, in pixels; content and style were brought to this size.
        content: L_content = ½ Σ (F − P)² by layer, Eq. 1.
        style: E_l by layer, Eq. 4.
        layer_weights: w_l by layer.
        total_content: L_content, summed over layers with their shares.
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
    """The paper's loss of `image`, term by term, in float32 at the image's own size.

    Gatys, Ecker and Bethge 2015 (arXiv:1508.06576), Eq. 1, 4, 5 and 7, as in the paper. A content image of
    another size is resized to the image's; a style image of another size keeps its aspect ratio and is
    brought to the same long side; each Gram matrix is divided by its own number of positions (see
    `style_distance`).

    Args:
        content, style, image: files, `PIL.Image`s, arrays or tensors.
        settings: layers, weights, pooling, device; default the paper's.
        options: fields of `LossSettings`; they change the settings.
    Raises:
        SettingsError, ImageError, WeightsError, DeviceError.
    """
    settings = with_options(LossSettings, settings, options)
    pictures = {
        role: read_picture(source, role=f"{role} image" if role != "image" else role)
        for role, source in (("content", content), ("style", style), ("image", image))
    }
    canvas = pictures["image"].height, pictures["image"].width
    names = [*settings.layers, *settings.content_layers]
    check_size(*canvas, names, role="image")
    check_size(pictures["style"].height, pictures["style"].width, names, role="style image")

    compute: Compute = choose_compute(settings.device, "float32")
    network = VGG19.build(
        load(settings.weights or None),
        pooling=settings.pooling,
        deepest_layer=deepest(names).name,
        device=compute.device,
        fast=False,
    )
    style_size = fit(pictures["style"].height, pictures["style"].width, max(canvas))
    pixels = {
        role: resize(picture.pixels.to(compute.device), *(style_size if role == "style" else canvas))
        for role, picture in pictures.items()
    }
    return _report(canvas, _values(network, pixels, settings), settings)


def _values(
    network: VGG19, pixels: Mapping[str, Image], settings: LossSettings
) -> dict[tuple[str, str], float]:
    """The literal content losses and E_l, by kind and layer, without any weight."""
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
    """The parts with their weights, and their sums."""
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
