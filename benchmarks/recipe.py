"""What the default recipe costs here, and one evaluation against a plain implementation in the same run.

    scripts/bench [--size 512] [--repeats 5]

Prints a table and writes benchmarks/results/recipe-<date>.json with machine, versions and date. The machines
this is run on are shared and noisy: quote the ratios and medians.
"""

import argparse
import json
import statistics
import time
from collections.abc import Callable
from datetime import datetime, timezone
from pathlib import Path

import torch
import torch.nn.functional as F

import impasto
from impasto.device import choose, describe, peak_memory
from impasto.image.files import read_picture
from impasto.image.resize import fit, resize
from impasto.network.layers import LAYERS
from impasto.network.vgg import VGG19
from impasto.network.weights import load
from impasto.objective.evaluate import whole
from impasto.objective.objective import Objective, content_terms, style_terms
from impasto.recipes.settings import PAPER_STYLE_LAYERS

HERE = Path(__file__).parent
IMAGES = HERE.parent / "examples" / "images"
CONTENT, STYLE = IMAGES / "temple.jpg", IMAGES / "great-wave.jpg"


def pixels(path: Path, size: int) -> torch.Tensor:
    picture = read_picture(path)
    return resize(picture.pixels, *fit(picture.height, picture.width, size)).clamp(0, 1)


def plain(content: torch.Tensor, style: torch.Tensor) -> Callable[[], torch.Tensor]:
    """A value and gradient as public implementations write it: float32, contiguous, autograd throughout."""
    layers = list(load().layers.items())[: LAYERS["conv5_1"].convolutions]
    mean = torch.tensor([103.939, 116.779, 123.68]).view(1, 3, 1, 1)

    def features(image: torch.Tensor) -> dict[str, torch.Tensor]:
        found, response = {}, image.flip(1) * 255 - mean
        for name, (weight, bias) in layers:
            if name != "conv1_1" and name.endswith("_1"):
                response = F.avg_pool2d(response, 2, ceil_mode=True)
            response = F.relu(F.conv2d(response, weight, bias, padding=1))
            found[name] = response
        return found

    def gram(response: torch.Tensor) -> torch.Tensor:
        flat = response.flatten(2)[0]
        return flat @ flat.T / (flat.shape[0] * flat.shape[1])

    with torch.no_grad():
        target = features(content)["conv4_2"]
        grams = {name: gram(features(style)[name]) for name in PAPER_STYLE_LAYERS}

    def evaluate() -> torch.Tensor:
        image = content.clone().requires_grad_(True)
        found = features(image)
        loss = 5 * F.mse_loss(found["conv4_2"], target)
        for name, wanted in grams.items():
            loss = loss + 100 * F.mse_loss(gram(found[name]), wanted)
        (gradient,) = torch.autograd.grad(loss, image)
        return gradient

    return evaluate


def ours(content: torch.Tensor, style: torch.Tensor, precision: str) -> Callable[[], torch.Tensor]:
    compute = choose("cpu", precision)  # type: ignore[arg-type]
    network = VGG19.build(load(), deepest_layer="conv5_1", dtype=compute.dtype)
    canvas = (content.shape[2], content.shape[3])
    shares = dict.fromkeys(PAPER_STYLE_LAYERS, 0.2)
    evaluate = whole(
        network,
        Objective(
            (
                *content_terms(network, content, {"conv4_2": 1.0}, weight=1.0, formula="balanced"),
                *style_terms(network, [(style, 1.0)], shares, canvas=canvas, weight=5.0, formula="balanced"),
            )
        ),
    )
    return lambda: evaluate(content).gradient


def timed(candidates: dict[str, Callable[[], torch.Tensor]], repeats: int) -> dict[str, float]:
    """Median seconds of each, interleaved so that drift of the machine hits all alike; one warm-up."""
    seconds: dict[str, list[float]] = {name: [] for name in candidates}
    for repeat in range(repeats + 1):
        for name, run in candidates.items():
            began = time.perf_counter()
            run()
            if repeat:
                seconds[name].append(time.perf_counter() - began)
    return {name: statistics.median(values) for name, values in seconds.items()}


def recipe(size: int) -> dict[str, float]:
    before = peak_memory(torch.device("cpu"))
    began = time.perf_counter()
    painting = impasto.stylize(CONTENT, STYLE, impasto.StylizeSettings(size=size))
    return {
        "seconds_in_all": round(time.perf_counter() - began, 2),
        "seconds_painting": painting.manifest["result"]["seconds"],
        "evaluations": painting.manifest["result"]["evaluations"],
        "peak_bytes_over_start": peak_memory(torch.device("cpu")) - before,
    }


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--size", type=int, default=512)
    arguments.add_argument("--repeats", type=int, default=5)
    chosen = arguments.parse_args()
    found = recipe(chosen.size)
    content, style = pixels(CONTENT, chosen.size), pixels(STYLE, chosen.size)
    candidates = {"plain float32": plain(content, style), "ours float32": ours(content, style, "float32")}
    if choose("cpu").dtype == torch.bfloat16:
        candidates["ours bfloat16"] = ours(content, style, "bfloat16")
    medians = timed(candidates, chosen.repeats)
    report = {
        "benchmark": "recipe",
        "date": datetime.now(timezone.utc).isoformat(timespec="seconds"),
        "impasto": impasto.__version__,
        "machine": describe(),
        "size": chosen.size,
        "default_recipe": found,
        "value_and_gradient_seconds": {name: round(value, 4) for name, value in medians.items()},
        "times_faster_than_plain": {
            name: round(medians["plain float32"] / value, 2) for name, value in medians.items()
        },
    }
    path = HERE / "results" / f"recipe-{chosen.size}-{report['date'][:10]}.json"
    path.write_text(json.dumps(report, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    print(json.dumps(report, indent=2, ensure_ascii=False))
    print(f"written to {path}")


if __name__ == "__main__":
    main()
