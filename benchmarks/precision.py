"""Whether bfloat16 features end where float32 does: the literal loss, in float32, on four pairs of pictures.

    scripts/bench precision [--size 512] [--steps 100]

Both descend the paper's literal loss from the photo at one scale. Without bfloat16 in hardware PyTorch
emulates it, slowly; the results are the same but for rounding.
"""

import argparse

import torch
from baseline import ALPHA, STYLE_LAYERS
from common import IMAGES, keep, pixels

from impasto.network.vgg import VGG19
from impasto.network.weights import load
from impasto.objective.build import content_terms, style_terms_from_images
from impasto.objective.evaluate import Evaluate, evaluator
from impasto.objective.objective import Objective
from impasto.solve import descent
from impasto.system.device import choose_compute

PAIRS = (
    ("temple", "great-wave"),
    ("temple", "langlois-bridge"),
    ("dandelion", "kandinsky"),
    ("dandelion", "great-wave"),
)


def literal(network: VGG19, content: torch.Tensor, style: torch.Tensor) -> Evaluate:
    """The paper's loss with the benchmark's α/β."""
    canvas = (content.shape[2], content.shape[3])
    shares = dict.fromkeys(STYLE_LAYERS, 0.2)
    return evaluator(
        network,
        Objective(
            (
                *content_terms(network, content, {"conv4_2": 1.0}, weight=ALPHA, formula="paper"),
                *style_terms_from_images(
                    network, [(style, 1.0)], shares, canvas=canvas, weight=1.0, formula="paper"
                ),
            )
        ),
    )


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--size", type=int, default=512)
    arguments.add_argument("--steps", type=int, default=100)
    chosen = arguments.parse_args()
    device = choose_compute().device
    networks = {
        dtype: VGG19.build(load(), deepest_layer="conv5_1", device=device, dtype=dtype)
        for dtype in (torch.float32, torch.bfloat16)
    }
    results: dict[str, object] = {"size": chosen.size, "steps": chosen.steps}
    for photo, painting in PAIRS:
        content, style = (
            pixels(IMAGES / f"{name}.jpg", chosen.size).to(device) for name in (photo, painting)
        )
        judge = literal(networks[torch.float32], content, style)
        losses: dict[torch.dtype, float] = {}
        for dtype, network in networks.items():
            evaluate = literal(network, content, style)
            run = descent.start(evaluate, content.clone())
            for _ in range(chosen.steps):
                run = descent.step(evaluate, run)
            losses[dtype] = float(judge(run.point).loss)
        results[f"{photo} × {painting}"] = {
            **{str(dtype).removeprefix("torch."): loss for dtype, loss in losses.items()},
            "bfloat16_over_float32": round(losses[torch.bfloat16] / losses[torch.float32], 4),
        }
        print(photo, painting, results[f"{photo} × {painting}"], flush=True)
    keep(f"precision-{chosen.size}", results)


if __name__ == "__main__":
    main()
