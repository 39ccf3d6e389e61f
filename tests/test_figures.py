"""The paper's figures on a small network: every panel, one after another, resumed, drawn whole."""

from pathlib import Path

import pytest
import torch
from typer.testing import CliRunner

from impasto.app.cli import app
from impasto.errors import ImageError, SettingsError
from impasto.image.files import read_picture
from impasto.recipes import manifest as manifests
from impasto.recipes.drawing import check_figure_output
from impasto.recipes.figures import BALANCED_PER_PAPER, RATIOS, figure, panels_of
from impasto.recipes.paper_settings import FigureSettings
from impasto.recipes.presets import PAPER_STYLE_LAYERS


@pytest.fixture
def quick(small_file: str) -> FigureSettings:
    return FigureSettings(size=32, steps=2, weights=small_file)


def computed(
    number: int, photo: str, painting: str, quick: FigureSettings, **more: str
) -> list[tuple[str, bool]]:
    """Panels in order, with whether each was computed."""
    found: dict[str, bool] = {}
    for progress in figure(number, photo, painting, "fig.png", quick, **more):
        found[progress.name] = progress.step is not None
    return list(found.items())


def test_figure_1_has_five_style_and_five_content_panels(
    photo: str, painting: str, quick: FigureSettings
) -> None:
    names = [name for name, _ in computed(1, photo, painting, quick)]
    assert names == [
        *(f"style-{i}" for i in range(1, 6)),
        *(f"content-{name}" for name in PAPER_STYLE_LAYERS),
    ]
    assert read_picture("fig.png").width > 1000
    assert [path.name for path in Path().iterdir()] == ["fig.png"]


def test_figure_2_has_rows_of_layers_and_columns_of_ratios(
    photo: str, painting: str, quick: FigureSettings
) -> None:
    panels = panels_of(2, read_picture(photo), read_picture(painting), quick)
    assert [panel.name for panel in panels] == [f"transfer-{row}-{i}" for row in "ABCDE" for i in range(1, 5)]
    for index, panel in enumerate(panels):
        settings = panel.prepare().manifest["settings"]
        assert list(settings["layers"]) == list(PAPER_STYLE_LAYERS[: index // 4 + 1])
        assert sum(settings["layers"].values()) == pytest.approx(1)
        assert settings["alpha"] / settings["beta"] == pytest.approx(BALANCED_PER_PAPER * RATIOS[index % 4])
        assert (settings["pooling"], settings["init"], settings["tv"]) == ("average", "noise", 0)


def test_a_stopped_figure_goes_on_where_it_was(photo: str, painting: str, quick: FigureSettings) -> None:
    run = figure(1, photo, painting, "fig.png", quick, panels="kept")
    for progress in run:
        if progress.panel == 4:
            break
    run.close()
    before = {path.name: path.read_bytes() for path in Path("kept").iterdir()}
    assert sorted(before) == ["style-1.png", "style-2.png", "style-3.png"]
    found = computed(1, photo, painting, quick, panels="kept")
    assert [name for name, new in found if not new] == ["style-1", "style-2", "style-3"]
    assert {name: (Path("kept") / name).read_bytes() for name in before} == before
    assert all(not new for _, new in computed(1, photo, painting, quick, panels="kept"))
    assert manifests.read("kept/content-conv4_1.png")["settings"]["layer"] == "conv4_1"


def test_panels_of_other_settings_or_inputs_are_computed_again(
    photo: str, painting: str, quick: FigureSettings, small_file: str
) -> None:
    computed(1, photo, painting, quick, panels="kept")
    other = FigureSettings(size=32, steps=3, weights=small_file)
    assert all(new for _, new in computed(1, photo, painting, other, panels="kept"))
    swapped = dict(computed(1, painting, painting, other, panels="kept"))
    assert swapped == {name: name.startswith("content") for name in swapped}


def test_print_formats(photo: str, painting: str, small_file: str) -> None:
    own = ["--size", "32", "--steps", "1", "--weights", small_file, "--panels", "kept"]
    for name, start in (("f.pdf", b"%PDF"), ("f.svg", b"<?xml"), ("f.png", b"\x89PNG")):
        result = CliRunner().invoke(app, ["figure", "1", photo, painting, "-o", name, *own])
        assert result.exit_code == 0, result.output
        assert Path(name).read_bytes().startswith(start)


def test_bad_outputs_are_refused_first(photo: str, painting: str) -> None:
    with pytest.raises(SettingsError, match=r"a figure is written as \.png, \.pdf, \.svg; 'f\.jpg' is none"):
        check_figure_output("f.jpg")
    with pytest.raises(ImageError, match=r"the folder of 'nowhere/f\.png' does not exist"):
        check_figure_output("nowhere/f.png")
    Path("folder.png").mkdir()
    with pytest.raises(ImageError, match="cannot be written"):
        check_figure_output("folder.png")
    result = CliRunner().invoke(app, ["figure", "3", photo, painting])
    assert result.exit_code == 2


def test_the_figure_shows_its_panels(photo: str, painting: str, quick: FigureSettings) -> None:
    """The mean colour of a panel is found again in the figure."""
    list(figure(1, photo, painting, "fig.png", quick, panels="kept"))
    whole = read_picture("fig.png").pixels[0]
    panel = read_picture("kept/content-conv1_1.png").pixels[0].mean((1, 2))
    blocks = torch.nn.functional.avg_pool2d(whole, 40)
    nearest = float((blocks - panel[:, None, None]).abs().amax(0).min())
    assert nearest < 0.1
