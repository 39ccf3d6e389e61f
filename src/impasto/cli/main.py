"""The command `impasto`: parse, call a recipe, show, set the exit code.

Recipes are imported inside the commands, so that `impasto --help` loads no torch.
"""

import dataclasses
import json
import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from impasto.cli import console
from impasto.cli.batch import batch
from impasto.cli.exit_codes import downloading, flush_streams, handle_errors, tell_refusal
from impasto.cli.export import export
from impasto.cli.fast import fast
from impasto.cli.measure import measure
from impasto.cli.options import with_settings
from impasto.cli.output import Output, with_output
from impasto.cli.paper import features, figure, loss, reconstruct_app
from impasto.cli.run_command import prepared_and_painted
from impasto.cli.show import show
from impasto.cli.train import train
from impasto.cli.web import web
from impasto.cli.weights import weights_app
from impasto.settings.stylize import StylizeSettings
from impasto.version import __version__

app = typer.Typer(
    name="impasto",
    help="Repaint a photograph in the style of a painting (Gatys, Ecker and Bethge 2015).",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
)
Masks = Annotated[
    list[str] | None,
    typer.Option(
        metavar="MASK",
        help="A mask of the photo, then, if they are not used whole, one of each painting: once for each. "
        "Areas of one colour take their style from areas of the same colour.",
    ),
]
Moved = Annotated[
    list[str] | None, typer.Option(metavar="MASK", help="Where the masks are now; once for each, in order.")
]

app.add_typer(weights_app, name="weights")
app.add_typer(reconstruct_app, name="reconstruct")


def main() -> None:
    """Entry point of the command."""
    console.show_warnings()
    if sys.argv[1:] in ([], ["--help"]):
        # The first page at once: rich's help loads a Markdown parser, a third of the whole time.
        app.rich_markup_mode = None
    try:
        app()
    except OSError as error:  # a full disk or standard output, no file handles left
        tell_refusal(error)
        sys.exit(1)
    except ImportError as error:
        reason = (str(error).strip() or repr(error)).splitlines()[-1]  # NumPy's is a page
        console.error(
            f"a part of Impasto could not be loaded ({reason}). Allow this process more memory, or install "
            "Impasto anew."
        )
        sys.exit(1)
    finally:
        flush_streams()


def _version(show: bool) -> bool:
    if show:
        console.out.print(f"impasto {__version__}")
        raise typer.Exit
    return show


@app.callback()
def _root(
    version: Annotated[
        bool, typer.Option("--version", help="Show the version.", callback=_version, is_eager=True)
    ] = False,
) -> None:
    pass


@app.command()
@handle_errors
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
    regions: Masks = None,
) -> None:
    """Repaint CONTENT in the style of STYLE."""
    from impasto.recipes.inputs import settings_files, source_files
    from impasto.recipes.stylize import plan_stylize

    default = "-".join(Path(path).stem for path in (content, *style))
    default += "-preview.png" if settings.preview else ".png"
    prepared_and_painted(
        lambda on_download: plan_stylize(
            content, style, settings, regions=regions or (), on_download=on_download
        ),
        output.named(default),
        [
            *source_files("the content image", content),
            *source_files("the style image", *style),
            *source_files("the mask", *(regions or ())),
            *settings_files(settings),
        ],
        longest=settings.size,
    )


@app.command()
@handle_errors
@with_output("File to write. Default: PICTURE-rerun beside it.")
def rerun(
    picture: Annotated[str, typer.Argument(metavar="PICTURE", help="A picture that Impasto painted.")],
    output: Output,
    content: Annotated[str, typer.Option(help="Where the content image is now.")] = "",
    style: Annotated[
        list[str] | None, typer.Option(help="Where the style image is now; once for each if several.")
    ] = None,
    regions: Moved = None,
    weights: Annotated[str, typer.Option(help="Where the network's weights are now.")] = "",
) -> None:
    """Paint PICTURE again from the manifest inside it; the same machine gives the same pixels."""
    from impasto.cli.run_command import save
    from impasto.recipes.inputs import manifest_files, settings_files, source_files
    from impasto.recipes.rerun import plan_rerun, rerun_fast
    from impasto.results.manifest import read

    old = Path(picture)
    output = output.named(str(old.with_name(f"{old.stem}-rerun{old.suffix}")))
    moved = {"content": content, "style": style or (), "regions": regions or (), "weights": weights}
    manifest = read(picture)
    inputs = [
        *source_files("the picture to paint again", picture),
        *manifest_files(manifest, picture, moved),
        *settings_files(None),
    ]
    if manifest["command"] == "fast":
        output.check(inputs)
        with downloading("fetching VGG-19 and the decoder") as on_download:
            painting = rerun_fast(picture, on_download=on_download, **moved)  # type: ignore[arg-type]
        save(painting, output)
        console.note(f"Painted {output.path}.")
        return
    prepared_and_painted(
        lambda on_download: plan_rerun(picture, on_download=on_download, **moved),  # type: ignore[arg-type]
        output,
        inputs,
    )


@app.command()
@handle_errors
def resume(
    checkpoint: Annotated[str, typer.Argument(metavar="CHECKPOINT", help="What --checkpoint wrote.")],
    output: Annotated[
        str, typer.Option("-o", "--output", help="File to write. Default: what the run was to write.")
    ] = "",
    content: Annotated[str, typer.Option(help="Where the content image is now.")] = "",
    style: Annotated[
        list[str] | None, typer.Option(help="Where the style image is now; once for each if several.")
    ] = None,
    regions: Moved = None,
    weights: Annotated[str, typer.Option(help="Where the network's weights are now.")] = "",
    changed: Annotated[
        bool, typer.Option("--changed", help="Go on although a picture or the weights have changed.")
    ] = False,
) -> None:
    """Go on with a run that was stopped, from its CHECKPOINT; the pixels are those of a run that was not."""
    from impasto.cli.run_command import paint
    from impasto.recipes.inputs import manifest_files, settings_files
    from impasto.recipes.rerun import plan_resume
    from impasto.system.distributed import join_process_group

    moved = {"content": content, "style": style or (), "regions": regions or (), "weights": weights}

    def planned(recorded: dict[str, Any]) -> Output:
        return Output(**{**recorded, "checkpoint": checkpoint, "path": output or recorded["path"]})

    def check(facts: dict[str, Any]) -> None:
        files = manifest_files(facts["manifest"], checkpoint, moved)
        planned(facts["output"]).check([*files, *settings_files(None)])

    join_process_group()
    with downloading("fetching VGG-19") as on_download:
        plan, snapshot, output_fields = plan_resume(
            checkpoint,
            **moved,  # type: ignore[arg-type]
            changed=changed,
            on_download=on_download,
            check=check,
        )
    paint(plan, planned(output_fields), snapshot)


@app.command()
@handle_errors
@with_settings(StylizeSettings, presets=True)
def plan(
    content: Annotated[str, typer.Argument(metavar="CONTENT", help="The photograph to repaint.")],
    style: Annotated[list[str], typer.Argument(metavar="STYLE...", help="The painting, or several.")],
    settings: StylizeSettings,
    regions: Masks = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
    again: Annotated[
        bool, typer.Option("--again", help="Measure this machine's speed again; it is remembered.")
    ] = False,
) -> None:
    """Say how much memory and time `stylize` would take here, and in which layout it would fit."""
    from impasto.formatting import format_bytes, format_duration
    from impasto.recipes.stylize import plan_stylize
    from impasto.run.estimate import estimate

    with downloading("fetching VGG-19") as on_download:
        plan = plan_stylize(content, style, settings, regions=regions or (), on_download=on_download)
    needs = estimate(plan, settings, again=again)
    if as_json:
        console.out.print_json(json.dumps(dataclasses.asdict(needs)))
        return
    rows = [
        (f"{scale.width}×{scale.height}", f"{scale.steps} steps", str(layout))
        for scale, layout in zip(plan.scales, plan.layouts, strict=True)
    ]
    rows += [
        ("memory", format_bytes(needs.bytes), f"of {format_bytes(needs.limit)} that may be used"),
        ("time", format_duration(needs.seconds), "if no scale ends early"),
        *([("budget", format_duration(plan.budget), "as many steps as fit into it")] if plan.budget else []),
    ]
    if needs.disk:
        rows.append(("disk", format_bytes(needs.disk), "for the time of the run"))
    console.table("", rows)


@app.command()
@handle_errors
def doctor() -> None:
    """Say what this machine has: versions, device, threads, bfloat16, cache, weights."""
    from impasto.recipes.doctor import machine_report

    console.table("", [(name, str(value)) for name, value in machine_report().items()])


for command in (web, fast, train, export, show, batch, loss, figure, features, measure):
    app.command()(command)
