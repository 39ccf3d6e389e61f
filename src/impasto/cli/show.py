"""`impasto show`: how a painting was made, from the manifest in its file."""

from typing import Annotated, Any

import typer

from impasto.cli import console
from impasto.cli.exit_codes import handle_errors


@handle_errors
def show(
    picture: Annotated[str, typer.Argument(metavar="PICTURE", help="A picture that Impasto painted.")],
    curves: Annotated[
        str, typer.Option(metavar="FILE", help="Plot the losses of every step: PNG, PDF or SVG.")
    ] = "",
    as_json: Annotated[bool, typer.Option("--json", help="Print the whole manifest as JSON.")] = False,
) -> None:
    """Show how PICTURE was painted, from the manifest in its file."""
    from impasto.recipes.show import loss_curves
    from impasto.results.manifest import read

    contents = read(picture)
    if as_json:
        console.out.print_json(data=contents)
    else:
        console.table(picture, _rows(contents))
    if curves:
        loss_curves(picture, curves)
        console.note(f"Wrote {curves}.")


def _rows(contents: dict[str, Any]) -> list[tuple[str, ...]]:
    rows: list[tuple[str, ...]] = [
        ("command", f"impasto {contents['command']}", f"version {contents['impasto']}")
    ]
    rows += [
        (role, str(entry["path"]), f"SHA-256 {entry['sha256'][:12]}…" if entry["sha256"] else "from memory")
        for role, entry in contents["inputs"].items()
    ]
    rows.append(("weights", contents["weights"]["name"], f"SHA-256 {contents['weights']['sha256'][:12]}…"))
    machine = contents["machine"]
    rows.append(("machine", str(machine["processor"]), f"{contents['device']}, {contents['precision']}"))
    rows += [(name, _as_text(value), "") for name, value in contents["settings"].items()]
    result = contents.get("result", {})
    rows += [(f"result {name}", _as_text(value), "") for name, value in result.items() if name != "by_term"]
    rows += [(f"loss {name}", _as_text(value), "") for name, value in result.get("by_term", {}).items()]
    return rows


def _as_text(value: Any) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{name} {_as_text(item)}" for name, item in value.items())
    if isinstance(value, float):
        return f"{value:.6g}"
    return "–" if value in (None, "") else str(value)
