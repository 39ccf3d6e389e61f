"""Plots with matplotlib: the paper's figures, and losses by step."""

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from impasto.errors import ImageError, SettingsError
from impasto.image.picture import Picture
from impasto.settings.presets import PAPER_STYLE_LAYERS
from impasto.storage.atomic import atomic_write
from impasto.storage.paths import check_writable

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

ENDINGS = (".png", ".pdf", ".svg")


def check_figure_output(path: str | os.PathLike[str]) -> None:
    """Check, before the work starts, that `draw_figure_1` could write to a path.

    Raises:
        SettingsError: the ending is not PNG, PDF or SVG.
        ImageError: the folder does not exist, or the path may not be written.
    """
    if Path(path).suffix.lower() not in ENDINGS:
        raise SettingsError(f"a figure is written as {', '.join(ENDINGS)}; {str(path)!r} is none of them.")
    check_writable(os.fspath(path))


def draw_figure_1(pictures: Mapping[str, Picture], photo: Picture, painting: Picture, path: Path) -> None:
    """Draw Figure 1: style reconstructions above, the network between, content reconstructions below.

    Args:
        pictures: `style-1` … `style-5` and `content-conv1_1` … `content-conv5_1`.
        photo, painting: the inputs.
        path: the file to write; its ending chooses PNG, PDF or SVG.
    Raises:
        ImageError: the file cannot be written.
    """
    figure = _figure(15, 6.4)
    grid = figure.add_gridspec(3, 6, height_ratios=(1, 0.6, 1), hspace=0.2, wspace=0.06)
    _show(figure.add_subplot(grid[0, 0]), painting, "style image")
    _show(figure.add_subplot(grid[2, 0]), photo, "content image")
    for index, layer in enumerate(PAPER_STYLE_LAYERS):
        matched = PAPER_STYLE_LAYERS[: index + 1] if index < 2 else ("conv1_1", "…", layer)
        _show(figure.add_subplot(grid[0, index + 1]), pictures[f"style-{index + 1}"], " + ".join(matched))
        _show(figure.add_subplot(grid[2, index + 1]), pictures[f"content-{layer}"], layer)
    _network(figure.add_subplot(grid[1, 1:]))
    note = figure.add_subplot(grid[1, 0])
    note.axis("off")
    note.text(0.5, 0.97, "↑ style\nreconstructions", ha="center", va="top", fontsize=10)
    note.text(0.5, 0.03, "content\nreconstructions ↓", ha="center", va="bottom", fontsize=10)
    _write(figure, path)


def draw_figure_2(pictures: Mapping[str, Picture], photo: Picture, painting: Picture, path: Path) -> None:
    """Draw Figure 2's grid: rows A to E match more and more style layers, columns increase α/β.

    Args:
        pictures: `transfer-A-1` … `transfer-E-4`.
        photo, painting: the inputs; the photo sets the shape of the panels.
        path: the file to write; its ending chooses PNG, PDF or SVG.
    Raises:
        ImageError: the file cannot be written.
    """
    ratios = ("10⁻⁵", "10⁻⁴", "10⁻³", "10⁻²")
    figure = _figure(12, 2.85 * 5 * photo.height / photo.width + 0.9)
    grid = figure.add_gridspec(5, 4, hspace=0.06, wspace=0.04)
    for row, layer in enumerate(PAPER_STYLE_LAYERS):
        for column, ratio in enumerate(ratios):
            axes = figure.add_subplot(grid[row, column])
            _show(
                axes, pictures[f"transfer-{'ABCDE'[row]}-{column + 1}"], f"α/β = {ratio}" if row == 0 else ""
            )
            if column == 0:
                upto = layer if row == 0 else f"… {layer}"
                axes.set_ylabel(f"{'ABCDE'[row]}   {upto}", fontsize=11)
    _write(figure, path)


def draw_losses(columns: Sequence[str], rows: Sequence[Sequence[float]], path: Path) -> None:
    """Plot the loss and its terms by step, on a log scale, with a line where each new scale begins.

    Args:
        columns: scale, step, seconds, loss, and the terms' names.
        rows: a row for each step.
        path: the file to write; its ending chooses PNG, PDF or SVG.
    Raises:
        ImageError: the file cannot be written.
    """
    figure = _figure(9, 5)
    axes = figure.add_subplot()
    steps = range(1, len(rows) + 1)
    for column, name in enumerate(columns[3:], start=3):  # after scale, step and seconds
        bold = name == "loss"
        values = [row[column] for row in rows]
        if any(value > 0 for value in values):  # a log axis cannot show a term that is always 0
            axes.plot(
                steps, values, label=name, linewidth=2.4 if bold else 1.1, color="black" if bold else None
            )
    # Losses of different scales do not compare, so a line divides them.
    for step in steps[1:]:
        if rows[step - 1][0] != rows[step - 2][0]:
            axes.axvline(step - 0.5, color="0.8", linewidth=0.8)
    axes.set_yscale("log")
    axes.set_xlabel("step")
    axes.set_ylabel("loss, weighted")
    axes.legend(loc="center left", bbox_to_anchor=(1, 0.5), fontsize=9, frameon=False)
    axes.spines[["top", "right"]].set_visible(False)
    _write(figure, path)


def _figure(width: float, height: float) -> "Figure":
    # pyplot keeps global state and looks for a screen.
    from matplotlib.figure import Figure

    return Figure(figsize=(width, height), dpi=110)


def _show(axes: "Axes", picture: Picture, title: str) -> None:
    axes.imshow(picture.to_numpy()[:, :, :3], interpolation="lanczos")
    axes.set_title(title, fontsize=10)
    axes.set_xticks([])
    axes.set_yticks([])


def _network(axes: "Axes") -> None:
    """Draw five stacks of feature maps, each smaller than the one before and with more filters."""
    axes.set_xlim(0, 5)
    axes.set_ylim(0, 1)
    axes.axis("off")
    for block, filters in enumerate((64, 128, 256, 512, 512)):
        side = 0.62 / 2 ** (block * 0.6)  # not to scale: the last would be 0.04 high
        for sheet in range(3 + block):
            offset = 0.035 * sheet
            axes.add_patch(_sheet(block + 0.32 + offset, 0.5 - side / 2 + 0.4 * offset, side * 0.42, side))
        axes.text(block + 0.5, 0.04, f"{filters} filters", ha="center", fontsize=9)
        if block:
            axes.annotate(
                "", (block + 0.24, 0.5), (block - 0.16, 0.5), arrowprops={"arrowstyle": "->", "color": "0.4"}
            )
            axes.text(block + 0.04, 0.56, "pool", ha="center", fontsize=8, color="0.4")


def _sheet(x: float, y: float, width: float, height: float) -> Any:
    from matplotlib.patches import Rectangle

    return Rectangle((x, y), width, height, facecolor="#e8eef7", edgecolor="#3b5b8c", linewidth=0.8)


def _write(figure: "Figure", path: Path) -> None:
    """Save a figure in the format of the path's ending, completely or not at all."""
    try:
        with atomic_write(Path(os.path.realpath(path))) as file:
            figure.savefig(file, format=path.suffix[1:].lower(), bbox_inches="tight", facecolor="white")
    except OSError as error:
        raise ImageError(
            f"{str(path)!r} cannot be written: {error.strerror or error}. Free some space or choose another "
            "folder."
        ) from error
