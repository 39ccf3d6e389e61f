"""Settings as keywords: mypy knows their types, and a wrong keyword is an error with advice."""

from collections.abc import Callable
from dataclasses import fields
from pathlib import Path
from typing import Any, ClassVar, get_origin, get_type_hints

import pytest
from typing_extensions import Unpack

import impasto
from impasto.errors import SettingsError
from impasto.settings import keywords
from impasto.settings.fast import FastSettings, TrainSettings
from impasto.settings.keywords import with_options
from impasto.settings.measure import MeasureSettings
from impasto.settings.paper import (
    FeaturesSettings,
    FigureSettings,
    LossSettings,
    ReconstructContentSettings,
    ReconstructStyleSettings,
)
from impasto.settings.stylize import StylizeSettings

CLASSES = (
    StylizeSettings, FastSettings, TrainSettings, ReconstructContentSettings, ReconstructStyleSettings,
    FigureSettings, FeaturesSettings, LossSettings, MeasureSettings,
)  # fmt: skip


@pytest.mark.parametrize("settings_class", CLASSES)
def test_keywords_have_the_names_and_types_of_the_fields(settings_class: type) -> None:
    typed = getattr(keywords, settings_class.__name__.replace("Settings", "Options"))
    declared = {n: t for n, t in get_type_hints(settings_class).items() if get_origin(t) is not ClassVar}
    assert get_type_hints(typed) == declared
    assert set(declared) == {field.name for field in fields(settings_class)}
    assert typed.__required_keys__ == frozenset()


def test_options_change_settings_a_preset_or_the_defaults() -> None:
    paper = StylizeSettings.preset("gatys2015")
    assert with_options(StylizeSettings, None, {}) == StylizeSettings()
    assert with_options(StylizeSettings, None, {"size": 64}) == StylizeSettings(size=64)
    assert with_options(StylizeSettings, paper, {"size": 64}) == StylizeSettings.preset("gatys2015", size=64)
    assert with_options(StylizeSettings, None, {"seed": 3}, preset="gatys2015") == StylizeSettings.preset(
        "gatys2015", seed=3
    )
    with pytest.raises(SettingsError, match="settings are given as well"):
        with_options(StylizeSettings, paper, {}, preset="gatys2015")
    with pytest.raises(SettingsError, match="do not go together"):
        with_options(StylizeSettings, None, {"effort": "draft"}, preset="gatys2015")
    with pytest.raises(SettingsError, match="strength is 3"):
        with_options(StylizeSettings, None, {"strength": 3.0})


@pytest.mark.parametrize(
    ("wrong", "near"),
    [("strenght", "strength"), ("style_weight", "beta"), ("content_weight", "alpha"), ("regoins", "regions")],
)
def test_a_misspelled_keyword_names_the_nearest(wrong: str, near: str) -> None:
    with pytest.raises(SettingsError, match=f"'{wrong}' is no keyword.* Did you mean '{near}'"):
        impasto.stylize("photo.jpg", "painting.jpg", **{wrong: 1})  # type: ignore[arg-type]


def test_an_unknown_keyword_names_them_all() -> None:
    with pytest.raises(
        SettingsError, match=r"'quux' is no keyword here, .* Choose from size, device, threads"
    ):
        impasto.measure("photo.jpg", "painting.jpg", "out.png", quux=1)  # type: ignore[call-arg]


RECIPES: dict[str, Callable[..., Any]] = {
    "stylize": lambda **o: impasto.stylize("p", "s", **o),
    "iter_stylize": lambda **o: impasto.iter_stylize("p", "s", **o),
    "plan_stylize": lambda **o: impasto.plan_stylize("p", "s", **o),
    "stylize_fast": lambda **o: impasto.stylize_fast("p", "s", **o),
    "FastStylizer": lambda **o: impasto.FastStylizer("s", **o),
    "reconstruct_content": lambda **o: impasto.reconstruct_content("p", **o),
    "reconstruct_style": lambda **o: impasto.reconstruct_style("s", **o),
    "iter_reconstruct_content": lambda **o: impasto.iter_reconstruct_content("p", **o),
    "iter_reconstruct_style": lambda **o: impasto.iter_reconstruct_style("s", **o),
    "features": lambda **o: impasto.features("p", **o),
    "figure": lambda **o: impasto.figure(1, "p", "s", "f.png", **o),
    "iter_figure": lambda **o: impasto.iter_figure(1, "p", "s", "f.png", **o),
    "batch": lambda **o: impasto.batch([("p", "s")], "out", **o),
    "iter_batch": lambda **o: impasto.iter_batch([("p", "s")], "out", **o),
    "train": lambda **o: impasto.train("s", "photos", **o),
    "iter_train": lambda **o: impasto.iter_train("s", "photos", **o),
    "paper_loss": lambda **o: impasto.paper_loss("p", "s", "i", **o),
    "measure": lambda **o: impasto.measure("p", "s", "i", **o),
}


@pytest.mark.parametrize("recipe", RECIPES)
def test_every_recipe_refuses_a_wrong_keyword_at_the_call(recipe: str) -> None:
    with pytest.raises(SettingsError, match="'sise' is no keyword here"):
        RECIPES[recipe](sise=64)


def takes_options(value: Any) -> bool:
    function = value.__init__ if isinstance(value, type) else value
    annotations = getattr(function, "__annotations__", {})
    return any(get_origin(annotation) is Unpack for annotation in annotations.values())


def test_every_function_with_keywords_is_tested() -> None:
    """It is tested here and among the wrong calls that mypy must refuse."""
    with_keywords = {name for name in impasto.__all__ if takes_options(getattr(impasto, name))}
    assert set(RECIPES) == with_keywords
    typed_calls = (Path(__file__).parent.parent / "typed_calls.py").read_text()
    refused = [line for line in typed_calls.splitlines() if line.endswith("# type: ignore[call-arg]")]
    assert {line.removeprefix("impasto.").partition("(")[0] for line in refused} == with_keywords
