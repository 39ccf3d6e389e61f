"""The weighted sum of terms, and the targets that give it its meaning."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from impasto.choices import Formula, Keep
from impasto.network.layers import layer
from impasto.network.vgg import VGG19
from impasto.objective.targets import content_targets, style_targets
from impasto.objective.terms import (
    IMAGE,
    ContentTerm,
    PixelTerm,
    StyleTerm,
    Term,
    squared_differences,
    squared_overshoot,
    style_distance,
)
from impasto.shapes import Gram, Image


@dataclass(frozen=True)
class Objective:
    """L_total = Σ weight · score, over content, style and prior terms (Eq. 7 of Gatys et al. 2015)."""

    terms: tuple[Term, ...]

    @property
    def names(self) -> tuple[str, ...]:
        """The terms' names, in order."""
        return tuple(term.name for term in self.terms)

    @property
    def layers(self) -> tuple[str, ...]:
        """The layers whose features are needed."""
        return tuple(dict.fromkeys(term.layer for term in self.terms if term.layer != IMAGE))

    def score(self, totals: Sequence[Tensor]) -> Float[Tensor, " L"]:
        """Each term's weighted score, from the totals over the whole image in the order of the terms."""
        return torch.stack(
            [term.weight * term.score(total) for term, total in zip(self.terms, totals, strict=True)]
        )


def content_terms(
    network: VGG19,
    content: Image,
    layers: Mapping[str, float],
    *,
    weight: float,
    formula: Formula,
    tile: int = 0,
    keep: Keep = "memory",
) -> tuple[ContentTerm, ...]:
    """Terms that hold an image's content at some layers.

    Args:
        content: the content image at the size to be painted, (1, 3, H, W).
        layers: each layer's share; shares are used as they are, the paper has one layer with share 1.
        weight: the paper's α.
        formula: "paper", α · ½Σ(F−P)², which grows with the number of pixels; "balanced", α · ½Σ(F−P)²/½ΣP²,
            the squared relative error of the features, which depends on neither size nor layer.
        tile, keep: see `content_targets`.
    """
    shares = {layer(name).name: share for name, share in layers.items()}
    targets = content_targets(network, content, list(shares), tile=tile, keep=keep)
    return tuple(
        ContentTerm(name, target, weight * shares[name] / ((half if formula == "balanced" else 1.0) or 1.0))
        for name, (target, half) in targets.items()
    )


def style_terms(
    network: VGG19,
    styles: Sequence[tuple[Float[Tensor, "1 3 _ _"], float]],
    layers: Mapping[str, float],
    *,
    canvas: tuple[int, int],
    weight: float,
    formula: Formula,
    tile: int = 0,
) -> tuple[StyleTerm, ...]:
    """Terms that hold an image's style at some layers.

    Args:
        styles: images, each (1, 3, H', W') of any size (a Gram matrix per position does not depend on it),
            with their shares. The target is the sum of share · Gram matrix: one image with share 1 is the
            paper's, several are a style between theirs.
        layers: the paper's w_l by layer.
        canvas: height and width in pixels of the image to be painted.
        weight: the paper's β.
        formula: "paper", β w_l E_l; "balanced", β w_l E_l divided by its value for a featureless image, the
            squared relative error of the Gram matrix, which depends on neither size, layer nor contrast.
        tile: see `style_targets`.
    """
    targets = style_targets(network, styles, list(layers), tile=tile)
    return style_terms_towards(targets, layers, canvas=canvas, weight=weight, formula=formula)


def style_terms_towards(
    targets: Mapping[str, Gram],
    layers: Mapping[str, float],
    *,
    canvas: tuple[int, int],
    weight: float,
    formula: Formula,
) -> tuple[StyleTerm, ...]:
    """The terms of `style_terms`, from targets that are measured already."""
    shares = {layer(name).name: share for name, share in layers.items()}
    terms = []
    for name, target in targets.items():
        positions = math.prod(layer(name).grid(*canvas))
        unit = _style_unit(target, formula)
        terms.append(StyleTerm(name, target, positions, weight * shares[name] / unit))
    return tuple(terms)


def _style_unit(target: Gram, formula: Formula) -> float:
    """What a style score is divided by: 1, or its value for a featureless image."""
    return (
        float(style_distance(torch.zeros_like(target), 1, target)) if formula == "balanced" else 1.0
    ) or 1.0


def prior_terms(
    canvas: tuple[int, int], *, variation: float, gamut: float, wrap: bool = False
) -> tuple[PixelTerm, ...]:
    """What is asked of any picture: neighbours alike, colours that can be shown; nothing at weight 0.

    Args:
        canvas: height and width in pixels of the image to be painted.
        variation: weight of the mean of `squared_differences`.
        gamut: weight of the mean of `squared_overshoot`.
        wrap: whether opposite edges are neighbours.
    """
    pixels = math.prod(canvas)
    terms = (
        PixelTerm("variation", squared_differences, pixels, variation, wrap),
        PixelTerm("gamut", squared_overshoot, pixels, gamut),
    )
    return tuple(term for term in terms if term.weight)
