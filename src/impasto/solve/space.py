"""The solver's space: an image as its pixels, or as the levels of its Laplacian pyramid."""

from dataclasses import dataclass, replace
from functools import cached_property

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from impasto.objective.bands import Band
from impasto.objective.constraint import FREE, Constraint
from impasto.objective.evaluate import Evaluate, Evaluation
from impasto.shapes import Image, Point
from impasto.system.distributed import all_sum

LEAST_SIDE = 16
"""A level whose short side has fewer pixels is not halved again."""


@dataclass(frozen=True, eq=False)
class Space:
    """A change of variables between the image and the point that a solver moves.

    With level steps the point holds the levels of the image's Laplacian pyramid (Burt and Adelson 1983), each
    divided by its step size, end to end, the finest first. A gradient with respect to them is low-passed at
    each scale, which keeps solvers from painting speckle. The finest level is shared out in bands as pixels
    are; of the coarser ones, a third of an image together, each process holds an equal part of the vector.

    Attributes:
        band: the rows of the image that this process holds.
        level_steps: of each level, finest first, how far it moves where the point moves by 1; the last is
            the rest's. Levels that the image is too small for are left out. Empty: the point is the pixels.
        constraint: what of the image is free. Gradients are projected onto it in the image, and fixed pixels
            are put back after the levels are joined, so that no level leaks over their edge.
        fixed_pixels: the band's rows of what is fixed; None if nothing is.
    """

    band: Band
    level_steps: tuple[float, ...] = ()
    constraint: Constraint = FREE
    fixed_pixels: Image | None = None

    @cached_property
    def sizes(self) -> tuple[tuple[int, int], ...]:
        """Height and width of each level, in pixels, finest first."""
        sizes = [(self.band.height, self.band.width)]
        while len(sizes) < len(self.level_steps) and min(sizes[-1]) >= LEAST_SIDE:
            height, width = sizes[-1]
            sizes.append((-(-height // 2), -(-width // 2)))
        return tuple(sizes)

    def point(self, image: Float[Tensor, "1 3 H W"]) -> Point:
        """This process's part of the point of a whole image."""
        if not self.level_steps:
            return self.band.local_rows(image) if self.band.is_whole else self.band.local_rows(image).clone()
        levels = []
        for _ in self.sizes[1:]:
            coarse = halve(image)
            levels.append(image - double(coarse, *image.shape[2:]))
            image = coarse
        return self.local(self._flat([*levels, image], [1 / step for step in self.level_steps]))

    def image(self, point: Point) -> Float[Tensor, "1 3 _ W"]:
        """The band's rows of the image at a point, with what is fixed put back."""
        image = self._join(point) if self.level_steps else point
        if self.constraint.fixed is None or self.fixed_pixels is None:
            return image
        fixed = self.constraint.fixed[slice(*self.band.rows)]
        return torch.where(fixed.to(image.device), self.fixed_pixels, image)

    def whole_image(self, point: Point) -> Image:
        """The whole image at a point, on every process; all have to ask for it together."""
        return self.band.gather(self.image(point))

    def pull_back(self, gradient: Float[Tensor, "1 3 _ W"]) -> Point:
        """The gradient with respect to the point, from that with respect to the band's rows of the image."""
        if not self.level_steps:
            return gradient
        if self.band.is_whole:
            coarse = halve(gradient, 1.0)
        else:  # what the other processes' rows add to the coarser levels comes from them
            whole = gradient.new_zeros(1, 3, self.band.height, self.band.width)
            whole[:, :, slice(*self.band.rows)] = gradient
            coarse = all_sum(halve(whole, 1.0))
        levels = [coarse]
        for _ in self.sizes[2:]:
            levels.append(halve(levels[-1], 1.0))
        levels = levels[: len(self.sizes) - 1]
        finest = gradient.flatten() * self.level_steps[0]
        return torch.cat([finest, self._flat(levels, self.level_steps[1:])[0, slice(*self._part)]])[None]

    def evaluator(self, evaluate: Evaluate) -> Evaluate:
        """The objective as a function of the point, its gradient that along what is free."""
        projected = self.constraint.project(evaluate, self.band)
        if not self.level_steps and self.constraint.fixed is None:
            return projected

        def of_point(point: Point) -> Evaluation:
            evaluation = projected(self.image(point))
            return replace(evaluation, gradient=self.pull_back(evaluation.gradient))

        return of_point

    def whole_shape(self, point: Point) -> tuple[int, ...]:
        """The shape of everybody's parts of a point together."""
        if not self.level_steps:
            return (*point.shape[:2], self.band.height, self.band.width)
        return (1, sum(3 * height * width for height, width in self.sizes))

    def gather(self, point: Point) -> Point:
        """Everybody's parts of a point, on every process; all have to ask for it together."""
        if self.band.is_whole:
            return point
        if not self.level_steps:
            return self.band.gather(point)
        finest, coarse = self._split(point)
        return torch.cat([self.band.gather(finest).flatten(), self._coarse(coarse)])[None]

    def local(self, point: Point) -> Point:
        """This process's part of a whole point."""
        if self.band.is_whole:
            return point
        if not self.level_steps:
            return self.band.local_rows(point).clone()
        height, width = self.sizes[0]
        count = 3 * height * width
        rows = self.band.local_rows(point[0, :count].view(1, 3, height, width))
        return torch.cat([rows.flatten(), point[0, count:][slice(*self._part)]])[None]

    def _join(self, point: Point) -> Float[Tensor, "1 3 _ W"]:
        finest, part = self._split(point)
        finest = finest * self.level_steps[0]
        if len(self.sizes) == 1:
            return finest
        sizes = self.sizes[1:]
        counts = [3 * height * width for height, width in sizes]
        levels = torch.split(self._coarse(part), counts)
        scaled = [
            level.view(1, 3, *size) * step
            for level, size, step in zip(levels, sizes, self.level_steps[1:], strict=False)
        ]
        image = scaled.pop()
        for level in reversed(scaled):
            image = double(image, *level.shape[2:]).add_(level)
        return double(image, *self.sizes[0], self.band.rows).add_(finest)

    def _split(self, point: Point) -> tuple[Float[Tensor, "1 3 _ W"], Float[Tensor, " n"]]:
        """The band's rows of the finest level, and this process's part of the others."""
        top, bottom = self.band.rows
        count = 3 * (bottom - top) * self.band.width
        return point[0, :count].view(1, 3, bottom - top, self.band.width), point[0, count:]

    @property
    def _part(self) -> tuple[int, int]:
        """Which of the coarser levels' numbers this process holds."""
        count = sum(3 * height * width for height, width in self.sizes[1:])
        ranks = len(self.band.edges) - 1
        return count * self.band.rank // ranks, count * (self.band.rank + 1) // ranks

    def _coarse(self, part: Float[Tensor, " n"]) -> Float[Tensor, " N"]:
        """The coarser levels' numbers from everybody's parts."""
        if self.band.is_whole:
            return part
        whole = part.new_zeros(sum(3 * height * width for height, width in self.sizes[1:]))
        whole[slice(*self._part)] = part
        return all_sum(whole)

    @staticmethod
    def _flat(levels: list[Tensor], factors: "list[float] | tuple[float, ...]") -> Float[Tensor, "1 n"]:
        scaled = [level.flatten() * factor for level, factor in zip(levels, factors, strict=False)]
        return torch.cat([*scaled, levels[0].new_zeros(0) if levels else torch.zeros(0)])[None]


def halve(image: Float[Tensor, "B C H W"], total: float = 0.25) -> Float[Tensor, "B C h w"]:
    """Half the height and width, rounded up, by the filter (1 3 3 1) both ways; edges are repeated.

    Args:
        total: of the filter's 64 weights together, in quarters of 1: 0.25 averages; 1 gives the transpose of
            `double`, since an odd side is continued by zeros there, and by its last pixel when averaging.
    """
    height, width = image.shape[2:]
    mode = "replicate" if total != 1.0 else "constant"
    image = F.pad(image, (0, width % 2, 0, height % 2), mode=mode)
    image = F.pad(image, (1, 1, 1, 1), mode="replicate")
    rows = image[:, :, 1:-1:2] + image[:, :, 2::2]
    rows = rows.mul_(3).add_(image[:, :, :-2:2]).add_(image[:, :, 3::2])
    halved = rows[..., 1:-1:2] + rows[..., 2::2]
    return halved.mul_(3).add_(rows[..., :-2:2]).add_(rows[..., 3::2]).mul_(total / 16)


def double(
    image: Float[Tensor, "B C h w"], height: int, width: int, rows: tuple[int, int] | None = None
) -> Float[Tensor, "B C _ W"]:
    """Twice the height and width by linear interpolation, cut to that height and width.

    A row depends on the two nearest rows of `image` alone, wherever an image is cut.

    Args:
        rows: the first row wanted and the one after the last; default all.
    """
    top, bottom = rows or (0, height)
    if top == bottom:
        return image.new_zeros(*image.shape[:2], 0, width)
    first, last = max(0, top // 2 - 1), min(image.shape[2], (bottom - 1) // 2 + 2)
    part = F.interpolate(image[:, :, first:last], scale_factor=2, mode="bilinear", align_corners=False)
    return part[:, :, top - 2 * first : bottom - 2 * first, :width].contiguous()
