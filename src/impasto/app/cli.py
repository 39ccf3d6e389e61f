"""The command `impasto`: parse, call a recipe, show, set the exit code.

Recipes are imported inside the commands, so that `impasto --help` loads no torch.
"""

import dataclasses
import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from impasto import __version__
from impasto.app import console
from impasto.app.batch import batch
from impasto.app.door import door, downloading
from impasto.app.options import with_settings
from impasto.app.output import Output, with_output
from impasto.app.weights import weights_app
from impasto.recipes.paper_settings import (
    FeaturesSettings,
    FigureSettings,
    LossSettings,
    ReconstructContentSettings,
    ReconstructStyleSettings,
)
from impasto.recipes.settings import StylizeSettings

if TYPE_CHECKING:
    from impasto.recipes.job import Job

app = typer.Typer(
    name="impasto",
    help="Repaint a photograph in the style of a painting (Gatys, Ecker and Bethge 2015).",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
)
app.add_typer(weights_app, name="weights")
app.command()(batch)
reconstruct_app = typer.Typer(
    help="What the network's layers keep of an image: its content, or its style.", no_args_is_help=True
)
app.add_typer(reconstruct_app, name="reconstruct")


def main() -> None:
    """Entry point of the command."""
    console.show_warnings()
    if sys.argv[1:] in ([], ["--help"]):
        # The first page at once: rich's help loads a Markdown parser, a third of the whole time.
        app.rich_markup_mode = None
    app()


def _paint(
    prepare: Callable[[Callable[[int, int], None]], "Job"], output: Output, longest: int | None = None
) -> None:
    """Check the output, prepare the job with a bar for the download, run it with one for the painting."""
    from impasto.app.painting import paint
    from impasto.device import join

    output.check(longest)
    join()
    with downloading("fetching VGG-19") as on_download:
        job = prepare(on_download)
    paint(job, output)


def _version(wanted: bool) -> bool:
    if wanted:
        console.out.print(f"impasto {__version__}")
        raise typer.Exit
    return wanted


@app.callback()
def _root(
    version: Annotated[
        bool, typer.Option("--version", help="Show the version.", callback=_version, is_eager=True)
    ] = False,
) -> None:
    pass


@app.command()
@door
@with_settings(StylizeSettings, presets=True)
@with_output("File to write; its extension says the format. Default: CONTENT-STYLE.png, here.")
def stylize(
    content: Annotated[str, typer.Argument(metavar="CONTENT", help="The photograph to repaint.")],
    style: Annotated[
        list[str],
        typer.Argument(metavar="STYLE...", help="The painting to take the style from; several are blended."),
    ],
    settings: StylizeSettings,
    output: Output,
) -> None:
    """Repaint CONTENT in the style of STYLE."""
    from impasto.recipes.stylize import prepare

    default = "-".join(Path(path).stem for path in (content, *style))
    default += "-preview.png" if settings.preview else ".png"
    _paint(
        lambda on_download: prepare(content, style, settings, on_download=on_download),
        output.named(default),
        longest=settings.size,
    )


@reconstruct_app.command("content")
@door
@with_settings(ReconstructContentSettings)
@with_output("File to write. Default: IMAGE-LAYER.png, here.")
def reconstruct_content(
    image: Annotated[str, typer.Argument(metavar="IMAGE", help="The image to reconstruct.")],
    settings: ReconstructContentSettings,
    output: Output,
) -> None:
    """From white noise, find the image that a layer cannot tell from IMAGE: what the layer keeps of it."""
    from impasto.recipes.reconstruct import prepare_content

    default = f"{Path(image).stem}-{settings.layer}.png"
    _paint(
        lambda on_download: prepare_content(image, settings, on_download=on_download),
        output.named(default),
        longest=settings.size,
    )


@reconstruct_app.command("style")
@door
@with_settings(ReconstructStyleSettings)
@with_output("File to write. Default: IMAGE-texture.png, here.")
def reconstruct_style(
    image: Annotated[
        list[str], typer.Argument(metavar="IMAGE...", help="The painting or texture; several are blended.")
    ],
    settings: ReconstructStyleSettings,
    output: Output,
) -> None:
    """From white noise, find an image with the style of IMAGE: a texture, of any size."""
    from impasto.recipes.reconstruct import prepare_style

    default = "-".join(Path(path).stem for path in image) + "-texture.png"
    _paint(
        lambda on_download: prepare_style(image, settings, on_download=on_download),
        output.named(default), longest=max(settings.canvas(1, 1)),
    )  # fmt: skip


@app.command()
@door
@with_output("File to write. Default: PICTURE-rerun beside it.")
def rerun(
    picture: Annotated[str, typer.Argument(metavar="PICTURE", help="A picture that Impasto painted.")],
    output: Output,
    content: Annotated[str, typer.Option(help="Where the content image is now.")] = "",
    style: Annotated[
        list[str] | None, typer.Option(help="Where the style image is now; once for each if several.")
    ] = None,
    weights: Annotated[str, typer.Option(help="Where the network's weights are now.")] = "",
) -> None:
    """Paint PICTURE again from the manifest inside it; the same machine gives the same pixels."""
    from impasto.recipes.rerun import prepare_rerun

    old = Path(picture)
    default = str(old.with_name(f"{old.stem}-rerun{old.suffix}"))
    _paint(
        lambda on_download: prepare_rerun(
            picture, content=content, style=style or (), weights=weights, on_download=on_download
        ),
        output.named(default),
    )  # fmt: skip


@app.command()
@door
def resume(
    checkpoint: Annotated[str, typer.Argument(metavar="CHECKPOINT", help="What --checkpoint wrote.")],
    output: Annotated[
        str, typer.Option("-o", "--output", help="File to write. Default: what the run was to write.")
    ] = "",
    content: Annotated[str, typer.Option(help="Where the content image is now.")] = "",
    style: Annotated[
        list[str] | None, typer.Option(help="Where the style image is now; once for each if several.")
    ] = None,
    weights: Annotated[str, typer.Option(help="Where the network's weights are now.")] = "",
    changed: Annotated[
        bool, typer.Option("--changed", help="Go on although a picture or the weights have changed.")
    ] = False,
) -> None:
    """Go on with a run that was stopped, from its CHECKPOINT; the pixels are those of a run that was not."""
    from impasto.app.painting import paint
    from impasto.device import join
    from impasto.recipes.rerun import prepare_resume

    join()
    with downloading("fetching VGG-19") as on_download:
        job, snapshot, said = prepare_resume(
            checkpoint,
            content=content,
            style=style or (),
            weights=weights,
            changed=changed,
            on_download=on_download,
        )
    paint(job, Output(**{**said, "checkpoint": checkpoint, "path": output or said["path"]}), snapshot)


@app.command()
@door
@with_settings(StylizeSettings, presets=True)
def plan(
    content: Annotated[str, typer.Argument(metavar="CONTENT", help="The photograph to repaint.")],
    style: Annotated[list[str], typer.Argument(metavar="STYLE...", help="The painting, or several.")],
    settings: StylizeSettings,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
    again: Annotated[
        bool, typer.Option("--again", help="Measure this machine's speed again; it is remembered.")
    ] = False,
) -> None:
    """Say how much memory and time `stylize` would take here, and in which layout it would fit."""
    from impasto.app.bars import clock
    from impasto.memory import in_words
    from impasto.recipes.planning import examine
    from impasto.recipes.stylize import prepare

    with downloading("fetching VGG-19") as on_download:
        job = prepare(content, style, settings, on_download=on_download)
    found = examine(job, settings, again=again)
    if as_json:
        console.out.print_json(json.dumps(dataclasses.asdict(found)))
        return
    rows = [
        (f"{scale.width}×{scale.height}", f"{scale.steps} steps", str(layout))
        for scale, layout in zip(job.scales, job.layouts, strict=True)
    ]
    rows += [
        ("memory", in_words(found.bytes), f"of {in_words(found.limit)} that may be used"),
        ("time", clock(found.seconds), "if no scale ends early"),
    ]
    if found.disk:
        rows.append(("disk", in_words(found.disk), "for the time of the run"))
    console.table("", rows)


@app.command()
@door
@with_settings(LossSettings)
def loss(
    content: Annotated[str, typer.Argument(metavar="CONTENT", help="The photograph.")],
    style: Annotated[str, typer.Argument(metavar="STYLE", help="The painting.")],
    image: Annotated[str, typer.Argument(metavar="IMAGE", help="The image whose loss is wanted.")],
    settings: LossSettings,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Print every term of the paper's literal loss of IMAGE, at its own size."""
    from impasto.recipes.loss import paper_loss

    with downloading("fetching VGG-19") as on_download:
        report = paper_loss(content, style, image, settings, on_download=on_download)
    if as_json:
        console.out.print_json(json.dumps(dataclasses.asdict(report)))
        return
    rows = [("L_content", name, f"{value:.6g}", "") for name, value in report.content.items()]
    rows += [
        ("E_l", name, f"{value:.6g}", f"w_l {report.layer_weights[name]:g}")
        for name, value in report.style.items()
    ]
    rows += [
        ("L_style", "", f"{report.total_style:.6g}", ""),
        ("L_total", "", f"{report.total:.6g}", f"α {report.alpha:g}, β {report.beta:g}"),
    ]
    console.table(f"{report.width}×{report.height}", rows)


@app.command()
@door
@with_settings(FigureSettings)
def figure(
    number: Annotated[int, typer.Argument(metavar="1|2", help="Which figure of the paper.", min=1, max=2)],
    content: Annotated[str, typer.Argument(metavar="CONTENT", help="The photograph.")],
    style: Annotated[str, typer.Argument(metavar="STYLE", help="The painting.")],
    settings: FigureSettings,
    output: Annotated[
        str,
        typer.Option("-o", "--output", help="PNG, PDF or SVG. Default: figure-1.png or -2, here."),
    ] = "",
    panels: Annotated[str, typer.Option(help="A folder that keeps every panel.")] = "",
) -> None:
    """Redo Figure 1 or 2 of the paper from your images; stopped, it goes on where it was."""
    from impasto.app.bars import RunBar
    from impasto.recipes.drawing import check_figure_output
    from impasto.recipes.figures import figure as compute

    output = output or f"figure-{number}.png"
    check_figure_output(output)
    with downloading("fetching VGG-19") as on_download, RunBar() as bar:
        for progress in compute(
            number, content, style, output, settings, panels=panels, on_download=on_download
        ):
            bar.figure(progress)
    console.note(f"Wrote {output}.")


@app.command()
@door
@with_settings(FeaturesSettings)
def features(
    image: Annotated[str, typer.Argument(metavar="IMAGE", help="The image to look at.")],
    settings: FeaturesSettings,
    output: Annotated[
        str, typer.Option("-o", "--output", help="File to write. Default: IMAGE-LAYER-features.png, here.")
    ] = "",
) -> None:
    """Show what a layer's filters respond to, strongest first, or its Gram matrix."""
    from impasto.image.files import check_output, write_picture
    from impasto.recipes.features import features as show

    kind = "gram" if settings.gram else "features"
    output = output or f"{Path(image).stem}-{settings.layer}-{kind}.png"
    check_output(output)
    with downloading("fetching VGG-19") as on_download:
        sheet = show(image, settings, on_download=on_download)
    write_picture(sheet.picture, output)
    named = ", ".join(f"{c} ({s:.2f})" for c, s in zip(sheet.channels, sheet.strengths, strict=True))
    console.note(f"Wrote {output}. Channels with their mean responses, across, then down: {named}.")


@app.command()
@door
def doctor() -> None:
    """Say what this machine has: versions, device, threads, bfloat16, cache, weights."""
    from impasto.recipes.doctor import examine

    console.table("", [(name, str(value)) for name, value in examine().items()])
