"""One value and gradient of larger and larger images by tiles: seconds and memory a pixel, from 1 to 100 Mpx.

    scripts/bench size [--megapixels 1 4 16 100] [--tile 1280]

Each image is synthesised and measured in a process of its own: first its targets (the content's kept on
disk), then one value and gradient with content, style, total variation and gamut. The machine's speed
changes, so the baseline, 1 megapixel whole (its last evaluation of three), is measured before and after each
of them and, with the long evaluation stopped meanwhile, every four minutes.
"""

import argparse
import json
import signal
import statistics
import subprocess
import sys
import time

import torch
from common import STYLE, keep, pixels

from impasto.network.vgg import VGG19
from impasto.network.weights import load
from impasto.objective.build import content_terms, prior_terms, style_terms_from_images
from impasto.objective.evaluate import evaluator
from impasto.objective.objective import Objective
from impasto.settings.presets import PAPER_STYLE_LAYERS
from impasto.system.memory import peak_memory, return_freed_memory

EVERY = 240
"""Seconds between baselines."""


def synthesised(side: int, seed: int) -> torch.Tensor:
    """A picture of any size in little more memory than its own: waves of many lengths, and noise."""
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


def one(side: int, tile: int, evaluations: int) -> dict[str, float]:
    """Seconds of the setup and of the last evaluation, and the peak of this whole process."""
    if tile:
        return_freed_memory()
    network = VGG19.build(load(), pooling="max", deepest_layer="conv5_1")
    shares = dict.fromkeys(PAPER_STYLE_LAYERS, 0.2)
    began = time.perf_counter()
    contents = content_terms(
        network,
        synthesised(side, 1),
        {"conv4_2": 1.0},
        weight=1.0,
        formula="balanced",
        tile=tile,
        keep="disk" if tile else "memory",
    )
    setup = time.perf_counter() - began
    style = [(pixels(STYLE, 1024), 1.0)]
    styles = style_terms_from_images(
        network, style, shares, canvas=(side, side), weight=8.0, formula="balanced"
    )
    priors = prior_terms((side, side), variation=2.0, gamut=100.0)
    evaluate = evaluator(network, Objective((*contents, *styles, *priors)), tile=tile)
    image = synthesised(side, 2)
    print("begins", flush=True)
    for _ in range(evaluations):
        began = time.perf_counter()
        evaluation = evaluate(image)
        seconds = time.perf_counter() - began
    return {
        "setup_seconds": round(setup, 2),
        "seconds": round(seconds, 2),
        "microseconds_per_pixel": round(seconds / side**2 * 1e6, 3),
        "peak_gigabytes": round(peak_memory(torch.device("cpu")) / 1e9, 3),
        "loss": float(evaluation.loss),
    }


def apart(side: int, tile: int, evaluations: int) -> tuple[dict[str, float], list[dict[str, float]]]:
    """`one` in a process of its own, without the times it was stopped; the baselines taken in those."""
    command = [sys.executable, __file__, "--one", str(side), str(tile), str(evaluations)]
    between: list[dict[str, float]] = []
    stopped = 0.0
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "begins\n"
        while True:
            try:
                process.wait(EVERY)
                break
            except subprocess.TimeoutExpired:
                process.send_signal(signal.SIGSTOP)
                began = time.perf_counter()
                between += apart(1000, 0, 3)[:1]
                process.send_signal(signal.SIGCONT)
                stopped += time.perf_counter() - began
        result: dict[str, float] = json.loads(process.stdout.read())
    result["seconds"] = round(result["seconds"] - stopped, 2)
    result["microseconds_per_pixel"] = round(result["seconds"] / side**2 * 1e6, 3)
    print(f"{side}×{side}, tile {tile}:", json.dumps(result), flush=True)
    return result, between


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--megapixels", type=int, nargs="+", default=[1, 4, 16, 100])
    arguments.add_argument("--tile", type=int, default=1280)
    arguments.add_argument("--one", type=int, nargs=3, help=argparse.SUPPRESS)
    chosen = arguments.parse_args()
    if chosen.one:
        print(json.dumps(one(*chosen.one)))
        return
    before, _ = apart(1000, 0, 3)
    wholes, sizes, ratios = [before], {}, {}
    for size in chosen.megapixels:
        result, between = apart(round(1000 * size**0.5), chosen.tile, 1)
        after, _ = apart(1000, 0, 3)
        plain = statistics.mean(run["microseconds_per_pixel"] for run in (before, *between, after))
        wholes += [*between, after]
        before = after
        sizes[f"{size} Mpx"] = result
        ratios[f"{size} Mpx"] = round(result["microseconds_per_pixel"] / plain, 2)
        # kept after every size: the largest takes most of an hour
        keep("size", {"tile": chosen.tile, "whole_1_Mpx": wholes, "tiled": sizes, "times_the_whole": ratios})


if __name__ == "__main__":
    main()
