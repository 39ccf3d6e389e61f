"""`impasto stylize` and the commands that belong to it: plan, rerun, resume."""

import dataclasses
from pathlib import Path
from typing import Annotated, Any

import typer

from impasto.cli import console
from impasto.cli.exit_codes import download_bar, handle_errors
from impasto.cli.options import with_settings
from impasto.cli.output import Output, with_output
from impasto.cli.run_command import plan_and_paint
from impasto.settings.stylize import StylizeSettings

Masks = Annotated[
    list[str] | None,
    typer.Option(
        metavar="MASK",
        help="A mask of the photo, then, optionally, one of each painting; repeat the option. An area takes "
        "its style from areas of the same colour. Or auto:subject: the first painting for the photo's "
        "subject, the second for the rest.",
    ),
]
MovedStyle = Annotated[
    list[str] | None, typer.Option(help="Where the style image is now; repeat for several.")
]
MovedMasks = Annotated[
    list[str] | None,
    typer.Option(metavar="MASK", help="Where the masks are now; repeat the option, in the same order."),
]

MovedInit = Annotated[str, typer.Option(help="Where the image file that the run started from is now.")]


@handle_errors
@with_settings(StylizeSettings, presets=True)
@with_output("file to write; its extension sets the format; default: CONTENT-STYLE.png here")
def stylize(
    content: Annotated[str, typer.Argument(metavar="CONTENT", help="The photograph to repaint.")],
    style: Annotated[
        list[str],
        typer.Argument(metavar="STYLE...", help="The painting whose style to use; several are blended."),
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
    plan_and_paint(
        lambda: plan_stylize(content, style, settings, regions=regions or ()),
        output.named(default),
        [
            *source_files("the content image", content),
            *source_files("the style image", *style),
            *source_files("the mask", *(regions or ())),
            *settings_files(settings),
        ],
        longest=settings.size,
    )


@handle_errors
@with_output("file to write; default: PICTURE-rerun, beside PICTURE")
def rerun(
    picture: Annotated[str, typer.Argument(metavar="PICTURE", help="A picture that Impasto painted.")],
    output: Output,
    content: Annotated[str, typer.Option(help="Where the content image is now.")] = "",
    style: MovedStyle = None,
    regions: MovedMasks = None,
    weights: Annotated[str, typer.Option(help="Where the network's weights are now.")] = "",
    init: MovedInit = "",
) -> None:
    """Paint PICTURE again from the manifest in its file; the same machine gives the same pixels."""
    from impasto.cli.run_command import paint, save
    from impasto.recipes.inputs import manifest_files, settings_files, source_files
    from impasto.recipes.recorded_run import MovedInputs
    from impasto.recipes.rerun import plan_rerun, rerun_fast
    from impasto.results.manifest import read
    from impasto.system.distributed import join_process_group

    old = Path(picture)
    output = output.named(str(old.with_name(f"{old.stem}-rerun{old.suffix}")))
    moved = MovedInputs(content, style or (), regions or (), weights, init)
    manifest = read(picture)
    inputs = [
        *source_files("the picture to paint again", picture),
        *manifest_files(manifest, picture, vars(moved)),
        *settings_files(None),
    ]
    if manifest["command"] == "fast":  # one pass: no plan, and never shared by several processes
        output.check(inputs)
        with download_bar("fetching VGG-19 and the decoder"):
            painting = rerun_fast(picture, moved)
        save(painting, output)
        console.note(f"Painted {output.path}.")
        return
    output.check(inputs)
    join_process_group()  # before planning, because processes that share a picture agree on its layouts
    with download_bar("fetching VGG-19"):
        plan, steering = plan_rerun(picture, moved)
    paint(plan, output, steering=steering)


@handle_errors
def resume(
    checkpoint: Annotated[
        str, typer.Argument(metavar="CHECKPOINT", help="The file that --checkpoint wrote.")
    ],
    output: Annotated[
        str,
        typer.Option(
            "-o", "--output", help="File to write. Default: the file that the run was started with."
        ),
    ] = "",
    content: Annotated[str, typer.Option(help="Where the content image is now.")] = "",
    style: MovedStyle = None,
    regions: MovedMasks = None,
    weights: Annotated[str, typer.Option(help="Where the network's weights are now.")] = "",
    init: MovedInit = "",
    changed: Annotated[
        bool, typer.Option("--changed", help="Resume even if a picture or the weights have changed.")
    ] = False,
) -> None:
    """Resume a stopped run from its CHECKPOINT; the pixels are those of an uninterrupted run."""
    from impasto.cli.run_command import paint
    from impasto.recipes.inputs import manifest_files, settings_files
    from impasto.recipes.recorded_run import MovedInputs
    from impasto.recipes.resume import plan_resume
    from impasto.system.distributed import join_process_group

    moved = MovedInputs(content, style or (), regions or (), weights, init)

    # The checkpoint records the options of the output; only the path can change.
    def planned(recorded: dict[str, Any]) -> Output:
        return Output(**{**recorded, "checkpoint": checkpoint, "path": output or recorded["path"]})

    def check(facts: dict[str, Any]) -> None:
        files = manifest_files(facts["manifest"], checkpoint, vars(moved))
        planned(facts["output"]).check([*files, *settings_files(None)])

    join_process_group()
    with download_bar("fetching VGG-19"):
        plan, snapshot, recorded = plan_resume(checkpoint, moved, changed=changed, check=check)
    paint(plan, planned(recorded), snapshot)


@handle_errors
@with_settings(StylizeSettings, presets=True)
def plan(
    content: Annotated[str, typer.Argument(metavar="CONTENT", help="The photograph to repaint.")],
    style: Annotated[list[str], typer.Argument(metavar="STYLE...", help="The painting, or several.")],
    settings: StylizeSettings,
    regions: Masks = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
    again: Annotated[
        bool,
        typer.Option(
            "--again", help="Measure this machine's speed again instead of using the stored figure."
        ),
    ] = False,
) -> None:
    """Estimate the memory and time that `stylize` needs on this machine, and the layout it would use."""
    from impasto.formatting import format_bytes, format_duration
    from impasto.recipes.stylize import plan_stylize
    from impasto.run.estimate import estimate

    with download_bar("fetching VGG-19"):
        plan = plan_stylize(content, style, settings, regions=regions or ())
    needs = estimate(plan, settings, again=again)
    if as_json:
        console.out.print_json(data=dataclasses.asdict(needs))
        return
    rows = [
        (f"{stage.scale.width}×{stage.scale.height}", f"{stage.scale.steps} steps", str(stage.layout))
        for stage in plan.stages[: plan.solved]
    ]
    rows += [(f"{scale.width}×{scale.height}", "enlarged", "") for scale in plan.scales[plan.solved :]]
    rows += [
        ("memory", format_bytes(needs.bytes), f"of {format_bytes(needs.limit)} available"),
        ("time", format_duration(needs.seconds), "if no scale ends early"),
        *([("budget", format_duration(plan.budget), "takes as many steps as fit")] if plan.budget else []),
    ]
    # A match that is not trusted leaves the painting without regions; the reason stands in their place.
    if match := plan.manifest.get("matching"):
        rows.append(
            ("regions", "none" if match["doubts"] else str(match["clusters"]), match["doubts"] or "match")
        )
    if needs.disk:
        rows.append(("disk", format_bytes(needs.disk), "during the run"))
    console.table("", rows)
