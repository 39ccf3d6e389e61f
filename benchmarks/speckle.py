"""Speckle and dot grids where the photo is flat: how the first default (recipe 1) avoids them.

    scripts/bench speckle [--size 320] [--sheet docs/figures/speckle.png]

"before" is the paper's way: white noise, one scale, average pooling and no priors. "after" is recipe 1, with
the same weights. The rows between change one thing at a time. Two measures, in 1/255 of brightness:

- `grid_16` is the pattern that repeats with the network's coarsest cell of 16 px. The mean around each pixel
  is subtracted from its brightness. The result is averaged over all pixels with the same position in their
  cell, and the measure is the root mean square of these averages. `grid_16_over_chance` divides its square by
  that for cells of 15 and 17 px, which no grid of the network has.
- `speckle` is the root mean square of a pixel's brightness less the mean of a few pixels around it.

The sheet shows a flat part of the picture before and after, for each painting.
"""

from pathlib import Path

import torch
import torch.nn.functional as F
from common import CONTENT, FIGURES, IMAGES, argument_parser, parse_arguments, pixels, save_result
from jaxtyping import Bool, Float
from torch import Tensor

from impasto.image.picture import Picture
from impasto.image.resize import resize
from impasto.image.write import write_picture
from impasto.recipes.stylize import stylize
from impasto.settings.stylize import StylizeSettings
from impasto.shapes import Image

STYLES = ("great-wave.jpg", "langlois-bridge.jpg")
NO_PRIORS: dict[str, object] = {"tv": 0.0, "gamut": 0.0}
PAPER: dict[str, object] = {"pooling": "average", **NO_PRIORS}
RECIPES: dict[str, dict[str, object]] = {
    "before": {**PAPER, "init": "noise", "noise": 1.0, "scales": 1, "steps": 100},
    "from the photo": {**PAPER, "scales": 1, "steps": 100},
    "and coarse to fine": PAPER,
    "and max pooling": NO_PRIORS,
    "after": {},
}
"""Changes of recipe 1's settings, by the row's name."""


def brightness(image: Image) -> Float[Tensor, "1 1 H W"]:
    """The brightness of sRGB pixels, 0..1, with the weights of Rec. 709."""
    weights = torch.tensor([0.2126, 0.7152, 0.0722]).view(1, 3, 1, 1)
    return (image * weights).sum(1, keepdim=True)


def local_mean(image: Float[Tensor, "1 1 H W"], side: int) -> Float[Tensor, "1 1 H W"]:
    """The mean over the square around each pixel; pixels at the edge are repeated outwards.

    Args:
        side: of the square, odd, in pixels.
    """
    return F.avg_pool2d(F.pad(image, (side // 2,) * 4, mode="replicate"), side, 1)


def flat(photo: Image) -> Bool[Tensor, "1 1 H W"]:
    """The quarter of the photo with the least variance around each pixel."""
    light = brightness(photo)
    variance = local_mean(light.square(), 17) - local_mean(light, 17).square()
    return variance <= variance.flatten().quantile(0.25)


def repeated_pattern(light: Float[Tensor, "1 1 H W"], where: Bool[Tensor, "1 1 H W"], cell: int) -> float:
    """The mean square, over positions in a cell, of the brightness averaged over all cells.

    Args:
        where: the pixels that count.
        cell: side of a cell, in pixels.
    """
    height, width = light.shape[2:]
    position = (torch.arange(height) % cell)[:, None] * cell + torch.arange(width) % cell
    position = position.expand_as(light)[where]
    count = torch.zeros(cell**2).index_add(0, position, torch.ones(len(position)))
    total = torch.zeros(cell**2).index_add(0, position, light[where])
    mean = total / count.clamp(min=1)
    return float(((mean - total.sum() / count.sum()).square() * count).sum() / count.sum())


def measure(image: Image, where: Bool[Tensor, "1 1 H W"]) -> dict[str, float]:
    """The measures that the module's docstring defines, over the pixels of `where`."""
    light = 255 * brightness(image)
    detail = light - local_mean(light, 33)
    grid = repeated_pattern(detail, where, 16)
    chance = (repeated_pattern(detail, where, 15) + repeated_pattern(detail, where, 17)) / 2
    fine = light - local_mean(local_mean(light, 3), 3)
    return {
        "grid_16": round(grid**0.5, 2),
        "grid_16_over_chance": round(grid / chance, 2),
        "speckle": round(float(fine[where].square().mean()) ** 0.5, 2),
    }


def grain(image: Image, where: Bool[Tensor, "1 1 H W"]) -> float:
    """The contrast of single pixels, divided by that of strokes. Sand has a high value, brushwork a low one.

    Both are root mean squares of brightness: of what a box filter of 3×3 pixels, applied twice, removes; and
    of what this filter leaves and one of 21×21 pixels, applied twice, removes. These sizes were not fitted:
    Gaussians of 1 px, and of 1.5 to 6 px, gave ratios to the old default and the paintings that are 0.04 and
    0.07 away.

    Args:
        image: (1, 3, H, W), RGB, 0..1.
        where: the pixels that count.
    Returns:
        ≥ 0; the same for any contrast.
    """
    light = 255 * brightness(image)
    smooth = local_mean(local_mean(light, 3), 3)
    fine, strokes = (light - smooth)[where], (smooth - local_mean(local_mean(light, 21), 21))[where]
    return float((fine.square().mean() / strokes.square().mean()).sqrt())


def main() -> None:
    """Paint with every recipe and painting."""
    parser = argument_parser(__doc__)
    parser.add_argument("--size", type=int, default=320, help="long side in pixels [320]")
    parser.add_argument("--sheet", type=Path, default=FIGURES / "speckle.png")
    chosen = parse_arguments(parser, size=64, sheet=None)
    size = chosen.size
    photo = pixels(CONTENT, size)
    where = flat(photo)
    results: dict[str, object] = {"size": size, "photo": measure(photo, where)}
    crops = []
    for style in STYLES:
        painted = {}
        for name, changes in RECIPES.items():
            settings = StylizeSettings(size=size, recipe=1, **changes)  # type: ignore[arg-type]
            painted[name] = stylize(CONTENT, IMAGES / style, settings).picture.pixels
            print(style, name, measure(painted[name], where), flush=True)
        results[style] = {name: measure(image, where) for name, image in painted.items()}
        # the sky, right of the roof
        crops += [painted[name][:, :, : size // 3, size // 2 :] for name in ("before", "after")]
    if chosen.sheet:
        enlarged = [resize(crop, 2 * crop.shape[2], 2 * crop.shape[3]) for crop in crops]
        write_picture(Picture(torch.cat(enlarged, dim=3).clamp(0, 1)), chosen.sheet)
    save_result("speckle", results, chosen.results)


if __name__ == "__main__":
    main()
