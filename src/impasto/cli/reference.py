"""The pages of docs/ that are generated from the code: `python -m impasto.cli.reference FOLDER`."""

import dataclasses
import sys
from pathlib import Path

from impasto.settings.fast import FastSettings, TrainSettings
from impasto.settings.mask import MaskSettings
from impasto.settings.measure import MeasureSettings
from impasto.settings.options import choices, fields_in_order, format_layers, option_help, option_names
from impasto.settings.paper import (
    FeaturesSettings,
    FigureSettings,
    LossSettings,
    ReconstructContentSettings,
    ReconstructStyleSettings,
)
from impasto.settings.stylize import StylizeSettings

PAGES = {
    "stylize": StylizeSettings,
    "fast": FastSettings,
    "train": TrainSettings,
    "reconstruct content": ReconstructContentSettings,
    "reconstruct style": ReconstructStyleSettings,
    "features": FeaturesSettings,
    "figure": FigureSettings,
    "loss": LossSettings,
    "mask": MaskSettings,
    "measure": MeasureSettings,
}


def settings_page() -> str:
    """Every setting of every command, as Markdown tables."""
    parts = [
        "# Settings\n\nGenerated from `src/impasto/settings/` by `scripts/docs`. "
        "An option `--finest-steps` of the command is the field `finest_steps` in Python.\n"
    ]
    for command, settings in PAGES.items():
        parts.append(f"\n## `impasto {command}`, `{settings.__name__}`\n\n")
        parts.append("| option | default | allowed | what it does |\n|---|---|---|---|\n")
        parts += [_row(field) for field in fields_in_order(settings)]
    return "".join(parts)


def _row(field: "dataclasses.Field[object]") -> str:
    default = field.default
    if field.default_factory is not dataclasses.MISSING:
        default = format_layers(field.default_factory())  # type: ignore[arg-type]
    shown = "" if default in ("", None) else f"`{default}`"
    called = ", ".join(f"`{name}`" for name in option_names(field))
    return f"| {called} | {shown} | {_allowed(field)} | {option_help(field)} |\n"


def _allowed(field: "dataclasses.Field[object]") -> str:
    if choices(field):
        return ", ".join(choices(field))
    low, high = field.metadata["low"], field.metadata["high"]
    if low is None:
        return ""
    return f"≥ {low}" if high is None else f"{low}…{high}"


if __name__ == "__main__":
    Path(sys.argv[1], "settings.md").write_text(settings_page(), encoding="utf-8")
