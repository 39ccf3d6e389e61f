"""3×3 convolutions with a quarter of the multiplications, for CPUs without bfloat16.

Winograd's minimal filtering (Lavin and Gray 2016, "Fast Algorithms for Convolutional Neural Networks",
arXiv:1509.09308, Sec. 4): an input tile of 6×6 pixels and a 3×3 filter are each evaluated at 6×6 points, where
convolution is a product; 36 products give 4×4 outputs, which directly take 144. The sum over channels turns into
36 matrix products. Results differ from the direct sum by rounding, about 2e-6 of their size in float32.
"""

import torch
from jaxtyping import Float
from torch import Tensor

OUT, TILE = 4, 6
"""Outputs of a tile along one side, and the inputs that they need."""

POINTS = (0.0, 1.0, -1.0, 0.5, -2.0)
"""Where polynomials are evaluated, besides infinity; of the sets tried the one with the least rounding error."""

STRIP_BYTES = 8 << 20
"""Tiles are worked on in strips of about this size, so that they stay in the cache between the steps."""


def _matrices() -> tuple[Tensor, Tensor, Tensor]:
    """A (6, 4), G (6, 3) and B (6, 6) in float64: a tile's outputs are Aᵀ [(G g Gᵀ) ⊙ (Bᵀ d B)] A."""
    points = torch.tensor(POINTS, dtype=torch.float64)
    others = [torch.cat([points[:j], points[j + 1 :]]) for j in range(len(POINTS))]
    powers = points[:, None] ** torch.arange(OUT, dtype=torch.float64)
    scales = torch.stack([(points[j] - rest).prod() for j, rest in enumerate(others)])
    last = torch.zeros(1, OUT, dtype=torch.float64)
    last[0, -1] = 1
    a = torch.cat([powers, last])
    g = torch.cat([powers[:, :3] / scales[:, None], last[:, -3:]])
    b = torch.stack([*(_coefficients(rest) for rest in others), _coefficients(points)], dim=1)
    return a, g, b


def _coefficients(roots: Tensor) -> Tensor:
    """Of Π (x − root), constant first, padded to `TILE`."""
    product = torch.zeros(TILE, dtype=roots.dtype)
    product[0] = 1
    for root in roots:
        product = product.roll(1) - root * product
    return product


_A, _G, _B = _matrices()
_INPUTS = torch.kron(_B.T.contiguous(), _B.T.contiguous())  # (36, 36): a 6×6 tile to its 36 values
_OUTPUTS = torch.kron(_A.T.contiguous(), _A.T.contiguous())  # (16, 36): 36 values to 4×4 outputs

Transformed = Float[Tensor, "36 C N"]
Grid = Float[Tensor, "B C h w"]


def transform(weight: Float[Tensor, "N C 3 3"]) -> Transformed:
    """The filters at the 36 points, four times the size of the filters."""
    wide = torch.einsum("ia,jb,ncab->ijcn", _G, _G, weight.double().cpu())
    return wide.flatten(0, 1).to(weight.dtype).contiguous()


def convolve(image: Grid, filters: Transformed) -> Float[Tensor, "B N h w"]:
    """What `conv2d` with padding 1 gives, channels-last, without the bias."""
    batch, channels, height, width = image.shape
    rows, columns, strip = _tiling(height, width, filters)
    into, out_of = _INPUTS.to(image.dtype), _OUTPUTS.to(image.dtype)
    padded = image.new_zeros(batch, OUT * rows + 2, OUT * columns + 2, channels)
    padded[:, 1 : height + 1, 1 : width + 1] = image.permute(0, 2, 3, 1)
    result = image.new_empty(batch, rows, OUT, columns, OUT, filters.shape[2])
    down, right = padded.stride(1), padded.stride(2)
    for here in range(batch):
        for top in range(0, rows, strip):
            count = min(strip, rows - top)
            tiles = padded[here, OUT * top :].as_strided(
                (TILE, TILE, count, columns, channels), (down, right, OUT * down, OUT * right, 1)
            )
            values = (into @ tiles.reshape(TILE**2, -1)).view(TILE**2, -1, channels)
            products = torch.bmm(values, filters).view(TILE**2, -1)
            outputs = (out_of @ products).view(OUT, OUT, count, columns, -1)
            result[here, top : top + count] = outputs.permute(2, 0, 3, 1, 4)
    whole = result.view(batch, OUT * rows, OUT * columns, -1)
    return whole[:, :height, :width].permute(0, 3, 1, 2)


def pull_back(gradient: Float[Tensor, "B N h w"], filters: Transformed) -> Grid:
    """The derivative of `convolve` with respect to its image, along `gradient`: each step transposed."""
    batch, outputs, height, width = gradient.shape
    rows, columns, strip = _tiling(height, width, filters)
    into, out_of = _INPUTS.T.to(gradient.dtype), _OUTPUTS.T.to(gradient.dtype)
    padded = gradient.new_zeros(batch, OUT * rows, OUT * columns, outputs)
    padded[:, :height, :width] = gradient.permute(0, 2, 3, 1)
    grid = padded.view(batch, rows, OUT, columns, OUT, outputs)
    channels = filters.shape[1]
    result = gradient.new_zeros(batch, rows + 1, OUT, columns + 1, OUT, channels)
    over = TILE - OUT
    for here in range(batch):
        for top in range(0, rows, strip):
            count = min(strip, rows - top)
            tiles = grid[here, top : top + count].permute(1, 3, 0, 2, 4).reshape(OUT**2, -1)
            values = (out_of @ tiles).view(TILE**2, -1, outputs)
            products = torch.bmm(values, filters.transpose(1, 2)).view(TILE**2, -1)
            inputs = (into @ products).view(TILE, TILE, count, columns, channels).permute(2, 0, 3, 1, 4)
            body, below = result[here, top : top + count], result[here, top + 1 : top + count + 1]
            body[:, :, :-1] += inputs[:, :OUT, :, :OUT]
            body[:, :, 1:, :over] += inputs[:, :OUT, :, OUT:]
            below[:, :over, :-1] += inputs[:, OUT:, :, :OUT]
            below[:, :over, 1:, :over] += inputs[:, OUT:, :, OUT:]
    whole = result.view(batch, OUT * (rows + 1), OUT * (columns + 1), channels)
    return whole[:, 1 : height + 1, 1 : width + 1].permute(0, 3, 1, 2)


def _tiling(height: int, width: int, filters: Transformed) -> tuple[int, int, int]:
    """Rows and columns of tiles, and how many rows make a strip."""
    rows, columns = -(-height // OUT), -(-width // OUT)
    per_row = TILE**2 * columns * max(filters.shape[1:]) * filters.element_size()
    return rows, columns, max(1, min(rows, STRIP_BYTES // per_row))
