"""Dictionaries: the hypercolumns of paintings, in which the places of a picture find their neighbours."""

import math
from collections.abc import Sequence
from dataclasses import replace

import torch
from jaxtyping import Float, Int
from torch import Tensor

from impasto.layers import LAYERS, deepest
from impasto.network.vgg import VGG19
from impasto.objective.bands import Band
from impasto.objective.guidance_mask import GuidanceMask
from impasto.objective.neighbors import (
    HYPERCOLUMN,
    PLACES_LAYER,
    Dictionary,
    at_places,
    grid_step,
    places_of,
)
from impasto.objective.targets import each_tile
from impasto.objective.terms import wide
from impasto.objective.tiles import Tile
from impasto.shapes import Features, Image

BORDER = 4
"""Places along a painting's border that are no neighbours: 16 px, and at most a sixteenth of a side.

Hypercolumns there contain the network's zero padding, as do those at the picture's border. They matched each
other, so the edge of The Scream became a band at both sides of the sky. With 2 places a faint one stayed."""


def build_dictionaries(
    network: VGG19,
    painting: Image,
    *,
    areas: Sequence[GuidanceMask | None] = (None,),
    rotations: int = 1,
    tile: int = 0,
) -> list[Dictionary]:
    """Build a dictionary of a painting's hypercolumns for each of several areas.

    Every process computes all of them, because sending them would take longer.

    Args:
        network: VGG-19 up to conv4_2 at least.
        painting: (1, 3, H, W), RGB, 0..1.
        areas: the areas; None: the whole painting.
        rotations: 1, 2 or 4: the number of copies of the painting, turned by equal parts of a full turn.
        tile: see `each_tile`.
    Returns:
        a dictionary for each area.
    """
    grid = LAYERS[PLACES_LAYER].grid(*painting.shape[2:])
    step = grid_step(*grid, rotations)
    turns = [4 // rotations * number for number in range(rotations)]
    parts, squares = [], dict.fromkeys(HYPERCOLUMN, 0.0)
    for turn in turns:
        columns, totals = _columns(network, torch.rot90(painting, turn, (2, 3)).contiguous(), step, tile)
        parts.append(columns)
        squares = totals if turn == 0 else squares  # lengths are those of the upright painting
    rms = {
        name: max(1e-6, math.sqrt(total / math.prod(LAYERS[name].grid(*painting.shape[2:]))))
        for name, total in squares.items()
    }
    origins = _origins(grid, turns, step).to(painting.device)
    border = 0 if network.circular else min(BORDER, min(grid) // 16)
    by_area = [_inside(area, grid, origins, border) for area in areas]
    chosen: list[dict[str, Tensor]] = [{} for _ in areas]
    for name in HYPERCOLUMN:
        rows = torch.cat([columns.pop(name) for columns in parts])
        for columns, places in zip(chosen, by_area, strict=True):
            columns[name] = rows[places]
    return [
        Dictionary(columns, rms, origins[places]) for columns, places in zip(chosen, by_area, strict=True)
    ]


def _origins(grid: tuple[int, int], turns: Sequence[int], step: int) -> Int[Tensor, "P 3"]:
    """Return quarter turns, row and column of every `step`-th place of a painting and its turned copies."""
    parts = []
    for turn in turns:
        rows, columns = grid if turn % 2 == 0 else grid[::-1]
        sides = (torch.tensor([turn]), torch.arange(0, rows, step), torch.arange(0, columns, step))
        parts.append(torch.cartesian_prod(*sides))
    return torch.cat(parts)


def _columns(
    network: VGG19, painting: Image, step: int, tile: int
) -> tuple[dict[str, Float[Tensor, "P _"]], dict[str, float]]:
    """Return the hypercolumns at every `step`-th place, and each layer's sum of squares over positions."""
    height, width = LAYERS[PLACES_LAYER].grid(*painting.shape[2:])
    rows, columns = math.ceil(height / step), math.ceil(width / step)
    by_layer: dict[str, Tensor] = {}  # (rows, columns, N) of places
    squares = dict.fromkeys(HYPERCOLUMN, 0.0)

    def on_layer(tile: Tile, name: str, features: Features) -> None:
        if name not in HYPERCOLUMN:
            return
        core = tile.core(name, features)
        squares[name] += float(wide(core).square().sum(dtype=torch.float64))
        down, along = places_of(name, *tile.positions(name), (height, width))
        responses = at_places(core, name, (down.stop - down.start, along.stop - along.start))
        responses = responses[:, :, -down.start % step :: step, -along.start % step :: step]
        if name not in by_layer:
            by_layer[name] = responses.new_empty(rows, columns, responses.shape[1])
        top, left = -(-down.start // step), -(-along.start // step)
        bottom, right = top + responses.shape[2], left + responses.shape[3]
        by_layer[name][top:bottom, left:right] = responses[0].permute(1, 2, 0)

    band = Band(painting.shape[2], painting.shape[3], (0, painting.shape[2]))
    each_tile(network, painting, deepest(HYPERCOLUMN), tile, on_layer, band=band)
    return {name: rows.flatten(0, 1) for name, rows in by_layer.items()}, squares


def _inside(
    area: GuidanceMask | None, grid: tuple[int, int], origins: Int[Tensor, "P 3"], border: int
) -> Int[Tensor, " _"]:
    """Return the indices of the places that may be neighbours.

    They lie in the area and off the painting's border; in the area alone if it has none off the border. An
    area in which no place lies gets the place that it covers most.

    Args:
        area: of the upright painting; None: all of it.
        grid: rows and columns of places of the upright painting.
        origins: see `Dictionary`.
        border: the number of places along the border.
    """
    turn, row, column = origins.unbind(1)
    last = torch.tensor([grid, grid[::-1]], device=origins.device)[turn % 2] - 1  # (P, 2)
    off_border = (torch.minimum(row, last[:, 0] - row) >= border) & (
        torch.minimum(column, last[:, 1] - column) >= border
    )
    if area is None:
        return off_border.nonzero().flatten()
    inner = area.inner(PLACES_LAYER)
    covered = torch.zeros(len(origins), device=origins.device)
    for number in torch.unique(turn).tolist():
        turned = replace(inner, mask=torch.rot90(inner.mask, number, (0, 1)))
        same_turn = turn == number
        covered[same_turn] = turned.whole(PLACES_LAYER)[0, 0, row[same_turn], column[same_turn]].to(covered)
    inside = covered > 0.5
    for places in (inside & off_border, inside):
        if places.any():
            return places.nonzero().flatten()
    return covered.argmax()[None]
