"""Command-line options generated from a settings class."""

import dataclasses
import functools
import inspect
from collections.abc import Callable
from typing import Annotated, Any

import typer

from impasto.errors import SettingsError
from impasto.settings.options import choices, fields_in_order, format_layers, option_help, option_names
from impasto.settings.parsing import parse_layer_weights
from impasto.settings.presets import PRESETS, preset_values
from impasto.settings.stylize import PRESET_AND_EFFORT


def with_settings(
    settings_class: type, *, presets: bool = False
) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Replace a command's `settings` parameter by one option per field of `settings_class`.

    Values are checked by the settings class itself, so that the command line, Python and the web say the same
    thing about a bad value. Every option's default is the field's.
    """

    def decorate(command: Callable[..., None]) -> Callable[..., None]:
        fields = fields_in_order(settings_class)

        @functools.wraps(command)
        def wrapper(context: Any, **values: Any) -> None:  # typer gives a base class of typer.Context
            chosen = {field.name: _parsed(field, values.pop(field.name)) for field in fields}
            if presets and (name := values.pop("preset")):
                if _said(context, "effort"):
                    raise SettingsError(PRESET_AND_EFFORT.format(name=name, effort=chosen["effort"]))
                chosen |= {
                    key: value for key, value in preset_values(name).items() if not _said(context, key)
                }
            command(settings=settings_class(**chosen), **values)

        parameters = [p for p in inspect.signature(command).parameters.values() if p.name != "settings"]
        generated = [_parameter(field) for field in fields]
        first = inspect.Parameter(
            "context", inspect.Parameter.POSITIONAL_OR_KEYWORD, annotation=typer.Context
        )
        signature = inspect.Signature([first, *parameters, *([_PRESET] if presets else []), *generated])
        wrapper.__signature__ = signature  # type: ignore[attr-defined]
        wrapper.__annotations__ = {p.name: p.annotation for p in signature.parameters.values()}
        return wrapper

    return decorate


_PRESET = inspect.Parameter(
    "preset",
    inspect.Parameter.KEYWORD_ONLY,
    default="",
    annotation=Annotated[
        str, typer.Option(help=f"Settings under one name, under what is said besides: {', '.join(PRESETS)}.")
    ],
)


def _said(context: Any, name: str) -> bool:
    """Whether the option was typed, rather than left at its default."""
    source = context.get_parameter_source(name)
    return source is not None and not source.name.startswith("DEFAULT")


def _parsed(field: "dataclasses.Field[Any]", value: Any) -> Any:
    """What was typed, as the settings class wants it: layers are typed as text."""
    if field.default_factory is dataclasses.MISSING:
        return value
    return parse_layer_weights(value, field.name.replace("_", "-"))


def _parameter(field: "dataclasses.Field[Any]") -> inspect.Parameter:
    default: Any = field.default
    kind: Any = field.type
    if field.default_factory is not dataclasses.MISSING:  # layers with weights are typed as text
        default, kind = format_layers(field.default_factory()), str
    info = typer.Option(
        *option_names(field),
        help=option_help(field),
        show_default=default not in ("", None),
        rich_help_panel="Advanced" if field.metadata["advanced"] else None,
        metavar=_metavar(field),
    )
    return inspect.Parameter(
        field.name, inspect.Parameter.KEYWORD_ONLY, default=default, annotation=Annotated[kind, info]
    )


def _metavar(field: "dataclasses.Field[Any]") -> str | None:
    if choices(field):
        return "|".join(choices(field))
    return {"px": "PX"}.get(field.metadata["unit"])
