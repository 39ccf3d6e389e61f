"""Figures 1 and 2 of Gatys et al. 2015 (arXiv:1508.06576), made from any two images."""

import os
import shutil
from collections.abc import Callable, Generator
from dataclasses import dataclass, replace
from pathlib import Path

from typing_extensions import Unpack

from impasto.errors import ImpastoError
from impasto.image.picture import Picture
from impasto.image.read import Source, read_picture, read_single_picture
from impasto.recipes.inputs import settings_files, source_files
from impasto.recipes.reconstruct import plan_content, plan_style
from impasto.recipes.stylize import plan_stylize
from impasto.results import manifest as manifests
from impasto.results.plots import check_figure_output, draw_figure_1, draw_figure_2
from impasto.run.loop import iter_run
from impasto.run.plan import RunPlan
from impasto.run.progress import Progress
from impasto.settings.keywords import FigureOptions, with_options
from impasto.settings.paper import FigureSettings, ReconstructContentSettings, ReconstructStyleSettings
from impasto.settings.presets import PAPER_STYLE_LAYERS
from impasto.settings.stylize import StylizeSettings
from impasto.storage.outputs import OutputFile, check_outputs, make_folder

RATIOS = (1e-5, 1e-4, 1e-3, 1e-2)
"""α/β of the columns of Figure 2, as in the paper."""

BALANCED_PER_PAPER = 500.0
"""Factor from the paper's α/β to that of the balanced formula. With the paper's numbers, the literal
formulas give almost only content. With this factor, the first column is texture and the last is nearly the
photo, at any size (measured in docs/paper.md)."""


@dataclass(frozen=True)
class Panel:
    """One picture of a figure.

    Attributes:
        name: name of its file, without the ending.
        plan: makes its plan from the photo and the painting.
    """

    name: str
    plan: Callable[[Picture, Picture], RunPlan]


@dataclass(frozen=True)
class FigureProgress:
    """The progress of a figure.

    Attributes:
        panel, panels: number of the panel, from 1, and number of panels.
        name: name of the panel.
        step: its newest step; None if the panel had been finished before.
    """

    panel: int
    panels: int
    name: str
    step: Progress | None


def figure(
    number: int,
    content: Source,
    style: Source,
    output: str | os.PathLike[str],
    settings: FigureSettings | None = None,
    *,
    panels: str | os.PathLike[str] = "",
    **options: Unpack[FigureOptions],
) -> dict[str, Picture]:
    """Compute the panels of a figure of the paper, draw the figure, and wait for it.

    Every panel is saved as soon as it is finished. A panel that exists with the same settings and inputs is
    not computed again, so a figure that was stopped continues where it stood.

    Args:
        number: 1: what each layer keeps of content and style. 2: style layers against α/β.
        content, style: files, `PIL.Image`s, arrays or tensors.
        output: the figure's file, which is PNG, PDF or SVG by its ending.
        settings: size, steps and so on; if omitted, `FigureSettings()`.
        panels: a folder in which to keep the panels; if omitted, a hidden folder beside the output, which is
            removed at the end.
        options: fields of `FigureSettings`, which change the settings.
    Returns:
        The panels by name, in the order in which they were computed.
    Raises:
        SettingsError: the output or a panel is also an input; the output has another ending.
        ImpastoError: as `plan_stylize`, `plan_content` and `plan_style`.
    """
    steps = iter_figure(number, content, style, output, settings, panels=panels, **options)
    while True:
        try:
            next(steps)
        except StopIteration as end:
            pictures: dict[str, Picture] = end.value
            return pictures


def iter_figure(
    number: int,
    content: Source,
    style: Source,
    output: str | os.PathLike[str],
    settings: FigureSettings | None = None,
    *,
    panels: str | os.PathLike[str] = "",
    **options: Unpack[FigureOptions],
) -> Generator[FigureProgress, None, dict[str, Picture]]:
    """Make a figure as `figure` does, and yield after every step.

    Everything is checked at the call. Computing begins with the first `next`.

    Args:
        number, content, style, output, settings, panels, options: as in `figure`.
    Returns:
        A generator, whose value at the end is what `figure` returns.
    Raises:
        ImpastoError: as `figure`.
    """
    settings = with_options(FigureSettings, settings, options)
    target = Path(output)
    folder = Path(panels) if panels else target.with_name(f".{target.stem}-panels")
    todo = panels_of(number, settings)
    kept = [OutputFile("the panel", str(folder / f"{panel.name}.png")) for panel in todo]
    # At the end the hidden folder is removed with everything in it.
    hidden = [OutputFile("the panels' folder", str(folder), "folder")]
    check_outputs(
        [OutputFile("-o", os.fspath(output)), *(kept if panels else hidden)],
        [
            *source_files("the content image", content),
            *source_files("the style image", style),
            *settings_files(settings),
        ],
    )
    check_figure_output(output)
    photo = read_single_picture(content, role="content image")
    painting = read_single_picture(style, role="style image")
    return _steps(number, todo, photo, painting, folder, target, keep=bool(panels))


def _steps(
    number: int,
    panels_to_paint: list[Panel],
    photo: Picture,
    painting: Picture,
    folder: Path,
    target: Path,
    *,
    keep: bool,
) -> Generator[FigureProgress, None, dict[str, Picture]]:
    """Paint the panels that are not finished, draw the figure, and return the panels by name."""
    make_folder(folder)
    pictures = {}
    for index, panel in enumerate(panels_to_paint, start=1):
        path = folder / f"{panel.name}.png"
        # The plan first: its manifest tells whether the file is already this picture.
        plan = panel.plan(photo, painting)
        if not _is_done(path, plan):
            last = None
            for last in iter_run(plan):
                yield FigureProgress(index, len(panels_to_paint), panel.name, last)
            # Saved at once, so that a figure that is stopped loses one panel at most.
            if last is not None:
                last.painting().save(path)
        else:
            yield FigureProgress(index, len(panels_to_paint), panel.name, None)
        pictures[panel.name] = read_picture(path)
    draw = draw_figure_1 if number == 1 else draw_figure_2
    draw(pictures, photo, painting, target)
    if not keep:  # the figure is drawn, so a panel that cannot be removed is no error
        shutil.rmtree(folder, ignore_errors=True)
    return pictures


def panels_of(number: int, settings: FigureSettings) -> list[Panel]:
    """Return the panels of Figure 1 or 2, in the order in which they are computed."""
    common = {"size": settings.size, "seed": settings.seed, "device": settings.device}
    common |= {"weights": settings.weights, "threads": settings.threads}

    def content_panel(name: str) -> Panel:
        chosen = ReconstructContentSettings(layer=name, steps=settings.steps, **common)  # type: ignore[arg-type]
        return Panel(f"content-{name}", lambda photo, _: plan_content(photo, chosen))

    def style_panel(count: int) -> Panel:
        layers = dict.fromkeys(PAPER_STYLE_LAYERS[:count], 1 / count)
        chosen = ReconstructStyleSettings(
            layers=layers,
            style_size=settings.size,
            # A texture's size is text, because it may also be WIDTHxHEIGHT.
            **{**common, "size": str(settings.size)},  # type: ignore[arg-type]
        )
        if settings.steps:
            chosen = replace(chosen, steps=settings.steps, finest_steps=settings.steps)
        return Panel(f"style-{count}", lambda _, painting: plan_style(painting, chosen))

    def transfer_panel(count: int, column: int) -> Panel:
        layers = dict.fromkeys(PAPER_STYLE_LAYERS[:count], 1 / count)
        chosen = StylizeSettings(
            layers=layers,
            pooling="average",
            init="noise",
            alpha=BALANCED_PER_PAPER * RATIOS[column],
            beta=1.0,
            tv=0.0,
            gamut=0.0,
            scales=3,
            steps=settings.steps or 40,
            finest_steps=settings.steps or 25,
            recipe=1,  # Gram matrices of pixels alone, as in the paper, whatever the default has become
            **common,  # type: ignore[arg-type]
        )
        return Panel(
            f"transfer-{'ABCDE'[count - 1]}-{column + 1}",
            lambda photo, painting: plan_stylize(photo, painting, chosen),
        )

    counts = range(1, len(PAPER_STYLE_LAYERS) + 1)
    if number == 1:
        return [
            *(style_panel(count) for count in counts),
            *(content_panel(name) for name in PAPER_STYLE_LAYERS),
        ]
    return [transfer_panel(count, column) for count in counts for column in range(len(RATIOS))]


def _is_done(path: Path, plan: RunPlan) -> bool:
    """Return whether a file is the finished picture of a plan."""
    try:
        manifest = manifests.read(path)
    except ImpastoError:
        return False
    same = all(manifest.get(key) == plan.manifest[key] for key in ("command", "settings", "weights"))
    hashes = [
        {role: entry["sha256"] for role, entry in m["inputs"].items()} for m in (manifest, plan.manifest)
    ]
    # Pictures from memory have no digest, so they cannot be recognised.
    from_file = None not in hashes[0].values()
    return same and from_file and hashes[0] == hashes[1] and bool(manifest["result"]["complete"])
