"""One value and gradient: seconds, the share of convolutions, and memory, against a plain implementation.

    scripts/bench engine [--sizes 256 512 1024] [--repeats 5] [--device cpu]

In turns and each in a process of its own: the plain implementation of baseline.py, Impasto in each precision
that the device has, and the network's convolutions alone, forward and backward. These are the machine's limit
for direct convolution; Winograd's algorithm may be faster. Peak memory is that of the process, less what it
holds after its imports. On a GPU the losses of both devices are compared as well.
"""

import json
import os
import statistics
from collections.abc import Callable
from typing import Any

import baseline
import torch
import torch.nn.functional as F
from common import CONTENT, STYLE, argument_parser, parse_arguments, pixels, save_result
from objectives import literal
from timed_process import Functions, TimedProcess
from torch.nn.grad import conv2d_input

from impasto.choices import Precision
from impasto.layers import CONVOLUTIONS, LAYERS
from impasto.network.vgg import VGG19
from impasto.network.weights import load
from impasto.objective.evaluate import Evaluation, evaluator
from impasto.system.device import choose_compute
from impasto.system.memory import peak_memory


def plain(size: int, device: str, _: Precision) -> Callable[[], object]:
    """The plain implementation's value and gradient."""
    content = pixels(CONTENT, size).to(device)
    loss = baseline.objective(content, pixels(STYLE, size), device)

    def evaluate() -> object:
        image = content.flip(3).requires_grad_(True)
        return torch.autograd.grad(loss(image), image)

    return evaluate


def ours(size: int, device: str, precision: Precision) -> Callable[[], Evaluation]:
    """Impasto's value and gradient of the same objective."""
    compute = choose_compute(device, precision)
    content, style = (pixels(path, size).to(compute.device) for path in (CONTENT, STYLE))
    network = VGG19.build(load(), deepest_layer="conv5_1", device=compute.device, dtype=compute.dtype)
    evaluate = evaluator(network, literal(network, content, style))
    image = content.flip(3)
    return lambda: evaluate(image)


def convolutions(size: int, device: str, precision: Precision) -> Callable[[], None]:
    """The network's convolutions, forward and backward with respect to their input, and nothing else."""
    compute = choose_compute(device, precision)
    height, width = pixels(CONTENT, size).shape[2:]
    layers = []
    for name in CONVOLUTIONS[: LAYERS["conv5_1"].convolutions]:
        weight, bias = (t.to(compute.device, compute.dtype) for t in load().layers[name])
        rows, columns = LAYERS[name].grid(height, width)
        values, gradient = (
            torch.rand(1, channels, rows, columns, device=compute.device, dtype=compute.dtype)
            for channels in (weight.shape[1], weight.shape[0])
        )
        tensors = [t.contiguous(memory_format=torch.channels_last) for t in (values, weight, gradient)]
        layers.append((*tensors, bias))

    def run() -> None:
        for values, weight, gradient, bias in layers:
            F.conv2d(values, weight, bias, padding=1)
            conv2d_input(values.shape, weight, gradient, padding=1)  # type: ignore[no-untyped-call]

    return run


CANDIDATES: dict[str, Callable[[int, str, Precision], Callable[[], object]]] = {
    "plain": plain,
    "ours": ours,
    "convolutions": convolutions,
}


def build(kind: str, size: int, device: str, precision: Precision) -> Functions:
    """The functions of a candidate's process: run once, and peak memory in bytes."""
    if kind == "plain":
        # Impasto asks for large pages, which is not plain. PyTorch reads this before its first tensor.
        os.environ["THP_MEM_ALLOC_ENABLE"] = "0"
    target = torch.device(device)
    before = peak_memory(target)
    evaluate = CANDIDATES[kind](size, device, precision)

    def run() -> None:
        evaluate()
        if target.type == "cuda":
            torch.cuda.synchronize()

    return {"run": run, "peak": lambda: peak_memory(target) - before}


def compare(size: int, device: str, repeats: int) -> dict[str, Any]:
    """Run every candidate in turn, `repeats` times after a warm-up: medians and ratios."""
    precisions: list[Precision] = ["float32"]
    if choose_compute(device).dtype == torch.bfloat16:
        precisions.append("bfloat16")
    candidates = [("plain", "float32"), *((kind, p) for p in precisions for kind in ("ours", "convolutions"))]
    processes: dict[str, TimedProcess] = {}
    for kind, precision in candidates:
        process = processes[f"{kind} {precision}"] = TimedProcess(build, kind, size, device, precision)
        process.run("run")  # the warm-up, one process after the other
    seconds: dict[str, list[float]] = {key: [] for key in processes}
    for _ in range(repeats):
        for key, process in processes.items():
            seconds[key].append(process.run("run")[0])
    height, width = pixels(CONTENT, size).shape[2:]
    peaks = {key: round(process.run("peak")[1] / (height * width)) for key, process in processes.items()}
    for process in processes.values():
        process.stop()
    median = {key: statistics.median(values) for key, values in seconds.items()}
    return {
        "seconds": {key: round(value, 4) for key, value in median.items()},
        "peak_bytes_per_pixel": peaks,
        "times_faster": {p: round(median["plain float32"] / median[f"ours {p}"], 2) for p in precisions},
        "share_of_convolution_limit": {
            p: round(median[f"convolutions {p}"] / median[f"ours {p}"], 2) for p in precisions
        },
    }


def main() -> None:
    """Compare at every size."""
    parser = argument_parser(__doc__)
    parser.add_argument("--sizes", type=int, nargs="+", default=[256, 512, 1024])
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--device", default=str(choose_compute().device))
    chosen = parse_arguments(parser, sizes=[64], repeats=1)
    results: dict[str, Any] = {"device": chosen.device}
    for size in chosen.sizes:
        results[f"{size} px"] = compare(size, chosen.device, chosen.repeats)
        print(size, json.dumps(results[f"{size} px"]), flush=True)
    if chosen.device != "cpu":
        results["losses"] = {d: float(ours(512, d, "float32")().loss) for d in ("cpu", chosen.device)}
    save_result("engine" if chosen.device == "cpu" else "engine-gpu", results, chosen.results)


if __name__ == "__main__":
    main()
