"""Whether bfloat16 features end where float32 features do: the literal loss on four pairs of pictures.

    scripts/bench precision [--size 512] [--steps 100]

Both minimise the paper's literal loss from the photo at one scale; the losses at the end are computed in
float32. Where the hardware lacks bfloat16, PyTorch emulates it slowly, with the same results up to rounding.
"""

import torch
from common import argument_parser, example, parse_arguments, pixels, save_result
from objectives import literal

from impasto.network.vgg import VGG19
from impasto.network.weights import load
from impasto.objective.evaluate import evaluator
from impasto.solve import descent
from impasto.system.device import choose_compute

PAIRS = (
    ("temple", "great-wave"),
    ("temple", "langlois-bridge"),
    ("dandelion", "kandinsky"),
    ("dandelion", "great-wave"),
)


def main() -> None:
    """Descend in both precisions, pair by pair."""
    parser = argument_parser(__doc__)
    parser.add_argument("--size", type=int, default=512, help="long side in pixels [512]")
    parser.add_argument("--steps", type=int, default=100)
    chosen = parse_arguments(parser, size=64, steps=3)
    device = choose_compute().device
    networks = {
        dtype: VGG19.build(load(), deepest_layer="conv5_1", device=device, dtype=dtype)
        for dtype in (torch.float32, torch.bfloat16)
    }
    results: dict[str, object] = {"size": chosen.size, "steps": chosen.steps}
    for photo, painting in PAIRS:
        content, style = (pixels(example(name), chosen.size).to(device) for name in (photo, painting))
        evaluates = {
            dtype: evaluator(network, literal(network, content, style)) for dtype, network in networks.items()
        }
        losses: dict[torch.dtype, float] = {}
        for dtype, evaluate in evaluates.items():
            state = descent.start(evaluate, content.clone())
            for _ in range(chosen.steps):
                state = descent.step(evaluate, state)
            losses[dtype] = float(evaluates[torch.float32](state.point).loss)
        name = f"{photo} × {painting}"
        results[name] = {
            **{str(dtype).removeprefix("torch."): loss for dtype, loss in losses.items()},
            "bfloat16_over_float32": round(losses[torch.bfloat16] / losses[torch.float32], 4),
        }
        print(name, results[name], flush=True)
    save_result(f"precision-{chosen.size}", results, chosen.results)


if __name__ == "__main__":
    main()
