"""The layers and sizes at which paintings are measured for a scale."""

from impasto.choices import NEIGHBORS
from impasto.layers import deepest
from impasto.objective.neighbors import HYPERCOLUMN
from impasto.run.scales import Scale
from impasto.settings.stylize import StylizeSettings
from impasto.style.style_images import StyleImages


def style_layers(settings: StylizeSettings) -> tuple[str, ...]:
    """Return the layers at which a painting is measured."""
    return (*settings.layers, *(HYPERCOLUMN if NEIGHBORS in settings.style_mix else ()))


def least_style_side(settings: StylizeSettings) -> int:
    """Return the shortest side of a painting that the deepest style layer can measure, in pixels."""
    return deepest(style_layers(settings)).stride


def style_long_side(settings: StylizeSettings, scale: Scale) -> int:
    """Return the long side of the paintings for a scale, in pixels."""
    return max(1, round(max(scale.height, scale.width) * settings.style_scale))


def style_sizes(paintings: StyleImages, settings: StylizeSettings, scale: Scale) -> list[tuple[int, int]]:
    """Return the height and width of each painting for a scale, in pixels. Paintings keep their shape."""
    return paintings.sizes(style_long_side(settings, scale), least_style_side(settings))
