"""Speckle and dot grids in flat areas: measured where the photo is flat, before and after.

    scripts/bench speckle [--size 320]

"before" is the paper's way (white noise, one scale, average pooling, no priors) with the same weights as
"after", the default. The lines between change one thing at a time. Two measures, in 1/255 of brightness:

- `grid_16`: the pattern that repeats with the network's coarsest cell: brightness, less its surroundings', is
  averaged over all places with the same position in a 16 × 16 cell; the root mean square of these averages.
  `grid_16_over_chance` divides its square by that for cells of 15 and 17 pixels, where no grid can be.
- `speckle`: brightness against that of its surroundings of a few pixels, root mean square.

Also writes docs/figures/speckle.png: the flat part of the photo, before and after.
"""

import argparse

import torch
import torch.nn.functional as F
from common import CONTENT, HERE, IMAGES, keep, pixels
from jaxtyping import Bool, Float
from torch import Tensor

from impasto.image.picture import Picture
from impasto.image.resize import resize
from impasto.image.write import write_picture
from impasto.recipes.stylize import stylize
from impasto.settings.stylize import StylizeSettings
from impasto.shapes import Image

STYLES = ("great-wave.jpg", "langlois-bridge.jpg")
PAPER = {"pooling": "average", "tv": 0.0, "gamut": 0.0}
RECIPES: dict[str, dict[str, object]] = {
    "before": {**PAPER, "init": "noise", "noise": 1.0, "scales": 1, "steps": 100},
    "from the photo": {**PAPER, "scales": 1, "steps": 100},
    "and coarse to fine": PAPER,
    "and max pooling": {"tv": 0.0, "gamut": 0.0},
    "after": {},
}


def brightness(image: Image) -> Float[Tensor, "1 1 H W"]:
    """Of sRGB pixels, 0..1, with the weights of Rec. 709."""
    weights = torch.tensor([0.2126, 0.7152, 0.0722]).view(1, 3, 1, 1)
    return (image * weights).sum(1, keepdim=True)


def surroundings(image: Float[Tensor, "1 1 H W"], side: int) -> Float[Tensor, "1 1 H W"]:
    """Mean over the square of that side around each pixel; edges are repeated outward."""
    return F.avg_pool2d(F.pad(image, (side // 2,) * 4, mode="replicate"), side, 1)


def flat(photo: Image) -> Bool[Tensor, "1 1 H W"]:
    """The quarter of the photo with the least variance around each pixel."""
    light = brightness(photo)
    variance = surroundings(light.square(), 17) - surroundings(light, 17).square()
    return variance <= variance.flatten().quantile(0.25)


def repeated(light: Float[Tensor, "1 1 H W"], where: Bool[Tensor, "1 1 H W"], cell: int) -> float:
    """Mean square, over positions in a cell, of the brightness averaged over cells."""
    height, width = light.shape[2:]
    position = (torch.arange(height) % cell)[:, None] * cell + torch.arange(width) % cell
    position = position.expand_as(light)[where]
    count = torch.zeros(cell**2).index_add(0, position, torch.ones(len(position)))
    total = torch.zeros(cell**2).index_add(0, position, light[where])
    mean = total / count.clamp(min=1)
    return float(((mean - total.sum() / count.sum()).square() * count).sum() / count.sum())


def measured(image: Image, where: Bool[Tensor, "1 1 H W"]) -> dict[str, float]:
    """The three figures that this module's text explains, over the pixels of `where`."""
    light = 255 * brightness(image)
    detail = light - surroundings(light, 33)
    grid = repeated(detail, where, 16)
    chance = (repeated(detail, where, 15) + repeated(detail, where, 17)) / 2
    fine = light - surroundings(surroundings(light, 3), 3)
    return {
        "grid_16": round(grid**0.5, 2),
        "grid_16_over_chance": round(grid / chance, 2),
        "speckle": round(float(fine[where].square().mean()) ** 0.5, 2),
    }


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--size", type=int, default=320)
    size = arguments.parse_args().size
    photo = pixels(CONTENT, size)
    where = flat(photo)
    results: dict[str, object] = {"size": size, "photo": measured(photo, where)}
    strip = []
    for style in STYLES:
        painted = {}
        for name, changes in RECIPES.items():
            settings = StylizeSettings(size=size, **changes)  # type: ignore[arg-type]
            painted[name] = stylize(CONTENT, IMAGES / style, settings).picture.pixels
            print(style, name, measured(painted[name], where), flush=True)
        results[style] = {name: measured(image, where) for name, image in painted.items()}
        # the sky, right of the roof
        strip += [painted[name][:, :, : size // 3, size // 2 :] for name in ("before", "after")]
    whole = torch.cat([resize(part, 2 * part.shape[2], 2 * part.shape[3]) for part in strip], dim=3)
    write_picture(Picture(whole.clamp(0, 1), None, "speckle"), HERE.parent / "docs/figures/speckle.png")
    keep("speckle", results)


if __name__ == "__main__":
    main()
