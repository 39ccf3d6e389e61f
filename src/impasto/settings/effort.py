"""What an effort means: scales, steps, solver and space, by recipe. Standard library only."""

from collections.abc import Mapping
from dataclasses import dataclass, replace

from impasto.choices import Effort, Optimizer, SolverSpace
from impasto.errors import SettingsError

RECIPE = 3
"""The newest recipe: what settings that are left out mean. Files from before recipes have 1."""


@dataclass(frozen=True)
class Schedule:
    """How a painting is solved: the settings that effort decides where they are left out.

    Attributes:
        space: what the solver moves.
        optimizer: the solver.
        rate: Adam's step length, in units of the image's 0..1.
        coarsest: long side of the coarsest scale, about, in pixels.
        steps, finest_steps: at the coarsest and at the finest scale.
        detail: how much of the photo's fine detail each finer scale takes up.
        tv: weight of smoothness in the balanced formula.
        style_loss: what a style is, as it is typed.
        painting_detail: how much of the painting's fine detail each finer scale takes up.
    """

    space: SolverSpace
    optimizer: Optimizer
    rate: float
    coarsest: int
    steps: int
    finest_steps: int
    detail: float
    tv: float
    style_loss: str = "gram"
    painting_detail: float = 0.0


_PYRAMID = Schedule("pyramid", "lbfgs", 0.004, 128, 100, 40, 0.3, 0.0)
"""Recipe 2's, chosen by looking at eight pairs of many kinds, and by the measures (docs/decisions.md)."""

_DRAFT = Schedule("pixels", "lbfgs", 0.02, 128, 40, 4, 0.7, 2.0)
"""In so few steps a pyramid's fine levels stay behind, and colours glow; pixels are quicker there."""

_NEIGHBORS = replace(
    _PYRAMID, steps=80, finest_steps=22, style_loss="gram=1,neighbors=1", painting_detail=0.8
)
"""Recipe 3's. The painting's own detail saves the steps that would grow it (docs/decisions.md)."""

RECIPES: Mapping[int, Mapping[Effort, Schedule]] = {
    1: {"good": Schedule("pixels", "lbfgs", 0.02, 128, 50, 10, 1.0, 2.0)},
    2: {
        "draft": _DRAFT,
        "good": _PYRAMID,
        "best": replace(_PYRAMID, steps=200, finest_steps=150),
    },
    3: {
        "draft": replace(_DRAFT, painting_detail=0.8),
        "good": _NEIGHBORS,
        "best": replace(_NEIGHBORS, steps=160, finest_steps=90),
    },
}


def find_schedule(recipe: int, effort: Effort) -> Schedule:
    """The schedule of an effort.

    Raises:
        SettingsError: the recipe has no such effort.
    """
    efforts = RECIPES[recipe]
    if effort not in efforts:
        raise SettingsError(
            f"recipe {recipe} has no effort {effort!r}, only {', '.join(efforts)}. "
            "Leave the recipe or the effort out."
        )
    return efforts[effort]
