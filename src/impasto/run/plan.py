"""A run's plan: a problem, and how it is solved."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any

from impasto.objective.bands import Band
from impasto.run.layout import Layout
from impasto.run.problem import Problem
from impasto.run.scales import Scale, count_solved
from impasto.solve.descent import Solver
from impasto.solve.space import Space


@dataclass(frozen=True)
class Stage:
    """One scale of a run, and the layout it is computed in."""

    scale: Scale
    layout: Layout


@dataclass(frozen=True)
class RunPlan:
    """Everything a run needs. All inputs have been read and checked, so none can be missing later.

    Attributes:
        problem: what is painted.
        stages: coarse to fine; the last one has the size of the picture. It may have no steps (see `Scale`).
        manifest: the part of the manifest known before the run, including the stages' layouts (see
            `layouts_entry`).
        solver: takes the steps.
        rematch: steps between two searches for nearest neighbours, if a term needs them; 0: search only at
            the start of a scale.
        budget: seconds for the whole run, in which each scale takes as many steps as fit (see `Clock`). None:
            take the planned steps.
    """

    problem: Problem
    stages: tuple[Stage, ...]
    manifest: dict[str, Any]
    solver: Solver = field(default_factory=Solver)
    rematch: int = 0
    budget: float | None = None

    @property
    def scales(self) -> tuple[Scale, ...]:
        """The scale of each stage."""
        return tuple(stage.scale for stage in self.stages)

    @property
    def layouts(self) -> tuple[Layout, ...]:
        """The layout of each stage."""
        return tuple(stage.layout for stage in self.stages)

    @property
    def solved(self) -> int:
        """The number of scales that are solved."""
        return count_solved(self.scales)

    @property
    def canvas(self) -> tuple[int, int]:
        """Height and width of the finished picture, in pixels."""
        return self.scales[-1].height, self.scales[-1].width

    def space(self, index: int) -> Space:
        """Return the solver's space at a scale (from 0), with this process's part of it."""
        problem, scale = self.problem, self.scales[index]
        band = Band.of(scale.height, scale.width, circular=problem.network.circular)
        constraint = problem.constraint(scale)
        # A copy, so that the band does not keep the whole image in memory.
        fixed = None if constraint.fixed is None else band.local_rows(problem.initial_image(scale)).clone()
        return Space(band, scale.level_steps, constraint, fixed, scale.chroma_steps)

    def with_layouts(self, layouts: Sequence[Layout]) -> "RunPlan":
        """Return the plan with other layouts, in its stages and in its manifest."""
        stages = tuple(Stage(scale, layout) for scale, layout in zip(self.scales, layouts, strict=True))
        return replace(self, stages=stages, manifest=self.manifest | layouts_entry(stages))


def layouts_entry(stages: Sequence[Stage]) -> dict[str, Any]:
    """Return the manifest's entry for the layouts.

    A rerun needs them, because the order of sums, and with it the last bits, depends on the layout.
    """
    return {"layouts": [asdict(stage.layout) for stage in stages]}
