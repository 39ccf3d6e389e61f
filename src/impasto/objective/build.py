"""Building the content, style and pixel terms of an objective from images."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from jaxtyping import Float
from torch import Tensor

from impasto.choices import Formula, ResponseStorage
from impasto.layers import find_layer
from impasto.network.vgg import VGG19
from impasto.objective.formulas import CONVENTIONS
from impasto.objective.guidance_mask import GuidanceMask
from impasto.objective.style_loss import GRAM, Statistic, StyleTerm
from impasto.objective.targets import content_targets, style_targets
from impasto.objective.terms import ContentTerm, PixelTerm, squared_overshoot
from impasto.shapes import Image


def content_terms(
    network: VGG19,
    content: Image,
    layers: Mapping[str, float],
    *,
    weight: float,
    formula: Formula,
    tile: int = 0,
    keep: ResponseStorage = "memory",
) -> tuple[ContentTerm, ...]:
    """Build the terms that keep an image's content at some layers (Eq. 1 of Gatys et al. 2015).

    Args:
        network: VGG-19, deep enough for the layers.
        content: the content image at the size to be painted, (1, 3, H, W), RGB, 0..1.
        layers: each layer's share. Shares are not normalised; the paper has one layer with share 1.
        weight: the paper's α.
        formula: "paper" is α · ½Σ(F−P)², which grows with the number of pixels; "balanced" is
            α · ½Σ(F−P)²/½ΣP², the squared relative error of the features, which does not depend on size or
            layer. `CONVENTIONS` has the others.
        tile, keep: see `content_targets`.
    Raises:
        SettingsError: a layer is unknown.
    """
    shares = {find_layer(name).name: share for name, share in layers.items()}
    targets = content_targets(network, content, list(shares), tile=tile, keep=keep)
    unit, canvas = CONVENTIONS[formula].content, (content.shape[2], content.shape[3])
    return tuple(
        ContentTerm(
            name,
            target,
            weight
            * shares[name]
            * unit(network.channels(name), math.prod(find_layer(name).grid(*canvas)), half),
        )
        for name, (target, half) in targets.items()
    )


def style_terms_from_images(
    network: VGG19,
    styles: Sequence[tuple[Float[Tensor, "1 3 _ _"], float]],
    layers: Mapping[str, float],
    *,
    canvas: tuple[int, int],
    weight: float,
    formula: Formula,
    tile: int = 0,
) -> tuple[StyleTerm, ...]:
    """Build the terms that impose images' style at some layers (Eq. 4 and 5 of Gatys et al. 2015).

    Args:
        network: VGG-19, deep enough for the layers.
        styles: images, each (1, 3, H', W') of any size (a Gram matrix per position does not depend on it),
            with their shares. The target is the sum of share · Gram matrix: one image with share 1 is the
            paper's style, and several images give a style between theirs.
        layers: the paper's w_l by layer.
        canvas: height and width in pixels of the image to be painted.
        weight: the paper's β.
        formula: "paper" is β w_l E_l; "balanced" is β w_l E_l divided by its value for a featureless image,
            that is, the squared relative error of the Gram matrix, which does not depend on size, layer or
            contrast. `CONVENTIONS` has the others.
        tile: see `style_targets`.
    Raises:
        SettingsError: a layer is unknown.
    """
    target = StyleTarget(style_targets(network, styles, list(layers), tile=tile))
    return style_terms([target], layers, canvas=canvas, weight=weight, formula=formula)


@dataclass(frozen=True)
class StyleTarget:
    """A measured style, and where in a picture it applies.

    Attributes:
        means: by layer, the target of the statistic, per position.
        shares: by layer, the fraction of the style's weight; 1 for layers that are not named.
        statistics: by layer, the statistic; Gram matrices for layers that are not named.
        area: where the style applies; None: everywhere.
        label: the style's name in the report.
    """

    means: Mapping[str, Tensor]
    shares: Mapping[str, float] = field(default_factory=dict)
    statistics: Mapping[str, Statistic] = field(default_factory=dict)
    area: GuidanceMask | None = None
    label: str = ""


def style_terms(
    styles: Sequence[StyleTarget],
    layers: Mapping[str, float],
    *,
    canvas: tuple[int, int],
    weight: float,
    formula: Formula,
) -> tuple[StyleTerm, ...]:
    """Build style terms from measured styles; where a share is 0 there is no term.

    Args:
        styles: the styles and the areas that they apply to.
        layers, canvas, weight, formula: as for `style_terms_from_images`.
    """
    convention = CONVENTIONS[formula]
    w = {find_layer(name).name: share for name, share in layers.items()}  # the paper's w_l
    terms = []
    for style in styles:
        for name, mean in style.means.items():
            share = style.shares.get(name, 1.0)
            if not share:  # a layer that this painting has no part in
                continue
            statistic = style.statistics.get(name, GRAM)
            positions = math.prod(find_layer(name).grid(*canvas))
            target = statistic.target(mean)
            channels = statistic.channels(mean)
            nothing = statistic.measure(mean.new_zeros(1, channels, 1, 1))  # a featureless image's total
            unit = convention.style(channels, float(statistic.distance(nothing, 1, target)))
            terms.append(
                StyleTerm(
                    name,
                    target,
                    positions if style.area is None else style.area.positions(name),
                    weight * w[name] * share * unit,
                    statistic,
                    style.area,
                    style.label,
                )
            )
    return tuple(terms)


def prior_terms(
    canvas: tuple[int, int],
    *,
    variation: float,
    gamut: float,
    circular: bool = False,
    formula: Formula = "balanced",
) -> tuple[PixelTerm, ...]:
    """Build the terms that are asked of any picture, smoothness and colours in range; no term at weight 0.

    Args:
        canvas: height and width in pixels of the image to be painted.
        variation: weight of the formula's smoothness, which in "balanced" and "paper" is the mean over pixels
            of `squared_differences`.
        gamut: weight of the mean of `squared_overshoot`.
        circular: whether opposite edges are neighbours.
        formula: which smoothness (see `CONVENTIONS`).
    """
    statistic, factor = CONVENTIONS[formula].smoothness(canvas)
    terms = (
        PixelTerm("variation", statistic, 1 / factor, variation, circular),
        PixelTerm("gamut", squared_overshoot, math.prod(canvas), gamut),
    )
    return tuple(term for term in terms if term.weight)
