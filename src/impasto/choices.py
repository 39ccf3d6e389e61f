"""The words that settings choose from; standard library only."""

from collections.abc import Mapping
from typing import Literal, TypeAlias

Pooling: TypeAlias = Literal["average", "max"]
"""How the network pools. The paper uses average pooling; the network was trained with max pooling."""

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
"""What the weights multiply. With "balanced" a weight means the same at any size; "paper" is the paper to the
letter; the others are the formulas of the tools that they are named after (docs/presets.md)."""

StyleLoss: TypeAlias = Literal["gram", "gaussian", "histogram"]
"""The statistic that defines a style: Gram matrices, means and covariances, or histograms of responses."""

STYLE_STATISTICS: Mapping[StyleLoss, str] = {
    "gram": "Gram matrices",
    "gaussian": "means and covariances",
    "histogram": "histograms along many directions",
}
"""The same names, each with a few words for help texts. `objective/statistics.py` has what they compute."""

NEIGHBORS = "neighbors"
"""The other kind of style loss: the distance to the nearest hypercolumns of the painting."""

Blending: TypeAlias = Literal["targets", "losses"]
"""How several paintings are combined: by averaging their targets, or by adding a loss for each."""

Colors: TypeAlias = Literal["style", "photo-luminance", "photo-match", "photo-palette"]
"""Whose colours the result has: the painting's, or the photo's. The photo's are kept by painting luminance
alone ("photo-luminance"), by recolouring the painting first ("photo-match"), or by mapping them to the
painting's palette at the end ("photo-palette")."""

ColorMatch: TypeAlias = Literal["symmetric", "cholesky", "histogram"]
"""How a painting is recoloured to a photo."""

Optimizer: TypeAlias = Literal["lbfgs", "adam"]
"""The solver."""

Effort: TypeAlias = Literal["draft", "good", "best"]
"""How much time to spend. It sets the scales, the steps, the solver and its space (`settings/effort.py`)."""

SolverSpace: TypeAlias = Literal["pixels", "pyramid"]
"""The variables that the solver changes: pixels, or the levels of a Laplacian pyramid."""

AUTO = "auto:"
"""The prefix of a mask that is computed instead of read from a file, as in `auto:subject`."""

MaskKind: TypeAlias = Literal["subject", "luminance"]
"""How a photo is divided automatically: subject and background, by a network; or light and dark."""

LIKE = "like:"
"""What a mask's kind begins with when it is found by matching a painting: `like:painting.jpg`."""

Matching: TypeAlias = Literal["none", "regions"]
"""What is matched between photo and paintings: nothing, or regions that resemble each other."""

REGION_COLORS = ("#ff0000", "#00c000", "#2060ff", "#000000")
"""Colours of matched regions; the first three are the studio's brushes, black is what is left unpainted."""

Precision: TypeAlias = Literal["auto", "float32", "bfloat16"]
"""The number type of the features. Pixels, Gram matrices and losses are always float32."""

ResponseStorage: TypeAlias = Literal["memory", "disk", "again"]
"""Where the photo's responses are while it is painted: in memory, on disk, or recomputed when needed."""
