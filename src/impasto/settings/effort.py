"""The schedule of each effort and recipe: scales, steps, solver. Standard library only."""

from collections.abc import Mapping
from dataclasses import dataclass, replace

from impasto.choices import Effort, Optimizer, SolverSpace
from impasto.errors import SettingsError

RECIPE = 7
"""The newest recipe, a generation of defaults. Files that are older than recipes have recipe 1."""


@dataclass(frozen=True)
class Schedule:
    """The settings that the effort decides if they are omitted.

    Attributes:
        space: the solver's variables: pixels, or the levels of a pyramid.
        optimizer: the solver.
        rate: Adam's step length, for pixel values in 0..1.
        coarsest: approximate long side of the coarsest scale, in pixels.
        steps, finest_steps: solver steps at the coarsest and at the finest scale (see `coarse_to_fine`).
        detail: fraction of the photo's fine detail added at each finer scale, 0..1.
        tv: weight of smoothness in the balanced formula.
        style_loss: statistics of the style, as text.
        painting_detail: amount of the painting's fine detail added at each finer scale, 0..2.
        recolor: how far the photo's colours become the painting's before it is painted, 0..1.
        coherence: how strongly that detail is taken from neighbouring places of the painting, 0..10.
        contours: how strongly each finer scale draws the photo's contours, 0..2.
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
    recolor: float = 0.0
    coherence: float = 0.0
    contours: float = 0.0


_PYRAMID = Schedule("pyramid", "lbfgs", 0.004, 128, 100, 40, 0.3, 0.0)
"""Recipe 2, chosen by eye on eight varied pairs and by the measures (docs/decisions.md)."""

_PIXEL_DRAFT = Schedule("pixels", "lbfgs", 0.02, 128, 40, 4, 0.7, 2.0)
"""The draft of recipes 2 to 4 works on pixels: in so few steps a pyramid's fine levels lag behind, and
colours glow."""

_NEIGHBORS = replace(
    _PYRAMID, steps=80, finest_steps=22, style_loss="gram=1,neighbors=1", painting_detail=0.8
)
"""Recipe 3. Detail copied from the painting saves the steps that would grow it (docs/decisions.md)."""

_PYRAMID_DRAFT = replace(
    _PYRAMID, steps=45, finest_steps=2, detail=0.6, painting_detail=1.0, recolor=1.0, coherence=0.6
)
"""The draft of recipes 5 and 6. Recolouring reduces the glow, and copied detail replaces the fine levels. On
pixels, flat skies were speckled (docs/decisions.md)."""

_THIRD: Mapping[Effort, Schedule] = {
    "draft": replace(_PIXEL_DRAFT, painting_detail=0.8),
    "good": _NEIGHBORS,
    "best": replace(_NEIGHBORS, steps=160, finest_steps=90),
}

_FIFTH: Mapping[Effort, Schedule] = {
    effort: replace(schedule, recolor=1.0, coherence=0.6) for effort, schedule in _THIRD.items()
} | {"draft": _PYRAMID_DRAFT}

_GOOD = replace(_FIFTH["good"], contours=0.6)
"""Recipe 7 draws contours in the picture's own contrast (docs/decisions.md)."""

_SEVENTH: Mapping[Effort, Schedule] = {
    "draft": replace(_GOOD, steps=45, finest_steps=0, painting_detail=1.0),
    "good": _GOOD,
    "best": replace(_FIFTH["best"], contours=0.6),
}
"""The draft leaves the finest scale out, which took half of the time for two steps, and has neighbors
instead: its colours no longer glow (docs/decisions.md)."""

RECIPES: Mapping[int, Mapping[Effort, Schedule]] = {
    1: {"good": Schedule("pixels", "lbfgs", 0.02, 128, 50, 10, 1.0, 2.0)},
    2: {
        "draft": _PIXEL_DRAFT,
        "good": _PYRAMID,
        "best": replace(_PYRAMID, steps=200, finest_steps=150),
    },
    3: _THIRD,
    4: {effort: replace(schedule, recolor=1.0) for effort, schedule in _THIRD.items()},
    5: _FIFTH,
    6: _FIFTH,
    7: _SEVENTH,
}


def find_schedule(recipe: int, effort: Effort) -> Schedule:
    """Return the schedule of an effort in a recipe.

    Raises:
        SettingsError: the recipe has no such effort.
    """
    efforts = RECIPES[recipe]
    if effort not in efforts:
        raise SettingsError(
            f"recipe {recipe} has no effort {effort!r}, only {', '.join(efforts)}. "
            "Leave out the recipe or the effort."
        )
    return efforts[effort]


def finest_neighbors(recipe: int) -> float:
    """Return the factor on the weight of neighbors at the finest of several scales that are solved.

    It is 8 since recipe 6. Shapes and colours are settled by then, and strokes become the painting's own. At
    coarser scales a larger weight cost colours: the sky after *The Scream* became grey (docs/decisions.md).
    """
    return 8.0 if recipe >= 6 else 1.0


def chroma_steps(recipe: int) -> tuple[float, ...]:
    """Return the factors on the step sizes of colour in a pyramid, finest level first.

    In pictures, colour changes more slowly than lightness. With equal steps, thin lines got coloured fringes
    (docs/decisions.md).
    """
    return (0.25, 0.5) if recipe >= 6 else ()
