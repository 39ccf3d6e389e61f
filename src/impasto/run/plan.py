"""Everything a run needs, read and checked."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from impasto.choices import Optimizer
from impasto.image.picture import Picture
from impasto.network.vgg import VGG19
from impasto.objective.bands import Band
from impasto.objective.constraint import FREE, Constraint
from impasto.objective.objective import Objective
from impasto.run.layout import Layout
from impasto.run.memory_model import MemoryModel
from impasto.run.scales import Scale
from impasto.shapes import Image, Mask
from impasto.solve.adam import RATE
from impasto.solve.space import Space

ADVICE = "Use a smaller --size, a shorter --history or --precision bfloat16."
"""When the memory runs out in the least layout."""


@dataclass(frozen=True)
class RunPlan:
    """Everything a run needs, read and checked: nothing can go wrong any more for want of an input.

    Attributes:
        canvas: height and width in pixels of the picture to be made.
        scales: the plan, coarse to fine.
        network: on its device.
        objective: gives the objective at a scale in a layout.
        initial_image: gives the image to start from at a scale.
        inputs: the pictures as read, by role.
        manifest: what is known before the run.
        memory_model: what memory and time depend on.
        style_sizes: gives height and width of the paintings measured for a scale, in pixels.
        layouts: how each scale is worked on.
        optimizer: the solver.
        rate: Adam's, in units of the image's 0..1.
        detail: how much of the fine detail of their initial image the finer scales take up
            (see `carry_detail`). Noise has none that one would want.
        painting_detail: gives what of the painting's fine detail a scale takes up, from the scale below and
            what was reached there; None: nothing.
        noisy: whether what the run starts from has noise in it.
        tolerance: when a scale ends early (see `descent.step`).
        alpha: of the result, at any size, or None.
        report: gives what else there is to say of the result, from its pixels at the canvas's size.
        constraint: gives what may not move at a scale; `first` has it already.
        content_error: what the content terms together, divided by their weight, are to reach: the style's
            weight is set by it at the coarsest scale. None: it is as it is.
        content_weight: of all content terms.
        rematch: steps after which nearest neighbours are searched again, if there are any; 0 never.
        budget: seconds that the run may take; scales then take as many steps as there is time for.
        finish: what is done to an image, (1, 3, H, W) of any size on the CPU, before it is shown or saved.
        steer: asked before each step but the first, with the scale (from 0) and the steps taken there: gives
            the job to go on with if that is another one (see `turns.py`).
    """

    canvas: tuple[int, int]
    scales: tuple[Scale, ...]
    network: VGG19
    objective: Callable[[Scale, Layout], Objective]
    initial_image: Callable[[Scale], Image]
    inputs: Mapping[str, Picture]
    manifest: dict[str, Any]
    memory_model: MemoryModel
    style_sizes: Callable[[Scale], Sequence[tuple[int, int]]]
    layouts: tuple[Layout, ...] = ()
    optimizer: Optimizer = "lbfgs"
    rate: float = RATE
    detail: float = 0.0
    painting_detail: Callable[[Scale, Layout, Image], Image] | None = None
    noisy: bool = False
    tolerance: float = 0.0
    alpha: Mask | None = None
    report: Callable[[Image], dict[str, float]] | None = None
    constraint: Callable[[Scale], Constraint] = lambda scale: FREE
    finish: Callable[[Image], Image] = lambda image: image
    steer: "Callable[[int, int], RunPlan | None]" = lambda scale, step: None
    content_error: float | None = None
    content_weight: float = 1.0
    budget: float | None = None
    rematch: int = 0

    def space(self, index: int) -> Space:
        """What the solver moves at a scale (from 0): this process's part of it."""
        scale = self.scales[index]
        band = Band.of(scale.height, scale.width, circular=self.network.circular)
        constraint = self.constraint(scale)
        fixed = None if constraint.fixed is None else band.local_rows(self.initial_image(scale)).clone()
        return Space(band, scale.level_steps, constraint, fixed)
