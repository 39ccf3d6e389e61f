"""Memory and time: layouts that fit, jobs that are refused, running out of memory, and estimates."""

import json
import os
import resource
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from typer.testing import CliRunner

import impasto
from impasto import DeviceError, SettingsError, StylizeSettings
from impasto.cli.main import app
from impasto.errors import OutOfMemoryError
from impasto.formatting import format_bytes
from impasto.image.picture import Picture
from impasto.image.read import read_picture
from impasto.recipes.stylize import plan_stylize
from impasto.results import manifest as manifests
from impasto.run import scale_run
from impasto.run.choose_layout import FIXED_BYTES, choose_layout
from impasto.run.estimate import estimate
from impasto.run.layout import LEAST_HISTORY, Layout, next_smaller
from impasto.run.loop import complete, iter_run
from impasto.run.memory_model import MemoryModel
from impasto.run.scales import Scale
from impasto.settings.parsing import parse_bytes
from impasto.system import memory
from impasto.system.memory import resident
from small import save, scene, small_network, stripes

RUNNER = CliRunner()
PLENTY = 10**12
LARGE = Scale(2000, 3000, 50)


@pytest.fixture(scope="module")
def model() -> MemoryModel:
    return MemoryModel.of(
        small_network(deepest_layer="conv5_1"), ["conv1_1", "conv5_1"], ["conv4_2"], "lbfgs"
    )


def test_with_enough_memory_the_image_is_one_tile(model: MemoryModel) -> None:
    assert choose_layout(model, LARGE, available=PLENTY) == Layout(0, "memory", 20)
    assert choose_layout(model, LARGE, available=PLENTY, tile=512) == Layout(512, "disk", 20)
    assert choose_layout(model, LARGE, available=0) is None


def test_the_chosen_layout_fits_and_costs_more_with_less_memory(model: MemoryModel) -> None:
    """The memory shrinks by 7 % at a time, until no layout fits."""
    available, previous = model.bytes(LARGE, Layout()), 0.0
    chosen = set()
    while (layout := choose_layout(model, LARGE, available=available)) is not None:
        assert model.bytes(LARGE, layout) <= available
        cost = model.evaluations(LARGE, layout) * (1 + (20 - layout.history) / 20)
        assert cost >= previous * 0.8  # the cost of a shorter history is only a guess
        chosen.add(layout)
        previous, available = cost, int(available * 0.93)
    assert len({layout.tile for layout in chosen}) > 1
    assert min(layout.history for layout in chosen) == LEAST_HISTORY
    least = min(model.bytes(LARGE, Layout(tile, "disk", LEAST_HISTORY)) for tile in (128, 256, 512))
    assert available < least


def test_responses_are_recomputed_if_the_disk_is_full(
    model: MemoryModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    free = type("Usage", (), {"free": 1000})
    monkeypatch.setattr("impasto.run.choose_layout.shutil.disk_usage", lambda _: free)
    assert choose_layout(model, LARGE, available=PLENTY, tile=512) == Layout(512, "again", 20)


def test_next_smaller_needs_less_each_time_and_ends(model: MemoryModel) -> None:
    layout: Layout | None = Layout()
    count = 0
    while layout is not None:
        smaller = next_smaller(layout, LARGE)
        if smaller is not None:
            assert model.bytes(LARGE, smaller) < model.bytes(LARGE, layout)
        layout, last, count = smaller, layout, count + 1
    assert last.history == LEAST_HISTORY
    assert last.tile == 128
    assert count < 12


def test_each_of_four_processes_needs_less_than_a_third(model: MemoryModel) -> None:
    single, four = (replace(model, world_size=count) for count in (1, 4))
    large = Scale(4000, 6000, 50)
    sizes = [each.bytes(large, Layout(256, "disk")) - 90_000_000 for each in (single, four)]
    assert sizes[1] < sizes[0] / 3
    assert four.evaluations(large, Layout(256)) < single.evaluations(large, Layout(256)) * 1.1


@pytest.fixture
def already_used(monkeypatch: pytest.MonkeyPatch) -> int:
    """Make this process seem to use a constant number of bytes, and return it.

    Its true use changes during a test by more than the difference of the layouts, because memory of earlier
    tests is freed late.
    """
    monkeypatch.setattr("impasto.run.choose_layout.used", lambda device: 400_000_000)
    return 400_000_000


@pytest.fixture
def basic(small_file: str) -> StylizeSettings:
    # From a recoloured start, L-BFGS on the small network turns rounding into 5/255 within 8 steps.
    return StylizeSettings(
        weights=small_file, scales=1, steps=4, precision="float32", history=20, style_loss="gram", recolor=0.0
    )


def test_a_job_that_cannot_fit_is_refused_with_the_largest_size_that_does(
    basic: StylizeSettings, painting: str, already_used: int
) -> None:
    photo = Picture(scene(90, 120))
    allowed = f"{(already_used + FIXED_BYTES) / 1e6 + 150:.0f}MB"
    with pytest.raises(OutOfMemoryError, match=r"a picture of 8000×6000 needs .* at least, and ") as caught:
        plan_stylize(photo, painting, replace(basic, size=8000, memory=allowed))
    message = str(caught.value)
    assert f"and {allowed[:-2]}.0 MB may be used" in message
    assert "--optimizer adam or a larger --memory." in message
    largest = int(message.partition("--size ")[2].partition(",")[0])
    assert 400 < largest < 4000
    assert plan_stylize(photo, painting, replace(basic, size=round(largest * 0.95), memory=allowed)).layouts
    with pytest.raises(OutOfMemoryError):
        plan_stylize(photo, painting, replace(basic, size=round(largest * 1.1), memory=allowed))


@pytest.mark.parametrize(
    "changes", [{}, {"style_scale": 2.0}, {"tile": 256}], ids=["default", "large strokes", "tiles"]
)
def test_the_size_it_advises_fits_with_several_paintings(
    basic: StylizeSettings, painting: str, already_used: int, changes: dict[str, Any]
) -> None:
    """Each painting's places take memory, and more of them with a larger style scale."""
    allowed = f"{(already_used + FIXED_BYTES) / 1e6 + 400:.0f}MB"
    settings = replace(basic, size=8000, memory=allowed, style_loss="gram=1,neighbors=1", **changes)
    photo, paintings = Picture(scene(90, 120)), [painting, Picture(stripes(1500, 1500)), painting]
    with pytest.raises(OutOfMemoryError) as caught:
        plan_stylize(photo, paintings, settings)
    largest = int(str(caught.value).partition("--size ")[2].partition(",")[0])
    assert plan_stylize(photo, paintings, replace(settings, size=round(largest * 0.95))).layouts


def test_an_enlarged_scale_needs_less_memory_and_limits_the_history_below(
    basic: StylizeSettings, painting: str, already_used: int
) -> None:
    """While it is enlarged, the history of the scale below is still held."""
    photo = Picture(scene(90, 120))
    settings = replace(basic, size=1600, scales=2, finest_steps=0, space="pyramid")
    plan = plan_stylize(photo, painting, settings)
    model, (below, enlarged) = plan.problem.memory_model, plan.scales
    assert [layout.history for layout in plan.layouts] == [20, 20]
    long, short = (model.bytes(enlarged, Layout(history=history)) for history in (20, 3))
    pairs = (long - short) / (2 * 17)
    assert pairs == pytest.approx(12 * below.pixels * 4 / 3, rel=0.01)
    assert long < model.bytes(replace(enlarged, steps=22), Layout(history=20))
    tight = f"{(already_used + FIXED_BYTES + (long + short) / 2) / 1e6:.0f}MB"
    limited = plan_stylize(photo, painting, replace(settings, memory=tight))
    assert [layout.history for layout in limited.layouts] == [10, 10]


@pytest.mark.parametrize("text", ["much", "8 apples", "-1GB", "GB"])
def test_memory_is_given_in_bytes_with_a_unit(text: str) -> None:
    assert parse_bytes("2g") == 2_000_000_000
    assert format_bytes(parse_bytes("0.25 GB")) == "250.0 MB"
    with pytest.raises(SettingsError, match=r"give a size, for instance 8GB or 500MB"):
        StylizeSettings(memory=text)


@pytest.mark.parametrize(("recipe", "steps"), [(5, 4), (6, 2)])
def test_limited_memory_does_not_change_the_picture(
    basic: StylizeSettings, painting: str, already_used: int, recipe: int, steps: int
) -> None:
    """The manifest records the layouts, so that a rerun uses the same ones.

    In four steps of recipe 6, L-BFGS turns the rounding of tiles in float32 into 1.1/255. In float64, tiles
    and the whole agree after five steps (tests/solve/test_space.py).
    """
    photo = Picture(scene(600, 800))
    settings = replace(basic, size=800, history=3, recipe=recipe, steps=steps)
    plan = plan_stylize(photo, painting, settings)
    plenty = complete(plan)
    sizes = [
        plan.problem.memory_model.bytes(
            plan.scales[0], Layout(*kind, 3), plan.problem.style_sizes(plan.scales[0])
        )
        for kind in ((0, "memory"), (256, "disk"))
    ]
    assert sizes[1] < sizes[0]
    allowed = f"{(already_used + FIXED_BYTES + sum(sizes) / 2) / 1e6:.0f}MB"
    limited = impasto.stylize(photo, painting, replace(settings, memory=allowed))
    assert plenty.manifest["layouts"] == [{"tile": 0, "keep": "memory", "history": 3}]
    assert limited.manifest["layouts"][0]["tile"] > 0
    assert float((plenty.picture.pixels - limited.picture.pixels).abs().max()) < 1 / 255


@pytest.mark.parametrize("style_loss", ["gram", "gram=1,neighbors=1"])
def test_a_run_that_runs_out_of_memory_continues_with_a_smaller_layout(
    basic: StylizeSettings, painting: str, monkeypatch: pytest.MonkeyPatch, style_loss: str
) -> None:
    """It happens twice, at the start and in the middle. The picture stays the same, and notes tell of it."""
    plan = plan_stylize(
        Picture(scene(150, 200)), painting, replace(basic, size=200, steps=8, style_loss=style_loss)
    )
    undisturbed = list(iter_run(plan))
    build, calls = scale_run.evaluator, []

    def failing_evaluator(*arguments: object, **options: object) -> object:
        evaluate = build(*arguments, **options)  # type: ignore[arg-type]

        def failing(image: torch.Tensor) -> object:
            calls.append(options["tile"])
            if len(calls) in (1, 7):
                raise RuntimeError(
                    "DefaultCPUAllocator: can't allocate memory: you tried to allocate 9 bytes"
                )
            return evaluate(image)

        return failing

    monkeypatch.setattr(scale_run, "evaluator", failing_evaluator)
    steps = list(iter_run(plan))
    assert [step.step for step in steps] == list(range(1, 9))
    notes = [step.note for step in steps if step.note]
    assert len(notes) == 2
    assert notes[0] == "the memory ran out; going on with tiles of 128 px and a history of 10"
    layouts = [step.snapshot().layouts[0] for step in (undisturbed[0], steps[0], steps[-1])]
    assert len(set(layouts)) == 3
    assert steps[-1].evaluations >= undisturbed[-1].evaluations - 2
    assert (
        float((steps[-1].image() - undisturbed[-1].image()).abs().max())
        < (2 if style_loss == "gram" else 8) / 255
    )
    for step in steps:  # the neighbours are those found before the memory ran out
        assert all(map(torch.equal, step.snapshot().matches, steps[0].snapshot().matches))


def test_a_run_fails_if_the_smallest_layout_does_not_fit(
    basic: StylizeSettings, painting: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def out_of_memory(*_: object, **__: object) -> object:
        raise MemoryError

    monkeypatch.setattr(scale_run, "evaluator", out_of_memory)
    with pytest.raises(DeviceError, match=r"the memory does not suffice for a picture of 64×48\. Use"):
        next(iter_run(plan_stylize(Picture(scene(48, 64)), painting, replace(basic, size=64))))


def test_a_run_stays_within_a_limit_of_the_system(painting: str, small_file: str, tmp_path: Path) -> None:
    """Under `ulimit -v` a process finishes a picture that would not fit as one tile."""
    large = save(scene(450, 600), tmp_path / "large.png")
    small = save(scene(36, 48), tmp_path / "small.png")
    code = f"""
import resource
from impasto.cli.main import app
job = ["--weights", {small_file!r}, "--precision", "float32", "--scales", "1"]
app(["stylize", {small!r}, {painting!r}, "-o", "48.png", "--size", "48", "--steps", "1", *job],
    standalone_mode=False)
size = int(open("/proc/self/statm").read().split()[0]) * resource.getpagesize()
resource.setrlimit(resource.RLIMIT_AS, (size + 260_000_000,) * 2)
app(["stylize", {large!r}, {painting!r}, "-o", "out.png", "--size", "600", "--steps", "7", *job])
"""
    # Otherwise each thread may reserve 64 MB of addresses, which count here although it never uses them.
    environment = {**os.environ, "MALLOC_ARENA_MAX": "1"}
    process = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=environment)
    assert process.returncode == 0, process.stderr
    manifest = manifests.read("out.png")
    assert manifest["result"]["complete"]
    assert manifest["layouts"] != [{"tile": 0, "keep": "memory", "history": 20}]
    assert read_picture("out.png").pixels.shape == (1, 3, 450, 600)


def test_limits_of_containers_are_respected(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Both versions of control groups are read. A parent's limit counts, and cached file pages are free."""
    old, new = tmp_path / "memory" / "a" / "b", tmp_path / "unified" / "c"
    old.mkdir(parents=True)
    new.mkdir(parents=True)

    def write(folder: Path, limit: str, used: str, stat: str, maximum: str, current: str) -> None:
        (folder / limit).write_text(maximum)
        (folder / used).write_text(current)
        (folder / "memory.stat").write_text(f"x 1\n{stat} 50\n")

    write(old, "memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file", "9" * 18, "200")
    write(old.parent, "memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file", "1000", "400")
    write(new, "memory.max", "memory.current", "inactive_file", "5000", "3000")
    (tmp_path / "groups").write_text("4:memory:/a/b\n2:cpu:/\n0::/c\n")
    monkeypatch.setattr(memory, "CGROUPS", tmp_path)
    monkeypatch.setattr(memory, "OWN_GROUPS", tmp_path / "groups")
    assert sorted(memory._free_in_containers())[:2] == [1000 - 400 + 50, 5000 - 3000 + 50]
    write(new, "memory.max", "memory.current", "inactive_file", "max", "3000")
    assert min(memory._free_in_containers()) == 650


def test_limits_of_the_process_are_respected(monkeypatch: pytest.MonkeyPatch) -> None:
    unlimited = memory.limit(torch.device("cpu"))
    bounds = {resource.RLIMIT_AS: resource.RLIM_INFINITY, resource.RLIMIT_DATA: 10**18}
    monkeypatch.setattr(resource, "getrlimit", lambda kind: (bounds[kind], resource.RLIM_INFINITY))
    assert memory.limit(torch.device("cpu")) == pytest.approx(unlimited, rel=0.2)
    size = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    bounds[resource.RLIMIT_AS] = size + 10_000_000
    assert memory.limit(torch.device("cpu")) - resident() == pytest.approx(10_000_000, abs=2_000_000)


def test_the_command_plan_prints_memory_and_time_and_remembers_the_speed(
    photo: str, painting: str, small_file: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("IMPASTO_CACHE", str(tmp_path / "cache"))
    arguments = ["plan", photo, painting, "--weights", small_file, "--size", "96", "--precision", "float32"]
    result = RUNNER.invoke(app, arguments)
    assert result.exit_code == 0, result.output
    for words in (
        "96×72",
        "80 steps",
        "the whole image at once",
        "available",
        "if no scale ends early",
    ):
        assert words in result.output
    first = json.loads(RUNNER.invoke(app, [*arguments, "--json"]).output)
    second = json.loads(RUNNER.invoke(app, [*arguments, "--json"]).output)
    assert second["seconds"] == first["seconds"] > 4  # the speed is measured once and then remembered
    assert first["bytes"] < first["limit"]
    speed = tmp_path / "cache" / "speed.json"
    speed.write_text("{broken")
    assert RUNNER.invoke(app, arguments).exit_code == 0
    assert json.loads(speed.read_text())
    assert not list(tmp_path.glob("*.png"))


def test_estimates_grow_with_the_picture(
    photo: str, painting: str, basic: StylizeSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("impasto.run.estimate.used", lambda device: 0)  # the memory of this process varies
    plans = []
    for size in (64, 128, 256):
        settings = replace(basic, size=size, style_loss="gram")
        plans.append(estimate(plan_stylize(photo, painting, settings), settings))
    assert plans[0].seconds < plans[1].seconds < plans[2].seconds
    assert plans[0].bytes < plans[1].bytes < plans[2].bytes
    # Four times the pixels take four times as long.
    seconds = [plan.seconds - 4 for plan in plans]
    assert seconds[2] / seconds[1] == pytest.approx(4, rel=0.1)
    settings = replace(basic, size=256, style_loss="gram=1,neighbors=1")
    neighbors = estimate(plan_stylize(photo, painting, settings), settings)
    assert neighbors.bytes > plans[2].bytes
    model = plan_stylize(photo, painting, settings).problem.memory_model
    large, small = Scale(192, 256, 1), Scale(96, 128, 1)
    # Each of four times as many places is compared with four times as many.
    compared = [model.compared_places(s, [(s.height, s.width)]) for s in (small, large)]
    assert compared == [(24 * 32) ** 2, (48 * 64) ** 2]


def test_a_preview_is_the_picture_of_the_full_run_at_half_size(small_file: str, painting: str) -> None:
    photo = Picture(scene(300, 400))
    settings = StylizeSettings(
        weights=small_file, size=400, steps=6, finest_steps=3, precision="float32", scales=3
    )
    preview = impasto.stylize(photo, painting, replace(settings, preview=True))
    plan = plan_stylize(photo, painting, settings)
    half_size = next(step for step in iter_run(plan) if step.width == 200 and step.step == step.steps)
    assert preview.picture.pixels.shape == (1, 3, 150, 200)
    assert torch.equal(preview.picture.pixels, half_size.image())
    assert preview.manifest["settings"]["size"] == 400


def test_a_preview_has_the_balance_of_the_full_size(small_file: str, painting: str) -> None:
    """The paper's content loss grows with the pixels, but its share is the same in a preview."""
    settings = StylizeSettings(
        weights=small_file, size=512, preview=False, formula="paper", scales=1, steps=1, alpha=1e-6, recipe=1
    )
    shares = []
    for chosen in (settings, replace(settings, preview=True), replace(settings, size=256)):
        plan = plan_stylize(Picture(scene(384, 512)), Picture(stripes(384, 512)), chosen)
        terms = next(iter_run(plan)).by_term
        shares.append(terms["content conv4_2"] / sum(terms.values()))
    full, preview, plain = shares
    assert preview == pytest.approx(full, rel=0.5)
    assert abs(preview / full - 1) < abs(plain / full - 1) / 2
