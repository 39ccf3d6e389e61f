"""Settings: defaults, checks, strength and presets; they survive JSON."""

import dataclasses
import json
import math

import pytest
from jaxtyping import config

from impasto.errors import SettingsError
from impasto.settings.options import format_layers, from_json, options_of, to_json
from impasto.settings.parsing import parse_layer_weights
from impasto.settings.strength import ContentAim
from impasto.settings.stylize import StylizeSettings


def test_settings_survive_json() -> None:
    settings = StylizeSettings(layers={"conv1_1": 0.3, "relu4_1": 0.7}, tv=0.25, alpha=2.0)
    assert from_json(StylizeSettings, json.loads(json.dumps(to_json(settings)))) == settings
    assert settings.layers == {"conv1_1": 0.3, "conv4_1": 0.7}
    with pytest.raises(SettingsError, match="does not know: glitter"):
        from_json(StylizeSettings, {"glitter": 1})


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("size", -5, "size is -5 px; it must be from 16 to 100000 px"),
        ("size", 512.5, "size is 512.5; it must be a whole number"),
        ("size", "512", "size is '512'; it must be a whole number"),
        ("size", True, "size is True; it must be a whole number"),
        ("strength", True, "strength is True; it must be a number"),
        ("preview", "no", "preview is 'no'; it must be true or false"),
        ("strength", 1.5, "strength is 1.5; it must be from 0 to 1"),
        ("strength", math.nan, "strength is nan; it must be a finite number"),
        ("alpha", math.inf, "alpha is inf; it must be a finite number"),
        ("beta", -1.0, "beta is -1.0; it must be at least 0"),
        ("steps", 0, "steps is 0; it must be from 1"),
        ("pooling", "median", "pooling is 'median'; it must be one of average, max"),
        ("init", 3, "init is 3; it must be text"),
        ("layers", "", "layers is empty; name at least one layer"),
        ("layers", "conv1_1,relu1_1", "layers has conv1_1 twice"),
        ("layers", "conv9_1", "no layer 'conv9_1'"),
        ("layers", "conv1_1=nan", "layers: weight of conv1_1 is nan; it must be a number, 0 or more"),
        ("content_layers", {"conv4_2": -1.0}, "content-layers: weight of conv4_2 is -1.0"),
    ],
)
def test_bad_values_are_named(name: str, value: object, message: str) -> None:
    config.update("jaxtyping_disable", True)  # type: ignore[no-untyped-call]
    try:
        with pytest.raises(SettingsError) as caught:
            StylizeSettings(**{name: value})  # type: ignore[arg-type]
    finally:
        config.update("jaxtyping_disable", False)  # type: ignore[no-untyped-call]
    assert message in str(caught.value)
    assert caught.value.exit_code == 2


def test_layer_weights_take_text_names_and_mappings() -> None:
    expected = {"conv1_1": 0.5, "conv2_1": 0.5}
    assert parse_layer_weights("conv1_1, relu2_1", "layers") == expected
    assert parse_layer_weights(["conv1_1", "conv2_1"], "layers") == expected
    assert parse_layer_weights(expected, "layers") == expected
    assert format_layers(expected) == "conv1_1,conv2_1"
    weights = {"conv1_1": 0.25, "conv2_1": 1.0}
    assert parse_layer_weights(format_layers(weights), "layers") == weights


def test_strength_runs_from_photo_to_texture() -> None:
    ratios = []
    for strength in (0.1, 0.3, 0.5, 0.7, 0.9):
        settings = StylizeSettings(strength=strength)
        ratios.append(settings.style_weight / settings.content_weight)
    assert ratios == sorted(ratios)
    assert StylizeSettings(strength=0.0).style_weight == 0
    assert StylizeSettings(strength=1.0).content_weight == 0
    explicit = StylizeSettings(alpha=2.0, beta=3.0)
    assert (explicit.content_weight, explicit.style_weight) == (2, 3)
    paper = StylizeSettings(formula="paper")
    assert (paper.content_weight, paper.style_weight) == (1e-3, 1)
    assert (paper.variation_weight, paper.gamut_weight) == (0, 0)
    assert StylizeSettings(tv=0.25, gamut=0.0).variation_weight == 0.25
    assert StylizeSettings(tv=0.25, gamut=0.0).gamut_weight == 0


def test_every_field_has_help_and_an_allowed_default() -> None:
    options = options_of(StylizeSettings)
    assert {option.name for option in options} == {
        field.name for field in dataclasses.fields(StylizeSettings)
    }
    for option in options:
        assert option.sentence.endswith(".")
        assert not option.help.endswith(".")  # the sentence adds it
        assert option.check(option.default) == option.default


def test_a_preset_sets_the_omitted_options() -> None:
    paper = StylizeSettings.preset("gatys2015", size=256, steps=7)
    assert (paper.formula, paper.pooling, paper.init, paper.scales) == ("paper", "average", "noise", 1)
    assert (paper.size, paper.steps) == (256, 7)
    assert (paper.content_weight, paper.style_weight, paper.variation_weight) == (1e-3, 1.0, 0.0)
    assert paper.layers == dict.fromkeys((f"conv{i}_1" for i in range(1, 6)), 0.2)
    assert paper.content_layers == {"conv4_2": 1.0}
    with pytest.raises(SettingsError, match="there is no preset 'monet'; known: gatys2015"):
        StylizeSettings.preset("monet")


def test_style_statistics_share_the_style_weight() -> None:
    """`neighbors` alone has all of it; together with Gram matrices it counts as one of five layers."""
    assert StylizeSettings(style_loss="neighbors").style_mix == {"neighbors": 1.0}
    assert StylizeSettings(style_loss="gram=3").style_mix == {"gram": 1.0}
    mix = StylizeSettings(style_loss="gram=2, neighbors=5,histogram").style_mix
    assert mix == pytest.approx({"gram": 0.5, "neighbors": 0.25, "histogram": 0.25})
    assert StylizeSettings(style_loss="gram, neighbors=0").style_mix == {"gram": 1.0}
    assert StylizeSettings(formula="paper").style_mix == {"gram": 1.0}
    assert StylizeSettings(recipe=1).style_mix == {"gram": 1.0}


def test_the_style_weight_is_corrected_towards_the_content_aim() -> None:
    """At the aim nothing changes; a correction is at most fourfold, and their product stays in 1/16..4."""
    aim = ContentAim(0.5, weight=3.0)
    assert aim.rebalanced(1.25, content_loss=0.5 * 3.0) == 1.25
    assert aim.rebalanced(0.5, content_loss=0.4 * 3.0) == pytest.approx(0.5 * (0.5 / 0.4) ** 2)
    assert aim.rebalanced(0.5, content_loss=1e-9) == 2.0
    assert aim.rebalanced(2.0, content_loss=1e-9) == 4.0
    assert aim.rebalanced(1.0, content_loss=1e9) == 0.25
    assert aim.rebalanced(0.1, content_loss=1e9) == 1 / 16
    assert StylizeSettings(strength=0.5).content_aim == ContentAim(0.5, weight=1.0)
    assert StylizeSettings(strength=0.5, alpha=1.0).content_aim is None
    assert StylizeSettings(strength=1.0).content_aim is None
