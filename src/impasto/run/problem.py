"""The protocol between a run and what it paints: `StyleTransfer` or a reconstruction."""

from collections.abc import Mapping, Sequence
from typing import Protocol, runtime_checkable

from jaxtyping import Float
from torch import Tensor

from impasto.image.picture import Picture
from impasto.network.vgg import VGG19
from impasto.objective.constraint import Constraint
from impasto.objective.objective import Objective
from impasto.run.layout import Layout
from impasto.run.memory_model import MemoryModel
from impasto.run.scales import Scale
from impasto.settings.strength import ContentAim
from impasto.shapes import Image, Mask


@runtime_checkable
class Problem(Protocol):
    """What is painted, at any scale: the first image, the objective, and what must not change.

    A problem knows neither the scales of a run nor its solver. Images are (1, 3, H, W), RGB, 0..1; those of a
    scale are on the network's device.
    """

    @property
    def network(self) -> VGG19:
        """VGG-19 on its device, up to the deepest layer of any term."""

    @property
    def inputs(self) -> Mapping[str, Picture]:
        """The pictures as read, by the role under which the manifest lists them."""

    @property
    def alpha(self) -> Mask | None:
        """The alpha channel of the result, at any size; None: opaque."""

    @property
    def content_aim(self) -> ContentAim | None:
        """The content error to which the style's weight is adjusted; None: the weights stay as they are."""

    @property
    def memory_model(self) -> MemoryModel:
        """Predicts memory and time at any scale."""

    def style_sizes(self, scale: Scale) -> Sequence[tuple[int, int]]:
        """Return height and width in pixels at which each painting is measured for a scale."""

    def objective(self, scale: Scale, layout: Layout) -> Objective:
        """Build the objective of a scale. Measuring the targets takes about one evaluation."""

    def constraint(self, scale: Scale) -> Constraint:
        """Return what must not change at a scale."""

    def initial_image(self, scale: Scale) -> Image:
        """Make the image that a run starts from at a scale, including its fixed pixels."""

    def next_image(
        self, image: Float[Tensor, "B 3 _ _"], below: Scale, scale: Scale, layout: Layout
    ) -> Image:
        """Make the image that a finer scale begins with.

        Args:
            image: the result of the coarser scale, not clamped.
            below: the coarser scale.
            scale, layout: the finer scale and its layout.
        """

    def enlarged(self, image: Float[Tensor, "B 3 _ _"], scale: Scale) -> Image:
        """Enlarge the result of a coarser scale to a finer one, to be shown when the run ends early."""

    def finish(self, image: Image) -> Image:
        """Turn an image (any size, 0..1, on the CPU) into what is shown or saved."""

    def report(self, image: Image) -> dict[str, float]:
        """Compute further numbers for the manifest's result.

        Args:
            image: the finished picture, on the network's device.
        """
