"""One picture on 1, 2, 3 and 4 processes: seconds of a value and gradient, and memory of each process.

    scripts/bench ranks [--size 1536] [--counts 1 2 3 4]

The baseline is one process with as many threads as the machine has processors; N processes have one thread
each. Baseline and two processes are measured in turns, twice. Memory is the peak of a process over some
evaluations and four steps of L-BFGS; the weights and PyTorch itself, about 0.45 GB, are in it.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import torch
from common import CONTENT, STYLE, keep, pixels

from impasto.network.vgg import VGG19
from impasto.network.weights import load
from impasto.objective.bands import Band
from impasto.objective.build import content_terms, prior_terms, style_terms_from_images
from impasto.objective.evaluate import evaluator
from impasto.objective.objective import Objective
from impasto.settings.presets import PAPER_STYLE_LAYERS
from impasto.solve import descent
from impasto.system.distributed import all_sum, join_process_group, leave_process_group, rank
from impasto.system.memory import peak_memory


def work(folder: Path, size: int) -> None:
    """One process: writes its seconds and its peak of memory to a file of its own."""
    join_process_group()
    network = VGG19.build(load(), pooling="max", deepest_layer="conv5_1")
    content = pixels(CONTENT, size)
    canvas = (content.shape[2], content.shape[3])
    shares = dict.fromkeys(PAPER_STYLE_LAYERS, 0.2)
    contents = content_terms(network, content, {"conv4_2": 1.0}, weight=1.0, formula="balanced")
    style = [(pixels(STYLE, 512), 1.0)]
    styles = style_terms_from_images(network, style, shares, canvas=canvas, weight=8.0, formula="balanced")
    priors = prior_terms(canvas, variation=2.0, gamut=100.0)
    band = Band.of(*canvas)
    evaluate = evaluator(network, Objective((*contents, *styles, *priors)), band=band)
    image = band.local_rows(content).clone()
    seconds = []
    for _ in range(3):
        all_sum(torch.zeros(1))  # wait for the others
        began = time.perf_counter()
        evaluate(image)
        all_sum(torch.zeros(1))
        seconds.append(time.perf_counter() - began)
    state = descent.start(evaluate, image)
    for _ in range(4):
        state = descent.step(evaluate, state)
    result = {"seconds": statistics.median(seconds[1:]), "peak": peak_memory(torch.device("cpu"))}
    (folder / str(rank())).write_text(json.dumps({**result, "loss": float(state.evaluation.loss)}))
    leave_process_group()


def measured(count: int, threads: int, size: int) -> dict[str, float]:
    """Seconds of the slowest, the largest peak in gigabytes, and the loss after the steps."""
    launcher = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node", str(count)]
    with tempfile.TemporaryDirectory() as folder:
        command = [*(launcher if count > 1 else []), __file__, "--work", folder, "--size", str(size)]
        environment = {**os.environ, "OMP_NUM_THREADS": str(threads)}
        subprocess.run([sys.executable, *command], check=True, env=environment, stderr=subprocess.DEVNULL)
        parts = [json.loads(path.read_text()) for path in Path(folder).iterdir()]
    assert len(parts) == count
    result = {
        "seconds": round(max(part["seconds"] for part in parts), 3),
        "peak_gigabytes_per_process": round(max(part["peak"] for part in parts) / 1e9, 3),
        "loss": parts[0]["loss"],
    }
    print(f"{count} of {threads} threads:", json.dumps(result), flush=True)
    return result


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--size", type=int, default=1536)
    arguments.add_argument("--counts", type=int, nargs="+", default=[1, 2, 3, 4])
    arguments.add_argument("--work", help=argparse.SUPPRESS)
    chosen = arguments.parse_args()
    if chosen.work:
        work(Path(chosen.work), chosen.size)
        return
    cores = os.cpu_count() or 1
    pairs = [(measured(1, cores, chosen.size), measured(2, 1, chosen.size)) for _ in range(2)]
    others = {f"{n} of 1 thread": measured(n, 1, chosen.size) for n in chosen.counts if n != 2}
    ratios = [round(one["seconds"] / two["seconds"], 3) for one, two in pairs]
    keep(
        "ranks",
        {
            "size": chosen.size,
            f"1 of {cores} threads": [one for one, _ in pairs],
            "2 of 1 thread": [two for _, two in pairs],
            **others,
            "speed_of_two_over_one": ratios,
        },
    )


if __name__ == "__main__":
    main()
