"""Everything a run needs, read and checked: a problem, and how it is solved."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any

from impasto.run.layout import Layout
from impasto.run.problem import Problem, space_of
from impasto.run.scales import Scale
from impasto.solve.descent import Solver
from impasto.solve.space import Space


@dataclass(frozen=True)
class Stage:
    """One scale of a run, and how it is worked on."""

    scale: Scale
    layout: Layout


@dataclass(frozen=True)
class RunPlan:
    """Everything a run needs, read and checked: no input can be missing any more.

    Attributes:
        problem: what is painted.
        stages: coarse to fine; the last one has the size of the picture.
        manifest: what is known before the run. It has the stages' layouts (see `layouts_entry`).
        solver: what takes the steps.
        rematch: steps after which nearest neighbours are searched again, if there are any; 0: never.
        budget: seconds that the run may take; scales then take as many steps as there is time for. None: the
            steps that are planned.
    """

    problem: Problem
    stages: tuple[Stage, ...]
    manifest: dict[str, Any]
    solver: Solver = field(default_factory=Solver)
    rematch: int = 0
    budget: float | None = None

    @property
    def scales(self) -> tuple[Scale, ...]:
        """The stages' scales."""
        return tuple(stage.scale for stage in self.stages)

    @property
    def layouts(self) -> tuple[Layout, ...]:
        """The stages' layouts."""
        return tuple(stage.layout for stage in self.stages)

    @property
    def canvas(self) -> tuple[int, int]:
        """Height and width of the picture to be made, in pixels."""
        return self.scales[-1].height, self.scales[-1].width

    def space(self, index: int) -> Space:
        """What the solver moves at a scale (from 0): this process's part of it."""
        return space_of(self.problem, self.scales[index])

    def with_layouts(self, layouts: Sequence[Layout]) -> "RunPlan":
        """The same, worked on in other layouts, which its manifest names."""
        stages = tuple(Stage(scale, layout) for scale, layout in zip(self.scales, layouts, strict=True))
        return replace(self, stages=stages, manifest=self.manifest | layouts_entry(stages))


def layouts_entry(stages: Sequence[Stage]) -> dict[str, Any]:
    """What a manifest says of layouts: the order of sums, and so the last bits, depend on them."""
    return {"layouts": [asdict(stage.layout) for stage in stages]}
