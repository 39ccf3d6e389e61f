"""The targets of an objective: a photo's responses and paintings' statistics, computed by tiles."""

import math
from collections.abc import Callable, Mapping, Sequence
from functools import partial

import torch
from jaxtyping import Float
from torch import Tensor

from impasto.choices import ResponseStorage
from impasto.layers import LAYERS, Layer, deepest, find_layer
from impasto.network.vgg import VGG19
from impasto.objective.bands import Band
from impasto.objective.guidance_mask import GuidanceMask
from impasto.objective.response_store import InMemory, OnDisk, Recomputed
from impasto.objective.style_loss import GRAM, Statistic
from impasto.objective.terms import Target, wide
from impasto.objective.tiles import Tile
from impasto.shapes import Features, Gram, Image
from impasto.system.distributed import all_sum


def each_tile(
    network: VGG19,
    image: Image,
    last: Layer,
    size: int,
    on_layer: Callable[[Tile, str, Features], None],
    *,
    band: Band | None = None,
) -> None:
    """Compute the layers up to `last` tile by tile, for this process's part of an image.

    Args:
        network: VGG-19.
        image: the whole image, (1, 3, H, W).
        last: the deepest layer needed.
        size: the longest side of a tile's core, in pixels; 0: one tile.
        on_layer: called with a tile, a layer's name, and the layer's response in the tile's window.
        band: the rows to compute; default: this process's.
    """
    band = band or Band.of(image.shape[2], image.shape[3])
    with torch.no_grad():
        for tile in band.tiles(size, last):
            rows, columns = tile.window
            network.responses(image[:, :, rows, columns], last, (), partial(on_layer, tile), tile.crops)


def style_targets(
    network: VGG19,
    styles: Sequence[tuple[Float[Tensor, "1 3 _ _"], float]],
    layers: Sequence[str],
    *,
    tile: int = 0,
) -> dict[str, Gram]:
    """Compute the paper's A/M by layer: the sum of share · Gram matrix per position over the styles.

    Args:
        network: VGG-19, deep enough for the layers.
        styles: images, each (1, 3, H', W') of any size, with their shares.
        layers: names as in `LAYERS`.
        tile: see `each_tile`.
    Returns:
        by layer, (1, N, N).
    Raises:
        SettingsError: a layer is unknown.
    """
    targets: dict[str, Gram] = {}
    statistics: dict[str, Statistic] = {find_layer(name).name: GRAM for name in layers}
    for style, share in styles:
        (means,) = style_means(network, style, statistics, tile=tile)
        for name, mean in means.items():
            part = mean * share
            targets[name] = targets[name] + part if name in targets else part
    return targets


def style_means(
    network: VGG19,
    style: Image,
    statistics: Mapping[str, Statistic],
    *,
    areas: Sequence[GuidanceMask | None] = (None,),
    tile: int = 0,
) -> list[dict[str, Tensor]]:
    """Measure a painting's statistics per position in each of several areas, in one pass of the network.

    Args:
        network: VGG-19, deep enough for the layers.
        style: the painting, (1, 3, H', W').
        statistics: the statistic of each layer.
        areas: the areas; None: the whole painting. Borders are left out, unless an area is so thin that
            nothing else would remain.
        tile: see `each_tile`.
    Returns:
        for each area, by layer, the statistic's total divided by the number of positions.
    """
    chosen = [
        {name: None if area is None else area.inner(name) for name in statistics} for area in areas
    ]  # by area and layer
    totals: dict[tuple[int, str], Tensor] = {}

    def on_layer(tile: Tile, name: str, features: Features) -> None:
        if name not in statistics:
            return
        core = tile.core(name, features)
        for index, by_layer in enumerate(chosen):
            area = by_layer[name]
            # Positions on the whole grid: the mask knows nothing of tiles.
            weights = None if area is None else area.at(name, *tile.positions(name))
            total = statistics[name].measure(core, weights)
            totals[index, name] = totals[index, name] + total if (index, name) in totals else total

    each_tile(network, style, deepest(statistics), tile, on_layer)
    return [
        {
            name: _mean(network, style, statistic, name, by_layer[name], totals.get((index, name)))
            for name, statistic in statistics.items()
        }
        for index, by_layer in enumerate(chosen)
    ]


def _mean(
    network: VGG19,
    style: Image,
    statistic: Statistic,
    name: str,
    area: GuidanceMask | None,
    total: Tensor | None,
) -> Tensor:
    """Return the total of all processes, divided by the number of positions."""
    if total is None:  # this process had nothing to measure, but takes part in the sum
        total = style.new_zeros(statistic.shape(network.channels(name)))
    grid = math.prod(LAYERS[name].grid(style.shape[2], style.shape[3]))
    return all_sum(total) / (grid if area is None else area.positions(name))


def content_targets(
    network: VGG19, content: Image, layers: Sequence[str], *, tile: int = 0, keep: ResponseStorage = "memory"
) -> dict[str, tuple[Target, float]]:
    """Compute, by layer, the responses of this process's part of an image, and ½ Σ P² over the whole image.

    Args:
        network: VGG-19, deep enough for the layers.
        content: the whole image, (1, 3, H, W).
        layers: names as in `LAYERS`.
        tile: see `each_tile`.
        keep: where the responses are kept: "memory"; "disk", in a temporary file without a name, of which
            nothing remains; or "again", recomputed whenever a part is asked for.
    Returns:
        by layer, the responses and ½ Σ P².
    Raises:
        SettingsError: a layer is unknown.
    """
    band = Band.of(content.shape[2], content.shape[3])
    names = [find_layer(name).name for name in layers]
    stores: dict[str, Target] = {}
    squares = dict.fromkeys(names, 0.0)

    def on_layer(tile: Tile, name: str, features: Features) -> None:
        if name not in names:
            return
        core = tile.core(name, features)
        squares[name] += float(wide(core).square().sum())  # for "balanced", which divides by it
        if keep == "again":
            return
        if name not in stores:
            stores[name] = (OnDisk if keep == "disk" else InMemory).empty(name, core, band)
        store = stores[name]
        assert isinstance(store, (OnDisk, InMemory))
        store.put(core, *tile.positions(name))

    each_tile(network, content, deepest(names), tile, on_layer)
    targets = {}
    for name in names:
        if name not in stores:  # nothing is kept, or the image is so small that this process has no rows
            stores[name] = Recomputed(network, content, name)
        total = float(all_sum(torch.tensor(squares[name], dtype=torch.float64, device=content.device)))
        targets[name] = (stores[name], total / 2)
    return targets
