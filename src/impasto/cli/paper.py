"""The commands about the paper: reconstructions, the literal loss, Figures 1 and 2, a layer's features."""

import dataclasses
from pathlib import Path
from typing import Annotated

import typer

from impasto.cli import console
from impasto.cli.exit_codes import download_bar, handle_errors
from impasto.cli.options import with_settings
from impasto.cli.output import Output, with_output
from impasto.cli.run_command import plan_and_paint
from impasto.settings.paper import (
    FeaturesSettings,
    FigureSettings,
    LossSettings,
    ReconstructContentSettings,
    ReconstructStyleSettings,
)

reconstruct_app = typer.Typer(
    help="Show what the network's layers keep of an image: its content, or its style.", no_args_is_help=True
)


@reconstruct_app.command("content")
@handle_errors
@with_settings(ReconstructContentSettings)
@with_output("file to write; default: IMAGE-LAYER.png in the current folder")
def reconstruct_content(
    image: Annotated[str, typer.Argument(metavar="IMAGE", help="The image to reconstruct.")],
    settings: ReconstructContentSettings,
    output: Output,
) -> None:
    """Turn white noise into an image with the same responses as IMAGE at one layer: what that layer keeps."""
    from impasto.recipes.inputs import settings_files, source_files
    from impasto.recipes.reconstruct import plan_content

    default = f"{Path(image).stem}-{settings.layer}.png"
    plan_and_paint(
        lambda: plan_content(image, settings),
        output.named(default),
        [*source_files("the image", image), *settings_files(settings)],
        longest=settings.size,
    )


@reconstruct_app.command("style")
@handle_errors
@with_settings(ReconstructStyleSettings)
@with_output("file to write; default: IMAGE-texture.png in the current folder")
def reconstruct_style(
    image: Annotated[
        list[str], typer.Argument(metavar="IMAGE...", help="The painting or texture; several are blended.")
    ],
    settings: ReconstructStyleSettings,
    output: Output,
) -> None:
    """Turn white noise into an image with the style of IMAGE: a texture, of any size."""
    from impasto.recipes.inputs import settings_files, source_files
    from impasto.recipes.reconstruct import plan_style

    default = "-".join(Path(path).stem for path in image) + "-texture.png"
    plan_and_paint(
        lambda: plan_style(image, settings),
        output.named(default),
        [*source_files("the style image", *image), *settings_files(settings)],
        # The image's shape is not known yet. The longest side is the same for every shape.
        longest=max(settings.canvas(1, 1)),
    )


@handle_errors
@with_settings(LossSettings)
def loss(
    content: Annotated[str, typer.Argument(metavar="CONTENT", help="The photograph.")],
    style: Annotated[str, typer.Argument(metavar="STYLE", help="The painting.")],
    image: Annotated[str, typer.Argument(metavar="IMAGE", help="The image to measure.")],
    settings: LossSettings,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Print every term of the paper's literal loss for IMAGE, at its own size."""
    from impasto.recipes.loss import paper_loss

    with download_bar("fetching VGG-19"):
        report = paper_loss(content, style, image, settings)
    if as_json:
        console.out.print_json(data=dataclasses.asdict(report))
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


@handle_errors
@with_settings(FigureSettings)
@with_output("file to write: PNG, PDF or SVG; default: figure-1.png or figure-2.png here", fields=())
def figure(
    number: Annotated[int, typer.Argument(metavar="1|2", help="Which figure of the paper.", min=1, max=2)],
    content: Annotated[str, typer.Argument(metavar="CONTENT", help="The photograph.")],
    style: Annotated[str, typer.Argument(metavar="STYLE", help="The painting.")],
    settings: FigureSettings,
    output: Output,
    panels: Annotated[str, typer.Option(help="A folder in which every panel is saved.")] = "",
) -> None:
    """Reproduce Figure 1 or 2 of the paper with your images; if stopped, run it again to continue."""
    from impasto.cli.progress_bars import RunBar
    from impasto.recipes.figure import iter_figure

    path = output.named(f"figure-{number}.png").path
    with download_bar("fetching VGG-19"), RunBar() as bar:
        for progress in iter_figure(number, content, style, path, settings, panels=panels):
            bar.figure(progress)
    console.note(f"Wrote {path}.")


@handle_errors
@with_settings(FeaturesSettings)
@with_output(
    "file to write; default: IMAGE-LAYER-features.png (or -gram.png) in the current folder", fields=()
)
def features(
    image: Annotated[str, typer.Argument(metavar="IMAGE", help="The image to look at.")],
    settings: FeaturesSettings,
    output: Output,
) -> None:
    """Show what a layer's filters respond to, strongest first, or its Gram matrix."""
    from impasto.image.write import write_picture
    from impasto.recipes.features import features as show
    from impasto.recipes.inputs import settings_files, source_files

    kind = "gram" if settings.gram else "features"
    output = output.named(f"{Path(image).stem}-{settings.layer}-{kind}.png")
    output.check([*source_files("the image", image), *settings_files(settings)])
    with download_bar("fetching VGG-19"):
        sheet = show(image, settings)
    write_picture(sheet.picture, output.path)
    named = ", ".join(f"{c} ({s:.2f})" for c, s in zip(sheet.channels, sheet.mean_responses, strict=True))
    console.note(f"Wrote {output.path}. Channels and their mean responses, row by row: {named}.")
