"""Settings that several commands share. Standard library only."""

from dataclasses import dataclass

from impasto.choices import STYLE_STATISTICS, ColorMatch, Colors, Precision
from impasto.settings.options import check, option
from impasto.settings.parsing import parse_bytes

STYLE_LAYERS_HELP = "style layers, with weights w_l unless equal: conv1_1,pool2 or conv1_1=0.5,pool2=0.1"
CONTENT_LAYERS_HELP = "content layers, written like style layers"
POOLING_HELP = "pooling of the network: average, as in the paper, or max (smoother)"
THREADS_HELP = "processor threads; 0: one per core"
STATISTICS_HELP = ", ".join(f"{name} ({words})" for name, words in STYLE_STATISTICS.items())
DEVICE_HELP = "where to compute: auto, cpu, cuda, cuda:1, mps"
BLEND_HELP = (
    "weights of several paintings, in their order: 1,3; or the layers that each contributes: fine,coarse or "
    "1@conv1_1+conv2_1,2@conv4_1; if omitted, equal"
)
MEMORY_HELP = (
    "most memory to use, such as 8GB; if omitted, all that is free on the machine and in its container"
)
WEIGHTS_HELP = "a file with the network's weights; if omitted, the one in the cache"


@dataclass(frozen=True, kw_only=True)
class NetworkSettings:
    """The device that runs the network, and the network's weights.

    Raises:
        SettingsError: a value of the wrong type or out of range; the message names the setting.
    """

    device: str = option("auto", DEVICE_HELP, advanced=True, machine_only=True)
    weights: str = option("", WEIGHTS_HELP, advanced=True, machine_only=True)

    def __post_init__(self) -> None:
        check(self)


@dataclass(frozen=True, kw_only=True)
class MachineSettings(NetworkSettings):
    """The device, the network's weights and the processor threads."""

    threads: int = option(0, THREADS_HELP, low=0, high=4096, advanced=True, machine_only=True)


@dataclass(frozen=True, kw_only=True)
class ComputeSettings(MachineSettings):
    """Settings of every command that optimizes an image or trains a network."""

    precision: Precision = option(
        "auto", "number type of the features; auto: bfloat16 if the processor supports it", advanced=True
    )


@dataclass(frozen=True, kw_only=True)
class LookSettings:
    """How the painting and its colours are prepared, for both the iterative and the one-pass method."""

    style_scale: float = option(
        1.0, "size of the strokes, relative to those of the painting at the picture's size", low=0.05, high=8,
        label="Size of the strokes",
    )  # fmt: skip
    colors: Colors = option(
        "style", "whose colours to use: the painting's (style); or the photo's, by painting only luminance, "
        "by recolouring the painting, or by mapping the photo to the painting's palette at the end",
        label="Colours",
    )  # fmt: skip
    color_match: ColorMatch = option(
        "symmetric",
        "how photo-match recolours the painting: by mean and covariance (two forms), or by histograms",
        advanced=True,
    )
    keep: str = option(
        "",
        "areas of the photo that stay unchanged: colours of its mask (--regions), such as black;#ff0000, or "
        "subject, which is found automatically",
    )
    blend: str = option("", BLEND_HELP)


@dataclass(frozen=True, kw_only=True)
class RunSettings(ComputeSettings):
    """Settings of every run that optimizes an image.

    Raises:
        SettingsError: a value of the wrong type or out of range; the message names the setting.
    """

    seed: int = option(0, "seed of the white noise", low=0, high=2**63 - 1)
    noise: float = option(
        0.1,
        "contrast of the white noise; what the layers cannot see of it remains in the picture",
        low=0,
        high=1,
        advanced=True,
    )
    history: int = option(20, "past steps that L-BFGS keeps", low=1, high=1000, advanced=True)
    tolerance: float = option(
        1e-3, "end a scale when ten L-BFGS steps lower the loss by less than this fraction; 0: never",
        low=0, high=1, advanced=True,
    )  # fmt: skip
    tile: int = option(
        0, "side of the tiles; smaller ones take less memory and more time, same picture up to rounding; "
        "0: automatic", unit="px", low=0, high=100_000, advanced=True,
    )  # fmt: skip
    memory: str = option("", MEMORY_HELP, advanced=True, machine_only=True)

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.memory:
            parse_bytes(self.memory)
