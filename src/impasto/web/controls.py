"""The page's controls, generated from the settings, and the settings, read back from the controls."""

from collections.abc import Mapping, Sequence
from typing import Any

import gradio as gr

from impasto.choices import NEIGHBORS, STYLE_STATISTICS
from impasto.errors import SettingsError
from impasto.settings.options import Option, options_of
from impasto.settings.stylize import BUILT_IN_STARTS, StylizeSettings

PLAIN = ("strength", "effort", "size", "colors", "style_scale")
"""The settings shown at once, in the page's order; the others are under "Advanced settings"."""

ELSEWHERE = ("blend", "keep", "preview", "recipe")
"""Settings without a control. The shares of the paintings set `blend`, the brush sets `keep`, the page shows
previews anyway, and only old pictures need `recipe`."""

WORDS = {
    "effort": {"draft": "draft", "good": "good", "best": "best"},
    "colors": {
        "the painting's": "style",
        "the photo's (only luminance is painted)": "photo-luminance",
        "the photo's (the painting is recoloured)": "photo-match",
        "the photo's (in the painting's palette)": "photo-palette",
    },
}
"""Plain words for the choices of a setting."""

STYLE_LOSSES = ("gram=1,neighbors=1", NEIGHBORS, *STYLE_STATISTICS)
"""Suggestions for `style_loss`; others can be typed."""


def offered(settings_class: type) -> list[Option]:
    """Return the settings that the page may change, in the order of the command's options."""
    return [
        option
        for option in options_of(settings_class)
        if not option.machine_only and option.name not in ELSEWHERE
    ]


def control(option: Option, *, longest: int) -> gr.components.Component:
    """Return a setting as a control, with its default, bounds, choices and help.

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
        # no custom value: a file name would let visitors read files of the server
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
    """Return the controls' values by setting, without empty optional ones.

    Raises:
        SettingsError: a value that the settings do not allow.
    """
    chosen = {
        option.name: option.parse(value, option.title)
        for option, value in zip(options, values, strict=True)
        if value is not None and (value != "" or option.default not in ("", None))
    }
    # Made for its checks alone: the worker makes the settings again, with the machine's own added.
    settings_class(**chosen)
    return chosen


def checked(settings_class: type, values: Mapping[str, Any], *, longest: int) -> dict[str, Any]:
    """Check settings that a program has sent, and parse its layers.

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
    """Refuse a size above the studio's limit, and a start from a file, which could be any file of the server.

    Raises:
        SettingsError: naming the value and what is allowed.
    """
    # A program may send any text, so only as much of it is read as a size can have.
    text = str(values.get("size", 0))[:40].lower()
    sides = [int(side) for side in text.split("x") if side.strip().isdecimal()]
    if max(sides, default=0) > longest:
        raise SettingsError(
            f"size is {values['size']}; this studio paints at most {longest} px. Choose a smaller size."
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
