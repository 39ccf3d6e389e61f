"""Options: what a settings field declares, its check, its help, its JSON. Standard library only."""

import dataclasses
import inspect
import math
from collections.abc import Mapping
from types import UnionType
from typing import Any, Literal, TypeVar, Union, get_args, get_origin

from impasto.errors import SettingsError
from impasto.settings.parsing import parse_layer_weights


def option(
    default: Any,
    help: str,
    *,
    unit: str = "",
    low: float | None = None,
    high: float | None = None,
    advanced: bool = False,
    alias: str = "",
    label: str = "",
    machine_only: bool = False,
) -> Any:
    """A settings field: its default, what it does, and what is allowed.

    Args:
        default: the value when nothing is said; it gives the field its meaning in every door.
        help: one line in plain words.
        unit: what a number counts.
        low, high: bounds, both included.
        advanced: whether a first-time user may ignore it.
        alias: another name for the option, as other tools have it.
        label: what a page calls it; if left out, its name.
        machine_only: it is about this machine or names its files: no page may set it.
    """
    facts = {
        "help": help,
        "unit": unit,
        "low": low,
        "high": high,
        "advanced": advanced,
        "alias": alias,
        "label": label,
        "machine_only": machine_only,
    }
    if isinstance(default, Mapping):
        return dataclasses.field(default_factory=lambda: dict(default), metadata=facts)
    return dataclasses.field(default=default, metadata=facts)


def check(settings: Any) -> None:
    """Hold each field of a settings object against its declared kind, range and choices; parse layers.

    Raises:
        SettingsError: naming the field, its value and what is allowed.
    """
    for field in dataclasses.fields(settings):
        value = getattr(settings, field.name)
        name = field.name.replace("_", "-")
        if field.type == Mapping[str, float]:
            object.__setattr__(settings, field.name, parse_layer_weights(value, name))
            continue
        if value is None and field.default is None:
            continue
        if choices(field) and value not in choices(field):
            raise SettingsError(f"{name} is {value!r}; it must be one of {', '.join(choices(field))}.")
        if kind(field) is bool:
            continue
        wants_number = kind(field) in (int, float)
        if isinstance(value, bool) or not isinstance(value, (int, float) if wants_number else str):
            raise SettingsError(f"{name} is {value!r}; it must be {'a number' if wants_number else 'text'}.")
        if kind(field) is int and not isinstance(value, int):
            raise SettingsError(f"{name} is {value!r}; it must be a whole number.")
        if isinstance(value, (int, float)):
            _check_range(name, value, field.metadata)


def choices(field: "dataclasses.Field[Any]") -> tuple[str, ...]:
    """The only values a field may have, or nothing if it is not a choice."""
    return get_args(kind(field)) if get_origin(kind(field)) is Literal else ()


def kind(field: "dataclasses.Field[Any]") -> Any:
    """A field's type, without the None of one that may be left out."""
    kinds = [kind for kind in get_args(field.type) if kind is not type(None)]
    return kinds[0] if get_origin(field.type) is UnionType or get_origin(field.type) is Union else field.type


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

    A field that an older manifest lacks takes its value from the class's `BEFORE`, else its default.

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
    return settings_class(**{**getattr(settings_class, "BEFORE", {}), **values})


def fields_in_order(settings_class: type) -> list["dataclasses.Field[Any]"]:
    """A settings class's own fields first, then those it shares with others."""
    declared = inspect.get_annotations(settings_class)
    return sorted(dataclasses.fields(settings_class), key=lambda field: field.name not in declared)


def option_names(field: "dataclasses.Field[Any]") -> list[str]:
    """What the option of a field is called, other tools' name for it last."""
    return [f"--{name.replace('_', '-')}" for name in (field.name, field.metadata["alias"]) if name]


def option_help(field: "dataclasses.Field[Any]") -> str:
    """A field's help as one sentence: what it does, and its unit."""
    facts = field.metadata
    text = str(facts["help"][0].upper() + facts["help"][1:])
    if facts["unit"]:
        text += f", in {facts['unit']}"
    return text + "."


def format_layers(weights: dict[str, float]) -> str:
    """Layers as they are typed: names alone where they share 1 equally.

    >>> as_text({"conv1_1": 0.5, "conv2_1": 0.5})
    'conv1_1,conv2_1'
    """
    names = ",".join(weights)
    if parse_layer_weights(names, "layers") == weights:
        return names
    return ",".join(f"{name}={weight:g}" for name, weight in weights.items())
