"""One value and gradient of larger and larger images in tiles: seconds and memory, from 1 to 100 megapixels.

    scripts/bench size [--megapixels 1 4 16 100] [--tile 1280] [--whole-side 1000]

Each image is synthesised and measured in a process of its own: first its targets, with the content's on disk,
then one value and gradient with content, style, smoothness and gamut.

The baseline is an image of 1000 × 1000 pixels, evaluated whole; the last of three evaluations counts. Because
the machine's speed changes, it is measured before and after each size. During a long evaluation it is
measured every four minutes as well, while the evaluation is stopped.
"""

import argparse
import json
import math
import signal
import statistics
import subprocess
import sys
import time
from collections.abc import Callable

import torch
from common import STYLE, argument_parser, parse_arguments, pixels, save_result
from objectives import with_priors

from impasto.network.vgg import VGG19
from impasto.network.weights import load
from impasto.objective.evaluate import evaluator
from impasto.shapes import Image
from impasto.system.memory import peak_memory, return_freed_memory

INTERVAL = 240
"""Seconds between two baselines during a long evaluation."""

Facts = dict[str, float]


def synthesised(side: int, seed: int) -> Image:
    """A square image of waves of many lengths, and noise, made in little more memory than it takes itself."""
    generator = torch.Generator().manual_seed(seed)
    image = torch.empty(1, 3, side, side)
    x = torch.arange(side, dtype=torch.float32)
    for top in range(0, side, 256):
        strip = image[0, :, top : top + 256]
        y = torch.arange(top, top + strip.shape[1], dtype=torch.float32)[:, None]
        for channel, length in enumerate((37.0, 91.0, 233.0)):
            wave = torch.sin(x / length + seed) + torch.sin((x + 2 * y) / (3 * length))
            strip[channel] = 0.5 + 0.2 * wave
        strip += 0.05 * torch.rand(strip.shape, generator=generator)
    return image.clamp_(0, 1)


def evaluate_here(side: int, tile: int, evaluations: int) -> Facts:
    """Seconds of the targets and of the last evaluation, and the peak memory of this whole process.

    Args:
        side: of the image, in pixels.
        tile: side of the tiles, in pixels; 0: the whole image at once.
    """
    if tile:
        return_freed_memory()
    network = VGG19.build(load(), pooling="max", deepest_layer="conv5_1")
    style = pixels(STYLE, min(1024, 2 * side))
    began = time.perf_counter()
    objective = with_priors(network, synthesised(side, 1), style, tile=tile)
    setup = time.perf_counter() - began
    evaluate = evaluator(network, objective, tile=tile)
    image = synthesised(side, 2)
    print("begins", flush=True)
    for _ in range(evaluations):
        began = time.perf_counter()
        evaluation = evaluate(image)
        seconds = time.perf_counter() - began
    return {
        "setup_seconds": round(setup, 2),
        "seconds": round(seconds, 2),
        "peak_gigabytes": round(peak_memory(torch.device("cpu")) / 1e9, 3),
        "loss": float(evaluation.loss),
    }


def run_process(
    side: int, tile: int, evaluations: int, baseline: Callable[[], Facts] | None = None
) -> tuple[Facts, list[Facts]]:
    """Run `evaluate_here` in a new process.

    Args:
        baseline: measured at each interval, while the process is stopped.
    Returns:
        The facts, without the seconds in which the process was stopped, and the baselines.
    """
    command = [sys.executable, __file__, "--evaluate", str(side), str(tile), str(evaluations)]
    baselines: list[Facts] = []
    stopped = 0.0
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "begins\n"
        while True:
            try:
                process.wait(INTERVAL)
                break
            except subprocess.TimeoutExpired:
                if baseline is None:
                    continue
                process.send_signal(signal.SIGSTOP)
                began = time.perf_counter()
                baselines.append(baseline())
                process.send_signal(signal.SIGCONT)
                stopped += time.perf_counter() - began
        facts: Facts = json.loads(process.stdout.read())
    facts["seconds"] = round(facts["seconds"] - stopped, 2)
    facts["microseconds_per_pixel"] = round(facts["seconds"] / side**2 * 1e6, 3)
    print(f"{side}×{side}, tile {tile}:", json.dumps(facts), flush=True)
    return facts, baselines


def main() -> None:
    """Measure every size, with baselines before and after it."""
    parser = argument_parser(__doc__)
    parser.add_argument("--megapixels", type=float, nargs="+", default=[1, 4, 16, 100])
    parser.add_argument("--tile", type=int, default=1280, help="side of the tiles in pixels [1280]")
    parser.add_argument("--whole-side", type=int, default=1000, help="side of the baseline's image [1000]")
    parser.add_argument("--evaluate", type=int, nargs=3, help=argparse.SUPPRESS)
    chosen = parse_arguments(parser, megapixels=[0.09], tile=192, whole_side=128)
    if chosen.evaluate:
        print(json.dumps(evaluate_here(*chosen.evaluate)))
        return

    def baseline() -> Facts:
        return run_process(chosen.whole_side, 0, 3)[0]

    before = baseline()
    wholes, sizes, ratios = [before], {}, {}
    for megapixels in chosen.megapixels:
        facts, between = run_process(round(1000 * math.sqrt(megapixels)), chosen.tile, 1, baseline)
        after = baseline()
        per_pixel = statistics.mean(run["microseconds_per_pixel"] for run in (before, *between, after))
        wholes += [*between, after]
        before = after
        name = f"{megapixels:g} Mpx"
        sizes[name] = facts
        ratios[name] = round(facts["microseconds_per_pixel"] / per_pixel, 2)
        results = {
            "tile": chosen.tile,
            "whole_side": chosen.whole_side,
            "whole_1_Mpx": wholes,
            "tiled": sizes,
            "times_the_whole": ratios,
        }
        # written after every size: the largest takes most of an hour
        save_result("size", results, chosen.results)


if __name__ == "__main__":
    main()
