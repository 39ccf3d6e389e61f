"""The settings of the commands about the paper. Standard library only."""

from collections.abc import Mapping
from dataclasses import dataclass

from impasto.choices import Optimizer, Pooling, Precision
from impasto.errors import SettingsError
from impasto.layers import find_layer
from impasto.settings.base import (
    BLEND_HELP,
    CONTENT_LAYERS_HELP,
    POOLING_HELP,
    STYLE_LAYERS_HELP,
    MachineSettings,
    NetworkSettings,
    RunSettings,
)
from impasto.settings.blend import parse_blend
from impasto.settings.options import option
from impasto.settings.presets import PAPER_CONTENT_LAYERS, PAPER_RATIO, PAPER_STYLE_LAYERS


@dataclass(frozen=True, kw_only=True)
class ReconstructContentSettings(RunSettings):
    """How to reconstruct an image from its responses at one layer (Gatys et al. 2015, Fig. 1, below).

    Raises:
        SettingsError: as in `RunSettings`.
    """

    layer: str = option("conv4_2", "layer whose responses to match")
    size: int = option(256, "long side of the picture", unit="px", low=16, high=100_000)
    steps: int = option(
        0, "solver steps at each scale; 0: from 180 in the first block of layers down to 36 in the fifth",
        low=0, high=100_000,
    )  # fmt: skip
    scales: int = option(
        3, "sizes from coarse to fine, doubling; 1: the full size only; 0 starts near 128 px", low=0, high=12,
        advanced=True,
    )  # fmt: skip
    tv: float = option(0.0, "weight of smoothness (total variation); the paper: 0", low=0)
    optimizer: Optimizer = option("lbfgs", "the solver", advanced=True)
    pooling: Pooling = option("average", POOLING_HELP, advanced=True)
    precision: Precision = option(
        "float32", "number type of the features; bfloat16 is quicker where supported, but less exact",
        advanced=True,
    )  # fmt: skip

    def __post_init__(self) -> None:
        super().__post_init__()
        object.__setattr__(self, "layer", find_layer(self.layer).name)

    @property
    def steps_taken(self) -> int:
        """Solver steps at each scale: as given, or as many as take half a minute at 256 px on two cores."""
        return self.steps or 180 // find_layer(self.layer).block


@dataclass(frozen=True, kw_only=True)
class ReconstructStyleSettings(RunSettings):
    """How to make a texture with the style of an image (Gatys et al. 2015, Fig. 1, above).

    Raises:
        SettingsError: as in `RunSettings`; a size that is neither `PX` nor `WxH`.
    """

    layers: Mapping[str, float] = option(dict.fromkeys(PAPER_STYLE_LAYERS, 0.2), STYLE_LAYERS_HELP)
    size: str = option("256", "long side of the picture, or WIDTHxHEIGHT", unit="px")
    style_size: int = option(
        256, "long side at which the style image is measured; smaller makes the texture finer",
        unit="px", low=16, high=100_000,
    )  # fmt: skip
    blend: str = option("", BLEND_HELP)
    tileable: bool = option(False, "make copies of the picture join without a seam")
    steps: int = option(60, "solver steps at the coarsest scale", low=1, high=100_000)
    finest_steps: int = option(
        25, "solver steps at the finest scale, if there is more than one", low=1, high=100_000, advanced=True
    )
    scales: int = option(
        3, "sizes from coarse to fine, doubling; the paper: 1; 0 starts near 128 px", low=0, high=12,
        advanced=True,
    )  # fmt: skip
    tv: float = option(0.0, "weight of smoothness (total variation); the paper: 0", low=0, advanced=True)
    optimizer: Optimizer = option("lbfgs", "the solver", advanced=True)
    pooling: Pooling = option("average", POOLING_HELP, advanced=True)

    def __post_init__(self) -> None:
        super().__post_init__()
        # for its errors; the shape of the style image is not known yet
        self.canvas(1, 1)
        parse_blend(self.blend)

    def canvas(self, height: int, width: int) -> tuple[int, int]:
        """Return height and width of the picture, in pixels.

        Args:
            height, width: of the style image, in pixels; only their ratio counts.

        Raises:
            SettingsError: `size` is neither `PX` nor `WxH`, or a side is below 16.
        """
        sides = [int(side) for side in self.size.lower().split("x") if side.strip().isdecimal()]
        if len(sides) != self.size.lower().count("x") + 1 or len(sides) > 2 or min(sides) < 16:
            raise SettingsError(
                f"size is {self.size!r}; it must be the long side (256) or width and height (384x256), "
                "each at least 16 px."
            )
        if len(sides) == 2:
            return sides[1], sides[0]
        long = max(height, width)
        return max(1, round(sides[0] * height / long)), max(1, round(sides[0] * width / long))


@dataclass(frozen=True, kw_only=True)
class FigureSettings(MachineSettings):
    """How to compute the panels of the paper's figures.

    Raises:
        SettingsError: as in `RunSettings`.
    """

    size: int = option(256, "long side of each panel", unit="px", low=16, high=100_000)
    steps: int = option(0, "solver steps at each scale; 0: as many as each panel needs", low=0, high=100_000)
    seed: int = option(0, "seed of the white noise", low=0, high=2**63 - 1)


@dataclass(frozen=True, kw_only=True)
class FeaturesSettings(NetworkSettings):
    """Which responses of a layer to show, and how.

    Raises:
        SettingsError: as in `RunSettings`; channels that are not whole numbers.
    """

    layer: str = option("conv3_1", "layer to look at")
    size: int = option(512, "long side at which the network sees the image", unit="px", low=16, high=100_000)
    gram: bool = option(False, "show the layer's Gram matrix, its style, instead of the responses")
    most: int = option(64, "number of channels to show, strongest first; 0: all", low=0, high=512)
    channels: str = option("", "channels to show, counted from 0: 3,17,42")
    pooling: Pooling = option("average", POOLING_HELP, advanced=True)

    def __post_init__(self) -> None:
        super().__post_init__()
        object.__setattr__(self, "layer", find_layer(self.layer).name)
        if not all(part.strip().isdecimal() for part in self.channels.split(",") if self.channels):
            raise SettingsError(
                f"channels is {self.channels!r}; it must be whole numbers separated by commas, such as 3,17."
            )

    @property
    def chosen(self) -> tuple[int, ...]:
        """The channels asked for; empty: choose the strongest."""
        return tuple(int(part) for part in self.channels.split(",")) if self.channels else ()


@dataclass(frozen=True, kw_only=True)
class LossSettings(NetworkSettings):
    """How to measure the paper's literal loss.

    Raises:
        SettingsError: as in `RunSettings`.
    """

    layers: Mapping[str, float] = option(dict.fromkeys(PAPER_STYLE_LAYERS, 0.2), STYLE_LAYERS_HELP)
    content_layers: Mapping[str, float] = option(
        dict.fromkeys(PAPER_CONTENT_LAYERS, 1.0), CONTENT_LAYERS_HELP
    )
    alpha: float = option(PAPER_RATIO, "weight of content", low=0)
    beta: float = option(1.0, "weight of style", low=0)
    pooling: Pooling = option("average", POOLING_HELP)
