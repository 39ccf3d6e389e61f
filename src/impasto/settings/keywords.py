"""Settings as keywords: `stylize(photo, painting, size=1024)`. Standard library and typing_extensions only.

The classes below repeat the settings' fields for editors and mypy; a test compares them with the settings.
"""

import difflib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import TypedDict, TypeVar

from impasto.choices import (
    Blending,
    ColorMatch,
    Colors,
    Effort,
    Formula,
    Matching,
    Optimizer,
    Pooling,
    Precision,
    SolverSpace,
    StyleLoss,
)
from impasto.errors import SettingsError
from impasto.settings.options import options_of

_Settings = TypeVar("_Settings")


def with_options(
    settings_class: type[_Settings],
    settings: _Settings | None,
    options: Mapping[str, object],
    *,
    preset: str = "",
    parameters: Sequence[str] = (),
) -> _Settings:
    """Apply keywords to given settings, to a preset, or to the defaults.

    Args:
        settings_class: the class of the result; a preset needs its class method `preset`.
        settings: the settings to change; None: the preset or the defaults.
        options: values by field.
        preset: name of a preset; "": none.
        parameters: other parameters of the public function, for the advice about a misspelled keyword.
    Raises:
        SettingsError: an unknown keyword, with the nearest known one; both settings and a preset; a value
            that is not allowed.
    """
    known = [option.name for option in options_of(settings_class)]
    for name in options:
        if name not in known:
            raise SettingsError(_unknown(settings_class, name, [*known, *parameters]))
    if settings is not None and preset:
        raise SettingsError(
            f"preset is {preset!r}, and settings are given as well. Use one of the two, such as "
            f"settings={settings_class.__name__}.preset({preset!r})."
        )
    if settings is not None:
        return replace(settings, **options)  # type: ignore[type-var]
    make: Callable[..., _Settings] = settings_class
    if preset:
        make = partial(settings_class.preset, preset)  # type: ignore[attr-defined]
    return make(**options)


def _unknown(settings_class: type, name: str, known: Sequence[str]) -> str:
    """Return the message about an unknown keyword."""
    aliases = {option.alias: option.name for option in options_of(settings_class) if option.alias}
    # other tools' names, such as style_weight for beta, are too far from ours for difflib
    near = [aliases[name]] if name in aliases else difflib.get_close_matches(name, known, n=1)
    advice = f"Did you mean {near[0]!r}?" if near else f"Choose from {', '.join(known)}."
    return f"{name!r} is no keyword here, and no field of {settings_class.__name__}. {advice}"


class NetworkOptions(TypedDict, total=False):
    """Keywords of `NetworkSettings`, all optional."""

    device: str
    weights: str


class MachineOptions(NetworkOptions, total=False):
    """Keywords of `MachineSettings`, all optional."""

    threads: int


class ComputeOptions(MachineOptions, total=False):
    """Keywords of `ComputeSettings`, all optional."""

    precision: Precision


class LookOptions(TypedDict, total=False):
    """Keywords of `LookSettings`, all optional."""

    style_scale: float
    colors: Colors
    color_match: ColorMatch
    keep: str
    blend: str


class RunOptions(ComputeOptions, total=False):
    """Keywords of `RunSettings`, all optional."""

    seed: int
    noise: float
    history: int
    tolerance: float
    tile: int
    memory: str


class StylizeOptions(LookOptions, RunOptions, total=False):
    """Keywords of `StylizeSettings`, all optional."""

    size: int
    strength: float
    effort: Effort
    preview: bool
    budget: str
    init: str
    layers: Mapping[str, float]
    blending: Blending
    match: Matching
    style_loss: str | None
    rematch: int
    rotations: int
    content_layers: Mapping[str, float]
    steps: int | None
    finest_steps: int | None
    scales: int
    coarsest: int | None
    optimizer: Optimizer | None
    rate: float | None
    space: SolverSpace | None
    detail: float | None
    contours: float | None
    painting_detail: float | None
    coherence: float | None
    recolor: float | None
    recipe: int
    formula: Formula
    alpha: float | None
    beta: float | None
    tv: float | None
    gamut: float | None
    pooling: Pooling


class FastOptions(LookOptions, ComputeOptions, total=False):
    """Keywords of `FastSettings`, all optional."""

    size: int
    strength: float
    model: str
    tile: int
    memory: str
    decoder: str


class TrainOptions(ComputeOptions, total=False):
    """Keywords of `TrainSettings`, all optional."""

    steps: int
    size: int
    style_size: int
    strength: float
    start: str
    batch: int
    rate: float
    check_every: int
    patience: int
    tv: float
    layers: Mapping[str, float]
    content_layers: Mapping[str, float]
    style_loss: StyleLoss
    width: int
    blocks: int
    seed: int
    pooling: Pooling


class ReconstructContentOptions(RunOptions, total=False):
    """Keywords of `ReconstructContentSettings`, all optional."""

    layer: str
    size: int
    steps: int
    scales: int
    tv: float
    optimizer: Optimizer
    pooling: Pooling


class ReconstructStyleOptions(RunOptions, total=False):
    """Keywords of `ReconstructStyleSettings`, all optional."""

    layers: Mapping[str, float]
    size: str
    style_size: int
    blend: str
    tileable: bool
    steps: int
    finest_steps: int
    scales: int
    tv: float
    optimizer: Optimizer
    pooling: Pooling


class FigureOptions(MachineOptions, total=False):
    """Keywords of `FigureSettings`, all optional."""

    size: int
    steps: int
    seed: int


class FeaturesOptions(NetworkOptions, total=False):
    """Keywords of `FeaturesSettings`, all optional."""

    layer: str
    size: int
    gram: bool
    most: int
    channels: str
    pooling: Pooling


class LossOptions(NetworkOptions, total=False):
    """Keywords of `LossSettings`, all optional."""

    layers: Mapping[str, float]
    content_layers: Mapping[str, float]
    alpha: float
    beta: float
    pooling: Pooling


class MeasureOptions(TypedDict, total=False):
    """Keywords of `MeasureSettings`, all optional."""

    size: int
    device: str
    threads: int
