"""What repeatable arithmetic costs, and how far pictures differ where it does not reach.

    scripts/bench repeatable [--size 512] [--rounds 8] [--steps N]

The cost is that of one value and gradient of the default objective. Two processes take turns: one has MKL in
its strict mode, as Impasto sets it, and the other has MKL as PyTorch leaves it ("free").

The differences are PSNR in dB between two default pictures of 8-bit pixels, null where they are equal. The
pictures are painted with one thread and with two, in float32 and in bfloat16, and with older instructions
alone (AVX2; SSE2 in MKL) as a stand-in for another processor.
"""

import math
import statistics
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from timed_process import Functions, TimedProcess

# Impasto, and `common` with it, is imported inside the functions. New processes import this file first, and
# Impasto would switch MKL to its strict mode at once.

OLDER_INSTRUCTIONS = {
    "ATEN_CPU_CAPABILITY": "avx2",
    "ONEDNN_MAX_CPU_ISA": "AVX2",
    "MKL_CBWR": "COMPATIBLE",
}


def build_evaluation(strict: bool, size: int, precision: str) -> Functions:
    """The function of a process that measures the cost: one value and gradient."""
    if not strict:
        torch.ones(2, 2).exp()  # MKL refuses another mode after it has computed
    from common import CONTENT, STYLE

    from impasto.objective.evaluate import evaluator
    from impasto.objective.matching import match
    from impasto.recipes.stylize import plan_stylize
    from impasto.settings.stylize import StylizeSettings
    from impasto.system.process import REPEATABILITY

    assert REPEATABILITY.holds == strict, "MKL is in the other mode"
    settings = StylizeSettings(size=size, scales=1, precision=precision)  # type: ignore[arg-type]
    plan = plan_stylize(CONTENT, STYLE, settings)
    problem, stage = plan.problem, plan.stages[-1]
    image = problem.initial_image(stage.scale)
    objective = problem.objective(stage.scale, stage.layout)
    objective = match(problem.network, objective, image, tile=stage.layout.tile)
    evaluate = evaluator(problem.network, objective, tile=stage.layout.tile)

    def run() -> None:
        evaluate(image)

    return {"run": run}


def cost(size: int, precision: str, rounds: int) -> dict[str, Any]:
    """The least seconds in each mode, and the median of the ratios of neighbouring runs."""
    processes = {strict: TimedProcess(build_evaluation, strict, size, precision) for strict in (True, False)}
    for process in processes.values():
        process.run("run")  # the warm-up
    pairs = []
    for number in range(rounds):
        first = bool(number % 2)  # alternately: the second was seen to be up to a tenth faster
        seconds = {strict: processes[strict].run("run")[0] for strict in (first, not first)}
        pairs.append((seconds[True], seconds[False]))
    for process in processes.values():
        process.stop()
    ratios = [strict / free for strict, free in pairs]
    return {
        "size": size,
        "precision": precision,
        "least seconds strict": round(min(strict for strict, _ in pairs), 4),
        "least seconds free": round(min(free for _, free in pairs), 4),
        "median ratio": round(statistics.median(ratios), 3),
        "ratios": [round(ratio, 3) for ratio in ratios],
    }


def build_painter(values: dict[str, Any]) -> Functions:
    """The function of a process that paints: the picture of these settings, (1, 3, H, W), 0..255."""
    from common import CONTENT, STYLE

    from impasto.recipes.stylize import stylize
    from impasto.settings.stylize import StylizeSettings

    def paint() -> NDArray[np.uint8]:
        pixels = stylize(CONTENT, STYLE, StylizeSettings(**values)).picture.pixels
        return np.asarray((pixels * 255).round().byte())

    return {"paint": paint}


def painted(values: dict[str, Any], environment: dict[str, str] | None = None) -> NDArray[np.uint8]:
    """The picture that a new process paints with these settings: (1, 3, H, W), 0..255."""
    process = TimedProcess(build_painter, values, environment=environment)
    pixels: NDArray[np.uint8] = process.run("paint")[1]
    process.stop()
    return pixels


def differences(size: int, steps: int | None) -> dict[str, float | None]:
    """PSNR between pictures that differ in threads, precision or instructions alone."""
    common = {"size": size, "steps": steps, "threads": 2, "precision": "float32"}
    two = painted(common)
    half = painted({**common, "precision": "bfloat16"})
    return {
        "twice the same, float32": psnr(painted(common), two),
        "1 and 2 threads, float32": psnr(painted({**common, "threads": 1}), two),
        "1 and 2 threads, bfloat16": psnr(painted({**common, "threads": 1, "precision": "bfloat16"}), half),
        "float32 and bfloat16": psnr(two, half),
        "AVX-512 and older instructions, float32": psnr(two, painted(common, OLDER_INSTRUCTIONS)),
    }


def psnr(a: NDArray[np.uint8], b: NDArray[np.uint8]) -> float | None:
    """Peak signal-to-noise ratio of pixels 0..255, in dB; None if they are equal."""
    error = float(np.square(a.astype(np.float64) - b).mean())
    return None if error == 0 else round(10 * math.log10(255**2 / error), 2)


def main() -> None:
    """Measure the cost in each precision of the device, then the differences."""
    from common import argument_parser, parse_arguments, save_result

    from impasto.system.device import choose_compute

    parser = argument_parser(__doc__)
    parser.add_argument("--size", type=int, default=512, help="long side in pixels [512]")
    parser.add_argument("--rounds", type=int, default=8, help="of the cost [8]")
    parser.add_argument("--steps", type=int, help="solver steps at the coarsest scale [the default's]")
    chosen = parse_arguments(parser, size=64, rounds=2, steps=4)
    precisions = ["float32", *(["bfloat16"] if choose_compute().dtype == torch.bfloat16 else [])]
    results = {
        "cost": [cost(chosen.size, precision, chosen.rounds) for precision in precisions],
        "psnr": differences(chosen.size, chosen.steps),
    }
    save_result("repeatable", results, chosen.results)


if __name__ == "__main__":
    main()
