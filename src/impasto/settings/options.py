"""Options: what a settings field declares, its check, its help, its JSON. Standard library only."""

import dataclasses
import inspect
import math
from collections.abc import Mapping
from types import UnionType
from typing import Any, Literal, TypeVar, Union, get_args, get_origin

from impasto.errors import SettingsError
from impasto.settings.parsing import parse_layer_weights

_LAYERS = Mapping[str, float]

# The Python types that a setting of each type accepts, and what an error calls them.
_ACCEPTED: dict[Any, tuple[tuple[type, ...], str]] = {
    bool: ((bool,), "true or false"),
    int: ((int,), "a whole number"),
    float: ((int, float), "a number"),
    str: ((str,), "text"),
}


@dataclasses.dataclass(frozen=True, kw_only=True)
class Option:
    """A setting, as the command, the page, the keywords and the documentation read it.

    Attributes:
        name: the field's name.
        type: bool, int, float, str, a `Literal` of choices, or `Mapping[str, float]` for layers with weights.
        default: the value if the setting is omitted; None: other settings decide.
        help: one line in plain words, without a capital and a full stop.
        unit: what a number counts.
        low, high: bounds, both included; None: no bound.
        advanced: whether a first-time user may ignore it.
        alias: another name for the command's option, taken from other tools.
        label: the name on the page; if omitted, the field's name.
        machine_only: whether it concerns this machine or names its files; the page may not set it then.
    """

    name: str = ""
    type: Any = str
    default: Any
    help: str
    unit: str = ""
    low: float | None = None
    high: float | None = None
    advanced: bool = False
    alias: str = ""
    label: str = ""
    machine_only: bool = False

    @property
    def is_layers(self) -> bool:
        """Whether a value is a mapping of layers to weights, which people type as text."""
        return bool(self.type == _LAYERS)

    @property
    def choices(self) -> tuple[str, ...]:
        """The only values allowed; empty if the setting is not a choice."""
        return get_args(self.type) if get_origin(self.type) is Literal else ()

    @property
    def typed_default(self) -> Any:
        """The default as a person would type it: layers as text, anything else as it is."""
        return format_layers(self.default) if self.is_layers else self.default

    @property
    def flags(self) -> tuple[str, ...]:
        """The command's names for the option, other tools' name last."""
        return tuple(f"--{name.replace('_', '-')}" for name in (self.name, self.alias) if name)

    @property
    def title(self) -> str:
        """The page's name for the setting."""
        return self.label or self.name.replace("_", " ").capitalize()

    @property
    def sentence(self) -> str:
        """The help as a sentence, with the unit after its first part."""
        first, semicolon, rest = self.help.partition(";")
        unit = f", in {self.unit}" if self.unit else ""
        return f"{first[0].upper()}{first[1:]}{unit}{semicolon}{rest}."

    def parse(self, value: Any, name: str = "") -> Any:
        """Turn what was typed into a value of the setting's type: text into a number or layers, 8.0 into 8.

        Args:
            value: text, or a value that needs no parsing.
            name: what an error calls the setting; if omitted, the command's name for it.
        Raises:
            SettingsError: the text is no number, or does not name layers.
        """
        name = name or self.name.replace("_", "-")
        if self.is_layers:
            return parse_layer_weights(value, name)
        if self.type in (int, float) and isinstance(value, str):
            try:
                value = float(value)
            except ValueError:
                raise SettingsError(f"{name} is {value!r}; it must be a number, or left empty.") from None
        # Python's integers stay as they are: a seed of 63 bits does not fit a float
        if self.type is int and isinstance(value, float) and value.is_integer():
            return int(value)
        return value

    def check(self, value: Any) -> Any:
        """Return the value if it is allowed; layers come back as a dictionary of weights.

        Raises:
            SettingsError: the type or range is wrong, or it is not among the choices; with what is allowed.
        """
        name = self.name.replace("_", "-")
        if self.is_layers:
            return parse_layer_weights(value, name)
        if value is None and self.default is None:
            return None
        if self.choices:
            if value not in self.choices:
                raise SettingsError(f"{name} is {value!r}; it must be one of {', '.join(self.choices)}.")
            return value
        accepted, expected = _ACCEPTED[self.type]
        # Python counts True and False as ints; nobody means them as numbers
        fits = isinstance(value, accepted) and (self.type is bool or not isinstance(value, bool))
        if not fits:
            raise SettingsError(f"{name} is {value!r}; it must be {expected}.")
        if isinstance(value, float) and not math.isfinite(value):
            raise SettingsError(f"{name} is {value}; it must be a finite number.")
        low, high = self.low, self.high
        if (low is not None and value < low) or (high is not None and value > high):
            unit = f" {self.unit}" if self.unit else ""
            span = f"at least {low}" if high is None else f"from {low} to {high}"
            raise SettingsError(f"{name} is {value}{unit}; it must be {span}{unit}.")
        return value


def option(default: Any, help: str, **facts: Any) -> Any:
    """Declare a settings field.

    Args:
        default, help: as in `Option`.
        facts: other attributes of `Option`; its name and type are the field's.
    """
    metadata = {"option": Option(default=default, help=help, **facts)}
    if isinstance(default, Mapping):
        return dataclasses.field(default_factory=lambda: dict(default), metadata=metadata)
    return dataclasses.field(default=default, metadata=metadata)


def options_of(settings_class: type) -> tuple[Option, ...]:
    """Return the options of a settings class: its own first, then those that it shares with others."""
    declared = inspect.get_annotations(settings_class)
    fields = sorted(dataclasses.fields(settings_class), key=lambda field: field.name not in declared)
    return tuple(
        dataclasses.replace(field.metadata["option"], name=field.name, type=_without_none(field.type))
        for field in fields
    )


def _without_none(annotation: Any) -> Any:
    """Return the type of a field's values, without the None of a setting that may be omitted."""
    if get_origin(annotation) in (UnionType, Union):
        return next(kind for kind in get_args(annotation) if kind is not type(None))
    return annotation


def check(settings: Any) -> None:
    """Check every field of a settings object, and replace layers given as text by weights.

    Raises:
        SettingsError: naming the field, its value and what is allowed.
    """
    for known in options_of(type(settings)):
        # the class is frozen: this runs in its __post_init__, before anybody has seen the object
        object.__setattr__(settings, known.name, known.check(getattr(settings, known.name)))


def to_json(settings: Any) -> dict[str, Any]:
    """Field names and values, as the manifest holds them."""
    return dataclasses.asdict(settings)


SettingsClass = TypeVar("SettingsClass")


def from_json(settings_class: type[SettingsClass], values: Mapping[str, Any]) -> SettingsClass:
    """Settings from a manifest.

    A field that an older manifest lacks takes its value from the class's `BEFORE`, else its default.

    Raises:
        SettingsError: a setting that this version does not know, or a value it does not allow.
    """
    unknown = sorted(set(values) - {known.name for known in options_of(settings_class)})
    if unknown:
        raise SettingsError(
            f"the manifest has settings that this version of Impasto does not know: {', '.join(unknown)}. "
            "Use the version named in the manifest."
        )
    return settings_class(**{**getattr(settings_class, "BEFORE", {}), **values})


def format_layers(weights: Mapping[str, float]) -> str:
    """Write layers as they are typed: names alone where they share 1 equally.

    >>> format_layers({"conv1_1": 0.5, "conv2_1": 0.5})
    'conv1_1,conv2_1'
    """
    names = ",".join(weights)
    if parse_layer_weights(names, "layers") == weights:
        return names
    return ",".join(f"{name}={weight:g}" for name, weight in weights.items())
