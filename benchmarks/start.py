"""From which start the paper's loss falls soonest to where it is after so many evaluations from white noise.

    scripts/bench start [--size 512] [--evaluations 200] [--pairs temple:great-wave …] [--one-scale]

L-BFGS, float32, α/β as in descent.py. White noise, the photo, and half photo, half AdaIN, each at one scale;
then, unless --one-scale, what `--init fast` does with coarse scales before the finest one (as in
descent.py), whose evaluations count by their pixels.
"""

import argparse
import json
import statistics
from typing import Any

from baseline import ALPHA
from common import IMAGES, keep
from descent import STEPS, literal, one_objective_a_scale

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
LONGER = 3
"""Times as many evaluations as white noise has, at which a start is given up."""


def starts(photo: str, painting: str, chosen: argparse.Namespace, workshop: Cache) -> dict[str, RunPlan]:
    """The same descent from several images; the first is white noise."""
    content, style = (IMAGES / f"{name}.jpg" for name in (photo, painting))
    steps = LONGER * chosen.evaluations

    def job(init: str, scales: int = 1, alpha: float = ALPHA) -> RunPlan:
        settings = literal(
            chosen.size, init=init, noise=1.0, scales=scales, steps=steps, device=chosen.device, alpha=alpha
        )
        return plan_stylize(content, style, settings, cache=workshop)

    alone = {"white noise": job("noise"), "photo": job("content"), "half photo, half AdaIN": job("fast")}
    if chosen.one_scale:
        return alone
    count = 2 if chosen.size < 512 else 3
    # α counts responses, of which a coarser scale has a quarter: four times α lets content weigh the same.
    jobs = [job("fast", count, ALPHA * 4**coarser) for coarser in reversed(range(count))]
    several = one_objective_a_scale(jobs, (*STEPS[: count - 1], steps))
    return {**alone, "the same, coarse to fine": several}


def descended(job: RunPlan, most: int, mark: float = 0.0) -> tuple[float, float]:
    """Evaluations of the full size and loss when the mark is reached, or at the last step within `most`."""
    reached, spent, before = (0.0, float("inf")), 0.0, 0
    full = job.scales[-1].height * job.scales[-1].width
    for progress in iter_run(job):
        spent += (progress.evaluations - before) * progress.height * progress.width / full
        before = progress.evaluations
        if progress.scale < progress.scales:
            continue
        if spent > most:
            break
        reached = (round(spent, 1), progress.loss)
        if progress.loss <= mark:
            break
    return reached


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--size", type=int, default=512)
    arguments.add_argument("--evaluations", type=int, default=200)
    arguments.add_argument("--pairs", type=lambda pair: pair.split(":"), nargs="+", default=PAIRS)
    arguments.add_argument("--device", default=str(choose_compute().device))
    arguments.add_argument("--one-scale", action="store_true")
    chosen = arguments.parse_args()
    workshop, pairs = Cache(), {}
    for photo, painting in chosen.pairs:
        jobs = starts(photo, painting, chosen, workshop)
        spent, mark = descended(jobs.pop("white noise"), chosen.evaluations)
        row: dict[str, Any] = {"loss": float(f"{mark:.5g}"), "white noise": spent, "times_fewer": {}}
        for name, job in jobs.items():
            needed, loss = descended(job, LONGER * chosen.evaluations, mark)
            row[name] = needed if loss <= mark else f"over {needed}"
            row["times_fewer"][name] = round(spent / needed, 2)
        pairs[f"{photo} × {painting}"] = row
        print(photo, painting, json.dumps(row), flush=True)
    medians = {n: round(statistics.median(r["times_fewer"][n] for r in pairs.values()), 2) for n in jobs}
    name = f"start-{chosen.size}" + ("" if chosen.device == "cpu" else "-gpu")
    given = {"device": chosen.device, "size": chosen.size, "evaluations": chosen.evaluations, "alpha": ALPHA}
    keep(name, {**given, "times_fewer_median": medians, "pairs": pairs})


if __name__ == "__main__":
    main()
