"""3×3 convolutions with a quarter of the multiplications, for CPUs without bfloat16.

Winograd's minimal filtering (Lavin and Gray 2016, "Fast Algorithms for Convolutional Neural Networks",
arXiv:1509.09308, Sec. 4): an input tile of 6×6 pixels and a 3×3 filter are each transformed to 6×6 points,
where a convolution is a product. So 36 products give 4×4 outputs, which take 144 directly. The sum over
channels becomes 36 matrix products. Results differ from direct sums by rounding, about 2e-6 of their size.
"""

import functools
import math

import torch
from jaxtyping import Float
from torch import Tensor

from impasto.system import process as process  # before anything is computed

OUT, TILE = 4, 6
"""Outputs of a tile along one side, and the inputs that they need."""

POINTS = (0.0, 1.0, -1.0, 0.5, -2.0)
"""Where polynomials are evaluated, besides infinity. Of the sets tried this had the smallest relative error:
1.8e-6, against 2.7e-6 for 0, ±1, ±2 and 4.7e-6 for 0, ±1, 2, ½."""

FEWEST_FILTERS = 128 * 128
"""With fewer filters than this, direct sums are as fast (docs/performance.md)."""

STRIP_BYTES = 8 << 20
"""Tiles are processed in strips of about this many bytes, so that they stay in the cache between the steps.
With fresh memory for every strip nothing was gained: a third of the time went into copying."""


def _matrices() -> tuple[Tensor, Tensor, Tensor]:
    """Return the matrices A (6, 4), G (6, 3) and B (6, 6) in float64.

    The outputs of a tile d with a filter g are Aᵀ [(G g Gᵀ) ⊙ (Bᵀ d B)] A (Lavin and Gray, Sec. 4.1).
    """
    points = torch.tensor(POINTS, dtype=torch.float64)
    others = [torch.cat([points[:j], points[j + 1 :]]) for j in range(len(POINTS))]
    powers = points[:, None] ** torch.arange(OUT, dtype=torch.float64)
    scales = torch.stack([(points[j] - rest).prod() for j, rest in enumerate(others)])
    last = torch.zeros(1, OUT, dtype=torch.float64)  # at infinity a polynomial is its leading coefficient
    last[0, -1] = 1
    a = torch.cat([powers, last])
    g = torch.cat([powers[:, :3] / scales[:, None], last[:, -3:]])
    b = torch.stack([*(_coefficients(rest) for rest in others), _coefficients(points)], dim=1)
    return a, g, b


def _coefficients(roots: Tensor) -> Tensor:
    """Return the coefficients of Π (x − root), constant first, padded to `TILE`."""
    product = torch.zeros(TILE, dtype=roots.dtype)
    product[0] = 1
    for root in roots:
        product = product.roll(1) - root * product
    return product


@functools.cache
def _tables() -> tuple[Tensor, Tensor]:
    """Return the matrices from a 6×6 tile to its 36 values, (36, 36), and on to 4×4 outputs, (16, 36).

    They are float64, and made at their first use, because importing this module must not compute anything
    (see `process`).
    """
    a, _, b = _matrices()
    return torch.kron(b.T.contiguous(), b.T.contiguous()), torch.kron(a.T.contiguous(), a.T.contiguous())


Transformed = Float[Tensor, "36 C N"]
Grid = Float[Tensor, "B C h w"]


def pays(weight: Tensor) -> bool:
    """Return whether there are so many filters that the saved products outweigh the transforms.

    Args:
        weight: (N, C, 3, 3).
    """
    return weight.shape[0] * weight.shape[1] >= FEWEST_FILTERS


def transform(weight: Float[Tensor, "N C 3 3"]) -> Transformed:
    """Transform filters to the 36 points; the result is four times as large."""
    _, g, _ = _matrices()
    wide = torch.einsum("ia,jb,ncab->ijcn", g, g, weight.double().cpu())
    return wide.flatten(0, 1).to(weight.dtype).contiguous()


def convolve(
    image: Grid, filters: Transformed, bias: Float[Tensor, " N"] | None = None
) -> Float[Tensor, "B N h w"]:
    """Convolve like `conv2d` with padding 1, and rectify if there is a bias.

    Args:
        image: (B, C, h, w), channels-last.
        filters: the result of `transform`.
        bias: added before the rectification; None leaves out both.
    Returns:
        (B, N, h, w), channels-last.
    """
    batch, channels, height, width = image.shape
    count, columns = filters.shape[2], -(-width // OUT)
    into, out_of = (table.to(image.dtype) for table in _tables())
    result = image.new_empty(batch, height, width, count)
    strip = _strip(height, width, filters)
    padded = image.new_zeros(OUT * strip + 2, OUT * columns + 2, channels)
    # Two pieces of scratch memory, used in turns by every step of every strip.
    first, second = image.new_empty(2, TILE**2 * strip * columns * max(channels, count))
    for source, target in zip(image.permute(0, 2, 3, 1), result, strict=True):
        padded[0] = 0
        for top in range(0, height, OUT * strip):
            end = min(height, top + OUT * strip)
            rows = -(-(end - top) // OUT)
            above, below = min(top, 1), min(height - end, 1)
            padded[1 - above : end - top + 1 + below, 1 : width + 1] = source[top - above : end + below]
            padded[end - top + 1 + below :] = 0
            # Overlapping 6×6 tiles as a view; `copy_` then gathers them into contiguous memory.
            across, down = padded.stride(1), padded.stride(0)
            tiles = padded.as_strided(
                (TILE, TILE, rows, columns, channels), (down, across, OUT * down, OUT * across, 1)
            )
            size = rows * columns
            gathered = _shaped(first, TILE, TILE, rows, columns, channels).copy_(tiles)
            values = _shaped(second, TILE**2, size * channels)
            torch.mm(into, gathered.view(TILE**2, -1), out=values)
            products = _shaped(first, TILE**2, size, count)
            torch.bmm(values.view(TILE**2, size, channels), filters, out=products)
            outputs = _shaped(second, OUT**2, size * count)
            torch.mm(out_of, products.view(TILE**2, -1), out=outputs)
            if bias is not None:
                outputs.view(OUT**2 * size, count).add_(bias).clamp_(min=0)
            _lay(outputs.view(OUT, OUT, rows, columns, count), target[top:end])
    return result.permute(0, 3, 1, 2)


def pull_back(
    gradient: Float[Tensor, "B N h w"], filters: Transformed, response: Tensor | None = None
) -> Grid:
    """Return the derivative of `convolve` by its image: each step transposed, in reverse order.

    Args:
        gradient: the derivative with respect to the response, (B, N, h, w), channels-last.
        filters: the result of `transform`.
        response: the result of `convolve` with a bias, where 0 stops the gradient; None without a bias.
    Returns:
        (B, C, h, w), channels-last.
    """
    batch, count, height, width = gradient.shape
    channels, columns = filters.shape[1], -(-width // OUT)
    into, out_of = (table.T.to(gradient.dtype) for table in _tables())
    result = gradient.new_empty(batch, height, width, channels)
    strip = _strip(height, width, filters)
    padded = gradient.new_zeros(OUT * strip, OUT * columns, count)
    first, second = gradient.new_empty(2, TILE**2 * strip * columns * max(channels, count))
    sums = gradient.new_empty(strip + 1, OUT, columns + 1, OUT, channels)
    spread = sums.view(OUT * (strip + 1), OUT * (columns + 1), channels)
    over = TILE - OUT  # rows and columns that neighbouring tiles share: their gradients are summed
    for index in range(batch):
        source, target = gradient[index].permute(1, 2, 0), result[index]
        carried = torch.zeros_like(spread[:over])
        for top in range(0, height, OUT * strip):
            end = min(height, top + OUT * strip)
            rows = -(-(end - top) // OUT)
            inside = padded[: end - top, :width]
            if response is None:
                inside.copy_(source[top:end])
            else:
                output = response[index].permute(1, 2, 0)[top:end]
                torch.ops.aten.threshold_backward.grad_input(source[top:end], output, 0, grad_input=inside)
            padded[end - top :] = 0
            tiles = padded.view(strip, OUT, columns, OUT, count)[:rows].permute(1, 3, 0, 2, 4)
            size = rows * columns
            gathered = _shaped(first, OUT, OUT, rows, columns, count).copy_(tiles)
            values = _shaped(second, TILE**2, size * count)
            torch.mm(out_of, gathered.view(OUT**2, -1), out=values)
            products = _shaped(first, TILE**2, size, channels)
            torch.bmm(values.view(TILE**2, size, count), filters.transpose(1, 2), out=products)
            inputs = _shaped(second, TILE**2, size * channels)
            torch.mm(into, products.view(TILE**2, -1), out=inputs)
            patch = inputs.view(TILE, TILE, rows, columns, channels).permute(2, 0, 3, 1, 4)
            sums[: rows + 1].zero_()
            spread[:over] = carried
            sums[:rows, :, :-1] += patch[:, :OUT, :, :OUT]
            sums[:rows, :, 1:, :over] += patch[:, :OUT, :, OUT:]
            sums[1 : rows + 1, :over, :-1] += patch[:, OUT:, :, :OUT]
            sums[1 : rows + 1, :over, 1:, :over] += patch[:, OUT:, :, OUT:]
            # Row r of `spread` is row top + r - 1 of the image. The last two rows are completed by the next
            # strip, which starts with them (`carried`).
            first_row, last_row = max(0, top - 1), height if end == height else end - 1
            target[first_row:last_row] = spread[first_row - top + 1 : last_row - top + 1, 1 : width + 1]
            carried = spread[OUT * rows : OUT * rows + over].clone()
    return result.permute(0, 3, 1, 2)


def _lay(tiles: Float[Tensor, "4 4 rows columns N"], rows_of_image: Float[Tensor, "h w N"]) -> None:
    """Write tiles side by side; at the lower and right edges only the part inside the image."""
    height, width, count = rows_of_image.shape
    for row, rows, high in _parts(height):
        for column, columns, wide in _parts(width):
            block = rows_of_image[OUT * row :, OUT * column :].as_strided(
                (rows, high, columns, wide, count),
                (OUT * width * count, width * count, OUT * count, count, 1),
            )
            part = tiles[:high, :wide, row : row + rows, column : column + columns]
            block.copy_(part.permute(2, 0, 3, 1, 4))


def _parts(length: int) -> list[tuple[int, int, int]]:
    """Divide a length into whole tiles and a rest: (first tile, number of tiles, pixels of each)."""
    whole, rest = divmod(length, OUT)
    parts = [(0, whole, OUT), (whole, 1, rest)]
    return [part for part in parts if part[1] and part[2]]


def _shaped(scratch: Float[Tensor, " size"], *shape: int) -> Tensor:
    """Return the beginning of the scratch memory, viewed in a shape."""
    return scratch[: math.prod(shape)].view(shape)


def _strip(height: int, width: int, filters: Transformed) -> int:
    """Return the number of rows of tiles to process at a time."""
    per_row = TILE**2 * -(-width // OUT) * max(filters.shape[1:]) * filters.element_size()
    return max(1, min(-(-height // OUT), STRIP_BYTES // per_row))
