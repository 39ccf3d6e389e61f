"""The objectives that several benchmarks evaluate."""

from baseline import ALPHA

from impasto.choices import Formula
from impasto.network.vgg import VGG19
from impasto.objective.build import content_terms, prior_terms, style_terms_from_images
from impasto.objective.objective import Objective
from impasto.settings.presets import PAPER_CONTENT_LAYERS, PAPER_STYLE_LAYERS
from impasto.shapes import Image


def content_and_style(
    network: VGG19,
    content: Image,
    style: Image,
    *,
    formula: Formula,
    alpha: float = 1.0,
    beta: float = 1.0,
    tile: int = 0,
) -> Objective:
    """The paper's content and style layers, all style layers with the same weight.

    Args:
        network: VGG-19 up to conv5_1.
        content, style: (1, 3, H, W), RGB, 0..1; the content has the size of the image to be painted.
        tile: side of the tiles in which the content is measured, in pixels. Its responses are then kept on
            disk. 0: measure it whole, and keep the responses in memory.
    """
    contents = content_terms(
        network,
        content,
        dict.fromkeys(PAPER_CONTENT_LAYERS, 1.0),
        weight=alpha,
        formula=formula,
        tile=tile,
        keep="disk" if tile else "memory",
    )
    styles = style_terms_from_images(
        network,
        [(style, 1.0)],
        dict.fromkeys(PAPER_STYLE_LAYERS, 1 / len(PAPER_STYLE_LAYERS)),
        canvas=(content.shape[2], content.shape[3]),
        weight=beta,
        formula=formula,
    )
    return Objective((*contents, *styles))


def literal(network: VGG19, content: Image, style: Image) -> Objective:
    """The loss of the paper's formulas, with the α/β of baseline.py."""
    return content_and_style(network, content, style, formula="paper", alpha=ALPHA)


def with_priors(network: VGG19, content: Image, style: Image, *, tile: int = 0) -> Objective:
    """The objective of the first default (recipe 1): balanced content and style, smoothness and gamut."""
    objective = content_and_style(network, content, style, formula="balanced", beta=8.0, tile=tile)
    priors = prior_terms((content.shape[2], content.shape[3]), variation=2.0, gamut=100.0)
    return Objective((*objective.terms, *priors))
