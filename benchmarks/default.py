"""How much longer a plain implementation takes until its picture is as good as the default's.

    scripts/bench default [--size 512] [--start noise|photo] [--limit-seconds N] [--efforts draft good best]
                          [--photo FILE] [--painting FILE]

First, Impasto paints with each effort; its time runs from the files to the picture. Then the plain
implementation (baseline.py with max pooling: all pixels at full size, float32, L-BFGS) minimises the same
balanced content and Gram terms, with the weights at which the default effort, "good", ended. The result has
its time when it first was as low, or as near, as the default's picture:

- `style_reached`: in the style terms of its picture, ‖G − A‖²/‖A‖² of conv1_1 to conv5_1, averaged;
- `sifid_reached`: by SIFID of its picture to the painting, which no objective contains (docs/measure.md);
- `solver_style_reached`, `solver_sum_reached`: in the style terms, and in the weighted sum of content and
  style, of the image that its solver holds. Values beyond 0..1 lower them, but a saved picture has none.

The plain network computes the terms of both. Pictures are measured after 10, 12, 14, 17 … evaluations (each
count is 1.2 times the one before, so the time may be a fifth too long), and the time that measuring takes is
not counted. The run ends when style and SIFID are reached, or after --limit-seconds (40 times the default's
time).
"""

import argparse
import math
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

import baseline
import torch
import torch.nn.functional as F
from common import CONTENT, STYLE, argument_parser, parse_arguments, pixels, save_result
from torch import Tensor

from impasto.image.picture import Picture
from impasto.recipes.measure import measure
from impasto.recipes.stylize import stylize
from impasto.settings.presets import PAPER_STYLE_LAYERS
from impasto.settings.stylize import StylizeSettings
from impasto.shapes import Image

DEFAULT = "good"
"""The default effort."""

MEASURES = ("sifid", "neighbors_conv2_2", "neighbors_conv3_3", "histogram", "lpips_vgg16", "speckle")
"""The measures that are recorded of each picture (`PictureMeasures`)."""

FIRST_COUNT, GROWTH = 10, 1.2
"""Evaluations before the plain picture is first measured, and the factor from each count to the next."""

LIMIT = 40
"""The default's time is multiplied by this to limit the plain implementation's."""

Facts: TypeAlias = dict[str, float]
"""Seconds, evaluations, terms and measures of a picture, by name."""


class PlainTerms:
    """The balanced content and style terms, computed by the plain network."""

    def __init__(self, content: Image, style: Tensor) -> None:
        self.layers = baseline.vgg19_layers()
        with torch.no_grad():
            self.content = baseline.features(self.layers, content, F.max_pool2d)["conv4_2"]
            painted = baseline.features(self.layers, style, F.max_pool2d)
            self.grams = {name: self._gram(painted[name]) for name in PAPER_STYLE_LAYERS}

    @staticmethod
    def _gram(response: Tensor) -> Tensor:
        return baseline.gram(response) / response[0, 0].numel()

    def __call__(self, image: Image) -> tuple[Tensor, Tensor]:
        """The squared relative error of the content, and the mean one of the Gram matrices."""
        responses = baseline.features(self.layers, image, F.max_pool2d)
        content = (responses["conv4_2"] - self.content).square().sum() / self.content.square().sum()
        style = [
            (self._gram(responses[name]) - target).square().sum() / target.square().sum()
            for name, target in self.grams.items()
        ]
        return content, torch.stack(style).mean()


@dataclass(frozen=True)
class Judge:
    """Terms and measures of pictures of one pair."""

    terms: PlainTerms
    photo: Path
    painting: Path

    @torch.no_grad()
    def __call__(self, image: Image) -> Facts:
        """Describe an image, (1, 3, H, W), as it would be saved: with its values clamped to 0..1."""
        image = image.clamp(0, 1)
        content, style = self.terms(image)
        (measured,) = measure(self.photo, self.painting, Picture(image)).pictures
        return {
            "content": round(float(content), 6),
            "style": round(float(style), 6),
            **{name: round(getattr(measured, name), 4) for name in MEASURES},
        }


def measured_counts() -> Iterator[int]:
    """The evaluation counts at which the plain picture is measured, geometrically spaced."""
    count = FIRST_COUNT
    while True:
        yield count
        count = round(count * GROWTH)


def plain_run(
    terms: Callable[[Image], tuple[Tensor, Tensor]],
    start: Image,
    goal: Facts,
    judge: Callable[[Image], Facts],
    limit: float,
) -> tuple[dict[str, Facts], list[Facts]]:
    """Run the plain implementation until its style and SIFID are the goal's, or its seconds are spent.

    Args:
        terms: content and style of an image.
        goal: content, style, style weight and SIFID of the default's picture.
        judge: describes an image; the time that it takes is not counted.
        limit: seconds.
    Returns:
        The facts at the moments that the module's docstring lists and at the end, and all measured points.
    """
    newest: Facts = {}

    def weighted(facts: Facts) -> float:
        return facts["content"] + goal["style_weight"] * facts["style"]

    def loss(image: Image) -> Tensor:
        content, style = terms(image)
        newest.update(content=float(content.detach()), style=float(style.detach()))
        # The factor does not move the minimum, but torch's solver ignores the curvature of small losses.
        return 1000 * (content + goal["style_weight"] * style)

    moments: dict[str, Facts] = {}
    points: list[Facts] = []
    counts = measured_counts()
    count = next(counts)
    for step in baseline.descend(loss, start):
        now: Facts = {"seconds": round(step.seconds, 3), "evaluations": step.evaluations}
        if not math.isfinite(step.loss):
            print(f"plain: the loss is {step.loss} at evaluation {step.evaluations}; it stops.", flush=True)
            break
        if newest["style"] <= goal["style"]:
            moments.setdefault("solver_style_reached", now | newest)
        if weighted(newest) <= weighted(goal):
            moments.setdefault("solver_sum_reached", now | newest)
        if step.evaluations < count and step.seconds < limit:
            continue
        count = next(counts)
        points.append(now | judge(step.image))
        print(f"plain: {points[-1]}", flush=True)
        for measure_name in ("style", "sifid"):
            if points[-1][measure_name] <= goal[measure_name]:
                moments.setdefault(f"{measure_name}_reached", points[-1])
        if {"style_reached", "sifid_reached"} <= moments.keys() or step.seconds >= limit:
            break
    moments["end"] = points[-1] if points else now
    return moments, points


def summary(goal: Facts, moments: dict[str, Facts]) -> dict[str, str]:
    """Say for each moment how its time compares with the default's."""
    sentences = {}
    for name in ("style_reached", "sifid_reached", "solver_style_reached", "solver_sum_reached"):
        seconds = moments.get(name, moments["end"])["seconds"]
        ratio = seconds / goal["seconds"]
        if name in moments:
            plain = f"{seconds:.1f} s, ratio {ratio:.1f}"
        else:
            plain = f"not reached after {seconds:.1f} s (ratio > {ratio:.1f})"
        sentences[name] = f"default {goal['seconds']:.1f} s, plain {plain}"
    return sentences


def paint(chosen: argparse.Namespace, effort: str, judge: Judge) -> Facts:
    """Paint with an effort: seconds, terms, measures, and the weight of style at the end of the run."""
    settings = StylizeSettings(size=chosen.size, effort=effort)  # type: ignore[arg-type]
    began = time.perf_counter()
    painting = stylize(chosen.photo, chosen.painting, settings)
    seconds = time.perf_counter() - began
    style_weight = settings.style_weight * painting.manifest["result"]["balance"]
    facts = {"seconds": round(seconds, 3), "style_weight": style_weight, **judge(painting.picture.pixels)}
    print(f"{effort}: {facts}", flush=True)
    return facts


def arguments() -> argparse.Namespace:
    """The command line."""
    parser = argument_parser(__doc__)
    add = parser.add_argument
    add("--size", type=int, default=512, help="long side in pixels [512]")
    add("--start", choices=("noise", "photo"), default="noise", help="start of the plain one [noise]")
    add("--limit-seconds", type=float, help=f"limit of the plain one's time [{LIMIT} times the default's]")
    add("--efforts", nargs="+", default=["draft", DEFAULT, "best"], help="efforts to time [all]")
    add("--photo", type=Path, default=CONTENT)
    add("--painting", type=Path, default=STYLE)
    chosen = parse_arguments(parser, size=96, limit_seconds=5.0, efforts=[DEFAULT])
    if DEFAULT not in chosen.efforts:
        parser.error(f"--efforts lacks {DEFAULT}, with which the plain implementation is compared")
    return chosen


def main() -> None:
    """Paint with each effort, then run the plain implementation."""
    chosen = arguments()
    content = pixels(chosen.photo, chosen.size)
    terms = PlainTerms(content, pixels(chosen.painting, chosen.size))
    judge = Judge(terms, chosen.photo, chosen.painting)
    efforts = {effort: paint(chosen, effort, judge) for effort in chosen.efforts}
    goal = efforts[DEFAULT]
    start = content if chosen.start == "photo" else baseline.white_noise(content.shape)
    limit = chosen.limit_seconds or LIMIT * goal["seconds"]
    moments, points = plain_run(terms, start, goal, judge, limit)
    results: dict[str, Any] = {
        "size": chosen.size,
        "photo": chosen.photo.name,
        "painting": chosen.painting.name,
        "start": chosen.start,
        "limit_seconds": limit,
        "efforts": efforts,
        "plain": moments,
        "ratios": {name: round(facts["seconds"] / goal["seconds"], 3) for name, facts in moments.items()},
        "summary": summary(goal, moments),
        "points": points,
    }
    name = "default" if chosen.start == "noise" else f"default-from-{chosen.start}"
    save_result(name, results, chosen.results)


if __name__ == "__main__":
    main()
