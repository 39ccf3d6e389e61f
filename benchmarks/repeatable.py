"""What repeatable arithmetic costs, and how far pictures differ where it does not reach.

    scripts/bench repeatable [--size 512] [--rounds 8]

Cost: one value and gradient of the default objective, in processes of their own and in turns, with MKL in its
strict mode (as Impasto sets it) and as PyTorch leaves it. Difference: the default picture, painted with one
thread and with two, in float32 and in bfloat16, and with older instructions alone (AVX2, in MKL SSE2),
which stand in for another processor;
the PSNR between two of them in dB, of 8-bit pixels, or null where they are equal.
"""

import argparse
import multiprocessing
import os
import statistics
import time
from multiprocessing.connection import Connection
from typing import Any

import torch


def evaluate(pipe: Connection, strict: bool, size: int, precision: str) -> None:
    """Answer each "run" with the seconds of one evaluation."""
    if not strict:
        torch.ones(2, 2).exp()  # MKL refuses another mode after it has computed
    from common import CONTENT, STYLE

    from impasto.objective.evaluate import evaluator
    from impasto.recipes.stylize import plan_stylize
    from impasto.settings.stylize import StylizeSettings
    from impasto.system.process import REPEATABILITY

    assert REPEATABILITY.holds == strict
    settings = StylizeSettings(size=size, scales=1, precision=precision)  # type: ignore[arg-type]
    job = plan_stylize(CONTENT, STYLE, settings)
    objective = job.problem.objective(job.scales[-1], job.layouts[-1])
    run, image = evaluator(job.problem.network, objective), job.problem.initial_image(job.scales[-1])
    while pipe.recv() == "run":
        began = time.perf_counter()
        run(image)
        pipe.send(time.perf_counter() - began)


def cost(size: int, precision: str, rounds: int) -> dict[str, Any]:
    """The least seconds of both modes, and the median of the ratios of neighbours in time."""
    spawn, pipes = multiprocessing.get_context("spawn"), {}
    for strict in (True, False):
        pipes[strict], theirs = spawn.Pipe()
        spawn.Process(target=evaluate, args=(theirs, strict, size, precision), daemon=True).start()
        ask(pipes[strict])  # to warm up
    pairs = []
    for number in range(rounds):
        first = bool(number % 2)  # in turns: who comes second was seen to be up to a tenth quicker
        seconds = {first: ask(pipes[first]), (not first): ask(pipes[not first])}
        pairs.append((seconds[True], seconds[False]))
    for pipe in pipes.values():
        pipe.send("stop")
    ratios = [strict / free for strict, free in pairs]
    return {
        "size": size,
        "precision": precision,
        "least seconds strict": round(min(strict for strict, _ in pairs), 4),
        "least seconds free": round(min(free for _, free in pairs), 4),
        "median ratio": round(statistics.median(ratios), 3),
        "ratios": [round(ratio, 3) for ratio in ratios],
    }


def ask(pipe: Connection) -> float:
    pipe.send("run")
    seconds: float = pipe.recv()
    return seconds


def paint(pipe: Connection, size: int, threads: int, precision: str) -> None:
    from common import CONTENT, STYLE

    from impasto.recipes.stylize import stylize
    from impasto.settings.stylize import StylizeSettings

    settings = StylizeSettings(size=size, threads=threads, precision=precision)  # type: ignore[arg-type]
    pixels = stylize(CONTENT, STYLE, settings).picture.pixels
    pipe.send((pixels * 255).round().byte().numpy())


def differences(size: int) -> dict[str, float | None]:
    """PSNR between pictures that differ in threads, precision or instructions alone."""
    other = {"ATEN_CPU_CAPABILITY": "avx2", "ONEDNN_MAX_CPU_ISA": "AVX2", "MKL_CBWR": "COMPATIBLE"}
    two = painted(size, 2, "float32")
    half = painted(size, 2, "bfloat16")
    return {
        "twice the same, float32": psnr(painted(size, 2, "float32"), two),
        "1 and 2 threads, float32": psnr(painted(size, 1, "float32"), two),
        "1 and 2 threads, bfloat16": psnr(painted(size, 1, "bfloat16"), half),
        "float32 and bfloat16": psnr(two, half),
        "AVX-512 and older instructions, float32": psnr(two, painted(size, 2, "float32", **other)),
    }


def painted(size: int, threads: int, precision: str, **variables: str) -> torch.Tensor:
    """The picture that a process of its own paints, (1, 3, H, W), 0..255."""
    spawn = multiprocessing.get_context("spawn")
    ours, theirs = spawn.Pipe()
    before = dict(os.environ)
    os.environ |= variables  # inherited, and read before the child imports torch
    try:
        spawn.Process(target=paint, args=(theirs, size, threads, precision), daemon=True).start()
    finally:
        os.environ.clear()
        os.environ |= before
    return torch.from_numpy(ours.recv()).float()


def psnr(a: torch.Tensor, b: torch.Tensor) -> float | None:
    error = float((a - b).square().mean())
    return None if error == 0 else round(10 * float(torch.tensor(255**2 / error).log10()), 2)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--size", type=int, default=512)
    parser.add_argument("--rounds", type=int, default=8)
    options = parser.parse_args()

    from common import keep

    from impasto.system.device import choose_compute

    precisions = ["float32", *(["bfloat16"] if choose_compute().dtype == torch.bfloat16 else [])]
    keep(
        "repeatable",
        {
            "cost": [cost(options.size, precision, options.rounds) for precision in precisions],
            "psnr": differences(options.size),
        },
    )


if __name__ == "__main__":
    main()
