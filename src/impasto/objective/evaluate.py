"""Value and gradient of an objective at an image."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeAlias

import torch
from jaxtyping import Float
from torch import Tensor

from impasto.network.layers import deepest
from impasto.network.vgg import KEPT, VGG19
from impasto.objective.objective import Objective
from impasto.objective.terms import IMAGE, Term
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
    by_layer: dict[str, list[tuple[int, Term]]] = {}
    for place, term in enumerate(objective.terms):
        by_layer.setdefault(term.layer, []).append((place, term))
    last = deepest(objective.layers) if objective.layers else None

    @torch.no_grad()
    def evaluate(image: Image) -> Evaluation:
        totals: dict[int, Tensor] = {}

        def see(name: str, features: Tensor) -> None:
            for place, term in by_layer.get(name, ()):
                totals[place] = term.measure(features)

        see(IMAGE, image)
        responses = network.responses(image, last, KEPT, see) if last else {}
        values, derivatives = _scored(objective, [totals[place] for place in range(len(totals))])

        def add(name: str, features: Tensor, gradient: Tensor | None) -> Tensor:
            for place, term in by_layer.get(name, ()):
                gradient = term.pull_back(features, derivatives[place], gradient)
            assert gradient is not None, "the deepest layer has a term"
            return gradient

        gradient = network.pull_back(image, responses, add) if last else torch.zeros_like(image)
        gradient = add(IMAGE, image, gradient)
        return Evaluation(values.sum(), gradient, objective.names, values)

    return evaluate


def _scored(objective: Objective, totals: list[Tensor]) -> tuple[Float[Tensor, " L"], tuple[Tensor, ...]]:
    """Each term's weighted score, and the derivative of their sum with respect to each total."""
    totals = [total.detach().requires_grad_(True) for total in totals]
    with torch.enable_grad():
        values = objective.score(totals)
        derivatives = torch.autograd.grad(values.sum(), totals)
    return values.detach(), derivatives
