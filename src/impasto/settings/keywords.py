"""Settings as keywords: `stylize(photo, painting, size=1024)`. Standard library and typing_extensions only.

The types say to editors and mypy what the settings classes say; a test holds them to each other.
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
    """Settings with changes: of those given, of a preset, or of the defaults.

    Args:
        settings_class: which kind; one with presets has a class method `preset`.
        settings: what to change; None: the preset or the defaults.
        options: values by field.
        preset: name of a preset; "": none.
        parameters: other names that the caller's caller takes, for the message about a misspelled one.
    Raises:
        SettingsError: a keyword that is no setting, naming the nearest; both settings and a preset; a value
            that the class refuses.
    """
    known = [option.name for option in options_of(settings_class)]
    for name in options:
        if name not in known:
            raise SettingsError(_unknown(settings_class, name, [*known, *parameters]))
    if settings is not None and preset:
        raise SettingsError(
            f"preset is {preset!r}, and settings are given as well: two beginnings. Use one of them, such as "
            f"settings={settings_class.__name__}.preset({preset!r})."
        )
    if settings is not None:
        return replace(settings, **options)  # type: ignore[type-var]
    make: Callable[..., _Settings] = settings_class
    if preset:
        make = partial(settings_class.preset, preset)  # type: ignore[attr-defined]
    return make(**options)


def _unknown(settings_class: type, name: str, known: Sequence[str]) -> str:
    """The message about a keyword that there is not."""
    aliases = {option.alias: option.name for option in options_of(settings_class) if option.alias}
    near = [aliases[name]] if name in aliases else difflib.get_close_matches(name, known, n=1)
    advice = f"Did you mean {near[0]!r}?" if near else f"There are: {', '.join(known)}."
    return f"{name!r} is no keyword here, and no field of {settings_class.__name__}. {advice}"


class MachineOptions(TypedDict, total=False):
    """Keywords of `MachineSettings`, all of which may be left out."""

    device: str
    threads: int
    weights: str


class ComputeOptions(MachineOptions, total=False):
    """Keywords of `ComputeSettings`, all of which may be left out."""

    precision: Precision


class LookOptions(TypedDict, total=False):
    """Keywords of `LookSettings`, all of which may be left out."""

    style_scale: float
    colors: Colors
    color_match: ColorMatch
    keep: str
    blend: str


class RunOptions(ComputeOptions, total=False):
    """Keywords of `RunSettings`, all of which may be left out."""

    seed: int
    noise: float
    history: int
    tolerance: float
    tile: int
    memory: str


class StylizeOptions(LookOptions, RunOptions, total=False):
    """Keywords of `StylizeSettings`, all of which may be left out."""

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
    painting_detail: float | None
    recipe: int
    formula: Formula
    alpha: float | None
    beta: float | None
    tv: float | None
    gamut: float | None
    pooling: Pooling


class FastOptions(LookOptions, ComputeOptions, total=False):
    """Keywords of `FastSettings`, all of which may be left out."""

    size: int
    strength: float
    model: str
    tile: int
    memory: str
    decoder: str


class TrainOptions(ComputeOptions, total=False):
    """Keywords of `TrainSettings`, all of which may be left out."""

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
    """Keywords of `ReconstructContentSettings`, all of which may be left out."""

    layer: str
    size: int
    steps: int
    scales: int
    tv: float
    optimizer: Optimizer
    pooling: Pooling


class ReconstructStyleOptions(RunOptions, total=False):
    """Keywords of `ReconstructStyleSettings`, all of which may be left out."""

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
    """Keywords of `FigureSettings`, all of which may be left out."""

    size: int
    steps: int
    seed: int


class FeaturesOptions(TypedDict, total=False):
    """Keywords of `FeaturesSettings`, all of which may be left out."""

    layer: str
    size: int
    gram: bool
    most: int
    channels: str
    pooling: Pooling
    device: str
    weights: str


class LossOptions(TypedDict, total=False):
    """Keywords of `LossSettings`, all of which may be left out."""

    layers: Mapping[str, float]
    content_layers: Mapping[str, float]
    alpha: float
    beta: float
    pooling: Pooling
    device: str
    weights: str


class MeasureOptions(TypedDict, total=False):
    """Keywords of `MeasureSettings`, all of which may be left out."""

    size: int
    device: str
    threads: int
