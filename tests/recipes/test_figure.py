"""The paper's figures on a small network: their panels, resuming them, and the drawing."""

from pathlib import Path

import pytest
import torch
from typer.testing import CliRunner

from impasto.cli.main import app
from impasto.errors import ImageError, SettingsError
from impasto.image.picture import Picture
from impasto.image.read import read_picture
from impasto.recipes.figure import BALANCED_PER_PAPER, RATIOS, iter_figure, panels_of
from impasto.results import manifest as manifests
from impasto.results.plots import check_figure_output, draw_figure_1
from impasto.settings.paper import FigureSettings
from impasto.settings.presets import PAPER_STYLE_LAYERS


@pytest.fixture
def quick(small_file: str) -> FigureSettings:
    return FigureSettings(size=32, steps=2, weights=small_file)


def computed(
    number: int, photo: str, painting: str, quick: FigureSettings, **options: str
) -> list[tuple[str, bool]]:
    """The panels in order, and for each whether it was computed."""
    panels: dict[str, bool] = {}
    for progress in iter_figure(number, photo, painting, "fig.png", quick, **options):
        panels[progress.name] = progress.step is not None
    return list(panels.items())


FIGURE_1 = [*(f"style-{i}" for i in range(1, 6)), *(f"content-{name}" for name in PAPER_STYLE_LAYERS)]


def test_figure_1_has_five_style_and_five_content_panels(
    photo: str, painting: str, quick: FigureSettings
) -> None:
    assert computed(1, photo, painting, quick) == [(name, True) for name in FIGURE_1]
    assert read_picture("fig.png").width > 1000
    assert [path.name for path in Path().iterdir()] == ["fig.png"]


def test_figure_2_has_rows_of_layers_and_columns_of_ratios(
    photo: str, painting: str, quick: FigureSettings
) -> None:
    panels, pictures = panels_of(2, quick), (read_picture(photo), read_picture(painting))
    assert [panel.name for panel in panels] == [f"transfer-{row}-{i}" for row in "ABCDE" for i in range(1, 5)]
    for index, panel in enumerate(panels):
        settings = panel.plan(*pictures).manifest["settings"]
        assert list(settings["layers"]) == list(PAPER_STYLE_LAYERS[: index // 4 + 1])
        assert sum(settings["layers"].values()) == pytest.approx(1)
        assert settings["alpha"] / settings["beta"] == pytest.approx(BALANCED_PER_PAPER * RATIOS[index % 4])
        assert (settings["pooling"], settings["init"], settings["tv"]) == ("average", "noise", 0)


def test_a_stopped_figure_resumes_with_the_first_missing_panel(
    photo: str, painting: str, quick: FigureSettings
) -> None:
    run = iter_figure(1, photo, painting, "fig.png", quick, panels="kept")
    for progress in run:
        if progress.panel == 4:
            break
    run.close()
    before = {path.name: path.read_bytes() for path in Path("kept").iterdir()}
    assert sorted(before) == ["style-1.png", "style-2.png", "style-3.png"]
    panels = computed(1, photo, painting, quick, panels="kept")
    assert panels == [(name, name not in ("style-1", "style-2", "style-3")) for name in FIGURE_1]
    assert {name: (Path("kept") / name).read_bytes() for name in before} == before
    assert computed(1, photo, painting, quick, panels="kept") == [(name, False) for name in FIGURE_1]
    assert manifests.read("kept/content-conv4_1.png")["settings"]["layer"] == "conv4_1"


def test_panels_with_other_settings_or_inputs_are_computed_again(
    photo: str, painting: str, quick: FigureSettings, small_file: str
) -> None:
    computed(1, photo, painting, quick, panels="kept")
    changed = FigureSettings(size=32, steps=3, weights=small_file)
    assert computed(1, photo, painting, changed, panels="kept") == [(name, True) for name in FIGURE_1]
    swapped = computed(1, painting, painting, changed, panels="kept")
    assert swapped == [(name, name.startswith("content")) for name in FIGURE_1]


def test_figures_are_written_as_pdf_svg_and_png(photo: str, painting: str, small_file: str) -> None:
    options = ["--size", "32", "--steps", "1", "--weights", small_file, "--panels", "kept"]
    for name, signature in (("f.pdf", b"%PDF"), ("f.svg", b"<?xml"), ("f.png", b"\x89PNG")):
        result = CliRunner().invoke(app, ["figure", "1", photo, painting, "-o", name, *options])
        assert result.exit_code == 0, result.output
        assert Path(name).read_bytes().startswith(signature)


def test_outputs_that_cannot_be_written_are_refused(photo: str, painting: str) -> None:
    with pytest.raises(SettingsError, match=r"a figure is written as \.png, \.pdf, \.svg; 'f\.jpg' is none"):
        check_figure_output("f.jpg")
    with pytest.raises(ImageError, match=r"the folder of 'nowhere/f\.png' does not exist"):
        check_figure_output("nowhere/f.png")
    Path("folder.png").mkdir()
    with pytest.raises(ImageError, match="is a folder"):
        check_figure_output("folder.png")
    result = CliRunner().invoke(app, ["figure", "3", photo, painting])
    assert result.exit_code == 2


def test_the_figure_shows_each_panel_in_its_place() -> None:
    """Twelve plain colours: styles in the upper row, contents in the lower, in order of the layers."""
    names = ["painting", *FIGURE_1[:5], "photo", *FIGURE_1[5:]]
    colors = {
        name: torch.tensor([0.2 + 0.05 * i, 0.9 - 0.06 * i, (0.3, 0.6)[i % 2]])
        for i, name in enumerate(names)
    }
    plain = {name: Picture(color.view(1, 3, 1, 1).expand(1, 3, 36, 48)) for name, color in colors.items()}
    draw_figure_1(plain, plain["photo"], plain["painting"], Path("fig.png"))
    drawn = read_picture("fig.png").pixels[0]
    middles = {}
    for name, color in colors.items():
        rows, columns = ((drawn - color[:, None, None]).abs().amax(0) < 0.01).nonzero(as_tuple=True)
        assert len(rows) > 10_000, name
        middles[name] = int(rows.median()), int(columns.median())
    for row in (names[:6], names[6:]):
        assert len({middles[name][0] for name in row}) == 1
        assert [middles[name][1] for name in row] == sorted({middles[name][1] for name in row})
    for above, below in zip(names[:6], names[6:], strict=True):
        assert middles[above][0] < middles[below][0]
        assert middles[above][1] == middles[below][1]
