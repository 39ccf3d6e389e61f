"""Value and gradient of an objective at an image."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeAlias

import torch
from jaxtyping import Float
from torch import Tensor

from impasto.network.vgg import VGG19
from impasto.objective.objective import Objective
from impasto.objective.terms import IMAGE
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
    """Evaluation of the whole image at once: measure, score, backward."""

    def evaluate(image: Image) -> Evaluation:
        pixels = image.detach().requires_grad_(True)
        with torch.enable_grad():
            values = objective.score(measure(network, objective, pixels))
            loss = values.sum()
        (gradient,) = torch.autograd.grad(loss, pixels)
        return Evaluation(loss.detach(), gradient, objective.names, values.detach())

    return evaluate
