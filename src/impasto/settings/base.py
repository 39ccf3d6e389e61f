"""Settings that several commands share: default, range, unit and help, once. Standard library only."""

from dataclasses import dataclass

from impasto.choices import STYLE_STATISTICS, ColorMatch, Colors, Precision
from impasto.settings.options import check, option
from impasto.settings.parsing import parse_bytes

STYLE_LAYERS_HELP = "style layers, with weights w_l if not equal: conv1_1,pool2 or conv1_1=0.5,pool2=0.1"
CONTENT_LAYERS_HELP = "content layers, written like style layers"
POOLING_HELP = "how the network halves its grids; the paper: average; softer on the eye: max"
STATISTICS_HELP = ", ".join(f"{name} ({words})" for name, words in STYLE_STATISTICS.items())
DEVICE_HELP = "where to compute: auto, cpu, cuda, cuda:1, mps"
BLEND_HELP = (
    "shares of several paintings, in their order: 1,3; or which layers each gives: fine,coarse, "
    "1@conv1_1+conv2_1,2@conv4_1; if left out, equal"
)
MEMORY_HELP = "the most memory to use, such as 8GB; if left out, what the machine and its container have free"
WEIGHTS_HELP = "a file with the network's weights; default: the cache"


@dataclass(frozen=True, kw_only=True)
class MachineSettings:
    """What computes, and with which weights.

    Raises:
        SettingsError: a value that is out of range, of another kind, or not a number; it names the setting.
    """

    device: str = option("auto", DEVICE_HELP, advanced=True, machine_only=True)
    threads: int = option(
        0, "processor threads; 0: one per core", low=0, high=4096, advanced=True, machine_only=True
    )
    weights: str = option("", WEIGHTS_HELP, advanced=True, machine_only=True)

    def __post_init__(self) -> None:
        check(self)


@dataclass(frozen=True, kw_only=True)
class ComputeSettings(MachineSettings):
    """What everything that descends, or paints, has in common."""

    precision: Precision = option(
        "auto", "type of the features; auto: bfloat16 where the processor has it", advanced=True
    )


@dataclass(frozen=True, kw_only=True)
class LookSettings:
    """How paintings are brought to a photo, whatever paints then."""

    style_scale: float = option(
        1.0, "size of the painting, and so of its strokes, against the picture's", low=0.05, high=8,
        label="Size of the strokes",
    )  # fmt: skip
    colors: Colors = option(
        "style", "whose colours: the painting's; or the photo's, by painting its luminance, by recolouring "
        "the painting, or at the end, mapped to the painting's palette", label="Colours",
    )  # fmt: skip
    color_match: ColorMatch = option(
        "symmetric",
        "how photo-match recolours: mean and covariance (two forms), or histograms",
        advanced=True,
    )
    keep: str = option(
        "",
        "colours of the photo's mask (--regions) whose areas stay as they are: black;#ff0000; or "
        "subject, which is found by itself",
    )
    blend: str = option("", BLEND_HELP)


@dataclass(frozen=True, kw_only=True)
class RunSettings(ComputeSettings):
    """What every run by descent has in common.

    Raises:
        SettingsError: a value that is out of range, of another kind, or not a number; it names the setting.
    """

    seed: int = option(0, "seed of the white noise", low=0, high=2**63 - 1)
    noise: float = option(
        0.1, "contrast of the white noise; what a layer cannot see of it stays", low=0, high=1, advanced=True
    )
    history: int = option(20, "steps that L-BFGS remembers", low=1, high=1000, advanced=True)
    tolerance: float = option(
        1e-3, "a scale ends when ten L-BFGS steps lower the loss by less than this share; 0: never",
        low=0, high=1, advanced=True,
    )  # fmt: skip
    tile: int = option(
        0, "compute in tiles of this side: less memory, more time, the same picture to rounding; 0: as fits",
        unit="px", low=0, high=100_000, advanced=True,
    )  # fmt: skip
    memory: str = option("", MEMORY_HELP, advanced=True, machine_only=True)

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.memory:
            parse_bytes(self.memory)
