"""How long until the paper's literal loss is as low as a plain implementation gets it.

    scripts/bench descent [--size 512] [--evaluations 100 300 500]

The plain implementation (baseline.py) descends from white noise; its loss after so many evaluations is the
mark. Ours descends the same objective, coarse to fine, until its literal loss, in float32 and without priors,
is as low. Both times are of the descent alone, after everything is loaded. Also: the default recipe, at
that size and at twice that, and the start-up.
"""

import argparse
import multiprocessing
import os
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from pathlib import Path

import baseline
import torch
from common import CONTENT, STYLE, keep, pixels

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
"""Of ours: at 128, 256 and 512 px; the last goes on to the mark."""


def as_it_comes() -> None:
    """Leave a process's memory as PyTorch has it: what Impasto asks for is not the baseline's."""
    os.environ["THP_MEM_ALLOC_ENABLE"] = "0"


def plain(size: int, evaluations: list[int]) -> dict[int, tuple[float, float]]:
    """Seconds and lowest loss so far after each number of evaluations."""
    content, style = pixels(CONTENT, size), pixels(STYLE, size)
    noise = torch.rand(content.shape, generator=torch.Generator().manual_seed(0))
    marks, best = {}, float("inf")
    for spent, loss, seconds in baseline.descend(baseline.objective(content, style), noise, max(evaluations)):
        best = min(best, loss)
        if spent in evaluations:
            marks[spent] = (seconds, best)
            print(f"plain: {spent} evaluations, {seconds:.0f} s, {best:.4g}", flush=True)
    return marks


def literal(size: int, **changes: object) -> StylizeSettings:
    """The baseline's objective, our way down."""
    given: dict[str, object] = {
        "formula": "paper", "alpha": baseline.ALPHA, "beta": 1.0, "pooling": "average", "size": size,
        "scales": len(STEPS), "precision": "float32", "tolerance": 0.0,
    }  # fmt: skip
    return StylizeSettings(**{**given, **changes})  # type: ignore[arg-type]


@dataclass(frozen=True, eq=False)
class ObjectiveByWidth(StyleTransfer):
    """A finest scale's problem with the objectives of others at the coarser scales."""

    others: Mapping[int, Problem] = field(default_factory=dict)

    def objective(self, scale: Scale, layout: Layout) -> Objective:
        """That of the problem for the scale's width."""
        return self.others[scale.width].objective(scale, layout)


def one_objective_a_scale(plans: Sequence[RunPlan], steps: Sequence[int]) -> RunPlan:
    """The last plan, with that many steps at each scale, and the objectives of the plans, coarse to fine."""
    finest = plans[-1]
    assert isinstance(finest.problem, StyleTransfer)
    own = {f.name: getattr(finest.problem, f.name) for f in fields(StyleTransfer)}
    by_width = {scale.width: plan.problem for scale, plan in zip(finest.scales, plans, strict=True)}
    stages = tuple(
        replace(stage, scale=replace(stage.scale, steps=count))
        for stage, count in zip(finest.stages, steps, strict=True)
    )
    return replace(finest, problem=ObjectiveByWidth(**own, others=by_width), stages=stages)


def ours(
    settings: StylizeSettings, marks: dict[int, tuple[float, float]]
) -> dict[int, tuple[float, int, int]]:
    """Seconds, evaluations in all and steps at the last scale until each mark's loss is reached."""
    # α counts responses, of which a coarser scale has a quarter: four times α lets content weigh the same.
    jobs = [
        plan_stylize(CONTENT, STYLE, replace(settings, alpha=baseline.ALPHA * 4**coarser))
        for coarser in reversed(range(len(STEPS)))
    ]
    job = one_objective_a_scale(jobs, STEPS)
    waiting, reached = dict(marks), {}
    began = time.perf_counter()
    for progress in iter_run(job):
        if progress.scale < progress.scales:
            continue
        for evaluations in [e for e, (_, loss) in waiting.items() if progress.loss <= loss]:
            del waiting[evaluations]
            reached[evaluations] = (time.perf_counter() - began, progress.evaluations, progress.step)
            print(f"ours: mark {evaluations} after {reached[evaluations]}", flush=True)
        if not waiting:
            break
    return reached


def start_up() -> float:
    """Seconds of `impasto --help`, the best of five."""
    times = []
    for _ in range(5):
        began = time.perf_counter()
        subprocess.run(
            [str(Path(sys.executable).with_name("impasto")), "--help"], capture_output=True, check=True
        )
        times.append(time.perf_counter() - began)
    return min(times)


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--size", type=int, default=512)
    arguments.add_argument("--evaluations", type=int, nargs="+", default=[100, 300, 500])
    chosen = arguments.parse_args()
    with multiprocessing.get_context("spawn").Pool(1, as_it_comes) as process:
        marks = process.apply(plain, (chosen.size, chosen.evaluations))
    reached = ours(literal(chosen.size), marks)
    recipes = {
        size: stylize(CONTENT, STYLE, StylizeSettings(size=size)).manifest["result"]
        for size in (chosen.size, 2 * chosen.size)
    }
    keep(
        f"descent-{chosen.size}",
        {
            "size": chosen.size,
            "plain": {str(e): {"seconds": s, "loss": loss} for e, (s, loss) in marks.items()},
            "ours": {
                str(e): {"seconds": s, "evaluations": n, "steps_at_the_last_scale": last}
                for e, (s, n, last) in reached.items()
            },
            "times_less": {str(e): round(marks[e][0] / s, 1) for e, (s, _, _) in reached.items()},
            "default_recipe": {
                f"{size} px": {key: result[key] for key in ("seconds", "evaluations")}
                for size, result in recipes.items()
            },
            "help_seconds": round(start_up(), 2),
        },
    )


if __name__ == "__main__":
    main()
