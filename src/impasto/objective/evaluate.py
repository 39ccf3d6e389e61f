"""Value and gradient of an objective at an image."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from typing import TypeAlias

import torch
from jaxtyping import Float
from torch import Tensor

from impasto.network.layers import deepest
from impasto.network.vgg import KEPT, VGG19
from impasto.objective.objective import Objective
from impasto.objective.terms import IMAGE, LayerTerm, Term
from impasto.objective.tiles import Tile, cut
from impasto.shapes import Image, Scalar


@dataclass(frozen=True)
class Evaluation:
    """The objective at one image.

    Attributes:
        loss: the weighted sum, 0-dimensional, on the device (reading it as a number waits for the device).
        gradient: ∂loss/∂image, the image's shape.
        names: what each summand is called.
        values: each summand, weighted, (L,); they sum to `loss`.
    """

    loss: Scalar
    gradient: Image
    names: tuple[str, ...]
    values: Float[Tensor, " L"]

    @property
    def by_term(self) -> dict[str, float]:
        """Each summand, weighted, by name."""
        return dict(zip(self.names, self.values.tolist(), strict=True))


Evaluate: TypeAlias = Callable[[Image], Evaluation]
"""What a solver sees of an objective; whether it works whole, by tiles or by ranks is no matter of its."""


def measure(network: VGG19, objective: Objective, image: Image) -> list[Tensor]:
    """Each term's total over this image, in the order of the terms."""
    sources = network.features(image, objective.layers)
    sources[IMAGE] = image
    return [term.measure(sources[term.layer]) for term in objective.terms]


def whole(network: VGG19, objective: Objective) -> Evaluate:
    """Evaluation of the whole image at once: measure, score, and the way back."""
    last = deepest(objective.layers) if objective.layers else None

    @torch.no_grad()
    def evaluate(image: Image) -> Evaluation:
        totals = _Totals(objective)
        totals.see(IMAGE, image)
        responses = network.responses(image, last, KEPT, totals.see) if last else {}
        values, derivatives = _scored(objective, totals.in_order())

        def add(name: str, features: Tensor, gradient: Tensor | None) -> Tensor:
            for place, term in _at(objective, name):
                gradient = term.pull_back(features, derivatives[place], gradient)
            assert gradient is not None, "the deepest layer has a term"
            return gradient

        gradient = network.pull_back(image, responses, add) if last else torch.zeros_like(image)
        gradient = add(IMAGE, image, gradient)
        return Evaluation(values.sum(), gradient, objective.names, values)

    return evaluate


def tiled(network: VGG19, objective: Objective, size: int) -> Evaluate:
    """The same evaluation tile by tile: no more features are held at a time than those of one tile.

    (Image, gradient and the content terms' targets stay whole: for conv4_2 8 numbers a pixel.)

    Two passes: totals are added up over tiles and scored once; then the derivative of the score, now fixed,
    is pulled back to the pixels tile by tile. Each tile is computed with as much around it as its features
    can see, so that nothing is approximate; what differs from `whole` is the order of sums.

    Args:
        size: the longest side of a tile, in pixels, without what is around it.
    """
    if not objective.layers:
        return whole(network, objective)
    last = deepest(objective.layers)
    inside = replace(network, wrap=False)  # a window of a torus holds its own surroundings

    @torch.no_grad()
    def evaluate(image: Image) -> Evaluation:
        tiles = cut(image.shape[2], image.shape[3], size, last, wrap=network.wrap)
        totals = _Totals(objective)
        totals.see(IMAGE, image)
        for tile in tiles:
            inside.responses(tile.window(image), last, (), partial(totals.see, tile=tile))
        values, derivatives = _scored(objective, totals.in_order())

        gradient = torch.zeros_like(image)
        for tile in tiles:
            window = tile.window(image)
            responses = inside.responses(window, last, KEPT)
            add = partial(_add_in_core, objective, derivatives, tile)
            tile.add(gradient, inside.pull_back(window, responses, add))
        for place, term in _at(objective, IMAGE):
            gradient = term.pull_back(image, derivatives[place], gradient)
        return Evaluation(values.sum(), gradient, objective.names, values)

    return evaluate


class _Totals:
    """Each term's total, added up as features come."""

    def __init__(self, objective: Objective) -> None:
        self.objective = objective
        self.found: dict[int, Tensor] = {}

    def see(self, name: str, features: Tensor, tile: Tile | None = None) -> None:
        """Measure the features of a layer; of a tile's window only the core counts."""
        terms = _at(self.objective, name)
        if tile is not None:
            rows, columns = tile.inside(name)
            terms, features = _parts(terms, tile), features[:, :, rows, columns]
        for place, term in terms:
            total = term.measure(features)
            self.found[place] = self.found[place] + total if place in self.found else total

    def in_order(self) -> list[Tensor]:
        """In the order of the terms."""
        return [self.found[place] for place in range(len(self.objective.terms))]


def _add_in_core(
    objective: Objective,
    derivatives: tuple[Tensor, ...],
    tile: Tile,
    name: str,
    features: Tensor,
    gradient: Tensor | None,
) -> Tensor:
    """`AddDerivative` of a window: terms speak for the positions of the core alone."""
    if gradient is None:
        gradient = torch.zeros_like(features)
    rows, columns = tile.inside(name)
    for place, term in _parts(_at(objective, name), tile):
        own = term.pull_back(features[:, :, rows, columns], derivatives[place], None)
        gradient[:, :, rows, columns].add_(own)
    return gradient


def _at(objective: Objective, name: str) -> list[tuple[int, Term]]:
    """The terms of one layer, with their places."""
    return [(place, term) for place, term in enumerate(objective.terms) if term.layer == name]


def _parts(terms: list[tuple[int, Term]], tile: Tile) -> list[tuple[int, Term]]:
    """Those terms as they measure the core of a tile."""
    return [
        (place, term.part(*tile.positions(term.layer)))
        for place, term in terms
        if isinstance(term, LayerTerm)
    ]


def _scored(objective: Objective, totals: list[Tensor]) -> tuple[Float[Tensor, " L"], tuple[Tensor, ...]]:
    """Each term's weighted score, and the derivative of their sum with respect to each total."""
    totals = [total.detach().requires_grad_(True) for total in totals]
    with torch.enable_grad():
        values = objective.score(totals)
        derivatives = torch.autograd.grad(values.sum(), totals)
    return values.detach(), derivatives
