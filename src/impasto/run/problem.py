"""What a run paints: the protocol between the run and `StyleTransfer` or a reconstruction."""

from collections.abc import Mapping, Sequence
from typing import Protocol, runtime_checkable

from jaxtyping import Float
from torch import Tensor

from impasto.image.picture import Picture
from impasto.network.vgg import VGG19
from impasto.objective.bands import Band
from impasto.objective.constraint import Constraint
from impasto.objective.objective import Objective
from impasto.run.layout import Layout
from impasto.run.memory_model import MemoryModel
from impasto.run.scales import Scale
from impasto.settings.strength import ContentAim
from impasto.shapes import Image, Mask
from impasto.solve.space import Space


@runtime_checkable
class Problem(Protocol):
    """What is painted, at any scale: where it starts, what it aims at, what may not move.

    It knows neither the scales of a run nor its solver. Images are (1, 3, H, W), those of a scale on the
    network's device.
    """

    @property
    def network(self) -> VGG19:
        """VGG-19 on its device, as deep as any term needs it."""

    @property
    def inputs(self) -> Mapping[str, Picture]:
        """The pictures as read, by role: what the manifest names."""

    @property
    def alpha(self) -> Mask | None:
        """Of the result, at any size; None: opaque."""

    @property
    def content_aim(self) -> ContentAim | None:
        """The content error that the style's weight is adjusted to; None: the weights stay as they are."""

    @property
    def memory_model(self) -> MemoryModel:
        """What memory and time depend on, besides the size."""

    def style_sizes(self, scale: Scale) -> Sequence[tuple[int, int]]:
        """Height and width of each painting that is measured for a scale, in pixels."""

    def objective(self, scale: Scale, layout: Layout) -> Objective:
        """The objective at a scale; this measures the targets, which takes an evaluation or so."""

    def constraint(self, scale: Scale) -> Constraint:
        """What may not move at a scale."""

    def initial_image(self, scale: Scale) -> Image:
        """The image to start from at a scale, with fixed pixels in their places."""

    def next_image(
        self, image: Float[Tensor, "B 3 _ _"], below: Scale, scale: Scale, layout: Layout
    ) -> Image:
        """The image that a finer scale begins with.

        Args:
            image: what was reached at the scale below, not clamped.
            below: that scale.
            scale, layout: the finer one, and the layout it is worked on in.
        """

    def enlarged(self, image: Float[Tensor, "B 3 _ _"], scale: Scale) -> Image:
        """What was reached at a coarser scale, to be shown at a finer one when the run ends early."""

    def finish(self, image: Image) -> Image:
        """What is shown or saved of an image in 0..1, of any size, on the CPU."""

    def report(self, image: Image) -> dict[str, float]:
        """Further numbers for the manifest's result, from the finished picture on the network's device."""


def space_of(problem: Problem, scale: Scale) -> Space:
    """What the solver moves at a scale: this process's part of it."""
    band = Band.of(scale.height, scale.width, circular=problem.network.circular)
    constraint = problem.constraint(scale)
    fixed = None if constraint.fixed is None else band.local_rows(problem.initial_image(scale)).clone()
    return Space(band, scale.level_steps, constraint, fixed)
