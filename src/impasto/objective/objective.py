"""The weighted sum of terms, and the targets that give it its meaning."""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from impasto.choices import Formula
from impasto.network.layers import layer
from impasto.network.vgg import VGG19
from impasto.objective.terms import (
    IMAGE,
    ContentTerm,
    PixelTerm,
    StyleTerm,
    Term,
    gram,
    squared_differences,
    squared_differences_around,
    squared_overshoot,
    style_distance,
)
from impasto.shapes import Features, Gram, Image


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
    network: VGG19, content: Image, layers: Mapping[str, float], *, weight: float, formula: Formula
) -> tuple[ContentTerm, ...]:
    """Terms that hold an image's content at some layers.

    Args:
        content: the content image at the size to be painted, (1, 3, H, W).
        layers: each layer's share; shares are used as they are, the paper has one layer with share 1.
        weight: the paper's α.
        formula: "paper", α · ½Σ(F−P)², which grows with the number of pixels; "balanced", α · ½Σ(F−P)²/½ΣP²,
            the squared relative error of the features, which depends on neither size nor layer.
    """
    with torch.no_grad():
        responses = network.features(content, layers)
    return tuple(
        ContentTerm(layer(name).name, response, weight * layers[name] / _content_unit(response, formula))
        for name, response in responses.items()
    )


def _content_unit(target: Features, formula: Formula) -> float:
    """What a content score is divided by: 1, or its value for a featureless image."""
    return (float(target.float().square().sum()) / 2 if formula == "balanced" else 1.0) or 1.0


def style_terms(
    network: VGG19,
    styles: Sequence[tuple[Float[Tensor, "1 3 _ _"], float]],
    layers: Mapping[str, float],
    *,
    canvas: tuple[int, int],
    weight: float,
    formula: Formula,
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
    """
    targets = style_targets(network, styles, layers)
    return style_terms_towards(targets, layers, canvas=canvas, weight=weight, formula=formula)


def style_targets(
    network: VGG19, styles: Sequence[tuple[Float[Tensor, "1 3 _ _"], float]], layers: Iterable[str]
) -> dict[str, Gram]:
    """The Gram matrices per position that `style_terms` holds an image to, by layer: all that costs time."""
    targets: dict[str, Gram] = {}
    for style, share in styles:
        with torch.no_grad():
            for name, response in network.features(style, layers).items():
                part = gram(response) * (share / math.prod(response.shape[2:]))
                targets[name] = targets[name] + part if name in targets else part
    return targets


def style_terms_towards(
    targets: Mapping[str, Gram],
    layers: Mapping[str, float],
    *,
    canvas: tuple[int, int],
    weight: float,
    formula: Formula,
) -> tuple[StyleTerm, ...]:
    """The terms of `style_terms`, from targets that are measured already."""
    terms = []
    for name, target in targets.items():
        positions = math.prod(layer(name).grid(*canvas))
        terms.append(
            StyleTerm(
                layer(name).name, target, positions, weight * layers[name] / _style_unit(target, formula)
            )
        )
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
    differences = squared_differences_around if wrap else squared_differences
    terms = (
        PixelTerm("variation", differences, pixels, variation),
        PixelTerm("gamut", squared_overshoot, pixels, gamut),
    )
    return tuple(term for term in terms if term.weight)
