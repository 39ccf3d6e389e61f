"""Where an image may not move, and in which colours: gradients projected onto what is free."""

from dataclasses import dataclass, replace

import torch
from jaxtyping import Bool
from torch import Tensor

from impasto.objective.bands import Band
from impasto.objective.evaluate import Evaluate, Evaluation
from impasto.shapes import Image


@dataclass(frozen=True)
class Constraint:
    """What of an image is free.

    A solver whose steps are sums of gradients never leaves what is free, if it starts there.

    Attributes:
        fixed: pixels that stay as they are, (H, W) of the whole image; None: none.
        grey: whether red, green and blue are one and the same.
    """

    fixed: Bool[Tensor, "H W"] | None = None
    grey: bool = False

    def __bool__(self) -> bool:
        return self.grey or self.fixed is not None

    def restore_fixed(self, image: Image, first: Image) -> Image:
        """An image to start from, with what is fixed as it is in `first`."""
        if self.fixed is None:
            return image
        return torch.where(self.fixed.to(image.device), first, image)

    def project(self, evaluate: Evaluate, band: Band) -> Evaluate:
        """The objective whose gradient is that along what is free.

        Args:
            band: the rows of the image that `evaluate` is given.
        """
        if not self:
            return evaluate

        def along(image: Image) -> Evaluation:
            evaluation = evaluate(image)
            gradient = evaluation.gradient
            if self.grey:
                gradient = gradient.mean(1, keepdim=True).expand_as(gradient).contiguous()
            if self.fixed is not None:
                gradient = gradient.masked_fill(self.fixed[slice(*band.rows)].to(gradient.device), 0.0)
            return replace(evaluation, gradient=gradient)

        return along


FREE = Constraint()
"""Everything is."""
