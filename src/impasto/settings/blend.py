"""Weights of several paintings in one style, as they are typed."""

import dataclasses

from impasto.errors import SettingsError
from impasto.layers import LAYERS, find_layer
from impasto.settings.parsing import _weight


@dataclasses.dataclass(frozen=True)
class BlendShare:
    """The weight of one painting among several.

    Attributes:
        weight: relative to the others'.
        layers: the layers in which the painting counts; None: all.
    """

    weight: float
    layers: frozenset[str] | None = None

    def at(self, name: str) -> float:
        """Return the weight at a layer; 0 where the painting does not count."""
        return self.weight if self.layers is None or name in self.layers else 0.0


FINE_BLOCKS = 3
"""The first blocks of VGG-19, whose layers see strokes; deeper layers see shapes."""


def parse_blend(text: str, count: int | None = None) -> tuple[BlendShare, ...]:
    """Return the weights of several paintings, in their order; equal if the text is empty.

    Args:
        text: a weight for each painting, separated by commas. WEIGHT@LAYERS limits a painting to some layers:
            `fine` (conv1_1 to conv3_4), `coarse` (the deeper ones), or names joined by plus signs.
        count: the number of paintings, if known.
    Raises:
        SettingsError: a weight that is no number or below 0, no weight above 0, an unknown layer, or not one
            weight per painting.

    >>> [share.weight for share in parse_blend("1,3")]
    [1.0, 3.0]
    >>> parse_blend("fine,coarse")[0].at("conv5_1"), parse_blend("2@conv1_1+conv2_1,1")[0].at("conv1_1")
    (0.0, 2.0)
    """
    if not text:
        return (BlendShare(1.0),) * (count or 0)
    shares = tuple(_share(part.strip()) for part in text.split(","))
    if count is not None and len(shares) != count:
        raise SettingsError(f"blend is {text!r}, {len(shares)} shares for {count} paintings; give one each.")
    if not any(share.weight for share in shares):
        raise SettingsError(f"blend is {text!r}; one share must be above 0.")
    return shares


def _share(part: str) -> BlendShare:
    # "fine" and "coarse" may stand alone, with neither weight nor @
    weight, _, layers = part.rpartition("@") if "@" in part or part in ("fine", "coarse") else (part, "", "")
    number = _weight(weight, "blend: one share") if weight or not layers else 1.0
    if not layers:
        return BlendShare(number)
    if layers in ("fine", "coarse"):
        names = [n for n, known in LAYERS.items() if (known.block <= FINE_BLOCKS) == (layers == "fine")]
    else:
        names = [find_layer(name).name for name in layers.split("+")]
    return BlendShare(number, frozenset(names))
