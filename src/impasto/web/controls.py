"""The controls of the page, made of the fields of the settings; and the settings, made of their values."""

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

import gradio as gr

from impasto.choices import NEIGHBORS, STYLE_STATISTICS
from impasto.errors import SettingsError
from impasto.settings.options import choices, fields_in_order, format_layers, kind, option_help
from impasto.settings.parsing import parse_layer_weights
from impasto.settings.stylize import BUILT_IN_STARTS, StylizeSettings

PLAIN = ("strength", "effort", "size", "colors", "style_scale")
"""What everybody may want to choose, in the page's order; the rest is folded away."""

ELSEWHERE = ("blend", "keep", "preview", "recipe")
"""What the page says in another way: by the paintings' shares, by the brush, by the pictures it shows; and of
the recipe, which only old pictures need, nothing."""

WORDS = {
    "effort": {"a draft": "draft", "good": "good", "the best": "best"},
    "colors": {
        "the painting's": "style",
        "the photo's (painting its light and dark)": "photo-luminance",
        "the photo's (recolouring the painting)": "photo-match",
        "the photo's (in the painting's palette)": "photo-palette",
    },
}
"""Plain words for what a setting may be."""

STYLE_LOSSES = ("gram=1,neighbors=1", NEIGHBORS, *STYLE_STATISTICS)
"""What the page offers of the ways to say what a style is; any other can be typed."""

Field = dataclasses.Field[Any]


def offered(settings_class: type) -> list[Field]:
    """The fields that a page may set, in the order of the command's options."""
    return [
        field
        for field in fields_in_order(settings_class)
        if not field.metadata["machine_only"] and field.name not in ELSEWHERE
    ]


def label(field: Field) -> str:
    """What the page calls a setting."""
    return str(field.metadata["label"] or field.name.replace("_", " ").capitalize())


def control(field: Field, *, longest: int) -> gr.components.Component:
    """A setting as a control: with its default, its bounds, its choices and its help.

    Args:
        longest: what a `size` may be at most, in pixels.
    """
    facts = field.metadata
    default: Any = field.default
    about: dict[str, Any] = {
        "label": label(field),
        "info": option_help(field),
        "elem_id": f"set-{field.name}",
    }
    if field.default_factory is not dataclasses.MISSING:
        return gr.Textbox(format_layers(field.default_factory()), **about)
    if field.name in WORDS:
        return gr.Radio(list(WORDS[field.name].items()), value=default, **about)
    if field.name == "style_loss":
        return gr.Dropdown(["", *STYLE_LOSSES], value="", allow_custom_value=True, **about)
    if field.name == "init":
        return gr.Dropdown(list(BUILT_IN_STARTS), value=default, **about)
    if choices(field):
        return gr.Dropdown(list(choices(field)), value=default, **about)
    if field.type is bool:
        return gr.Checkbox(default, **about)
    if field.name == "size" and field.type is int:
        return gr.Slider(64, longest, value=default, step=32, **about)
    if field.type is float and facts["high"] is not None:
        step = 0.05 if facts["high"] <= 8 else 0
        return gr.Slider(facts["low"], facts["high"], value=default, step=step, **about)
    if field.type in (int, float):
        precision = 0 if field.type is int else None
        return gr.Number(default, minimum=facts["low"], precision=precision, **about)
    return gr.Textbox(default or "", **about)  # also of numbers left out: an empty gr.Number sends 0


def settings(settings_class: type, fields: Sequence[Field], values: Sequence[Any]) -> dict[str, Any]:
    """What the controls say, by name; left out is what is as it would be anyway.

    Raises:
        SettingsError: a value that the settings do not allow.
    """
    chosen = {}
    for field, value in zip(fields, values, strict=True):
        if value is None or (value == "" and field.default in ("", None)):
            continue
        if field.default_factory is not dataclasses.MISSING:
            value = parse_layer_weights(value, label(field))
        chosen[field.name] = _number(field, value) if kind(field) in (int, float) else value
    settings_class(**chosen)
    return chosen


def _number(field: Field, value: Any) -> float:
    try:
        number = float(value)
    except ValueError:
        raise SettingsError(f"{label(field)} is {value!r}; it must be a number, or left out.") from None
    return int(number) if kind(field) is int and number.is_integer() else number


def checked(settings_class: type, values: Mapping[str, Any], *, longest: int) -> dict[str, Any]:
    """Settings that a program sent.

    Raises:
        SettingsError: one that no page may set, one that there is not, or a bad value.
    """
    names = [field.name for field in dataclasses.fields(settings_class) if not field.metadata["machine_only"]]
    if unknown := sorted(set(values) - set(names)):
        raise SettingsError(f"{', '.join(unknown)} cannot be set here. There are {', '.join(sorted(names))}.")
    bounded(values, longest)
    parsed = {
        field.name: parse_layer_weights(values[field.name], field.name)
        for field in dataclasses.fields(settings_class)
        if field.name in values and field.default_factory is not dataclasses.MISSING
    }
    settings_class(**{**values, **parsed})
    return {**values, **parsed}


def bounded(values: Mapping[str, Any], longest: int) -> None:
    """Refuse what would take longer, or read more, than this studio allows.

    Raises:
        SettingsError: a size above its limit, a start that is a file.
    """
    text = str(values.get("size", 0))[:40].lower()
    sides = [int(side) for side in text.split("x") if side.strip().isdecimal()]
    if max(sides, default=0) > longest:
        raise SettingsError(
            f"size is {values['size']}; this studio paints at most {longest} px. Choose less."
        )
    if values.get("init", BUILT_IN_STARTS[0]) not in BUILT_IN_STARTS:
        raise SettingsError(
            f"init is {values['init']!r}; here it must be one of {', '.join(BUILT_IN_STARTS)}."
        )


PAINTING_FIELDS: list[Field] = sorted(
    offered(StylizeSettings),
    key=lambda field: PLAIN.index(field.name) if field.name in PLAIN else len(PLAIN),
)
"""Of a painting, the plain ones first."""
