"""One value and gradient of larger and larger images by tiles: seconds and memory a pixel, from 1 to 100 Mpx.

    scripts/bench size [--megapixels 1 4 16 100] [--tile 1280]

Each image is synthesised and measured in a process of its own: first its targets (the content's kept on
disk), then one value and gradient with content, style, total variation and gamut. The baseline, 1 megapixel
whole, is measured before and after each of them, its last evaluation of three: the machine's speed changes.
"""

import argparse
import json
import subprocess
import sys
import time

import torch
from common import STYLE, keep, pixels

from impasto.memory import hand_back, peak_memory
from impasto.network.vgg import VGG19
from impasto.network.weights import load
from impasto.objective.evaluate import evaluator
from impasto.objective.objective import Objective, content_terms, prior_terms, style_terms
from impasto.recipes.settings import PAPER_STYLE_LAYERS


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
        hand_back()
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
    styles = style_terms(network, style, shares, canvas=(side, side), weight=8.0, formula="balanced")
    priors = prior_terms((side, side), variation=2.0, gamut=100.0)
    evaluate = evaluator(network, Objective((*contents, *styles, *priors)), tile=tile)
    image = synthesised(side, 2)
    for _ in range(evaluations):
        began = time.perf_counter()
        found = evaluate(image)
        seconds = time.perf_counter() - began
    return {
        "setup_seconds": round(setup, 2),
        "seconds": round(seconds, 2),
        "microseconds_per_pixel": round(seconds / side**2 * 1e6, 3),
        "peak_gigabytes": round(peak_memory(torch.device("cpu")) / 1e9, 3),
        "loss": float(found.loss),
    }


def apart(side: int, tile: int, evaluations: int) -> dict[str, float]:
    """`one` in a process of its own."""
    command = [sys.executable, __file__, "--one", str(side), str(tile), str(evaluations)]
    found: dict[str, float] = json.loads(subprocess.run(command, check=True, capture_output=True).stdout)
    print(f"{side}×{side}, tile {tile}:", json.dumps(found), flush=True)
    return found


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--megapixels", type=int, nargs="+", default=[1, 4, 16, 100])
    arguments.add_argument("--tile", type=int, default=1280)
    arguments.add_argument("--one", type=int, nargs=3, help=argparse.SUPPRESS)
    chosen = arguments.parse_args()
    if chosen.one:
        print(json.dumps(one(*chosen.one)))
        return
    wholes, sizes, ratios = [apart(1000, 0, 3)], {}, {}
    for size in chosen.megapixels:
        found = apart(round(1000 * size**0.5), chosen.tile, 1)
        wholes.append(apart(1000, 0, 3))
        plain = (wholes[-1]["microseconds_per_pixel"] + wholes[-2]["microseconds_per_pixel"]) / 2
        sizes[f"{size} Mpx"] = found
        ratios[f"{size} Mpx"] = round(found["microseconds_per_pixel"] / plain, 2)
        # kept after every size: the largest takes most of an hour
        keep("size", {"tile": chosen.tile, "whole_1_Mpx": wholes, "tiled": sizes, "times_the_whole": ratios})


if __name__ == "__main__":
    main()
