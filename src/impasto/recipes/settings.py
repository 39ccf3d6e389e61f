"""The settings of every job, once: default, range, unit and help. Standard library only.

The options of the command, the table in the docs and the JSON in the manifest come from these fields.
"""

import dataclasses
import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Literal, get_args, get_origin

from impasto.choices import Formula, Optimizer, Pooling, Precision
from impasto.errors import SettingsError
from impasto.network.layers import layer

PAPER_STYLE_LAYERS = ("conv1_1", "conv2_1", "conv3_1", "conv4_1", "conv5_1")
"""Gatys et al. 2015, Methods: each with w_l = 1/5."""

PAPER_CONTENT_LAYERS = ("conv4_2",)
"""Gatys et al. 2015, Fig. 2."""

PAPER_RATIO = 1e-3
"""α/β of Gatys et al. 2015, Fig. 2 B, C and D."""

STYLE_AT_HALF = 5.0
"""β/α of the balanced formula at strength 0.5; chosen by eye over the pairs of docs/gallery.md."""

STEEPNESS = 1.5
"""How fast β/α moves with strength. At 1.5, strength 0.1 leaves the photo nearly as it is, 0.95 is nearly
texture."""

VARIATION, GAMUT = 2.0, 100.0
"""Weights of the two priors in the balanced formula; by eye as well. docs/design.md says what was seen."""

STYLE_LAYERS_HELP = "style layers, with weights w_l if not equal: conv1_1,conv2_1 or conv1_1=0.5,conv2_1=0.1"
CONTENT_LAYERS_HELP = "content layers, written like style layers"
POOLING_HELP = "how the network halves its grids; the paper: average; softer on the eye: max"
DEVICE_HELP = "where to compute: auto, cpu, cuda, cuda:1, mps"
WEIGHTS_HELP = "a file with the network's weights; default: the cache"


def option(
    default: Any,
    help: str,
    *,
    unit: str = "",
    low: float | None = None,
    high: float | None = None,
    advanced: bool = False,
) -> Any:
    """A settings field: its default, what it does, and what is allowed.

    Args:
        default: the value when nothing is said; it gives the field its meaning in every door.
        help: one line in plain words.
        unit: what a number counts.
        low, high: bounds, both included.
        advanced: whether a first-time user may ignore it.
    """
    facts = {
        "help": help,
        "unit": unit,
        "low": low,
        "high": high,
        "advanced": advanced,
    }
    if isinstance(default, Mapping):
        return dataclasses.field(default_factory=lambda: dict(default), metadata=facts)
    return dataclasses.field(default=default, metadata=facts)


@dataclass(frozen=True)
class StylizeSettings:
    """How to repaint one picture in the style of another.

    Raises:
        SettingsError: a value that is out of range, of another kind, or not a number; it names the setting.
    """

    size: int = option(512, "long side of the picture", unit="px", low=16, high=100_000)
    strength: float = option(0.5, "0 keeps the photo, 1 leaves only the painting's texture", low=0, high=1)
    init: str = option("content", "what to start from: noise, content (the photo), or an image file")
    layers: Mapping[str, float] = option(dict.fromkeys(PAPER_STYLE_LAYERS, 0.2), STYLE_LAYERS_HELP)
    content_layers: Mapping[str, float] = option(
        dict.fromkeys(PAPER_CONTENT_LAYERS, 1.0), CONTENT_LAYERS_HELP, advanced=True
    )
    seed: int = option(0, "seed of the white noise", low=0, high=2**63 - 1)
    steps: int = option(60, "solver steps at the coarsest scale", low=1, high=100_000)
    finest_steps: int = option(
        12, "solver steps at the finest scale, if there is more than one", low=1, high=100_000, advanced=True
    )
    scales: int = option(
        0, "sizes from coarse to fine, doubling; 1 works at the full size only, 0 starts near 128 px",
        low=0, high=12, advanced=True,
    )  # fmt: skip
    formula: Formula = option(
        "balanced", "balanced: weights mean the same at any size; paper: the literal formulas", advanced=True
    )
    alpha: float | None = option(
        None, "weight of content; follows from strength if left out", low=0, advanced=True
    )
    beta: float | None = option(
        None, "weight of style; follows from strength if left out", low=0, advanced=True
    )
    tv: float | None = option(
        None, "weight of smoothness (total variation); if left out, 2, in the paper's formula 0",
        low=0, advanced=True,
    )  # fmt: skip
    gamut: float | None = option(
        None, "weight against colours that no screen shows; if left out, 100, in the paper's formula 0",
        low=0, advanced=True,
    )  # fmt: skip
    pooling: Pooling = option("max", POOLING_HELP, advanced=True)
    optimizer: Optimizer = option("lbfgs", "the solver", advanced=True)
    history: int = option(20, "steps that L-BFGS remembers", low=1, high=1000, advanced=True)
    precision: Precision = option(
        "auto", "type of the features; auto: bfloat16 where the processor has it", advanced=True
    )
    device: str = option("auto", DEVICE_HELP, advanced=True)
    threads: int = option(0, "processor threads; 0: one per core", low=0, high=4096, advanced=True)
    weights: str = option("", WEIGHTS_HELP, advanced=True)

    def __post_init__(self) -> None:
        check(self)
        if self.content_weight == 0 and not (self.style_weight and any(self.layers.values())):
            raise SettingsError("there is nothing to paint towards: content and style both have weight 0.")

    @property
    def content_weight(self) -> float:
        """The paper's α: as given, else from strength (balanced) or α/β of the paper's Fig. 2 (paper)."""
        if self.alpha is not None:
            return self.alpha
        return PAPER_RATIO if self.formula == "paper" else (2 * (1 - self.strength)) ** STEEPNESS

    @property
    def style_weight(self) -> float:
        """The paper's β: as given, else from strength (balanced) or 1 (paper)."""
        if self.beta is not None:
            return self.beta
        return 1.0 if self.formula == "paper" else STYLE_AT_HALF * (2 * self.strength) ** STEEPNESS

    @property
    def variation_weight(self) -> float:
        """Of the total variation, as given or as the formula has it."""
        return self._prior(self.tv, VARIATION)

    @property
    def gamut_weight(self) -> float:
        """Of the overshoot of colours, as given or as the formula has it."""
        return self._prior(self.gamut, GAMUT)

    def _prior(self, given: float | None, balanced: float) -> float:
        if given is not None:
            return given
        return 0.0 if self.formula == "paper" else balanced


@dataclass(frozen=True)
class LossSettings:
    """How to measure the paper's literal loss.

    Raises:
        SettingsError: as in `StylizeSettings`.
    """

    layers: Mapping[str, float] = option(dict.fromkeys(PAPER_STYLE_LAYERS, 0.2), STYLE_LAYERS_HELP)
    content_layers: Mapping[str, float] = option(
        dict.fromkeys(PAPER_CONTENT_LAYERS, 1.0), CONTENT_LAYERS_HELP
    )
    alpha: float = option(PAPER_RATIO, "weight of content", low=0)
    beta: float = option(1.0, "weight of style", low=0)
    pooling: Pooling = option("average", POOLING_HELP)
    device: str = option("auto", DEVICE_HELP)
    weights: str = option("", WEIGHTS_HELP)

    def __post_init__(self) -> None:
        check(self)


def layer_weights(value: str | Iterable[str] | Mapping[str, float], name: str) -> dict[str, float]:
    """Weights by layer, from a mapping, from names (which share 1 equally), or from text.

    Raises:
        SettingsError: an unknown layer, one named twice, a weight that is no number, below 0, or none at all.

    >>> layer_weights("conv1_1,conv2_1=0.1", "layers")
    {'conv1_1': 0.5, 'conv2_1': 0.1}
    """
    pairs = list(value.items()) if isinstance(value, Mapping) else _split(value)
    if not pairs:
        raise SettingsError(f"{name} is empty; name at least one layer, for instance conv4_1.")
    found: dict[str, float] = {}
    for label, weight in pairs:
        known = layer(label).name
        if known in found:
            raise SettingsError(f"{name} has {known} twice; name each layer once.")
        found[known] = 1 / len(pairs) if weight is None else _weight(weight, f"{name}: weight of {known}")
    return found


def _split(value: str | Iterable[str]) -> list[tuple[str, str | None]]:
    parts = value.split(",") if isinstance(value, str) else list(value)
    cut = [part.partition("=") for part in parts if part.strip()]
    return [(label, weight if equals else None) for label, equals, weight in cut]


def _weight(value: Any, what: str) -> float:
    try:
        number = float(value)
    except (TypeError, ValueError):
        number = math.nan
    if not (math.isfinite(number) and number >= 0):
        raise SettingsError(f"{what} is {value}; it must be a number, 0 or more.")
    return number


def check(settings: Any) -> None:
    """Hold each field of a settings object against its declared kind, range and choices; parse layers.

    Raises:
        SettingsError: naming the field, its value and what is allowed.
    """
    for field in dataclasses.fields(settings):
        value = getattr(settings, field.name)
        name = field.name.replace("_", "-")
        if field.type == Mapping[str, float]:
            object.__setattr__(settings, field.name, layer_weights(value, name))
            continue
        if value is None and field.default is None:
            continue
        if choices(field) and value not in choices(field):
            raise SettingsError(f"{name} is {value!r}; it must be one of {', '.join(choices(field))}.")
        wants_number = field.type in (int, float, float | None)
        if isinstance(value, bool) or not isinstance(value, (int, float) if wants_number else str):
            raise SettingsError(f"{name} is {value!r}; it must be {'a number' if wants_number else 'text'}.")
        if field.type is int and not isinstance(value, int):
            raise SettingsError(f"{name} is {value!r}; it must be a whole number.")
        if isinstance(value, (int, float)):
            _check_range(name, value, field.metadata)


def choices(field: "dataclasses.Field[Any]") -> tuple[str, ...]:
    """The only values a field may have, or nothing if it is not a choice."""
    return get_args(field.type) if get_origin(field.type) is Literal else ()


def _check_range(name: str, value: float, facts: Mapping[str, Any]) -> None:
    low, high = facts["low"], facts["high"]
    unit = f" {facts['unit']}" if facts["unit"] else ""
    if not math.isfinite(value):
        raise SettingsError(f"{name} is {value}; it must be a finite number.")
    if (low is not None and value < low) or (high is not None and value > high):
        span = f"at least {low}" if high is None else f"from {low} to {high}"
        raise SettingsError(f"{name} is {value}{unit}; it must be {span}{unit}.")


def to_json(settings: Any) -> dict[str, Any]:
    """Field names and values, as they go into a manifest."""
    return dataclasses.asdict(settings)


def stylize_from_json(values: Mapping[str, Any]) -> StylizeSettings:
    """Settings from a manifest.

    Raises:
        SettingsError: a setting that this version does not know, or a value it does not allow.
    """
    known = {field.name for field in dataclasses.fields(StylizeSettings)}
    unknown = sorted(set(values) - known)
    if unknown:
        raise SettingsError(
            f"the manifest has settings that this version of Impasto does not know: {', '.join(unknown)}. "
            "Use the version named in the manifest."
        )
    return StylizeSettings(**values)
