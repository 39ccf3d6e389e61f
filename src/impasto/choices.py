"""The words that settings choose from; standard library only."""

from collections.abc import Mapping
from typing import Literal, TypeAlias

Pooling: TypeAlias = Literal["average", "max"]
"""How the network halves its grids; the paper's is average, the network was trained with max."""

Formula: TypeAlias = Literal[
    "balanced",
    "paper",
    "neural-style",
    "neural-style-pt",
    "gatys-notebook",
    "anishathalye",
    "gordicaleksa",
    "crowsonkb",
]
"""Whether weights mean the same at any size, or the loss is the paper's to the letter, or another tool's."""

StyleLoss: TypeAlias = Literal["gram", "gaussian", "histogram"]
"""What a style is: a statistic of a layer's responses."""

STYLE_STATISTICS: Mapping[StyleLoss, str] = {
    "gram": "Gram matrices",
    "gaussian": "means and covariances",
    "histogram": "histograms along many directions",
}
"""The same names, each with a few words for help texts. `objective/statistics.py` has what they compute."""

NEIGHBORS = "neighbors"
"""What a style may be besides: the nearest hypercolumns of the painting."""

Blending: TypeAlias = Literal["targets", "losses"]
"""Several paintings: one style between theirs, or the styles of all of them at once."""

Colors: TypeAlias = Literal["style", "photo-luminance", "photo-match", "photo-palette"]
"""Whose colours: the painting's; or the photo's, by painting its luminance, by recolouring the painting, or
mapped to the painting's palette at the end."""

ColorMatch: TypeAlias = Literal["symmetric", "cholesky", "histogram"]
"""How a painting is recoloured to a photo."""

Optimizer: TypeAlias = Literal["lbfgs", "adam"]
"""The solver."""

Effort: TypeAlias = Literal["draft", "good", "best"]
"""How much time a painting is given: which scales and steps, solver and space."""

SolverSpace: TypeAlias = Literal["pixels", "pyramid"]
"""What the solver moves: pixels, or the levels of a Laplacian pyramid."""

AUTO = "auto:"
"""What a mask's name begins with when it is no file but found: `auto:subject`."""

MaskKind: TypeAlias = Literal["subject", "luminance"]
"""What divides a photo in two without drawing: its subject, found by a network, or its light and dark."""

LIKE = "like:"
"""What a mask's kind begins with when it is found by matching a painting: `like:painting.jpg`."""

Matching: TypeAlias = Literal["none", "regions"]
"""What is matched between photo and paintings: nothing, or regions that resemble each other."""

REGION_COLORS = ("#ff0000", "#00c000", "#2060ff", "#000000")
"""Colours of matched regions; the first three are the studio's brushes, black is what is left unpainted."""

Precision: TypeAlias = Literal["auto", "float32", "bfloat16"]
"""The type of the features; pixels, Gram matrices and losses are always float32."""

ResponseStorage: TypeAlias = Literal["memory", "disk", "again"]
"""Where a photo's responses are while it is painted: in memory, on disk, or nowhere, but found again."""
