"""How much longer a plain implementation takes to the style that the default reaches.

    scripts/bench default [--size 512] [--at-most 40] [--photo FILE --painting FILE]

Ours first: each effort level from the files to the picture. Then the plain implementation (the network of
baseline.py with max pooling, float32, white noise, one scale, torch.optim.LBFGS with a history of 100)
descends the same balanced content and Gram terms, with the weights at which the default ended. Two moments
are kept: when its style terms alone are as low as those of the default's picture, and when content and style
together are; or it stops when it has taken `--at-most` times as long. Style terms are ‖G − A‖²/‖A‖² of
conv1_1 to conv5_1, averaged, by the plain network for both.
"""

import argparse
import time
from pathlib import Path

import baseline
import torch
import torch.nn.functional as F
from common import CONTENT, STYLE, keep, pixels

from impasto.layers import LAYERS
from impasto.network.weights import load
from impasto.recipes.stylize import stylize
from impasto.settings.stylize import StylizeSettings


class Plain:
    """The plain implementation's objective."""

    def __init__(self, content: torch.Tensor, style: torch.Tensor) -> None:
        weights = load().layers
        names = list(weights)[: LAYERS["conv5_1"].convolutions]
        self.layers = {name: weights[name] for name in names}
        with torch.no_grad():
            self.content = baseline.features(self.layers, content, F.max_pool2d)["conv4_2"]
            painted = baseline.features(self.layers, style, F.max_pool2d)
            self.grams = {n: self._gram(painted[n]) for n in baseline.STYLE_LAYERS}

    @staticmethod
    def _gram(response: torch.Tensor) -> torch.Tensor:
        return baseline.gram(response) / response[0, 0].numel()

    def terms(self, image: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """The relative squared error of the content, and the mean one of the Gram matrices."""
        responses = baseline.features(self.layers, image, F.max_pool2d)
        content = (responses["conv4_2"] - self.content).square().sum() / self.content.square().sum()
        apart = [
            (self._gram(responses[name]) - target).square().sum() / target.square().sum()
            for name, target in self.grams.items()
        ]
        return content, torch.stack(apart).mean()


def plain_run(
    plain: Plain, start: torch.Tensor, style_weight: float, mark: dict[str, float], most: float
) -> dict[str, dict[str, float]]:
    """Seconds, evaluations and terms when the style and when the sum is at the mark, and at the end."""
    here = {"content": float("inf"), "style": float("inf")}
    moments: dict[str, dict[str, float]] = {}

    def loss(image: torch.Tensor) -> torch.Tensor:
        content, apart = plain.terms(image)
        here.update(content=float(content.detach()), style=float(apart.detach()))
        return 1000 * (content + style_weight * apart)  # torch's solver drops curvature of small losses

    goal = mark["content"] + style_weight * mark["style"]
    for evaluations, _, seconds in baseline.descend(loss, start, 100_000):
        now = {"seconds": seconds, "evaluations": evaluations, **here}
        if evaluations % 20 == 0:
            print(f"plain: {now}", flush=True)
        if here["style"] <= mark["style"]:
            moments.setdefault("style_reached", now)
        if here["content"] + style_weight * here["style"] <= goal:
            moments["sum_reached"] = now
        moments["end"] = now
        if "sum_reached" in moments or seconds > most:
            break
    return moments


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--size", type=int, default=512)
    parser.add_argument("--at-most", type=float, default=40)
    parser.add_argument("--efforts", nargs="+", default=["draft", "good", "best"])
    parser.add_argument("--photo", type=Path, default=CONTENT)
    parser.add_argument("--painting", type=Path, default=STYLE)
    chosen = parser.parse_args()
    plain = Plain(pixels(chosen.photo, chosen.size), pixels(chosen.painting, chosen.size))
    efforts = {}
    for effort in chosen.efforts:
        began = time.perf_counter()
        painted = stylize(
            chosen.photo,
            chosen.painting,
            StylizeSettings(size=chosen.size, effort=effort),
        )
        seconds = time.perf_counter() - began
        with torch.no_grad():
            content, style = plain.terms(painted.picture.pixels)
        efforts[effort] = {"seconds": seconds, "content": float(content), "style": float(style)}
        efforts[effort]["style_weight"] = (
            StylizeSettings().style_weight * painted.manifest["result"]["balance"]
        )
        print(effort, efforts[effort], flush=True)
    good = efforts["good"]
    noise = torch.rand(plain_shape(chosen), generator=torch.Generator().manual_seed(0))
    slow = plain_run(plain, noise, good["style_weight"], good, chosen.at_most * good["seconds"])
    keep(
        "default",
        {
            "size": chosen.size,
            "photo": chosen.photo.name,
            "painting": chosen.painting.name,
            "efforts": efforts,
            "plain": slow,
            "ratios": {name: now["seconds"] / good["seconds"] for name, now in slow.items()},
        },
    )


def plain_shape(chosen: argparse.Namespace) -> torch.Size:
    return pixels(chosen.photo, chosen.size).shape


if __name__ == "__main__":
    main()
