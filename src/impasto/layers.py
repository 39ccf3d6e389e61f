"""VGG-19's layers: their names, and what part of an image each position sees.

Standard library only, so that settings can check a layer's name without loading torch.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from difflib import get_close_matches

from impasto.errors import ImageError, SettingsError

BLOCKS = (2, 2, 4, 4, 4)
"""Convolutions per block; a 2×2 pooling stands between blocks (Simonyan and Zisserman 2015, Table 1, E)."""


@dataclass(frozen=True)
class Layer:
    """One convolution with its rectification, or one pooling.

    Attributes:
        name: `conv4_2` means the response *after* the rectification, as in the paper's own code. `pool4`
            means the fourth block's response after the 2×2 pooling.
        index: its place in the network, from 0.
        convolutions: how many convolutions it needs, including its own.
        stride: image pixels from one position to the next.
        support: image pixels, along one side, that one position can see (its receptive field).
    """

    name: str
    index: int
    convolutions: int
    stride: int
    support: int

    @property
    def block(self) -> int:
        """The number of its block, 1 to 5: the `4` of `conv4_2` or `pool4`."""
        return int(self.name[4])

    @property
    def is_pooling(self) -> bool:
        """Whether it is a pooling, which has no weights."""
        return self.name.startswith("pool")

    def grid(self, height: int, width: int) -> tuple[int, int]:
        """Rows and columns of positions on an image of `height` × `width` pixels."""
        # Rounded up: Caffe's poolings do so, and then every pixel counts at odd sizes.
        return -(-height // self.stride), -(-width // self.stride)


def _table() -> dict[str, Layer]:
    """Build `LAYERS` from `BLOCKS`, adding up strides and receptive fields."""
    layers: dict[str, Layer] = {}
    convolutions, stride, support = 0, 1, 1
    for block, count in enumerate(BLOCKS, start=1):
        for position in range(1, count + 1):
            convolutions += 1
            support += 2 * stride  # a 3×3 window reaches one position further on both sides
            name = f"conv{block}_{position}"
            layers[name] = Layer(name, len(layers), convolutions, stride, support)
        if block < len(BLOCKS):
            support += stride  # a 2×2 window reaches one position further
            stride *= 2
            layers[f"pool{block}"] = Layer(f"pool{block}", len(layers), convolutions, stride, support)
    return layers


LAYERS: dict[str, Layer] = _table()
"""Every layer by name in the order of the network: `conv1_1` … `conv5_4`, with `pool1` … `pool4` between."""

FIRST = "conv1_1"
"""The layer with the largest responses, which are also the cheapest. The backward pass recomputes them."""

CONVOLUTIONS: tuple[str, ...] = tuple(name for name in LAYERS if not LAYERS[name].is_pooling)
"""The names of the layers that have weights."""


def find_layer(name: str) -> Layer:
    """Look up a layer by name; `relu4_2` is accepted for `conv4_2`.

    Raises:
        SettingsError: there is no such layer; the message suggests the nearest names.
    """
    key = name.strip().lower()
    if key.startswith("relu"):  # PyTorch's name for what the paper calls conv
        key = key.replace("relu", "conv", 1)
    layer = LAYERS.get(key)
    if layer is None:
        near = get_close_matches(key, LAYERS, n=3) or ["conv1_1", "conv4_2", "conv5_4"]
        raise SettingsError(
            f"there is no layer {name!r} in VGG-19. Layers run from conv1_1 to conv5_4, with pool1 to pool4; "
            f"did you mean {' or '.join(near)}?"
        )
    return layer


def deepest(names: Iterable[str]) -> Layer:
    """Return the last of some layers in the order of the network.

    Raises:
        SettingsError: a name is unknown.
    """
    return max((find_layer(name) for name in names), key=lambda layer: layer.index)


def check_size(height: int, width: int, names: Iterable[str], *, role: str) -> None:
    """Refuse an image that is smaller than one position of the deepest layer needed.

    Args:
        height, width: the image's size in pixels.
        names: the layers needed.
        role: what to call the image in the message, such as "content image".
    Raises:
        ImageError: the image is too small; the message names both sizes and the deepest layer that fits.
        SettingsError: a name is unknown.
    """
    layers = [find_layer(name) for name in names]
    if not layers:
        return
    last = deepest(layer.name for layer in layers)
    if min(height, width) >= last.stride:
        return
    fitting = [layer.name for layer in LAYERS.values() if layer.stride <= min(height, width)]
    raise ImageError(
        f"{role} is {width}×{height}; {last.name} needs at least {last.stride}×{last.stride}. "
        f"Use a larger {role.split()[0]} or stop at {fitting[-1]}."
    )
