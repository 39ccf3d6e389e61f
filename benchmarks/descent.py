"""How long until the paper's literal loss is as low as a plain implementation gets it.

    scripts/bench descent [--size 512] [--evaluations 100 300 500]

The plain implementation (baseline.py) starts from white noise. Its lowest loss after each number of
evaluations is a goal. Impasto minimises the same objective in float32, on pixels and without priors, from the
photo and coarse to fine, until its loss is as low. Both times are of the descent alone, after everything is
loaded. The result also has the times of the default recipe, at that size and at twice that size, and of
`impasto --help`.
"""

import multiprocessing
import os
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import NamedTuple

import baseline
from common import CONTENT, STYLE, argument_parser, parse_arguments, pixels, save_result

from impasto.objective.objective import Objective
from impasto.recipes.stylize import plan_stylize, stylize
from impasto.run.layout import Layout
from impasto.run.loop import iter_run
from impasto.run.plan import RunPlan
from impasto.run.problem import Problem
from impasto.run.scales import Scale
from impasto.settings.stylize import StylizeSettings
from impasto.style.transfer import StyleTransfer

STEPS = (30, 20, 1000)
"""Impasto's steps at a quarter, at half and at the full size; the last scale ends at the last goal."""


class Goal(NamedTuple):
    """The plain implementation's time and lowest loss after some evaluations."""

    evaluations: int
    seconds: float
    loss: float


class Reached(NamedTuple):
    """Impasto's cost of reaching a goal: seconds, evaluations in all, and steps at the full size."""

    seconds: float
    evaluations: int
    finest_steps: int


def use_plain_memory() -> None:
    """Leave a process's memory as PyTorch has it: the large pages that Impasto asks for are not plain."""
    os.environ["THP_MEM_ALLOC_ENABLE"] = "0"


def plain_goals(size: int, evaluations: Sequence[int]) -> list[Goal]:
    """Run the plain implementation as far as the largest number of evaluations."""
    content, style = pixels(CONTENT, size), pixels(STYLE, size)
    goals: list[Goal] = []
    lowest = float("inf")
    for step in baseline.descend(baseline.objective(content, style), baseline.white_noise(content.shape)):
        lowest = min(lowest, step.loss)
        if step.evaluations in evaluations:
            goals.append(Goal(step.evaluations, step.seconds, lowest))
            print(f"plain: {goals[-1]}", flush=True)
        if step.evaluations >= max(evaluations):
            break
    return goals


def literal_settings(size: int, **changes: object) -> StylizeSettings:
    """The baseline's objective, minimised by recipe 1: from the photo, on pixels."""
    values: dict[str, object] = {
        "recipe": 1, "formula": "paper", "alpha": baseline.ALPHA, "beta": 1.0, "pooling": "average",
        "size": size, "scales": len(STEPS), "precision": "float32", "tolerance": 0.0,
    }  # fmt: skip
    return StylizeSettings(**{**values, **changes})  # type: ignore[arg-type]


@dataclass(frozen=True, eq=False)
class ObjectiveByWidth(StyleTransfer):
    """A problem that takes its objective at each scale from another problem.

    Attributes:
        others: the problems by the width of their scale, in pixels.
    """

    others: Mapping[int, Problem] = field(default_factory=dict)

    def objective(self, scale: Scale, layout: Layout) -> Objective:
        """The objective of the problem for the scale's width."""
        return self.others[scale.width].objective(scale, layout)


def one_objective_a_scale(plans: Sequence[RunPlan], steps: Sequence[int]) -> RunPlan:
    """The last plan, with the objective of each plan and a number of steps at each scale, coarse to fine."""
    finest = plans[-1]
    assert isinstance(finest.problem, StyleTransfer)
    values = {f.name: getattr(finest.problem, f.name) for f in fields(StyleTransfer)}
    by_width = {scale.width: plan.problem for scale, plan in zip(finest.scales, plans, strict=True)}
    stages = tuple(
        replace(stage, scale=replace(stage.scale, steps=count))
        for stage, count in zip(finest.stages, steps, strict=True)
    )
    return replace(finest, problem=ObjectiveByWidth(**values, others=by_width), stages=stages)


def coarser_alphas(alpha: float, scales: int) -> list[float]:
    """α at each scale, coarse to fine: it counts responses, of which a coarser scale has a quarter.

    So four times α at each coarser scale gives content the same weight at all of them.
    """
    return [alpha * 4**coarser for coarser in reversed(range(scales))]


def impasto_run(size: int, goals: Sequence[Goal]) -> dict[int, Reached]:
    """Run Impasto until the last goal's loss is reached: the cost of each goal, by its evaluations."""
    scales = len(plan_stylize(CONTENT, STYLE, literal_settings(size)).scales)  # fewer for small pictures
    plans = [
        plan_stylize(CONTENT, STYLE, literal_settings(size, alpha=alpha))
        for alpha in coarser_alphas(baseline.ALPHA, scales)
    ]
    reached: dict[int, Reached] = {}
    began = time.perf_counter()
    for progress in iter_run(one_objective_a_scale(plans, STEPS[-scales:])):
        if progress.scale < progress.scales:
            continue
        for goal in goals:
            if goal.evaluations not in reached and progress.loss <= goal.loss:
                seconds = time.perf_counter() - began
                reached[goal.evaluations] = Reached(seconds, progress.evaluations, progress.step)
                print(f"Impasto: goal of {goal.evaluations} reached: {reached[goal.evaluations]}", flush=True)
        if len(reached) == len(goals):
            break
    return reached


def help_seconds() -> float:
    """Seconds of `impasto --help`, the least of five runs."""
    times = []
    for _ in range(5):
        began = time.perf_counter()
        subprocess.run(
            [str(Path(sys.executable).with_name("impasto")), "--help"], capture_output=True, check=True
        )
        times.append(time.perf_counter() - began)
    return min(times)


def main() -> None:
    """Run both, then the default recipe."""
    parser = argument_parser(__doc__)
    parser.add_argument("--size", type=int, default=512, help="long side in pixels [512]")
    parser.add_argument("--evaluations", type=int, nargs="+", default=[100, 300, 500])
    chosen = parse_arguments(parser, size=64, evaluations=[5, 10])
    with multiprocessing.get_context("spawn").Pool(1, use_plain_memory) as process:
        goals = process.apply(plain_goals, (chosen.size, chosen.evaluations))
    reached = impasto_run(chosen.size, goals)
    recipes = {
        size: stylize(CONTENT, STYLE, StylizeSettings(size=size)).manifest["result"]
        for size in (chosen.size, 2 * chosen.size)
    }
    save_result(
        f"descent-{chosen.size}",
        {
            "size": chosen.size,
            "plain": {str(goal.evaluations): {"seconds": goal.seconds, "loss": goal.loss} for goal in goals},
            "ours": {str(evaluations): facts._asdict() for evaluations, facts in reached.items()},
            "times_less": {
                str(goal.evaluations): round(goal.seconds / reached[goal.evaluations].seconds, 1)
                for goal in goals
                if goal.evaluations in reached
            },
            "default_recipe": {
                f"{size} px": {key: result[key] for key in ("seconds", "evaluations")}
                for size, result in recipes.items()
            },
            "help_seconds": round(help_seconds(), 2),
        },
        chosen.results,
    )


if __name__ == "__main__":
    main()
