"""An objective with every kind of term, at sizes that are no multiples of the tiles."""

import torch

from impasto.choices import Pooling, ResponseStorage
from impasto.network.vgg import VGG19
from impasto.objective.build import content_terms, prior_terms, style_terms_from_images
from impasto.objective.objective import Objective
from impasto.settings.presets import PAPER_STYLE_LAYERS
from impasto.shapes import Image
from small import scene, small_network, stripes

SIZES = [
    (16, 17),
    (31, 47),
    (49, 50),
    (64, 96),
    (65, 97),
    (77, 33),
    (101, 40),
    (53, 127),
    (112, 19),
    (90, 90),
]
"""Height and width; most are multiples of no tile and of no pooling stride."""

SUBSETS = [PAPER_STYLE_LAYERS[:count] for count in range(1, 6)]
"""The style layers of the rows of the paper's Figure 2."""

KEEPS: tuple[ResponseStorage, ...] = ("memory", "disk", "again")


def objective_for(
    size: tuple[int, int],
    pooling: Pooling,
    layers: tuple[str, ...],
    dtype: torch.dtype,
    *,
    wrap: bool = False,
    tile: int = 0,
    keep: ResponseStorage = "memory",
) -> tuple[VGG19, Objective, Image]:
    """A network, an objective of content, style, total variation and gamut, and an image to evaluate."""
    network = small_network(dtype=dtype, pooling=pooling)
    content, style = scene(*size, seed=1).to(dtype), stripes(40, 60).to(dtype)
    shares = dict.fromkeys(layers, 1 / len(layers))
    contents = content_terms(
        network, content, {"conv4_2": 1.0}, weight=1.0, formula="balanced", tile=tile, keep=keep
    )
    styles = style_terms_from_images(
        network, [(style, 1.0)], shares, canvas=size, weight=5.0, formula="balanced", tile=tile
    )
    priors = prior_terms(size, variation=0.5, gamut=3.0, circular=wrap)
    terms = (*(() if wrap else contents), *styles, *priors)
    return (
        network.with_padding("circular") if wrap else network,
        Objective(terms),
        1.2 * scene(*size).to(dtype) - 0.1,
    )


def distance(actual: torch.Tensor, expected: torch.Tensor) -> float:
    """Norm of the difference, relative to the expected norm."""
    return float((actual - expected).norm() / expected.norm())
