"""Write the generated pages of docs/: `python -m impasto.cli.reference FOLDER`."""

import sys
from pathlib import Path

from impasto.settings.fast import FastSettings, TrainSettings
from impasto.settings.mask import MaskSettings
from impasto.settings.measure import MeasureSettings
from impasto.settings.options import Option, options_of
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
    """Return the settings of every command, as Markdown tables."""
    parts = [
        "# Settings\n\nGenerated from `src/impasto/settings/` by `scripts/docs`. "
        "The command's option `--finest-steps` is the field `finest_steps` in Python.\n"
    ]
    for command, settings in PAGES.items():
        parts.append(f"\n## `impasto {command}`, `{settings.__name__}`\n\n")
        parts.append("| option | default | allowed | what it does |\n|---|---|---|---|\n")
        parts += [_row(option) for option in options_of(settings)]
    return "".join(parts)


def _row(option: Option) -> str:
    default = option.typed_default
    shown = "" if default in ("", None) else f"`{default}`"
    names = ", ".join(f"`{flag}`" for flag in option.flags)
    return f"| {names} | {shown} | {_allowed(option)} | {option.sentence} |\n"


def _allowed(option: Option) -> str:
    if option.choices:
        return ", ".join(option.choices)
    if option.low is None:
        return ""
    return f"≥ {option.low}" if option.high is None else f"{option.low}…{option.high}"


if __name__ == "__main__":
    Path(sys.argv[1], "settings.md").write_text(settings_page(), encoding="utf-8")
