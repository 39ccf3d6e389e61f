"""Parsers of typed values: layers with weights, sizes in bytes, durations."""

import math
import re
from collections.abc import Iterable, Mapping
from typing import Any, get_args

from impasto.choices import NEIGHBORS, StyleLoss
from impasto.errors import SettingsError
from impasto.layers import find_layer


def parse_layer_weights(value: str | Iterable[str] | Mapping[str, float], name: str) -> dict[str, float]:
    """Weights by layer, from a mapping, names or text; layers without weights get an equal share of 1.

    Args:
        value: such as "conv1_1,conv2_1=0.1".
        name: the setting, for errors.
    Raises:
        SettingsError: no layer, an unknown one, one named twice, or a weight that is no number or below 0.

    >>> parse_layer_weights("conv1_1,conv2_1=0.1", "layers")
    {'conv1_1': 0.5, 'conv2_1': 0.1}
    """
    pairs = list(value.items()) if isinstance(value, Mapping) else _split(value)
    if not pairs:
        raise SettingsError(f"{name} is empty; name at least one layer, for instance conv4_1.")
    weights: dict[str, float] = {}
    for label, weight in pairs:
        known = find_layer(label).name
        if known in weights:
            raise SettingsError(f"{name} has {known} twice; name each layer once.")
        weights[known] = 1 / len(pairs) if weight is None else _weight(weight, f"{name}: weight of {known}")
    return weights


def parse_style_loss(text: str) -> dict[str, float]:
    """Weights by statistic; a name alone has weight 1, and weight 0 drops a statistic.

    Raises:
        SettingsError: an unknown statistic, one named twice, a weight that is no number, or none above 0.

    >>> parse_style_loss("gram,neighbors=0.5")
    {'gram': 1.0, 'neighbors': 0.5}
    """
    known = (*get_args(StyleLoss), NEIGHBORS)
    weights: dict[str, float] = {}
    for label, weight in _split(text):
        name = label.strip().lower()
        if name not in known:
            raise SettingsError(f"style-loss is {text!r}; {name!r} is not one of {', '.join(known)}.")
        if name in weights:
            raise SettingsError(f"style-loss has {name} twice; name it once.")
        weights[name] = 1.0 if weight is None else _weight(weight, f"style-loss: weight of {name}")
    weights = {name: weight for name, weight in weights.items() if weight}
    if not weights:
        raise SettingsError(
            f"style-loss is {text!r}; give at least one of {', '.join(known)} a weight above 0."
        )
    return weights


def _split(value: str | Iterable[str]) -> list[tuple[str, str | None]]:
    parts = value.split(",") if isinstance(value, str) else list(value)
    cut = [part.partition("=") for part in parts if part.strip()]
    return [(label, weight if equals else None) for label, equals, weight in cut]


def _weight(value: Any, what: str) -> float:
    try:
        number = float(value)
    except (TypeError, ValueError):
        # fails the check below, and so gets the same message
        number = math.nan
    if not (math.isfinite(number) and number >= 0):
        raise SettingsError(f"{what} is {value}; it must be a number, 0 or more.")
    return number


def parse_bytes(text: str) -> int:
    """Bytes in a size such as 8GB (powers of 1000) or 512MiB (powers of 1024).

    Raises:
        SettingsError: the text is no size.

    >>> parse_bytes("1.5GB"), parse_bytes("512 MiB")
    (1500000000, 536870912)
    """
    # as in IEC 80000-13: GB is a power of 1000, GiB of 1024; the B may be omitted
    match = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*([KMGT]?)(i?)B?\s*", text, re.IGNORECASE)
    if match is None:
        raise SettingsError(f"memory is {text!r}; give a size, for instance 8GB or 500MB.")
    number, unit, binary = match.groups()
    size: float = float(number) * (1024 if binary else 1000) ** " KMGT".index(unit.upper() or " ")
    return round(size)


def parse_duration(text: str) -> float:
    """Seconds in a duration such as 90, 10s, 2.5m or 1h.

    Raises:
        SettingsError: the text is no duration, or 0.

    >>> parse_duration("90"), parse_duration("2.5m"), parse_duration("1h")
    (90.0, 150.0, 3600.0)
    """
    match = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*(s|m|min|h)?\s*", text, re.IGNORECASE)
    if match is None or float(match[1]) == 0:
        raise SettingsError(f"budget is {text!r}; give a time above 0, for instance 10s or 2m.")
    # "m" and "min" are the same unit
    unit = (match[2] or "s").lower()[0]
    return float(match[1]) * {"s": 1, "m": 60, "h": 3600}[unit]
