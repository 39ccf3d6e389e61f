"""Command-line options generated from a settings class."""

import functools
import inspect
from collections.abc import Callable, Iterable
from typing import Annotated, Any

import typer

from impasto.errors import SettingsError
from impasto.settings.options import Option, options_of
from impasto.settings.presets import PRESETS, preset_values
from impasto.settings.stylize import PRESET_AND_EFFORT

Command = Callable[..., None]

_KEYWORD = inspect.Parameter.KEYWORD_ONLY


def with_settings(settings_class: type, *, presets: bool = False) -> Callable[[Command], Command]:
    """Replace a command's `settings` parameter by one option per field of `settings_class`.

    The settings class itself checks the values, so the command line, Python and the web give the same
    message about a bad value. Every option's default is the field's.

    Args:
        settings_class: the class whose fields become options.
        presets: whether the command also has `--preset`.
    """
    options = options_of(settings_class)

    def decorate(command: Command) -> Command:
        def wrapper(context: Any, **values: Any) -> None:  # typer passes a base class of typer.Context
            chosen = {option.name: option.parse(values.pop(option.name)) for option in options}
            if presets and (name := values.pop("preset")):
                if _is_typed(context, "effort"):
                    raise SettingsError(PRESET_AND_EFFORT.format(name=name, effort=chosen["effort"]))
                chosen |= {
                    key: value for key, value in preset_values(name).items() if not _is_typed(context, key)
                }
            command(settings=settings_class(**chosen), **values)

        generated = [parameter(option) for option in options]
        context = inspect.Parameter("context", _KEYWORD, annotation=typer.Context)
        return replace_parameter(
            command, "settings", [context, *([_PRESET] if presets else []), *generated], wrapper
        )

    return decorate


def replace_parameter(
    command: Command, name: str, generated: Iterable[inspect.Parameter], wrapper: Command
) -> Command:
    """Give `wrapper` the name, help and parameters of `command`, with `generated` in place of one of them."""
    # Keyword-only parameters may follow in any order, and typer passes everything by name anyway.
    kept = [p for p in inspect.signature(command).parameters.values() if p.name != name]
    signature = inspect.Signature([*(p.replace(kind=_KEYWORD) for p in kept), *generated])
    functools.update_wrapper(wrapper, command)
    wrapper.__signature__ = signature  # type: ignore[attr-defined]
    wrapper.__annotations__ = {p.name: p.annotation for p in signature.parameters.values()}
    return wrapper


def parameter(option: Option, *flags: str) -> inspect.Parameter:
    """Return a setting as a parameter that typer turns into an option.

    Args:
        option: the setting.
        flags: the option's names; if omitted, those of the setting.
    """
    default = option.typed_default
    # Layers with weights come as text, which `Option.parse` reads.
    kind: Any = str if option.is_layers else option.type
    if default is None:
        kind = kind | None
    info = typer.Option(
        *(flags or option.flags),
        help=option.sentence,
        show_default=default not in ("", None),  # the help says what happens if it is omitted
        rich_help_panel="Advanced" if option.advanced else None,
        metavar="|".join(option.choices) or {"px": "PX"}.get(option.unit),
    )
    annotation = Annotated[kind, info]
    return inspect.Parameter(option.name, _KEYWORD, default=default, annotation=annotation)


def _is_typed(context: Any, name: str) -> bool:
    """Return whether the option was typed, rather than left at its default."""
    source = context.get_parameter_source(name)
    # DEFAULT_MAP is a default as well.
    return source is not None and not source.name.startswith("DEFAULT")


_PRESET = inspect.Parameter(
    "preset",
    _KEYWORD,
    default="",
    annotation=Annotated[
        str,
        typer.Option(help=f"A named group of settings, which other options override: {', '.join(PRESETS)}."),
    ],
)
