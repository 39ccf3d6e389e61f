"""One picture on 1, 2, 3 and 4 processes: seconds of a value and gradient, and memory of each process.

    scripts/bench ranks [--size 1536] [--counts 1 2 3 4]

The baseline is one process with a thread for each processor of the machine. Of N processes, each has one
thread. The baseline and two processes are measured alternately, twice. Memory is the peak of a process over
three evaluations and four steps of L-BFGS, including the weights and PyTorch itself, about 0.45 GB.
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
from common import CONTENT, STYLE, argument_parser, parse_arguments, pixels, save_result
from objectives import with_priors

from impasto.network.vgg import VGG19
from impasto.network.weights import load
from impasto.objective.bands import Band
from impasto.objective.evaluate import evaluator
from impasto.solve import descent
from impasto.system.distributed import all_sum, join_process_group, leave_process_group, rank
from impasto.system.memory import peak_memory


def wait_for_others() -> None:
    """Return when all processes have come here."""
    all_sum(torch.zeros(1))


def work(folder: Path, size: int) -> None:
    """Be one of the processes: write seconds, peak memory and the last loss to a file."""
    join_process_group()
    network = VGG19.build(load(), pooling="max", deepest_layer="conv5_1")
    content = pixels(CONTENT, size)
    band = Band.of(content.shape[2], content.shape[3])
    evaluate = evaluator(network, with_priors(network, content, pixels(STYLE, 512)), band=band)
    image = band.local_rows(content).clone()
    seconds = []
    for _ in range(3):
        wait_for_others()
        began = time.perf_counter()
        evaluate(image)
        wait_for_others()
        seconds.append(time.perf_counter() - began)
    state = descent.start(evaluate, image)
    for _ in range(4):
        state = descent.step(evaluate, state)
    facts = {
        "seconds": statistics.median(seconds[1:]),
        "peak": peak_memory(torch.device("cpu")),
        "loss": float(state.evaluation.loss),
    }
    (folder / str(rank())).write_text(json.dumps(facts))
    leave_process_group()


def run_processes(count: int, threads: int, size: int) -> dict[str, float]:
    """Run processes of so many threads: the longest seconds, the largest peak, and the loss."""
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
    print(f"{count} × {threads} threads:", json.dumps(result), flush=True)
    return result


def main() -> None:
    """Measure each number of processes."""
    parser = argument_parser(__doc__)
    parser.add_argument("--size", type=int, default=1536, help="long side in pixels [1536]")
    parser.add_argument("--counts", type=int, nargs="+", default=[1, 2, 3, 4], help="numbers of processes")
    parser.add_argument("--work", type=Path, help=argparse.SUPPRESS)
    chosen = parse_arguments(parser, size=128, counts=[2])
    if chosen.work:
        work(chosen.work, chosen.size)
        return
    cores = os.cpu_count() or 1
    runs = [(run_processes(1, cores, chosen.size), run_processes(2, 1, chosen.size)) for _ in range(2)]
    others = {f"{n} of 1 thread": run_processes(n, 1, chosen.size) for n in chosen.counts if n != 2}
    save_result(
        "ranks",
        {
            "size": chosen.size,
            f"1 of {cores} threads": [baseline for baseline, _ in runs],
            "2 of 1 thread": [two for _, two in runs],
            **others,
            "speed_of_two_over_one": [
                round(baseline["seconds"] / two["seconds"], 3) for baseline, two in runs
            ],
        },
        chosen.results,
    )


if __name__ == "__main__":
    main()
