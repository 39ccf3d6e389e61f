"""The solver's space: an image as its pixels, or as the levels of its Laplacian pyramid."""

from collections.abc import Iterable
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
"""Pixels. A level whose short side has fewer is not halved again."""


@dataclass(frozen=True, eq=False)
class Space:
    """A change of variables between the image and the point that a solver moves.

    With level steps, the point is a vector (1, n): the levels of the image's Laplacian pyramid (Burt and
    Adelson 1983), finest first, each divided by its step size. The gradient with respect to a level is
    low-passed at its scale, which keeps solvers from painting speckle. Processes share the finest level in
    bands of rows, as they share pixels. The coarser levels are a third of an image together, and each process
    holds an equal part of their numbers.

    Attributes:
        band: the rows of the image that this process holds.
        level_steps: how far each level moves when the point moves by 1, finest first. The last belongs to the
            low-pass residual. Levels that a small image does not have are ignored. Empty: the point is the
            pixels.
        chroma_steps: factors on the step sizes for colour, finest first; 1 for further levels. Colour is how
            the channels of a level differ from their mean.
        constraint: what may change. Gradients are projected in the image, and fixed pixels are restored after
            the levels are joined, because a coarse level reaches over any edge.
        fixed_pixels: the band's rows of an image with the fixed pixels; None if nothing is fixed.
    """

    band: Band
    level_steps: tuple[float, ...] = ()
    constraint: Constraint = FREE
    fixed_pixels: Image | None = None
    chroma_steps: tuple[float, ...] = ()

    @cached_property
    def sizes(self) -> tuple[tuple[int, int], ...]:
        """Height and width of each level, in pixels, finest first."""
        sizes = [(self.band.height, self.band.width)]
        while len(sizes) < len(self.level_steps) and min(sizes[-1]) >= LEAST_SIDE:
            height, width = sizes[-1]
            sizes.append((-(-height // 2), -(-width // 2)))
        return tuple(sizes)

    @cached_property
    def _counts(self) -> list[int]:
        """How many numbers each level has."""
        return [3 * height * width for height, width in self.sizes]

    def point(self, image: Float[Tensor, "1 3 H W"]) -> Point:
        """Convert a whole image, (1, 3, H, W), to this process's part of the point."""
        if not self.level_steps:
            return self.band.local_rows(image) if self.band.is_whole else self.band.local_rows(image).clone()
        levels = []
        for _ in self.sizes[1:]:
            coarse = halve(image)
            # The level is what halving loses, so joining the levels restores the image.
            levels.append(image - double(coarse, *image.shape[2:]))
            image = coarse
        levels.append(image)
        return self.local(_flat(self._scaled(level, index, -1) for index, level in enumerate(levels)))

    def image(self, point: Point) -> Float[Tensor, "1 3 _ W"]:
        """Convert a point to the band's rows of the image, with the fixed pixels restored."""
        image = self._join(point) if self.level_steps else point
        if self.constraint.fixed is None or self.fixed_pixels is None:
            return image
        fixed = self.constraint.fixed[slice(*self.band.rows)]
        return torch.where(fixed.to(image.device), self.fixed_pixels, image)

    def whole_image(self, point: Point) -> Image:
        """Convert a point to the whole image, on every process. All must call this together."""
        return self.band.gather(self.image(point))

    def pull_back(self, gradient: Float[Tensor, "1 3 _ W"]) -> Point:
        """Convert the gradient by the band's rows of the image to the gradient by the point."""
        if not self.level_steps:
            return gradient
        finest = self._scaled(gradient, 0)
        if len(self.sizes) == 1:
            return _flat([finest])
        if self.band.is_whole:
            coarse = halve(gradient, 1.0)
        else:  # a coarser level depends on rows of all processes, so their contributions are summed
            whole = gradient.new_zeros(1, 3, self.band.height, self.band.width)
            whole[:, :, slice(*self.band.rows)] = gradient
            coarse = all_sum(halve(whole, 1.0))
        levels = [coarse]
        for _ in self.sizes[2:]:
            levels.append(halve(levels[-1], 1.0))
        coarser = _flat(self._scaled(level, index) for index, level in enumerate(levels, 1))
        return torch.cat([_flat([finest]), coarser[:, slice(*self._part)]], 1)

    def evaluator(self, evaluate: Evaluate) -> Evaluate:
        """Make the objective a function of the point, its gradient projected onto what may change."""
        projected = self.constraint.project(evaluate, self.band)
        if not self.level_steps and self.constraint.fixed is None:
            return projected

        def of_point(point: Point) -> Evaluation:
            evaluation = projected(self.image(point))
            return replace(evaluation, gradient=self.pull_back(evaluation.gradient))

        return of_point

    def whole_shape(self, point: Point) -> tuple[int, ...]:
        """Return the shape of a whole point, joined from all processes' parts."""
        if not self.level_steps:
            return (*point.shape[:2], self.band.height, self.band.width)
        return (1, sum(self._counts))

    def gather(self, point: Point) -> Point:
        """Join all processes' parts of a point, on every process. All must call this together."""
        if self.band.is_whole:
            return point
        if not self.level_steps:
            return self.band.gather(point)
        finest, coarse = self._split(point)
        return torch.cat([self.band.gather(finest).flatten(), self._coarse(coarse)])[None]

    def local(self, point: Point) -> Point:
        """Return this process's part of a whole point."""
        if self.band.is_whole:
            return point
        if not self.level_steps:
            return self.band.local_rows(point).clone()
        finest, coarse = torch.split(point[0], [self._counts[0], sum(self._counts[1:])])
        rows = self.band.local_rows(finest.view(1, 3, *self.sizes[0]))
        return torch.cat([rows.flatten(), coarse[slice(*self._part)]])[None]

    def _join(self, point: Point) -> Float[Tensor, "1 3 _ W"]:
        """Add up the levels of a point to the band's rows of the image."""
        finest, part = self._split(point)
        finest = self._scaled(finest, 0)
        if len(self.sizes) == 1:
            return finest
        levels = torch.split(self._coarse(part), self._counts[1:])
        scaled = [
            self._scaled(level.view(1, 3, *size), index)
            for index, (level, size) in enumerate(zip(levels, self.sizes[1:], strict=True), 1)
        ]
        # Each process joins the coarser levels whole, a third of an image, and enlarges only its own rows.
        image = scaled.pop()
        for level in reversed(scaled):
            image = double(image, *level.shape[2:]).add_(level)
        return double(image, *self.sizes[0], self.band.rows).add_(finest)

    def _scaled(
        self, level: Float[Tensor, "1 3 h w"], index: int, power: int = 1
    ) -> Float[Tensor, "1 3 h w"]:
        """Multiply a level by its step sizes to a power of 1 or −1; 0 is the index of the finest.

        The matrix between the channels is symmetric, so it maps a gradient as it maps a level.
        """
        step = self.level_steps[index] ** power
        chroma = self.chroma_steps[index] ** power if index < len(self.chroma_steps) else 1.0
        if chroma == 1:
            return level * step
        return (level * chroma).add_(level.mean(1, keepdim=True), alpha=1 - chroma).mul_(step)

    def _split(self, point: Point) -> tuple[Float[Tensor, "1 3 _ W"], Float[Tensor, " n"]]:
        """Split a point into the band's rows of the finest level and this process's part of the others."""
        top, bottom = self.band.rows
        count = 3 * (bottom - top) * self.band.width
        return point[0, :count].view(1, 3, bottom - top, self.band.width), point[0, count:]

    @property
    def _part(self) -> tuple[int, int]:
        """The range of the coarser levels' numbers that this process holds."""
        count = sum(self._counts[1:])
        ranks = len(self.band.edges) - 1
        return count * self.band.rank // ranks, count * (self.band.rank + 1) // ranks

    def _coarse(self, part: Float[Tensor, " n"]) -> Float[Tensor, " N"]:
        """Join all processes' parts of the coarser levels."""
        if self.band.is_whole:
            return part
        whole = part.new_zeros(sum(self._counts[1:]))
        whole[slice(*self._part)] = part
        return all_sum(whole)


def _flat(levels: Iterable[Tensor]) -> Float[Tensor, "1 n"]:
    """Join levels to one row."""
    return torch.cat([level.flatten() for level in levels])[None]


def halve(image: Float[Tensor, "B C H W"], total: float = 0.25) -> Float[Tensor, "B C h w"]:
    """Halve height and width, rounding up, with the filter (1 3 3 1) in both directions; edges are repeated.

    Args:
        image: (B, C, H, W).
        total: a quarter of the sum of the filter's weights. 0.25 averages. 1 gives the transpose of `double`,
            for which an odd side is padded with zeros instead of its last pixel.
    Returns:
        (B, C, ⌈H/2⌉, ⌈W/2⌉).
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
    """Double height and width by linear interpolation, and crop to `height` and `width`.

    Each row depends only on the two nearest rows of `image`, so every way of cutting gives the same rows.

    Args:
        image: (B, C, h, w).
        height, width: of the result, in pixels.
        rows: the first row to compute and the one after the last; if omitted, all.
    Returns:
        (B, C, last − first, width).
    """
    top, bottom = rows or (0, height)
    if top == bottom:
        return image.new_zeros(*image.shape[:2], 0, width)
    first, last = max(0, top // 2 - 1), min(image.shape[2], (bottom - 1) // 2 + 2)
    part = F.interpolate(image[:, :, first:last], scale_factor=2, mode="bilinear", align_corners=False)
    return part[:, :, top - 2 * first : bottom - 2 * first, :width].contiguous()
