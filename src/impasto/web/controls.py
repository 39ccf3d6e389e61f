"""The controls of the page, made of the fields of the settings; and the settings, made of their values."""

from collections.abc import Mapping, Sequence
from typing import Any

import gradio as gr

from impasto.choices import NEIGHBORS, STYLE_STATISTICS
from impasto.errors import SettingsError
from impasto.settings.options import Option, options_of
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


def offered(settings_class: type) -> list[Option]:
    """The settings that the page may change, in the order of the command's options."""
    return [
        option
        for option in options_of(settings_class)
        if not option.machine_only and option.name not in ELSEWHERE
    ]


def control(option: Option, *, longest: int) -> gr.components.Component:
    """A setting as a control, with its default, bounds, choices and help.

    Args:
        option: the setting.
        longest: the largest `size` that this studio accepts, in pixels.
    """
    default, decided = option.typed_default, option.default is not None
    about: dict[str, Any] = {
        "label": option.title,
        "info": option.sentence,
        "elem_id": f"set-{option.name}",
    }
    if option.name in WORDS:
        return gr.Radio(list(WORDS[option.name].items()), value=default, **about)
    if option.name == "style_loss":
        return gr.Dropdown(["", *STYLE_LOSSES], value="", allow_custom_value=True, **about)
    if option.name == "init":
        return gr.Dropdown(list(BUILT_IN_STARTS), value=default, **about)
    if option.choices:
        return gr.Dropdown(list(option.choices), value=default, **about)
    if option.type is bool:
        return gr.Checkbox(default, **about)
    if option.name == "size" and option.type is int:
        return gr.Slider(64, longest, value=default, step=32, **about)
    if decided and option.type is float and option.low is not None and option.high is not None:
        step = 0.05 if option.high <= 8 else 0
        return gr.Slider(option.low, option.high, value=default, step=step, **about)
    if decided and option.type in (int, float):
        precision = 0 if option.type is int else None
        return gr.Number(default, minimum=option.low, precision=precision, **about)
    # Optional numbers are text boxes as well: Gradio sends 0 for an empty gr.Number.
    return gr.Textbox(default or "", **about)


def settings(settings_class: type, options: Sequence[Option], values: Sequence[Any]) -> dict[str, Any]:
    """The controls' values by setting, without empty optional ones.

    Raises:
        SettingsError: a value that the settings do not allow.
    """
    chosen = {
        option.name: option.parse(value, option.title)
        for option, value in zip(options, values, strict=True)
        if value is not None and (value != "" or option.default not in ("", None))
    }
    settings_class(**chosen)
    return chosen


def checked(settings_class: type, values: Mapping[str, Any], *, longest: int) -> dict[str, Any]:
    """Settings that a program sent, once they are found to be allowed.

    Args:
        settings_class: the class that checks them.
        values: by setting.
        longest: the largest `size` that this studio accepts, in pixels.
    Raises:
        SettingsError: an unknown setting, one that the page may not change, or a value that is not allowed.
    """
    known = {option.name: option for option in options_of(settings_class) if not option.machine_only}
    if unknown := sorted(set(values) - set(known)):
        raise SettingsError(
            f"{', '.join(unknown)} cannot be set here. Choose from {', '.join(sorted(known))}."
        )
    bounded(values, longest)
    # A program sends JSON, which has numbers of its own: only layers may be text.
    parsed = {
        name: known[name].parse(value) if known[name].is_layers else value for name, value in values.items()
    }
    settings_class(**parsed)
    return parsed


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


PAINTING_OPTIONS: list[Option] = sorted(
    offered(StylizeSettings),
    key=lambda option: PLAIN.index(option.name) if option.name in PLAIN else len(PLAIN),
)
"""The settings of a painting, the plain ones first."""
