"""The objective: a weighted sum of terms."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from jaxtyping import Float
from torch import Tensor

from impasto.objective.style_loss import StyleTerm
from impasto.objective.terms import IMAGE, Term


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

    def scale_style(self, factor: float) -> "Objective":
        """The same with every style term's weight multiplied."""
        terms = [replace(t, weight=t.weight * factor) if isinstance(t, StyleTerm) else t for t in self.terms]
        return Objective(tuple(terms))

    def score(self, totals: Sequence[Tensor]) -> Float[Tensor, " L"]:
        """Each term's weighted score, from the totals over the whole image in the order of the terms."""
        return torch.stack(
            [term.weight * term.score(total) for term, total in zip(self.terms, totals, strict=True)]
        )
