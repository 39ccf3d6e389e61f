"""The objective: a weighted sum of terms."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from jaxtyping import Float, Int
from torch import Tensor

from impasto.objective.neighbors import NeighborTerm
from impasto.objective.style_loss import StyleTerm
from impasto.objective.terms import IMAGE, Term


@dataclass(frozen=True)
class Objective:
    """L_total = Σ weight · score, over content, style and prior terms (Eq. 7 of Gatys et al. 2015)."""

    terms: tuple[Term, ...]

    @property
    def names(self) -> tuple[str, ...]:
        """The names of the terms, in order."""
        return tuple(term.name for term in self.terms)

    @property
    def layers(self) -> tuple[str, ...]:
        """The layers whose features the terms need, without repetition."""
        return tuple(dict.fromkeys(name for term in self.terms for name in term.layers if name != IMAGE))

    def scale_style(self, factor: float) -> "Objective":
        """Return the same objective with the weight of every style term multiplied by a factor."""
        return Objective(
            tuple(
                replace(term, weight=term.weight * factor)
                if isinstance(term, (StyleTerm, NeighborTerm))
                else term
                for term in self.terms
            )
        )

    @property
    def matches(self) -> tuple[Int[Tensor, " Q"], ...]:
        """The matches of each `NeighborTerm`, in order; empty before the first search."""
        terms = [term for term in self.terms if isinstance(term, NeighborTerm)]
        return tuple(term.matches for term in terms if term.matches is not None)

    @property
    def has_neighbors(self) -> bool:
        """Whether any term needs a search for neighbours."""
        return any(isinstance(term, NeighborTerm) for term in self.terms)

    def with_matches(self, matches: Sequence[Int[Tensor, " Q"]]) -> "Objective":
        """Return the same objective with these matches for its `NeighborTerm`s, in order."""
        remaining = iter(matches)
        return Objective(
            tuple(
                replace(term, matches=next(remaining)) if isinstance(term, NeighborTerm) else term
                for term in self.terms
            )
        )

    def score(self, totals: Sequence[Tensor]) -> Float[Tensor, " L"]:
        """Compute each term's weighted score, (L,), from the terms' totals over the whole image, in order."""
        return torch.stack(
            [term.weight * term.score(total) for term, total in zip(self.terms, totals, strict=True)]
        )
