"""The settings of painters that paint in one pass, and of their training. Standard library only."""

from collections.abc import Mapping
from dataclasses import dataclass

from impasto.choices import Pooling, Precision, StyleLoss
from impasto.recipes.fields import check, option
from impasto.recipes.presets import PAPER_CONTENT_LAYERS, PAPER_STYLE_LAYERS
from impasto.recipes.settings import (
    CONTENT_LAYERS_HELP,
    DEVICE_HELP,
    POOLING_HELP,
    STYLE_LAYERS_HELP,
    WEIGHTS_HELP,
)


@dataclass(frozen=True, kw_only=True)
class TrainSettings:
    """How to train a painter (Johnson, Alahi and Fei-Fei 2016) on a folder of photographs.

    Raises:
        SettingsError: a value that is out of range, of another kind, or not a number; it names the setting.
    """

    steps: int = option(2400, "training steps", low=1, high=10_000_000)
    size: int = option(192, "side of the squares cut out of the photos", unit="px", low=32, high=2048)
    style_size: int = option(
        384, "long side of the paintings: smaller, and the strokes are finer", unit="px", low=32, high=8192
    )
    strength: float = option(0.75, "0 keeps the photo, 1 leaves only the painting's texture", low=0, high=1)
    batch: int = option(2, "photos in a step, over all processes", low=1, high=4096)
    rate: float = option(2e-3, "of Adam, at its height; it falls to a hundredth in the end", low=0, high=1)
    check_every: int = option(
        100, "steps between two looks at photos that are not trained on", low=1, high=1_000_000
    )
    patience: int = option(
        8, "end after so many looks without a better one; 0: never before the last step", low=0, high=1000
    )
    tv: float = option(2.0, "weight of smoothness (total variation)", low=0, advanced=True)
    layers: Mapping[str, float] = option(
        dict.fromkeys(PAPER_STYLE_LAYERS, 0.2), STYLE_LAYERS_HELP, advanced=True
    )
    content_layers: Mapping[str, float] = option(
        dict.fromkeys(PAPER_CONTENT_LAYERS, 1.0), CONTENT_LAYERS_HELP, advanced=True
    )
    style_loss: StyleLoss = option(
        "gram", "what a style is: Gram matrices; means and covariances; histograms", advanced=True
    )
    width: int = option(24, "filters of the painter's first layer", low=4, high=256, advanced=True)
    blocks: int = option(5, "residual blocks of the painter", low=1, high=64, advanced=True)
    seed: int = option(0, "seed of the painter's first weights and of the order of the photos",
                       low=0, high=2**31, advanced=True)  # fmt: skip
    pooling: Pooling = option("max", POOLING_HELP, advanced=True)
    precision: Precision = option(
        "auto", "type of the features; auto: bfloat16 where the processor has it", advanced=True
    )
    device: str = option("auto", DEVICE_HELP, advanced=True)
    threads: int = option(0, "processor threads; 0: one per core", low=0, high=4096, advanced=True)
    weights: str = option("", WEIGHTS_HELP, advanced=True)

    def __post_init__(self) -> None:
        check(self)
