"""The settings of stylizing in one pass and of training networks for it. Standard library only."""

from collections.abc import Mapping
from dataclasses import dataclass, fields

from impasto.choices import Pooling, StyleLoss
from impasto.settings.base import (
    CONTENT_LAYERS_HELP,
    MEMORY_HELP,
    POOLING_HELP,
    STATISTICS_HELP,
    STYLE_LAYERS_HELP,
    ComputeSettings,
    LookSettings,
)
from impasto.settings.blend import parse_blend
from impasto.settings.options import option
from impasto.settings.parsing import parse_bytes
from impasto.settings.presets import PAPER_CONTENT_LAYERS, PAPER_STYLE_LAYERS
from impasto.settings.stylize import StylizeSettings


@dataclass(frozen=True, kw_only=True)
class FastSettings(LookSettings, ComputeSettings):
    """How to repaint a picture in one pass (Huang and Belongie 2017; or a trained model).

    Raises:
        SettingsError: a value of the wrong type or out of range; the message names the setting.
    """

    size: int = option(512, "long side of the picture; 0: that of the photo", unit="px", low=0, high=100_000)
    strength: float = option(1.0, "0 gives the photo, 1 the full style of the painting", low=0, high=1)
    model: str = option(
        "",
        "a trained model instead of paintings: a file from `impasto train`, or the name of a bundled model",
    )
    tile: int = option(
        0, "side of the tiles; smaller ones take less memory and more time; 0: automatic", unit="px", low=0,
        high=100_000, advanced=True,
    )  # fmt: skip
    memory: str = option("", MEMORY_HELP, advanced=True, machine_only=True)
    decoder: str = option(
        "",
        "a file with the decoder's weights; if omitted, the one in the cache",
        advanced=True,
        machine_only=True,
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        # the calls here are for their errors alone
        parse_blend(self.blend)
        if self.memory:
            parse_bytes(self.memory)

    @property
    def pooling(self) -> Pooling:
        """Max pooling, with which the decoder was trained (Huang and Belongie 2017)."""
        return "max"

    @classmethod
    def like(cls, settings: StylizeSettings, size: int) -> "FastSettings":
        """Return settings for the look of a `StylizeSettings` in one pass, at another long side in pixels."""
        # look and machine only: the solver's settings mean nothing in one pass
        same = [field.name for kind in (LookSettings, ComputeSettings) for field in fields(kind)]
        return cls(size=size, **{name: getattr(settings, name) for name in (*same, "memory")})


@dataclass(frozen=True, kw_only=True)
class TrainSettings(ComputeSettings):
    """How to train a model (Johnson, Alahi and Fei-Fei 2016) on a folder of photographs.

    Raises:
        SettingsError: a value of the wrong type or out of range; the message names the setting.
    """

    steps: int = option(1100, "training steps", low=1, high=10_000_000)
    size: int = option(192, "side of the squares cut from the photos", unit="px", low=32, high=2048)
    style_size: int = option(
        384, "long side of the paintings; smaller makes the strokes finer", unit="px", low=32, high=8192
    )
    strength: float = option(0.4, "0 keeps the photo, 1 leaves only the painting's texture", low=0, high=1)
    start: str = option(
        "",
        "a model to start from, of any style: a file, or the name of a bundled model; needs fewer --steps",
    )
    batch: int = option(2, "photos per step, over all processes", low=1, high=4096)
    rate: float = option(2e-3, "Adam's peak learning rate; it decays to 1 %", low=0, high=1)
    check_every: int = option(100, "steps between evaluations on held-out photos", low=1, high=1_000_000)
    patience: int = option(
        8,
        "stop after this many evaluations without improvement; 0: only after the last step",
        low=0,
        high=1000,
    )
    tv: float = option(2.0, "weight of smoothness (total variation)", low=0, advanced=True)
    layers: Mapping[str, float] = option(
        dict.fromkeys(PAPER_STYLE_LAYERS, 0.2), STYLE_LAYERS_HELP, advanced=True
    )
    content_layers: Mapping[str, float] = option(
        dict.fromkeys(PAPER_CONTENT_LAYERS, 1.0), CONTENT_LAYERS_HELP, advanced=True
    )
    style_loss: StyleLoss = option("gram", f"statistic of the style: {STATISTICS_HELP}", advanced=True)
    width: int = option(24, "filters of the model's first layer", low=4, high=256, advanced=True)
    blocks: int = option(5, "residual blocks of the model", low=1, high=64, advanced=True)
    seed: int = option(0, "seed of the model's initial weights and of the order of the photos",
                       low=0, high=2**31, advanced=True)  # fmt: skip
    pooling: Pooling = option("max", POOLING_HELP, advanced=True)
