"""What a reconstruction paints: from white noise, the content or the style of an image."""

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
    """The half of a `Problem` that both reconstructions share: white noise, and nothing that is fixed.

    Finer scales begin with what was reached below, enlarged alone. With noise as their detail, layers that
    cannot see it kept it: the content of conv2_1 reached 31 instead of 36 dB.
    """

    network: VGG19
    settings: ReconstructContentSettings | ReconstructStyleSettings

    @property
    def alpha(self) -> Mask | None:
        """Opaque."""
        return None

    @property
    def content_aim(self) -> ContentAim | None:
        """None: nothing is balanced."""
        return None

    def constraint(self, scale: Scale) -> Constraint:
        """None."""
        return FREE

    def initial_image(self, scale: Scale) -> Image:
        """White noise about grey, of the settings' seed and contrast."""
        settings, device = self.settings, self.network.device
        return white_noise(
            scale.height, scale.width, seed=settings.seed, contrast=settings.noise, device=device
        )

    def next_image(
        self, image: Float[Tensor, "B 3 _ _"], below: Scale, scale: Scale, layout: Layout
    ) -> Image:
        """What was reached below, enlarged."""
        return resize(image, scale.height, scale.width)

    def enlarged(self, image: Float[Tensor, "B 3 _ _"], scale: Scale) -> Image:
        """The same, of what can be shown."""
        return resize(image.cpu().clamp(0, 1), scale.height, scale.width)

    def finish(self, image: Image) -> Image:
        """The image itself."""
        return image


@dataclass(frozen=True, eq=False)
class ContentReconstruction(_FromNoise):
    """An image with the responses that a picture has at a layer: Eq. 1 of Gatys et al. 2015."""

    settings: ReconstructContentSettings
    picture: Picture

    @property
    def inputs(self) -> dict[str, Picture]:
        """The picture."""
        return {"content": self.picture}

    @property
    def memory_model(self) -> MemoryModel:
        """Of the layer and its target."""
        return MemoryModel.of(self.network, (), (self.settings.layer,), self.settings.optimizer)

    def style_sizes(self, scale: Scale) -> tuple[tuple[int, int], ...]:
        """No paintings."""
        return ()

    def objective(self, scale: Scale, layout: Layout) -> Objective:
        """The squared relative error of the layer's responses, and smoothness if wanted."""
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
        """The relative error of the responses, and the PSNR to the picture in dB."""
        layers = [self.settings.layer]
        shown = resized_pixels(self.picture, image.shape[2], image.shape[3], self.network.device)
        with torch.no_grad():
            expected, actual = (self.network.features(x, layers)[layers[0]] for x in (shown, image))
        error = float((actual - expected).norm() / expected.norm())
        return {"relative_error": error, "psnr": psnr(image, shown)}


@dataclass(frozen=True, eq=False)
class StyleReconstruction(_FromNoise):
    """An image with the Gram matrices of paintings: Eq. 3 to 5 of Gatys et al. 2015.

    Attributes:
        measuring: the network that paintings are measured with.
        paintings: with their shares.
        canvas_side: long side of the picture, in pixels; paintings keep their ratio to it at each scale.
    """

    settings: ReconstructStyleSettings
    measuring: VGG19
    paintings: StyleImages
    canvas_side: int

    @property
    def inputs(self) -> dict[str, Picture]:
        """The paintings."""
        return self.paintings.inputs

    @property
    def memory_model(self) -> MemoryModel:
        """Of the style layers."""
        return MemoryModel.of(self.measuring, self.settings.layers, (), self.settings.optimizer)

    def style_sizes(self, scale: Scale) -> list[tuple[int, int]]:
        """Height and width of each painting, in pixels."""
        return self.paintings.sizes(self._style_long_side(scale), self._least_side)

    def objective(self, scale: Scale, layout: Layout) -> Objective:
        """The style terms, and smoothness if wanted."""
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
        """Nothing."""
        return {}

    def _style_long_side(self, scale: Scale) -> int:
        return round(self.settings.style_size * max(scale.height, scale.width) / self.canvas_side)

    @cached_property
    def _least_side(self) -> int:
        """The shortest side of a painting that the deepest layer can see, in pixels."""
        return deepest(self.settings.layers).stride


def psnr(image: Image, reference: Image) -> float:
    """Peak signal-to-noise ratio in dB of two images in 0..1: −10 log₁₀ of the mean squared error."""
    return float(-10 * (image - reference).square().mean().clamp_min(1e-10).log10())
