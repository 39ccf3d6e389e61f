"""The words that settings choose from; standard library only."""

from typing import Literal, TypeAlias

Pooling: TypeAlias = Literal["average", "max"]
"""How the network halves its grids; the paper's is average, the network was trained with max."""

Formula: TypeAlias = Literal["balanced", "paper"]
"""Whether weights mean the same at any size, or the loss is the paper's to the letter."""

Optimizer: TypeAlias = Literal["lbfgs", "adam"]
"""The solver."""

Precision: TypeAlias = Literal["auto", "float32", "bfloat16"]
"""The type of the features; pixels, Gram matrices and losses are always float32."""

Keep: TypeAlias = Literal["memory", "disk", "again"]
"""Where a photo's responses are while it is painted: in memory, on disk, or nowhere, but found again."""
