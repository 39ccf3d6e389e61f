"""The command `impasto`: parse, call a recipe, show, set the exit code.

Recipes are imported inside the commands, so that `impasto --help` loads no torch.
"""

import dataclasses
import functools
import json
import os
import sys
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Annotated, Any

import typer

from impasto import __version__
from impasto.app import console
from impasto.app.options import with_settings
from impasto.errors import INTERRUPTED, ImpastoError
from impasto.recipes.paper_settings import (
    FeaturesSettings,
    FigureSettings,
    LossSettings,
    ReconstructContentSettings,
    ReconstructStyleSettings,
)
from impasto.recipes.settings import StylizeSettings

app = typer.Typer(
    name="impasto",
    help="Repaint a photograph in the style of a painting (Gatys, Ecker and Bethge 2015).",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
)
weights_app = typer.Typer(help="The network's weights: list, fetch, verify.", no_args_is_help=True)
app.add_typer(weights_app, name="weights")
reconstruct_app = typer.Typer(
    help="What the network's layers keep of an image: its content, or its style.", no_args_is_help=True
)
app.add_typer(reconstruct_app, name="reconstruct")

Bits = Annotated[int, typer.Option(help="Bits per channel: 8, or 16 for PNG and TIFF.")]
Quality = Annotated[int, typer.Option(help="1 to 100, of JPEG, WebP and AVIF.", min=1, max=100)]
PreviewEvery = Annotated[
    int, typer.Option(help="Write the picture so far every so many steps; 0: never.", min=0)
]


def main() -> None:
    """Entry point of the command."""
    console.show_warnings()
    if sys.argv[1:] in ([], ["--help"]):
        # The first page at once: rich's help loads a Markdown parser, a third of the whole time.
        app.rich_markup_mode = None
    app()


def door(command: Callable[..., None]) -> Callable[..., None]:
    """Turn our errors into one line and an exit code. What is not ours is a bug and keeps its traceback."""

    @functools.wraps(command)
    def guarded(*args: Any, **kwargs: Any) -> None:
        try:
            command(*args, **kwargs)
        except ImpastoError as error:
            console.error(str(error))
            raise typer.Exit(error.exit_code) from None
        except KeyboardInterrupt:
            console.note("Stopped.")
            raise typer.Exit(INTERRUPTED) from None
        except BrokenPipeError:  # `impasto … | head`
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            raise typer.Exit(1) from None

    return guarded


def _downloading(title: str) -> AbstractContextManager[Callable[[int, int], None]]:
    from impasto.app.bars import download_bar

    return download_bar(title)


def _paint(*job_and_output: Any) -> None:
    from impasto.app.painting import paint

    paint(*job_and_output)


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
def stylize(
    content: Annotated[str, typer.Argument(metavar="CONTENT", help="The photograph to repaint.")],
    style: Annotated[
        list[str],
        typer.Argument(metavar="STYLE...", help="The painting to take the style from; several are blended."),
    ],
    settings: StylizeSettings,
    output: Annotated[
        str,
        typer.Option(
            "-o",
            "--output",
            help="File to write; its extension says the format. Default: CONTENT-STYLE.png, here.",
        ),
    ] = "",
    bits: Bits = 8,
    quality: Quality = 92,
    preview_every: PreviewEvery = 0,
) -> None:
    """Repaint CONTENT in the style of STYLE."""
    from impasto.image.files import check_output
    from impasto.recipes.stylize import prepare

    output = output or "-".join(Path(path).stem for path in (content, *style)) + ".png"
    check_output(output, bits=bits, longest=settings.size)
    with _downloading("fetching VGG-19") as on_download:
        job = prepare(content, style, settings, on_download=on_download)
    _paint(job, output, bits, quality, preview_every)


@reconstruct_app.command("content")
@door
@with_settings(ReconstructContentSettings)
def reconstruct_content(
    image: Annotated[str, typer.Argument(metavar="IMAGE", help="The image to reconstruct.")],
    settings: ReconstructContentSettings,
    output: Annotated[
        str, typer.Option("-o", "--output", help="File to write. Default: IMAGE-LAYER.png, here.")
    ] = "",
    bits: Bits = 8,
    quality: Quality = 92,
    preview_every: PreviewEvery = 0,
) -> None:
    """From white noise, find the image that a layer cannot tell from IMAGE: what the layer keeps of it."""
    from impasto.image.files import check_output
    from impasto.recipes.reconstruct import prepare_content

    output = output or f"{Path(image).stem}-{settings.layer}.png"
    check_output(output, bits=bits, longest=settings.size)
    with _downloading("fetching VGG-19") as on_download:
        job = prepare_content(image, settings, on_download=on_download)
    _paint(job, output, bits, quality, preview_every)


@reconstruct_app.command("style")
@door
@with_settings(ReconstructStyleSettings)
def reconstruct_style(
    image: Annotated[
        list[str], typer.Argument(metavar="IMAGE...", help="The painting or texture; several are blended.")
    ],
    settings: ReconstructStyleSettings,
    output: Annotated[
        str, typer.Option("-o", "--output", help="File to write. Default: IMAGE-texture.png, here.")
    ] = "",
    bits: Bits = 8,
    quality: Quality = 92,
    preview_every: PreviewEvery = 0,
) -> None:
    """From white noise, find an image with the style of IMAGE: a texture, of any size."""
    from impasto.image.files import check_output
    from impasto.recipes.reconstruct import prepare_style

    output = output or "-".join(Path(path).stem for path in image) + "-texture.png"
    check_output(output, bits=bits)
    with _downloading("fetching VGG-19") as on_download:
        job = prepare_style(image, settings, on_download=on_download)
    _paint(job, output, bits, quality, preview_every)


@app.command()
@door
def rerun(
    picture: Annotated[str, typer.Argument(metavar="PICTURE", help="A picture that Impasto painted.")],
    output: Annotated[
        str, typer.Option("-o", "--output", help="File to write. Default: PICTURE-rerun beside it.")
    ] = "",
    content: Annotated[str, typer.Option(help="Where the content image is now.")] = "",
    style: Annotated[
        list[str] | None, typer.Option(help="Where the style image is now; once for each if several.")
    ] = None,
    weights: Annotated[str, typer.Option(help="Where the network's weights are now.")] = "",
    bits: Bits = 8,
    quality: Quality = 92,
    preview_every: PreviewEvery = 0,
) -> None:
    """Paint PICTURE again from the manifest inside it; the same machine gives the same pixels."""
    from impasto.image.files import check_output
    from impasto.recipes.rerun import prepare_rerun

    old = Path(picture)
    output = output or str(old.with_name(f"{old.stem}-rerun{old.suffix}"))
    check_output(output, bits=bits)
    with _downloading("fetching VGG-19") as on_download:
        job = prepare_rerun(
            picture, content=content, style=style or (), weights=weights, on_download=on_download
        )
    _paint(job, output, bits, quality, preview_every)


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

    with _downloading("fetching VGG-19") as on_download:
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
    with _downloading("fetching VGG-19") as on_download, RunBar() as bar:
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
    with _downloading("fetching VGG-19") as on_download:
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


@weights_app.command("list")
@door
def weights_list() -> None:
    """List the known weight files and whether they are in the cache."""
    _show_weights()


@weights_app.command("fetch")
@door
def weights_fetch() -> None:
    """Fetch the weights into the cache, unless good ones are there."""
    from impasto.network.weights import RECORDS, fetch

    for record in RECORDS.values():
        with _downloading(f"fetching {record.name}") as on_download:
            path = fetch(record, progress=on_download)
        console.out.print(f"{record.name}: {path}")


@weights_app.command("verify")
@door
def weights_verify() -> None:
    """Check the bytes of the weights in the cache; exit 1 if any are damaged or absent."""
    if not _show_weights():
        raise typer.Exit(1)


def _show_weights() -> bool:
    from impasto.network.weights import verify

    statuses = verify()
    rows = [
        (s.record.name, s.state, f"{s.bytes / 1e6:.1f} MB", str(s.path), s.record.licence) for s in statuses
    ]
    console.table("", rows, ("name", "state", "size", "file", "licence"))
    return all(s.state == "good" for s in statuses)
