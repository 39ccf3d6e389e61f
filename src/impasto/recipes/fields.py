"""What a settings field is: its declaration, its check, its JSON. Standard library only."""

import dataclasses
import math
import re
from collections.abc import Iterable, Mapping
from typing import Any, Literal, TypeVar, get_args, get_origin

from impasto.errors import SettingsError
from impasto.network.layers import LAYERS, layer


def option(
    default: Any,
    help: str,
    *,
    unit: str = "",
    low: float | None = None,
    high: float | None = None,
    advanced: bool = False,
    also: str = "",
    label: str = "",
    local: bool = False,
) -> Any:
    """A settings field: its default, what it does, and what is allowed.

    Args:
        default: the value when nothing is said; it gives the field its meaning in every door.
        help: one line in plain words.
        unit: what a number counts.
        low, high: bounds, both included.
        advanced: whether a first-time user may ignore it.
        also: another name for the option, as other tools have it.
        label: what a page calls it; if left out, its name.
        local: it is about this machine or names its files: no page may set it.
    """
    facts = {
        "help": help,
        "unit": unit,
        "low": low,
        "high": high,
        "advanced": advanced,
        "also": also,
        "label": label,
        "local": local,
    }
    if isinstance(default, Mapping):
        return dataclasses.field(default_factory=lambda: dict(default), metadata=facts)
    return dataclasses.field(default=default, metadata=facts)


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


@dataclasses.dataclass(frozen=True)
class Share:
    """How much one painting of several has to say.

    Attributes:
        weight: against the others'.
        layers: where it has a say; None: in every layer.
    """

    weight: float
    layers: frozenset[str] | None = None

    def at(self, name: str) -> float:
        """The weight at one layer."""
        return self.weight if self.layers is None or name in self.layers else 0.0


FINE_BLOCKS = 3
"""Blocks of the network whose layers see strokes; deeper ones see shapes."""


def blend_shares(text: str, count: int | None = None) -> tuple[Share, ...]:
    """What several paintings have to say, in their order; equally much if nothing is said.

    Args:
        text: a weight for each painting, with commas between them; with @ and layers where it has a say
            in these alone: `fine` (conv1_1 to conv3_4), `coarse` (the deeper ones), or names with plus signs.
        count: how many there must be, if that is known.
    Raises:
        SettingsError: what is no number or below 0, all of them 0, an unknown layer, or another count.

    >>> [share.weight for share in blend_shares("1,3")]
    [1.0, 3.0]
    >>> blend_shares("fine,coarse")[0].at("conv5_1"), blend_shares("2@conv1_1+conv2_1,1")[0].at("conv1_1")
    (0.0, 2.0)
    """
    if not text:
        return (Share(1.0),) * (count or 0)
    found = tuple(_share(part.strip()) for part in text.split(","))
    if count is not None and len(found) != count:
        raise SettingsError(f"blend is {text!r}, {len(found)} shares for {count} paintings; give one each.")
    if not any(share.weight for share in found):
        raise SettingsError(f"blend is {text!r}; one share must be above 0.")
    return found


def _share(part: str) -> Share:
    weight, _, layers = part.rpartition("@") if "@" in part or part in ("fine", "coarse") else (part, "", "")
    number = _weight(weight, "blend: one share") if weight or not layers else 1.0
    if not layers:
        return Share(number)
    if layers in ("fine", "coarse"):
        names = [n for n, known in LAYERS.items() if (known.block <= FINE_BLOCKS) == (layers == "fine")]
    else:
        names = [layer(name).name for name in layers.split("+")]
    return Share(number, frozenset(names))


def size_in_bytes(text: str) -> int:
    """A size of memory.

    Raises:
        SettingsError: it is none.

    >>> size_in_bytes("1.5GB"), size_in_bytes("512 MiB")
    (1500000000, 536870912)
    """
    found = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*([KMGT]?)(i?)B?\s*", text, re.IGNORECASE)
    if found is None:
        raise SettingsError(f"memory is {text!r}; give a size, for instance 8GB or 500MB.")
    number, unit, binary = found.groups()
    size: float = float(number) * (1024 if binary else 1000) ** " KMGT".index(unit.upper() or " ")
    return round(size)


def in_seconds(text: str) -> float:
    """A span of time.

    Raises:
        SettingsError: it is none.

    >>> in_seconds("90"), in_seconds("2.5m"), in_seconds("1h")
    (90.0, 150.0, 3600.0)
    """
    found = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*(s|m|min|h)?\s*", text, re.IGNORECASE)
    if found is None or float(found[1]) == 0:
        raise SettingsError(f"budget is {text!r}; give a time above 0, for instance 10s or 2m.")
    unit = (found[2] or "s").lower()[0]
    return float(found[1]) * {"s": 1, "m": 60, "h": 3600}[unit]


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
        if field.type is bool:
            continue
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


SettingsClass = TypeVar("SettingsClass")


def from_json(settings_class: type[SettingsClass], values: Mapping[str, Any]) -> SettingsClass:
    """Settings from a manifest.

    Raises:
        SettingsError: a setting that this version does not know, or a value it does not allow.
    """
    known = {field.name for field in dataclasses.fields(settings_class)}  # type: ignore[arg-type]
    unknown = sorted(set(values) - known)
    if unknown:
        raise SettingsError(
            f"the manifest has settings that this version of Impasto does not know: {', '.join(unknown)}. "
            "Use the version named in the manifest."
        )
    return settings_class(**values)
