"""Constraints on an image: fixed pixels, and grey pictures, by projecting the gradient."""

from dataclasses import dataclass, replace

import torch
from jaxtyping import Bool
from torch import Tensor

from impasto.objective.bands import Band
from impasto.objective.evaluate import Evaluate, Evaluation
from impasto.shapes import Image


@dataclass(frozen=True)
class Constraint:
    """The pixels and colours that a solver may change.

    A solver whose steps are sums of gradients keeps the constraint if its first image does.

    Attributes:
        fixed: the pixels that stay as they are, (H, W) of the whole image; None: none.
        grey: whether red, green and blue stay equal.
    """

    fixed: Bool[Tensor, "H W"] | None = None
    grey: bool = False

    def __bool__(self) -> bool:
        return self.grey or self.fixed is not None

    def restore_fixed(self, image: Image, first: Image) -> Image:
        """Take the fixed pixels of an image from another.

        Args:
            image, first: whole images of one size, (1, 3, H, W); the fixed pixels are those of `first`.
        """
        if self.fixed is None:
            return image
        return torch.where(self.fixed.to(image.device), first, image)

    def project(self, evaluate: Evaluate, band: Band) -> Evaluate:
        """Return the same objective with its gradient projected onto the pixels and colours that are free.

        Args:
            evaluate: the objective.
            band: the rows of the image that `evaluate` will be given.
        """
        if not self:
            return evaluate

        def along(image: Image) -> Evaluation:
            evaluation = evaluate(image)
            gradient = evaluation.gradient
            if self.grey:
                # In memory of its own: in an expanded view the three colours would be one number.
                gradient = gradient.mean(1, keepdim=True).expand_as(gradient).contiguous()
            if self.fixed is not None:
                gradient = gradient.masked_fill(self.fixed[slice(*band.rows)].to(gradient.device), 0.0)
            return replace(evaluation, gradient=gradient)

        return along


FREE = Constraint()
"""No constraint."""
