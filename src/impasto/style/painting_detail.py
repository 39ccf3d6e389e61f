"""The painting's fine detail, laid where the picture resembles the painting most.

Not in Gatys et al. 2015. The image that a finer scale begins with matters more than the few steps taken
there. Enlarging alone gives no brushwork, and growing it from nothing takes most of the steps. So each place
of the coarser picture receives the next octave of its nearest neighbour in the painting, as Hertzmann et al.
2001 ("Image Analogies") carry detail from level to level.
Differs: all places are laid at once, in patches that overlap by half, and the objective removes the seams.
"""

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor

from impasto.image.resize import resize
from impasto.objective.neighbors import STRIDE, NeighborTerm, grid_step
from impasto.shapes import Image

CELL = 2 * STRIDE
"""Distance between places at twice the size, in pixels. Patches are twice as wide."""

_ROWS = 32
"""Rows of places whose patches are laid at a time, which limits the memory."""


def octave(painting: Image, height: int, width: int) -> Float[Tensor, "B 3 _ _"]:
    """Return what a painting, at twice `height` and `width`, loses when it is halved.

    Args:
        painting: (B, 3, H, W), at any size; it is resized first.
        height, width: the coarser size, in pixels.
    Returns:
        (B, 3, 2·height, 2·width).
    """
    double = (2 * height, 2 * width)
    fine = resize(painting, *double)
    return fine - resize(resize(fine, height, width), *double)


def matched_detail(
    term: NeighborTerm, detail: Float[Tensor, "1 3 _ _"], weights: Float[Tensor, "h w"]
) -> Float[Tensor, "1 3 _ _"]:
    """Lay patches of a painting's detail as a picture's matches say.

    Args:
        term: holds the matches of the picture at the coarser size.
        detail: the painting's detail at twice the size at which the term's dictionary was built,
            (1, 3, 2·h', 2·w').
        weights: a factor on the patch of each place of the picture.
    Returns:
        (1, 3, H, W), twice the height and width of the coarser picture.
    """
    origins = _origins(term)
    laid = detail.new_zeros(1, 3, *(CELL * side for side in term.grid))
    # Places of turned copies of the painting need detail that is turned in the same way.
    for turn in torch.unique(term.dictionary.origins[:, 0]).tolist():
        turn_weights = weights * (origins[..., 0] == turn)
        turned = torch.rot90(detail, turn, (2, 3))
        _lay(laid, turned, origins[..., 1:], turn_weights.to(detail.dtype))
    # At the picture's edges fewer windows overlap, so the sum of windows is divided out.
    down, along = (_window_sum(side).to(laid) for side in term.grid)
    laid /= down[:, None] * along
    return laid[:, :, : 2 * term.canvas[0], : 2 * term.canvas[1]]


def _window() -> Float[Tensor, " side"]:
    """Return the Hann window of a patch. Windows that overlap by half sum to 1, except at a row's ends."""
    return torch.hann_window(2 * CELL, periodic=True, dtype=torch.float64)


def _window_sum(places: int) -> Float[Tensor, " _"]:
    """Add up the windows of a row of places. The sum is between 0.5 and 1."""
    added = torch.zeros((places + 1) * CELL, dtype=torch.float64)
    for place in range(places):
        added[place * CELL : (place + 2) * CELL] += _window()
    return added[CELL // 2 : -(CELL // 2)]


def _origins(term: NeighborTerm) -> Int[Tensor, "h w 3"]:
    """Return the turn, row and column of each place's neighbour.

    If only every k-th place was searched, the places between continue from the one before them.
    """
    assert term.matches is not None, "the neighbours have been searched"
    height, width = term.grid
    step = grid_step(height, width)
    matches = term.matches.view(height, width).clamp(min=0).long()
    down, along = torch.arange(height, device=matches.device), torch.arange(width, device=matches.device)
    searched = matches[down // step * step][:, along // step * step]
    origins = term.dictionary.origins[searched].clone()
    if step > 1:
        origins[..., 1] += (down % step)[:, None]
        origins[..., 2] += (along % step)[None]
    return origins


def _lay(
    laid: Float[Tensor, "1 3 _ _"],
    detail: Float[Tensor, "1 3 _ _"],
    origins: Int[Tensor, "h w 2"],
    weights: Float[Tensor, "h w"],
) -> None:
    """Add patches of `detail` to `laid` in place, each multiplied by its weight and the window."""
    side, edge = 2 * CELL, CELL // 2
    rows, columns = (-(-length // CELL) for length in detail.shape[2:])
    more = (edge, edge + columns * CELL - detail.shape[3], edge, edge + rows * CELL - detail.shape[2])
    source = F.pad(detail, more, mode="replicate")[0]
    patches = source.unfold(1, side, CELL).unfold(2, side, CELL)  # (3, rows, columns, side, side), a view
    window = (_window()[:, None] * _window()).to(detail)
    height, width = weights.shape
    padded = F.pad(laid, (edge,) * 4)
    for top in range(0, height, _ROWS):
        part = slice(top, min(height, top + _ROWS))
        down = origins[part, :, 0].clamp(max=rows - 1).flatten()
        along = origins[part, :, 1].clamp(max=columns - 1).flatten()
        chosen = patches[:, down, along] * (window * weights[part].flatten()[:, None, None])
        count = part.stop - part.start
        size = ((count + 1) * CELL, (width + 1) * CELL)
        flat = chosen.permute(0, 2, 3, 1).reshape(1, 3 * side * side, -1)
        folded = F.fold(flat, size, kernel_size=side, stride=CELL)
        padded[:, :, top * CELL : top * CELL + size[0]].add_(folded)
    laid.copy_(padded[:, :, edge:-edge, edge:-edge])
