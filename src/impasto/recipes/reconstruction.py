"""The `Problem`s of reconstructions: from white noise to the content or the style of an image."""

from dataclasses import dataclass
from functools import cached_property

import torch
from jaxtyping import Float
from torch import Tensor

from impasto.image.noise import white_noise
from impasto.image.picture import Picture
from impasto.image.resize import resize, resized_pixels
from impasto.layers import deepest
from impasto.network.vgg import VGG19
from impasto.objective.build import content_terms, prior_terms, style_terms
from impasto.objective.constraint import FREE, Constraint
from impasto.objective.objective import Objective
from impasto.run.layout import Layout
from impasto.run.memory_model import MemoryModel
from impasto.run.scales import Scale
from impasto.settings.paper import ReconstructContentSettings, ReconstructStyleSettings
from impasto.settings.strength import ContentAim
from impasto.shapes import Image, Mask
from impasto.style.style_images import StyleImages


@dataclass(frozen=True, eq=False)
class _FromNoise:
    """The part of a `Problem` that both reconstructions share: a start from white noise, and no constraint.

    A finer scale begins with the enlarged result of the coarser one, without added detail. With noise as its
    detail, layers that cannot see it would keep it: the content of conv2_1 reached 31 instead of 36 dB.

    Attributes:
        network: VGG-19, up to the deepest layer of any term.
        settings: of the reconstruction.
    """

    network: VGG19
    settings: ReconstructContentSettings | ReconstructStyleSettings

    @property
    def alpha(self) -> Mask | None:
        """None: the result is opaque."""
        return None

    @property
    def content_aim(self) -> ContentAim | None:
        """None: weights are never adjusted."""
        return None

    def constraint(self, scale: Scale) -> Constraint:
        """Leave everything free."""
        return FREE

    def initial_image(self, scale: Scale) -> Image:
        """Make white noise around grey, with the seed and contrast of the settings."""
        settings, device = self.settings, self.network.device
        return white_noise(
            scale.height, scale.width, seed=settings.seed, contrast=settings.noise, device=device
        )

    def next_image(
        self, image: Float[Tensor, "B 3 _ _"], below: Scale, scale: Scale, layout: Layout
    ) -> Image:
        """Enlarge the result of the coarser scale."""
        return resize(image, scale.height, scale.width)

    def enlarged(self, image: Float[Tensor, "B 3 _ _"], scale: Scale) -> Image:
        """Enlarge a coarser result for display, on the CPU and clamped to 0..1."""
        return resize(image.cpu().clamp(0, 1), scale.height, scale.width)

    def finish(self, image: Image) -> Image:
        """Return the image unchanged."""
        return image


@dataclass(frozen=True, eq=False)
class ContentReconstruction(_FromNoise):
    """An image with a picture's responses at a layer: Eq. 1 of Gatys et al. 2015 (arXiv:1508.06576).

    Attributes:
        settings: of the reconstruction.
        picture: the image whose responses are the target.
    """

    settings: ReconstructContentSettings
    picture: Picture

    @property
    def inputs(self) -> dict[str, Picture]:
        """The picture, in the role of the content."""
        return {"content": self.picture}

    @property
    def memory_model(self) -> MemoryModel:
        """Predicts the memory of the layer and its target."""
        return MemoryModel.of(self.network, (), (self.settings.layer,), self.settings.optimizer)

    def style_sizes(self, scale: Scale) -> tuple[tuple[int, int], ...]:
        """Return nothing: there are no paintings."""
        return ()

    def objective(self, scale: Scale, layout: Layout) -> Objective:
        """Build the squared relative error of the layer's responses, and total variation if weighted."""
        size = (scale.height, scale.width)
        content = content_terms(
            self.network,
            resized_pixels(self.picture, *size, self.network.device),
            {self.settings.layer: 1.0},
            weight=1.0,
            formula="balanced",
            tile=layout.tile,
            keep=layout.keep,
        )
        return Objective((*content, *prior_terms(size, variation=self.settings.tv, gamut=0.0)))

    def report(self, image: Image) -> dict[str, float]:
        """Compute the relative error of the responses, and the PSNR to the picture in dB."""
        layers = [self.settings.layer]
        shown = resized_pixels(self.picture, image.shape[2], image.shape[3], self.network.device)
        with torch.no_grad():
            expected, actual = (self.network.features(x, layers)[layers[0]] for x in (shown, image))
        error = float((actual - expected).norm() / expected.norm())
        return {"relative_error": error, "psnr": psnr(image, shown)}


@dataclass(frozen=True, eq=False)
class StyleReconstruction(_FromNoise):
    """An image with the Gram matrices of paintings: Eq. 3 to 5 of Gatys et al. 2015 (arXiv:1508.06576).

    Attributes:
        settings: of the reconstruction.
        measuring: the network that measures paintings. It pads with zeros even if the picture is tileable.
        paintings: with their shares.
        canvas_side: long side of the finished picture, in pixels. At each scale, paintings keep their size
            relative to the picture.
    """

    settings: ReconstructStyleSettings
    measuring: VGG19
    paintings: StyleImages
    canvas_side: int

    @property
    def inputs(self) -> dict[str, Picture]:
        """The paintings, by role."""
        return self.paintings.inputs

    @property
    def memory_model(self) -> MemoryModel:
        """Predicts the memory of the style layers."""
        return MemoryModel.of(self.measuring, self.settings.layers, (), self.settings.optimizer)

    def style_sizes(self, scale: Scale) -> list[tuple[int, int]]:
        """Return height and width at which each painting is measured for a scale, in pixels."""
        return self.paintings.sizes(self._style_long_side(scale), self._least_side)

    def objective(self, scale: Scale, layout: Layout) -> Objective:
        """Build the style terms, and total variation if it has a weight."""
        settings, canvas = self.settings, (scale.height, scale.width)
        (targets,) = self.paintings.targets(
            self.measuring,
            "gram",
            settings.layers,
            long=self._style_long_side(scale),
            least=self._least_side,
            tile=layout.tile,
        )
        style = style_terms(targets, settings.layers, canvas=canvas, weight=1.0, formula="balanced")
        prior = prior_terms(canvas, variation=settings.tv, gamut=0.0, circular=settings.tileable)
        return Objective((*style, *prior))

    def report(self, image: Image) -> dict[str, float]:
        """Return no further numbers."""
        return {}

    def _style_long_side(self, scale: Scale) -> int:
        """Return the long side at which paintings are measured for a scale, in pixels."""
        return round(self.settings.style_size * max(scale.height, scale.width) / self.canvas_side)

    @cached_property
    def _least_side(self) -> int:
        """The shortest side of a painting that the deepest layer can measure, in pixels."""
        return deepest(self.settings.layers).stride


def psnr(image: Image, reference: Image) -> float:
    """Compute the peak signal-to-noise ratio in dB: −10 log₁₀ of the mean squared error.

    Args:
        image, reference: (1, 3, H, W), 0..1.
    Returns:
        At most 100 dB, for equal images.
    """
    return float(-10 * (image - reference).square().mean().clamp_min(1e-10).log10())
