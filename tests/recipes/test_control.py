"""Options: the command and Python paint the same with them, manifests record them, strength works."""

import json
import re
import shlex
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import pytest
import torch
from PIL import Image as PILImage
from typer.testing import CliRunner

import impasto
from impasto import StylizeSettings
from impasto.cli.main import app
from impasto.errors import CheckpointError
from impasto.image.read import read_picture
from impasto.objective import neighbors
from impasto.objective.evaluate import evaluator
from impasto.objective.neighbors import NeighborTerm
from impasto.recipes.show import loss_curves
from impasto.recipes.stylize import plan_stylize
from impasto.results import manifest as manifests
from impasto.run.layout import Layout
from impasto.run.loop import iter_run
from impasto.run.trace import ROWS, thinned
from impasto.settings.options import from_json
from small import EXAMPLES, save, scene, stripes

PAGE = EXAMPLES.parent.parent / "docs" / "guide.md"
RUNNER = CliRunner()


def code_blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)


def linked_pictures(text: str) -> set[str]:
    return set(re.findall(r"\]\(guide/([^)]*)\)", text))


def test_the_guide_runs_and_writes_every_picture_it_shows(
    small_file: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The guide's code runs at a tiny size; Python paints the same as each command with its settings."""
    monkeypatch.setenv("IMPASTO_WEIGHTS", small_file)
    session: dict[str, object] = {}
    for cell in code_blocks("python"):
        short = cell.replace('"examples/images/', f'"{EXAMPLES}/').replace("SIZE = 320", "SIZE = 40")
        short = short.replace("(0.1, 0.25, 0.4, 0.5, 0.65, 0.8, 0.95)", "(0.1, 0.95)")
        # At this size, recolouring takes most of the time.
        quick = '"size": SIZE, "steps": 1, "finest_steps": 1, "recolor": 0'
        exec(short.replace('"size": SIZE', quick), session)
    small_options = ["--size", "40", "--steps", "2", "--finest-steps", "1", "--precision", "float32"]
    for line in "".join(code_blocks("sh")).splitlines():
        words = shlex.split(line)[1:]
        words = [str(EXAMPLES / word) if (EXAMPLES / word).is_file() else word for word in words]
        words = [
            word for word, before in zip(words, ["", *words], strict=False) if "--steps" not in (word, before)
        ]
        result = RUNNER.invoke(app, [*words, *(small_options if words[0] == "stylize" else [])])
        assert result.exit_code == 0, result.output
        if words[0] == "stylize":
            assert_python_paints_the_same(words[words.index("-o") + 1])
    linked = linked_pictures(PAGE.read_text(encoding="utf-8"))
    kept = {path.name for path in (PAGE.parent / "guide").iterdir()}
    assert linked
    assert linked <= {path.name for path in Path().iterdir()}
    assert linked <= kept
    assert all(name in PAGE.read_text(encoding="utf-8") for name in kept)


def assert_python_paints_the_same(path: str) -> None:
    manifest = manifests.read(path)
    settings = from_json(StylizeSettings, manifest["settings"])
    files = {role: entry["path"] for role, entry in manifest["inputs"].items()}
    styles = [file for role, file in files.items() if re.fullmatch(r"style(-\d+)?", role)]
    masks = [file for role, file in files.items() if role.endswith("regions")]
    impasto.stylize(files["content"], styles, settings, regions=masks).save("python.jpg")
    assert torch.equal(read_picture("python.jpg").pixels, read_picture(path).pixels), path


def test_each_of_the_ten_combinations_is_shown_under_its_number() -> None:
    heading, _, section = PAGE.read_text(encoding="utf-8").partition("## Ten combinations")
    assert "[ten combinations](#ten-combinations)" in heading
    written = re.findall(r"^impasto stylize .* -o (\S+)", section, re.MULTILINE)
    assert written == [f"c{number}.jpg" for number in range(1, 11)]
    assert re.findall(r"!\[\]\(guide/(c\d+\.jpg)\) (\d+): ", section) == [
        (name, str(number)) for number, name in enumerate(written, start=1)
    ]


def quick(*options: str) -> list[str]:
    small = ["--size", "48", "--steps", "3", "--precision", "float32"]
    return ["stylize", "photo.png", "painting.png", "-o", "out.png", *small, *options]


@pytest.fixture
def files(small_file: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("IMPASTO_WEIGHTS", small_file)
    save(scene(36, 48), Path("photo.png"))
    save(stripes(40, 40), Path("painting.png"))


def test_show_prints_the_manifest_and_draws_the_losses(files: None) -> None:
    assert RUNNER.invoke(app, quick("--strength", "0.7", "--trace", "trace.jsonl")).exit_code == 0
    result = RUNNER.invoke(app, ["show", "out.png", "--curves", "losses.svg"])
    assert result.exit_code == 0, result.output
    text = " ".join(result.output.split())
    for part in ("impasto stylize", "photo.png", "strength", "0.7", "result loss", "loss content conv4_2"):
        assert part in text
    assert "<svg" in Path("losses.svg").read_text()[:1000]
    manifest = json.loads(RUNNER.invoke(app, ["show", "out.png", "--json"]).output)
    assert manifest == manifests.read("out.png")
    rows = manifest["trace"]["rows"]
    lines = [json.loads(line) for line in Path("trace.jsonl").read_text().splitlines()]
    assert [(row[0], row[1]) for row in rows] == [(line["scale"], line["step"]) for line in lines]
    for row, line in zip(rows, lines, strict=True):
        assert row[3] == pytest.approx(line["loss"], rel=1e-4)
        assert dict(zip(manifest["trace"]["columns"][4:], row[4:], strict=True)) == pytest.approx(
            line["by_term"], rel=1e-4, abs=1e-12
        )
    assert rows[-1][3] == pytest.approx(manifest["result"]["loss"], rel=1e-4)


def test_a_resumed_run_has_the_whole_trace(files: None) -> None:
    """The checkpoint holds the rows from before the stop."""
    arguments = quick("--scales", "1", "--checkpoint", "run", "--checkpoint-every", "2")
    assert RUNNER.invoke(app, arguments).exit_code == 0
    rows = manifests.read("out.png")["trace"]["rows"]
    assert [row[1] for row in rows] == [1, 2, 3]
    result = RUNNER.invoke(app, ["resume", "run", "-o", "again.png"])
    assert result.exit_code == 0, result.output
    resumed_rows = manifests.read("again.png")["trace"]["rows"]
    assert [row[:2] + row[3:] for row in resumed_rows] == [row[:2] + row[3:] for row in rows]


def test_long_traces_are_thinned_and_keep_their_end() -> None:
    rows = [(1.0, float(step)) for step in range(1, 5001)]
    thin = thinned(rows)
    assert len(thin) <= ROWS
    assert thin[-1] == rows[-1]
    assert thinned(rows[:7]) == rows[:7]


def test_curves_of_a_manifest_without_losses_are_refused(files: None) -> None:
    RUNNER.invoke(app, quick("--scales", "1"))
    manifest = manifests.read("out.png")
    del manifest["trace"]
    picture = impasto.Painting(read_picture("out.png"), manifest)
    picture.save("old.png")
    with pytest.raises(CheckpointError, match="no losses in its manifest"):
        loss_curves("old.png", "losses.png")


def test_weights_can_be_given_by_other_tools_option_names(files: None) -> None:
    flags = ["--content-weight", "7", "--style-weight", "9", "--tv-weight", "0.5", "--preset", "neural-style"]
    result = RUNNER.invoke(app, quick("--scales", "1", *flags))
    assert result.exit_code == 0, result.output
    settings = manifests.read("out.png")["settings"]
    assert (settings["alpha"], settings["beta"], settings["tv"]) == (7, 9, 0.5)
    assert (settings["formula"], settings["steps"], settings["history"]) == ("neural-style", 3, 100)


def test_style_scale_sets_the_size_at_which_the_painting_is_measured(files: None) -> None:
    for scale, size in ((0.5, (24, 24)), (1.0, (48, 48)), (2.0, (96, 96))):
        plan = plan_stylize(
            "photo.png", "painting.png", StylizeSettings(size=48, style_scale=scale, layers={"conv1_1": 1.0})
        )
        assert plan.problem.style_sizes(plan.scales[-1]) == [size]


def test_fine_and_coarse_layers_take_their_targets_from_different_paintings(files: None) -> None:
    def targets(style: list[object], blend: str = "") -> dict[str, torch.Tensor]:
        plan = plan_stylize(
            "photo.png", style, StylizeSettings(size=48, blend=blend, precision="float32", style_loss="gram")
        )  # type: ignore[arg-type]
        terms = plan.problem.objective(plan.scales[-1], Layout()).terms
        return {term.layer: term.target for term in terms if term.name.startswith("style")}  # type: ignore[attr-defined]

    striped, smooth = stripes(40, 40), scene(50, 50, seed=4)
    mixed, first, second = targets([striped, smooth], "fine,coarse"), targets([striped]), targets([smooth])
    for layer in ("conv1_1", "conv2_1", "conv3_1"):
        assert torch.equal(mixed[layer], first[layer])
    for layer in ("conv4_1", "conv5_1"):
        assert torch.equal(mixed[layer], second[layer])


def test_neighbour_terms_of_paintings_and_regions_share_the_style_weight(files: None) -> None:
    """Each painting has a term in each region, unless it has no place in that region."""

    def terms(settings: StylizeSettings, style: list[object], regions: list[object]) -> dict[str, float]:
        plan = plan_stylize("photo.png", style, settings, regions=regions)  # type: ignore[arg-type]
        every = plan.problem.objective(plan.scales[-1], Layout()).terms
        return {term.name: term.weight for term in every if isinstance(term, NeighborTerm)}

    settings = StylizeSettings(size=48, precision="float32", style_loss="neighbors", blend="1,3")
    paintings: list[object] = [stripes(40, 40), scene(50, 50, seed=4)]
    shares = terms(settings, paintings, [])
    names = [f"style painting {number} neighbors" for number in (1, 2)]
    assert shares == pytest.approx(
        dict(zip(names, (0.25 * settings.style_weight, 0.75 * settings.style_weight), strict=True))
    )
    half = terms(replace(settings, style_loss="gram=1,neighbors=5"), paintings, [])
    assert half == pytest.approx({name: weight / 2 for name, weight in shares.items()})

    mask = torch.zeros(1, 3, 36, 48)
    mask[:, :, :, 12:] = 1
    first_mask = torch.ones(1, 3, 40, 40)
    second_mask = torch.zeros(1, 3, 50, 50)
    second_mask[:, :, 25:] = 1
    parts = terms(settings, paintings, [mask, first_mask, second_mask])
    assert sum(parts.values()) == pytest.approx(settings.style_weight)
    assert sorted(parts) == [
        "style #000000 painting 2 neighbors", "style #ffffff painting 1 neighbors",
        "style #ffffff painting 2 neighbors",
    ]  # fmt: skip
    assert parts["style #000000 painting 2 neighbors"] == pytest.approx(settings.style_weight / 4)


def test_the_manifest_records_the_grids_of_the_neighbour_search(
    files: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = StylizeSettings(size=64, scales=2, precision="float32", style_loss="neighbors")
    monkeypatch.setattr(neighbors, "MOST_PLACES", 100)
    plan = plan_stylize("photo.png", stripes(40, 60), settings)
    assert plan.manifest["neighbor_grids"] == [{"picture": 1, "painting": 1}, {"picture": 2, "painting": 2}]
    assert (
        "neighbor_grids"
        not in plan_stylize("photo.png", stripes(40, 60), replace(settings, style_loss="gram")).manifest
    )


def test_blended_losses_are_the_weighted_sum_of_each_paintings_loss(files: None) -> None:
    image = scene(36, 48, seed=7)

    def style_loss(style: list[object], **options: str) -> float:
        plan = plan_stylize(
            "photo.png", style, StylizeSettings(size=48, precision="float32", style_loss="gram", **options)
        )  # type: ignore[arg-type]
        terms = evaluator(plan.problem.network, plan.problem.objective(plan.scales[-1], Layout()))(
            image
        ).by_term
        return sum(value for name, value in terms.items() if name.startswith("style"))

    striped, smooth = stripes(40, 40), scene(50, 50, seed=4)
    blended = style_loss([striped, smooth], blending="losses", blend="1,3")
    assert blended == pytest.approx(0.25 * style_loss([striped]) + 0.75 * style_loss([smooth]), rel=1e-5)


def test_the_command_takes_masks_from_files(files: None) -> None:
    mask = PILImage.new("RGB", (48, 36), "red")
    mask.paste("blue", (24, 0, 48, 36))
    mask.save("mask.png")
    result = RUNNER.invoke(app, quick("--scales", "1", "--regions", "mask.png", "--keep", "blue"))
    assert result.exit_code == 0, result.output
    assert manifests.read("out.png")["inputs"]["regions"]["path"] == "mask.png"
    assert RUNNER.invoke(app, ["rerun", "out.png", "-o", "again.png"]).exit_code == 0
    assert torch.equal(read_picture("again.png").pixels, read_picture("out.png").pixels)


def final_errors(strength: float, small_file: str) -> tuple[float, float]:
    """The final relative errors of content and style, that is, the losses without their weights."""
    settings = StylizeSettings(
        size=64, scales=1, steps=60, strength=strength, weights=small_file, tolerance=0, precision="float32"
    )
    *_, last = impasto.iter_stylize(scene(48, 64), stripes(40, 40), settings)
    balance = last.snapshot().style_factor
    kinds = {
        kind: sum(v for n, v in last.by_term.items() if n.startswith(kind)) for kind in ("content", "style")
    }
    return kinds["content"] / settings.content_weight, kinds["style"] / settings.style_weight / balance


def test_more_strength_means_more_content_error_and_less_style_error(small_file: str) -> None:
    """Both errors are monotone in the strength, and the content error is a half at 0.5."""
    errors = [final_errors(strength, small_file) for strength in (0.1, 0.5, 0.9)]
    content, style = zip(*errors, strict=True)
    assert list(content) == sorted(content)
    assert list(style) == sorted(style, reverse=True)
    assert content[1] == pytest.approx(0.5, rel=0.25)


def test_weights_given_explicitly_are_not_corrected(small_file: str) -> None:
    for options in ({"alpha": 1.0}, {"beta": 8.0}, {"formula": "paper"}, {"strength": 1.0}):
        settings = StylizeSettings(size=48, scales=1, steps=24, weights=small_file, **options)  # type: ignore[arg-type]
        *_, last = impasto.iter_stylize(scene(36, 48), stripes(40, 40), settings)
        assert last.snapshot().style_factor == 1.0


def test_a_resumed_run_with_corrected_weights_gives_the_same_pixels(small_file: str) -> None:
    """Whether it stopped before, at or after a correction of the style's weight."""
    settings = StylizeSettings(
        size=64, scales=2, steps=24, finest_steps=3, weights=small_file, precision="float32"
    )
    plan = plan_stylize(scene(48, 64), stripes(40, 40), settings)
    steps = list(iter_run(plan))
    assert steps[-1].snapshot().style_factor != 1.0
    counts = [step.evaluations for step in steps[:24]]
    assert all(1 <= after - before <= 8 for before, after in pairwise(counts))
    assert counts[6] - counts[5] >= 2  # a correction costs one evaluation besides those of the step
    for stop in (4, 5, 11, 12, 20, 24):
        *_, last = iter_run(plan, steps[stop].snapshot())
        assert torch.equal(last.image(), steps[-1].image())
        assert last.evaluations == steps[-1].evaluations
