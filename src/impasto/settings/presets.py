"""Presets: named groups of settings; and the default weights of each formula."""

from collections.abc import Mapping

from impasto.choices import Formula
from impasto.errors import SettingsError

PAPER_STYLE_LAYERS = ("conv1_1", "conv2_1", "conv3_1", "conv4_1", "conv5_1")
"""Gatys et al. 2015, Methods: each with w_l = 1/5."""

PAPER_CONTENT_LAYERS = ("conv4_2",)
"""Gatys et al. 2015, Fig. 2."""

PAPER_RATIO = 1e-3
"""α/β of Gatys et al. 2015, Fig. 2 B, C and D."""


def _tool_settings(formula: Formula, *, layer_weight: float = 1.0, **others: object) -> dict[str, object]:
    """Return the settings that the other tools share: one size, max pooling, a fixed number of steps."""
    return {
        "recipe": 1,
        "formula": formula,
        "pooling": "max",
        "layers": dict.fromkeys(PAPER_STYLE_LAYERS, layer_weight),
        "content_layers": {"conv4_2": 1.0},
        "init": "content",
        "scales": 1,
        "tolerance": 0.0,
        **others,
    }


PRESETS: dict[str, Mapping[str, object]] = {
    "gatys2015": {
        "recipe": 1,
        "formula": "paper",
        "pooling": "average",
        "init": "noise",
        "noise": 1.0,
        "scales": 1,
        "steps": 500,
        "tolerance": 0.0,
    },
    "neural-style": _tool_settings("neural-style", init="noise", noise=0.002, steps=1000, history=100),
    "neural-style-pt": _tool_settings("neural-style-pt", init="noise", noise=0.002, steps=1000, history=100),
    "gatys-notebook": _tool_settings("gatys-notebook", steps=500, history=100),
    "anishathalye": _tool_settings(
        "anishathalye", layer_weight=0.2, init="noise", steps=1000, optimizer="adam"
    ),
    "gordicaleksa": _tool_settings("gordicaleksa", layer_weight=0.2, steps=1000, history=100),
    "crowsonkb": {
        **_tool_settings("crowsonkb", scales=0, steps=1000, finest_steps=500, optimizer="adam"),
        "layers": {
            # the tool's weights sum to 341, and it divides by the sum
            name: weight / 341
            for name, weight in zip(PAPER_STYLE_LAYERS, (256, 64, 16, 4, 1), strict=True)
        },
    },
}
"""gatys2015 follows the paper: white noise, one scale, average pooling, conv4_2, conv1_1 … conv5_1 with
w_l = 1/5, L-BFGS, the literal formulas and α/β. The others are other tools' defaults, with weights as those
tools define them. docs/presets.md lists what each cannot reproduce."""


def preset_values(name: str) -> Mapping[str, object]:
    """Return the values of a preset, by field.

    Raises:
        SettingsError: an unknown name.
    """
    if name not in PRESETS:
        raise SettingsError(f"there is no preset {name!r}; known: {', '.join(PRESETS)}.")
    return PRESETS[name]


DEFAULT_WEIGHTS: dict[Formula, tuple[float, float, float, float]] = {
    "balanced": (1.0, 8.0, 2.0, 100.0),
    "paper": (PAPER_RATIO, 1.0, 0.0, 0.0),
    "neural-style": (5.0, 100.0, 1e-3, 0.0),
    "neural-style-pt": (5.0, 100.0, 1e-3, 0.0),
    "gatys-notebook": (1.0, 1.0, 0.0, 0.0),
    "anishathalye": (5.0, 500.0, 100.0, 0.0),
    "gordicaleksa": (1e5, 3e4, 1.0, 0.0),
    "crowsonkb": (0.015, 1.0, 2.0, 0.0),
}
"""Default weights of content, style, smoothness and gamut at strength 0.5, by formula. Those of the balanced
formula were chosen by eye on the pairs of docs/gallery.md; the others are their tools' defaults."""
