"""The image convention and the names of shapes.

An `Image` is RGB, sRGB-encoded, 0..1 nominal, float32. Network conventions (BGR, 0..255, means) exist only
inside `network`. One alphabet for shapes everywhere: B batch, C or 3 colours, H height, W width, N channels
of a layer, h and w its height and width, M = h·w its positions, L layers.
"""

from typing import TypeAlias

from jaxtyping import Float
from torch import Tensor

from impasto.system import process as process  # must come before anything is computed

# jaxtyping reads these strings. The test suite checks every shape at run time; an
# ordinary run does not.

Image: TypeAlias = Float[Tensor, "B 3 H W"]
"""Pixels: RGB, sRGB-encoded, 0..1."""

Point: TypeAlias = Float[Tensor, "*dimensions"]
"""A solver's variables: an image's pixels, (1, 3, H, W), or the levels of its pyramid end to end, (1, n)."""

Mask: TypeAlias = Float[Tensor, "B 1 H W"]
"""One number per pixel, 0..1: alpha or guidance."""

Features: TypeAlias = Float[Tensor, "B N h w"]
"""A layer's responses after rectification (the paper's F, positions kept as a grid)."""

Gram: TypeAlias = Float[Tensor, "B N N"]
"""Correlations between channels, summed over positions (the paper's G)."""

Scalar: TypeAlias = Float[Tensor, ""]
"""A 0-dimensional tensor."""
