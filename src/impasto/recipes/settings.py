"""The settings of every job, once: default, range, unit and help. Standard library only.

The options of the command, the table in the docs and the JSON in the manifest come from these fields.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from impasto.choices import (
    Blending,
    ColorMatch,
    Colors,
    Formula,
    Optimizer,
    Pooling,
    Precision,
    StyleLoss,
)
from impasto.errors import SettingsError
from impasto.recipes.fields import blend_shares, check, in_seconds, option, size_in_bytes
from impasto.recipes.presets import (
    PAPER_CONTENT_LAYERS,
    PAPER_RATIO,
    PAPER_STYLE_LAYERS,
    preset_values,
)

STEEPNESS = 1.5
"""How fast β/α moves with strength. At 1.5, strength 0.1 leaves the photo nearly as it is, 0.95 is nearly
texture."""

OWN_WEIGHTS: dict[Formula, tuple[float, float, float, float]] = {
    "balanced": (1.0, 8.0, 2.0, 100.0),
    "paper": (PAPER_RATIO, 1.0, 0.0, 0.0),
    "neural-style": (5.0, 100.0, 1e-3, 0.0),
    "neural-style-pt": (5.0, 100.0, 1e-3, 0.0),
    "gatys-notebook": (1.0, 1.0, 0.0, 0.0),
    "anishathalye": (5.0, 500.0, 100.0, 0.0),
    "gordicaleksa": (1e5, 3e4, 1.0, 0.0),
    "crowsonkb": (0.015, 1.0, 2.0, 0.0),
}
"""By formula: weights of content, style, smoothness and gamut at strength 0.5, if none are given. Of the
balanced formula chosen by eye over the pairs of docs/gallery.md; of the others their tools' defaults."""

OWN_STARTS = ("noise", "content", "fast")
"""Words that `init` may be; anything else is a file."""

PREVIEW = 256
"""Long side of a preview, in pixels."""

STYLE_LAYERS_HELP = "style layers, with weights w_l if not equal: conv1_1,pool2 or conv1_1=0.5,pool2=0.1"
CONTENT_LAYERS_HELP = "content layers, written like style layers"
POOLING_HELP = "how the network halves its grids; the paper: average; softer on the eye: max"
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

    device: str = option("auto", DEVICE_HELP, advanced=True, local=True)
    threads: int = option(
        0, "processor threads; 0: one per core", low=0, high=4096, advanced=True, local=True
    )
    weights: str = option("", WEIGHTS_HELP, advanced=True, local=True)

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
        "style", "whose colours: the painting's; or the photo's, by painting its luminance or by recolouring "
        "the painting", label="Colours",
    )  # fmt: skip
    color_match: ColorMatch = option(
        "symmetric",
        "how photo-match recolours: mean and covariance (two forms), or histograms",
        advanced=True,
    )
    keep: str = option(
        "", "colours of the photo's mask (--regions) whose areas stay as they are: black;#ff0000"
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
    optimizer: Optimizer = option("lbfgs", "the solver", advanced=True)
    history: int = option(20, "steps that L-BFGS remembers", low=1, high=1000, advanced=True)
    tolerance: float = option(
        1e-3, "a scale ends when ten L-BFGS steps lower the loss by less than this share; 0: never",
        low=0, high=1, advanced=True,
    )  # fmt: skip
    tile: int = option(
        0, "compute in tiles of this side: less memory, more time, the same picture to rounding; 0: as fits",
        unit="px", low=0, high=100_000, advanced=True,
    )  # fmt: skip
    memory: str = option("", MEMORY_HELP, advanced=True, local=True)

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.memory:
            size_in_bytes(self.memory)


@dataclass(frozen=True, kw_only=True)
class StylizeSettings(LookSettings, RunSettings):
    """How to repaint one picture in the style of another.

    Raises:
        SettingsError: a value that is out of range, of another kind, or not a number; it names the setting.
    """

    size: int = option(
        512, "long side of the picture", unit="px", low=16, high=100_000, label="Size of the picture"
    )
    strength: float = option(
        0.5, "0 keeps the photo, 1 leaves only the painting's texture", low=0, high=1, label="Strength"
    )
    preview: bool = option(
        False, "stop at 256 px, where the run to the full size would be then: strokes as large in the picture"
    )
    budget: str = option(
        "",
        "time to paint in, such as 10s or 2m: as many steps as there is time for; if left out, --steps",
        label="Time to paint in",
    )
    init: str = option(
        "content", "what to start from: noise, content (the photo), fast (half photo, half what `impasto "
        "fast` paints), or an image file", label="What to start from",
    )  # fmt: skip
    layers: Mapping[str, float] = option(
        dict.fromkeys(PAPER_STYLE_LAYERS, 0.2), STYLE_LAYERS_HELP, label="Style layers"
    )
    blending: Blending = option(
        "targets",
        "several paintings: one style between theirs, or all of them at once (losses)",
        advanced=True,
    )
    style_loss: StyleLoss = option(
        "gram", "what a style is: Gram matrices; means and covariances; histograms", advanced=True
    )
    content_layers: Mapping[str, float] = option(
        dict.fromkeys(PAPER_CONTENT_LAYERS, 1.0), CONTENT_LAYERS_HELP, advanced=True
    )
    steps: int = option(50, "solver steps at the coarsest scale", low=1, high=100_000)
    finest_steps: int = option(
        10, "solver steps at the finest scale, if there is more than one", low=1, high=100_000, advanced=True
    )
    scales: int = option(
        0, "sizes from coarse to fine, doubling; 1 works at the full size only, 0 starts near 128 px",
        low=0, high=12, advanced=True,
    )  # fmt: skip
    formula: Formula = option(
        "balanced", "what the weights multiply; balanced: they mean the same at any size; paper: the literal "
        "formulas; others: those of other tools (docs/presets.md)", advanced=True,
    )  # fmt: skip
    alpha: float | None = option(
        None, "weight of content; follows from strength if left out", low=0, advanced=True,
        also="content_weight", label="Content's weight α",
    )  # fmt: skip
    beta: float | None = option(
        None,
        "weight of style; follows from strength if left out",
        low=0,
        advanced=True,
        also="style_weight",
        label="Style's weight β",
    )
    tv: float | None = option(
        None, "weight of smoothness (total variation); if left out, 2, in other formulas their own",
        low=0, advanced=True, also="tv_weight", label="Smoothness",
    )  # fmt: skip
    gamut: float | None = option(
        None, "weight against colours that no screen shows; if left out, 100, in other formulas 0",
        low=0, advanced=True, label="Colours within what screens show",
    )  # fmt: skip
    pooling: Pooling = option("max", POOLING_HELP, advanced=True)

    def __post_init__(self) -> None:
        super().__post_init__()
        blend_shares(self.blend)
        if self.budget:
            in_seconds(self.budget)
        if self.content_weight == 0 and not (self.style_weight and any(self.layers.values())):
            raise SettingsError("there is nothing to paint towards: content and style both have weight 0.")

    @classmethod
    def preset(cls, name: str, **changes: object) -> "StylizeSettings":
        """The settings of that name, with changes.

        Raises:
            SettingsError: no preset of that name.
        """
        return cls(**{**preset_values(name), **changes})  # type: ignore[arg-type]

    @property
    def content_error(self) -> float | None:
        """The relative squared error of the photo's features that strength asks for: √2 s^1.5, a half at 0.5.

        None where weights are said, or mean what another formula says.
        """
        if not self._dialled or self.strength in (0, 1):
            return None
        return 2**0.5 * float(self.strength**STEEPNESS)

    @property
    def noise_share(self) -> float:
        """Of the start from the photo: none up to strength 0.9; beyond, hardly anything of it is wanted.

        All at 1. Weights alone do not take the photo away in the steps there are.
        """
        return float(max(0.0, (self.strength - 0.9) / 0.1) ** 0.5) if self._dialled else 0.0

    @property
    def _dialled(self) -> bool:
        """Whether strength alone says how content and style are weighed."""
        return self.formula == "balanced" and self.alpha is None and self.beta is None

    @property
    def content_weight(self) -> float:
        """The paper's α: as given, else the formula's own, more or less by strength."""
        if self.alpha is not None:
            return self.alpha
        return OWN_WEIGHTS[self.formula][0] * float((2 * (1 - self.strength)) ** STEEPNESS)

    @property
    def style_weight(self) -> float:
        """The paper's β: as given, else the formula's own, more or less by strength."""
        if self.beta is not None:
            return self.beta
        return OWN_WEIGHTS[self.formula][1] * float((2 * self.strength) ** STEEPNESS)

    @property
    def variation_weight(self) -> float:
        """Of smoothness, as given or the formula's own."""
        return OWN_WEIGHTS[self.formula][2] if self.tv is None else self.tv

    @property
    def gamut_weight(self) -> float:
        """Of the overshoot of colours, as given or the formula's own."""
        return OWN_WEIGHTS[self.formula][3] if self.gamut is None else self.gamut
