"""Matches in which neighbouring places have neighbouring matches, so that whole strokes are copied.

The nearest neighbours of places tear strokes apart: on average, one in nine of a place's neighbours had a
match that continued it in the painting. Ashikhmin 2001 ("Synthesizing Natural Textures") therefore lets a
place choose among the continuations of its neighbours' matches. Hertzmann et al. 2001 ("Image Analogies")
weigh a continuation against the nearest neighbour by a factor.
Differs: the picture is swept several times, and a match earns a bonus for every neighbour that it continues.
"""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from impasto.system.distributed import all_sum

SWEEPS = 4
"""How often each place chooses. After four sweeps few matches still change."""

_AROUND = ((-1, -1), (-1, 0), (-1, 1), (0, -1), (0, 1), (1, -1), (1, 0), (1, 1))
"""The eight neighbours of a place: rows down, columns along. With four, matches tore at diagonal strokes, and
a larger weight than 0.5 gained nothing."""

Cosines = Callable[[Int[Tensor, " n"], Int[Tensor, "n k"]], Float[Tensor, "n k"]]
"""The cosines between the hypercolumns of n places of the picture and k of the painting's for each."""


@dataclass(frozen=True, eq=False)
class Coherence:
    """Chooses matches that are similar and continue those of the neighbouring places.

    A match scores its cosine, and `weight` times the fraction of the eight neighbours that it continues. A
    place chooses among its nearest neighbour, its present match and the continuations of its neighbours'
    matches. As on a checkerboard, the places of one colour choose at once, and then those of the other. So
    the result does not depend on how a picture is cut into tiles, or shared by processes.

    Attributes:
        origins: where each place of the painting is, as in `Dictionary`, (P, 3).
        cosines: computes cosines at this process's places.
        local: the places of the picture for which it can, by rows and columns, (h, w).
        weight: of coherence against similarity, at least 0; cosines lie in -1..1.
        step: the distance between places that have been searched, in places.
    """

    origins: Int[Tensor, "P 3"]
    cosines: Cosines
    local: Bool[Tensor, "h w"]
    weight: float
    step: int = 1

    def choose(self, nearest: Int[Tensor, "h w"]) -> Int[Tensor, "h w"]:
        """Return coherent matches.

        Args:
            nearest: the index of the nearest neighbour of each place, -1 where none was searched.
        Returns:
            indices, -1 at the same places. All processes get the whole result.
        """
        width = nearest.shape[1]
        places = (self.local & (nearest >= 0)).flatten().nonzero().flatten()
        colour = (places // width // self.step + places % width // self.step) % 2
        table, matches, nearest = self._table(), nearest.clone(), nearest.flatten()
        nearest_cosines = self.cosines(places, nearest[places, None])[:, 0]
        cosines = nearest_cosines.clone()
        offered = torch.full((len(places), len(_AROUND)), -2, device=places.device)
        for turn in range(2 * SWEEPS):
            chosen = (colour == turn % 2).nonzero().flatten()
            continued = self._continuations(matches, places[chosen], table)
            # A place whose neighbours go on as when it last chose would choose the same again.
            changed = (continued != offered[chosen]).any(1)
            offered[chosen] = continued
            chosen, continued = chosen[changed], continued[changed]
            chosen_places = places[chosen]
            candidates = torch.stack([nearest[chosen_places], matches.flatten()[chosen_places]], 1)
            candidates = torch.cat([candidates, continued], 1)  # (n, 10)
            known = torch.stack([nearest_cosines[chosen], cosines[chosen]], 1)
            similar = torch.cat([known, self.cosines(chosen_places, continued.clamp(min=0))], 1)
            agreeing = (candidates[:, :, None] == continued[:, None]).float().mean(2)
            score = torch.where(candidates >= 0, similar + self.weight * agreeing, -torch.inf)
            best = score.argmax(1, keepdim=True)
            cosines[chosen] = similar.gather(1, best)[:, 0]
            # The sum over processes joins their choices, because each is 0 elsewhere.
            change = torch.zeros_like(nearest)
            change[chosen_places] = candidates.gather(1, best)[:, 0] - matches.flatten()[chosen_places]
            matches += all_sum(change).view_as(matches)
        return matches

    def _table(self) -> Int[Tensor, "turns rows columns"]:
        """Return the index of the place of the painting at a turn, row and column; -1 where there is none."""
        turns, rows, columns = (int(last) + 1 for last in self.origins.amax(0))
        table = torch.full((turns, rows, columns), -1, device=self.origins.device)
        table[tuple(self.origins.long().T)] = torch.arange(len(self.origins), device=table.device)
        return table

    def _continuations(
        self, matches: Int[Tensor, "h w"], places: Int[Tensor, " n"], table: Int[Tensor, "turns _ _"]
    ) -> Int[Tensor, "n 8"]:
        """Return the matches that would continue those of the eight neighbours; -1: none."""
        height, width = matches.shape
        row, column = places // width, places % width
        continued = []
        for down, along in _AROUND:
            down, along = down * self.step, along * self.step
            y, x = row + down, column + along
            beside = matches[y.clamp(0, height - 1), x.clamp(0, width - 1)]
            inside = (beside >= 0) & (y >= 0) & (y < height) & (x >= 0) & (x < width)
            turn, top, left = self.origins[beside.clamp(min=0)].long().unbind(1)
            # The neighbour's match lies as far from this place's as the neighbour from this place.
            top, left = top - down, left - along
            inside &= (top >= 0) & (top < table.shape[1]) & (left >= 0) & (left < table.shape[2])
            position = (turn, top.clamp(0, table.shape[1] - 1), left.clamp(0, table.shape[2] - 1))
            continued.append(torch.where(inside, table[position], -1))
        return torch.stack(continued, 1)
