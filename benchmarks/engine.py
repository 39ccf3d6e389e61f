"""One value and gradient: seconds, the share that is convolution, and memory, against a plain implementation.

    scripts/bench engine [--sizes 256 512 1024] [--repeats 5] [--device cpu]

In the same run and in turns, each in a process of its own: the plain implementation of baseline.py, ours in
each precision that the device has, and the network's convolutions alone (forward and back, nothing between),
which is the machine's own limit for direct sums; Winograd's convolutions may pass it. Peak memory is that of
such a process less what it holds after its imports. On a GPU both devices' losses are compared as well.
"""

import argparse
import json
import multiprocessing
import os
import statistics
import time
from collections.abc import Callable
from multiprocessing.connection import Connection

import baseline
import torch
import torch.nn.functional as F
from common import CONTENT, STYLE, keep, pixels
from torch.nn.grad import conv2d_input

from impasto.choices import Precision
from impasto.layers import CONVOLUTIONS, LAYERS
from impasto.network.vgg import VGG19
from impasto.network.weights import load
from impasto.objective.build import content_terms, style_terms_from_images
from impasto.objective.evaluate import Evaluation, evaluator
from impasto.objective.objective import Objective
from impasto.system.device import choose_compute
from impasto.system.memory import peak_memory

SHARES = dict.fromkeys(baseline.STYLE_LAYERS, 0.2)


def plain(size: int, device: str) -> Callable[[], torch.Tensor]:
    content = pixels(CONTENT, size).to(device)
    loss = baseline.objective(content, pixels(STYLE, size), device)

    def evaluate() -> torch.Tensor:
        image = content.flip(3).requires_grad_(True)
        (gradient,) = torch.autograd.grad(loss(image), image)
        return gradient

    return evaluate


def ours(size: int, device: str, precision: Precision) -> Callable[[], Evaluation]:
    compute = choose_compute(device, precision)
    content, style = (pixels(path, size).to(compute.device) for path in (CONTENT, STYLE))
    network = VGG19.build(load(), deepest_layer="conv5_1", device=compute.device, dtype=compute.dtype)
    canvas = (content.shape[2], content.shape[3])
    evaluate = evaluator(
        network,
        Objective(
            (
                *content_terms(network, content, {"conv4_2": 1.0}, weight=baseline.ALPHA, formula="paper"),
                *style_terms_from_images(
                    network, [(style, 1.0)], SHARES, canvas=canvas, weight=1.0, formula="paper"
                ),
            )
        ),
    )
    image = content.flip(3)
    return lambda: evaluate(image)


def convolutions(size: int, device: str, precision: Precision) -> Callable[[], None]:
    """Each of the network's convolutions forward and back with respect to its input, and nothing else."""
    compute = choose_compute(device, precision)
    height, width = pixels(CONTENT, size).shape[2:]
    layers = []
    for name in CONVOLUTIONS[: LAYERS["conv5_1"].convolutions]:
        weight, bias = (t.to(compute.device, compute.dtype) for t in load().layers[name])
        rows, columns = LAYERS[name].grid(height, width)
        image = torch.rand(1, weight.shape[1], rows, columns, device=compute.device, dtype=compute.dtype)
        along = torch.rand(1, weight.shape[0], rows, columns, device=compute.device, dtype=compute.dtype)
        layers.append(
            [t.contiguous(memory_format=torch.channels_last) for t in (image, weight, along)] + [bias]
        )

    def run() -> None:
        for image, weight, along, bias in layers:
            F.conv2d(image, weight, bias, padding=1)
            conv2d_input(image.shape, weight, along, padding=1)  # type: ignore[no-untyped-call]

    return run


BUILDERS = {"plain": lambda size, device, _: plain(size, device), "ours": ours, "convolutions": convolutions}


def work(pipe: Connection, kind: str, size: int, device: str, precision: Precision) -> None:
    """One candidate in its own process: seconds each time it is asked to run, at last its peak of memory."""
    if kind == "plain":
        os.environ["THP_MEM_ALLOC_ENABLE"] = "0"  # Impasto's own doing; before the first tensor is made
    place = torch.device(device)
    before = peak_memory(place)
    run = BUILDERS[kind](size, device, precision)
    while pipe.recv() == "run":
        began = time.perf_counter()
        run()
        if place.type == "cuda":
            torch.cuda.synchronize()
        pipe.send(time.perf_counter() - began)
    pipe.send(peak_memory(place) - before)


def step(size: int, device: str, repeats: int) -> dict[str, object]:
    """Every candidate in turn, `repeats` times after one warm-up; medians and ratios."""
    precisions: list[Precision] = ["float32"]
    if choose_compute(device).dtype == torch.bfloat16:
        precisions.append("bfloat16")
    kinds = [("plain", "float32"), *((kind, p) for p in precisions for kind in ("ours", "convolutions"))]
    pipes, seconds, peaks = {}, {}, {}
    spawn = multiprocessing.get_context("spawn")
    for kind, precision in kinds:
        pipes[kind, precision], theirs = spawn.Pipe()
        spawn.Process(target=work, args=(theirs, kind, size, device, precision), daemon=True).start()
        seconds[kind, precision] = [ask(pipes[kind, precision], "run")]
    for _ in range(repeats):
        for key, pipe in pipes.items():
            seconds[key].append(ask(pipe, "run"))
    height, width = pixels(CONTENT, size).shape[2:]
    for key, pipe in pipes.items():
        peaks[key] = round(ask(pipe, "end") / (height * width))
    median = {key: statistics.median(values[1:]) for key, values in seconds.items()}
    return {
        "seconds": {" ".join(key): round(value, 4) for key, value in median.items()},
        "peak_bytes_per_pixel": {" ".join(key): value for key, value in peaks.items()},
        "times_faster": {p: round(median["plain", "float32"] / median["ours", p], 2) for p in precisions},
        "share_of_convolution_limit": {
            p: round(median["convolutions", p] / median["ours", p], 2) for p in precisions
        },
    }


def ask(pipe: Connection, what: str) -> float:
    pipe.send(what)
    return float(pipe.recv())


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--sizes", type=int, nargs="+", default=[256, 512, 1024])
    arguments.add_argument("--repeats", type=int, default=5)
    arguments.add_argument("--device", default=str(choose_compute().device))
    chosen = arguments.parse_args()
    results: dict[str, object] = {"device": chosen.device}
    for size in chosen.sizes:
        results[f"{size} px"] = step(size, chosen.device, chosen.repeats)
        print(size, json.dumps(results[f"{size} px"]), flush=True)
    if chosen.device != "cpu":
        results["losses"] = {d: float(ours(512, d, "float32")().loss) for d in ("cpu", chosen.device)}
    keep("engine" if chosen.device == "cpu" else "engine-gpu", results)


if __name__ == "__main__":
    main()
