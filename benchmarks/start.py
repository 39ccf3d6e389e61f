"""From which start the paper's loss falls soonest to where white noise takes it.

    scripts/bench start [--size 512] [--evaluations 200] [--pairs temple:great-wave …] [--one-scale]

The goal of each pair is the loss that L-BFGS reaches from white noise after so many evaluations. The other
starts at one scale are the photo, and half photo, half AdaIN. Unless --one-scale is given, `--init fast` also
runs with coarse scales before the finest one, whose evaluations count in proportion to their pixels. All in
float32 and with the α/β of descent.py.
"""

import argparse
import json
import statistics
from typing import Any

from baseline import ALPHA
from common import argument_parser, example, parse_arguments, photo_and_painting, save_result
from descent import STEPS, coarser_alphas, literal_settings, one_objective_a_scale

from impasto.recipes.stylize import plan_stylize
from impasto.run.loop import iter_run
from impasto.run.plan import RunPlan
from impasto.style.cache import Cache
from impasto.system.device import choose_compute

PAIRS = [
    ("temple", "great-wave"),
    ("dandelion", "langlois-bridge"),
    ("temple", "kandinsky"),
    ("dandelion", "great-wave"),
]
PATIENCE = 3
"""A start is given up after this many times the evaluations of white noise."""

NOISE = "white noise"


def start_plans(pair: tuple[str, str], chosen: argparse.Namespace, cache: Cache) -> dict[str, RunPlan]:
    """Plans of the same descent from several starts, by the names in the result."""
    photo, painting = map(example, pair)
    steps = PATIENCE * chosen.evaluations

    def plan(init: str, scales: int = 1, alpha: float = ALPHA) -> RunPlan:
        settings = literal_settings(
            chosen.size, init=init, noise=1.0, scales=scales, steps=steps, device=chosen.device, alpha=alpha
        )
        return plan_stylize(photo, painting, settings, cache=cache)

    plans = {NOISE: plan("noise"), "photo": plan("content"), "half photo, half AdaIN": plan("fast")}
    if not chosen.one_scale:
        scales = 2 if chosen.size < 512 else 3
        by_scale = [plan("fast", scales, alpha) for alpha in coarser_alphas(ALPHA, scales)]
        plans["the same, coarse to fine"] = one_objective_a_scale(by_scale, (*STEPS[: scales - 1], steps))
    return plans


def descend(plan: RunPlan, most: int, goal: float = 0.0) -> tuple[float, float]:
    """Run a plan until the loss is at the goal, or `most` evaluations are spent.

    Returns:
        Evaluations, counted in those of the full size, and the loss after the last step.
    """
    reached, spent, before = (0.0, float("inf")), 0.0, 0
    full = plan.scales[-1].height * plan.scales[-1].width
    for progress in iter_run(plan):
        spent += (progress.evaluations - before) * progress.height * progress.width / full
        before = progress.evaluations
        if progress.scale < progress.scales:
            continue
        if spent > most:
            break
        reached = (round(spent, 1), progress.loss)
        if progress.loss <= goal:
            break
    return reached


def main() -> None:
    """Descend from every start, pair by pair."""
    parser = argument_parser(__doc__)
    parser.add_argument("--size", type=int, default=512, help="long side in pixels [512]")
    parser.add_argument("--evaluations", type=int, default=200, help="from white noise [200]")
    parser.add_argument("--pairs", type=photo_and_painting, nargs="+", default=PAIRS)
    parser.add_argument("--device", default=str(choose_compute().device))
    parser.add_argument("--one-scale", action="store_true", help="leave out the start coarse to fine")
    chosen = parse_arguments(parser, size=64, evaluations=5, pairs=PAIRS[:1])
    cache, pairs = Cache(), {}
    for photo, painting in chosen.pairs:
        plans = start_plans((photo, painting), chosen, cache)
        spent, goal = descend(plans.pop(NOISE), chosen.evaluations)
        row: dict[str, Any] = {"loss": float(f"{goal:.5g}"), NOISE: spent, "times_fewer": {}}
        for name, plan in plans.items():
            needed, loss = descend(plan, PATIENCE * chosen.evaluations, goal)
            row[name] = needed if loss <= goal else f"over {needed}"
            row["times_fewer"][name] = round(spent / needed, 2)
        pairs[f"{photo} × {painting}"] = row
        print(photo, painting, json.dumps(row), flush=True)
    results = {
        "device": chosen.device,
        "size": chosen.size,
        "evaluations": chosen.evaluations,
        "alpha": ALPHA,
        "times_fewer_median": {
            name: round(statistics.median(row["times_fewer"][name] for row in pairs.values()), 2)
            for name in plans
        },
        "pairs": pairs,
    }
    suffix = "" if chosen.device == "cpu" else "-gpu"
    save_result(f"start-{chosen.size}{suffix}", results, chosen.results)


if __name__ == "__main__":
    main()
