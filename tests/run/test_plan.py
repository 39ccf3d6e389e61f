"""Before a run starts: what fits, what is refused, and what happens when the memory runs out all the same."""

import json
import os
import resource
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

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
def needs() -> MemoryModel:
    return MemoryModel.of(
        small_network(deepest_layer="conv5_1"), ["conv1_1", "conv5_1"], ["conv4_2"], "lbfgs"
    )


def test_with_plenty_of_memory_nothing_is_cut(needs: MemoryModel) -> None:
    assert choose_layout(needs, LARGE, available=PLENTY) == Layout(0, "memory", 20)
    assert choose_layout(needs, LARGE, available=PLENTY, tile=512) == Layout(512, "disk", 20)
    assert choose_layout(needs, LARGE, available=0) is None


def test_less_memory_costs_more_and_what_is_chosen_fits(needs: MemoryModel) -> None:
    """From plenty to nothing: every choice fits, and none is quicker than one with more room."""
    room, before = needs.bytes(LARGE, Layout()), 0.0
    seen = set()
    while (layout := choose_layout(needs, LARGE, available=room)) is not None:
        assert needs.bytes(LARGE, layout) <= room
        cost = needs.evaluations(LARGE, layout) * (1 + (20 - layout.history) / 20)
        assert cost >= before * 0.8  # pairs of a shorter history are only about as dear as a smaller tile
        seen.add(layout)
        before, room = cost, int(room * 0.93)
    assert len({layout.tile for layout in seen}) > 1
    assert min(layout.history for layout in seen) == LEAST_HISTORY
    least = min(needs.bytes(LARGE, Layout(tile, "disk", LEAST_HISTORY)) for tile in (128, 256, 512))
    assert room < least


def test_no_room_on_the_disk(needs: MemoryModel, monkeypatch: pytest.MonkeyPatch) -> None:
    free = type("Usage", (), {"free": 1000})
    monkeypatch.setattr("impasto.run.choose_layout.shutil.disk_usage", lambda _: free)
    assert choose_layout(needs, LARGE, available=PLENTY, tile=512) == Layout(512, "again", 20)


def test_stepping_down_ends(needs: MemoryModel) -> None:
    """Every step takes less, and the last one is the least there is."""
    layout: Layout | None = Layout()
    count = 0
    while layout is not None:
        after = next_smaller(layout, LARGE)
        if after is not None:
            assert needs.bytes(LARGE, after) < needs.bytes(LARGE, layout)
        layout, last, count = after, layout, count + 1
    assert last.history == LEAST_HISTORY
    assert last.tile == 128
    assert count < 12


def test_each_of_four_processes_takes_less_than_a_third(needs: MemoryModel) -> None:
    alone, four = (replace(needs, world_size=count) for count in (1, 4))
    large = Scale(4000, 6000, 50)
    held = [model.bytes(large, Layout(256, "disk")) - 90_000_000 for model in (alone, four)]
    assert held[1] < held[0] / 3
    assert four.evaluations(large, Layout(256)) < alone.evaluations(large, Layout(256)) * 1.1


@pytest.fixture
def already_used(monkeypatch: pytest.MonkeyPatch) -> int:
    """Bytes that this process seems to use, always the same number.

    What it really uses changes while a test runs, by more than the layouts under test differ: memory that
    earlier tests held is freed late.
    """
    monkeypatch.setattr("impasto.run.choose_layout.used", lambda device: 400_000_000)
    return 400_000_000


@pytest.fixture
def roomy(small_file: str) -> StylizeSettings:
    # From a recoloured start, L-BFGS on the small network turns rounding into 5/255 within 8 steps.
    return StylizeSettings(
        weights=small_file, scales=1, steps=4, precision="float32", history=20, style_loss="gram", recolor=0.0
    )


def test_a_job_that_cannot_fit_is_refused_with_the_largest_size_that_does(
    roomy: StylizeSettings, painting: str, already_used: int
) -> None:
    photo = Picture(scene(90, 120))
    allowed = f"{(already_used + FIXED_BYTES) / 1e6 + 150:.0f}MB"
    with pytest.raises(OutOfMemoryError, match=r"a picture of 8000×6000 needs .* at least, and ") as caught:
        plan_stylize(photo, painting, replace(roomy, size=8000, memory=allowed))
    message = str(caught.value)
    assert f"and {allowed[:-2]}.0 MB may be used" in message
    assert "--optimizer adam or a larger --memory." in message
    fitting = int(message.partition("--size ")[2].partition(",")[0])
    assert 400 < fitting < 4000
    assert plan_stylize(photo, painting, replace(roomy, size=round(fitting * 0.95), memory=allowed)).layouts
    with pytest.raises(OutOfMemoryError):
        plan_stylize(photo, painting, replace(roomy, size=round(fitting * 1.1), memory=allowed))


@pytest.mark.parametrize("text", ["much", "8 apples", "-1GB", "GB"])
def test_sizes_of_memory(text: str) -> None:
    assert parse_bytes("2g") == 2_000_000_000
    assert format_bytes(parse_bytes("0.25 GB")) == "250.0 MB"
    with pytest.raises(SettingsError, match=r"give a size, for instance 8GB or 500MB"):
        StylizeSettings(memory=text)


def test_limited_memory_paints_the_same_picture(
    roomy: StylizeSettings, painting: str, already_used: int
) -> None:
    """The layouts go into the manifest, so that the picture can be painted again as it was."""
    photo = Picture(scene(600, 800))
    settings = replace(roomy, size=800, history=3)
    job = plan_stylize(photo, painting, settings)
    plenty = complete(job)
    sizes = [
        job.problem.memory_model.bytes(
            job.scales[0], Layout(*kind, 3), job.problem.style_sizes(job.scales[0])
        )
        for kind in ((0, "memory"), (256, "disk"))
    ]
    assert sizes[1] < sizes[0]
    allowed = f"{(already_used + FIXED_BYTES + sum(sizes) / 2) / 1e6:.0f}MB"
    little = impasto.stylize(photo, painting, replace(settings, memory=allowed))
    assert plenty.manifest["layouts"] == [{"tile": 0, "keep": "memory", "history": 3}]
    assert little.manifest["layouts"][0]["tile"] > 0
    assert float((plenty.picture.pixels - little.picture.pixels).abs().max()) < 1 / 255


@pytest.mark.parametrize("style_loss", ["gram", "gram=1,neighbors=1"])
def test_running_out_of_memory_steps_down_and_goes_on(
    roomy: StylizeSettings, painting: str, monkeypatch: pytest.MonkeyPatch, style_loss: str
) -> None:
    """Twice there is not enough, at the start and in the middle; the picture is the same, and it is said."""
    job = plan_stylize(
        Picture(scene(150, 200)), painting, replace(roomy, size=200, steps=8, style_loss=style_loss)
    )
    calm = list(iter_run(job))
    build, calls = scale_run.evaluator, []

    def tight(*arguments: object, **options: object) -> object:
        evaluate = build(*arguments, **options)  # type: ignore[arg-type]

        def failing(image: torch.Tensor) -> object:
            calls.append(options["tile"])
            if len(calls) in (1, 7):
                raise RuntimeError(
                    "DefaultCPUAllocator: can't allocate memory: you tried to allocate 9 bytes"
                )
            return evaluate(image)

        return failing

    monkeypatch.setattr(scale_run, "evaluator", tight)
    steps = list(iter_run(job))
    assert [step.step for step in steps] == list(range(1, 9))
    notes = [step.note for step in steps if step.note]
    assert len(notes) == 2
    assert notes[0] == "the memory ran out; going on with tiles of 128 px and a history of 10"
    layouts = [step.snapshot().layouts[0] for step in (calm[0], steps[0], steps[-1])]
    assert len(set(layouts)) == 3
    assert steps[-1].evaluations >= calm[-1].evaluations - 2
    assert (
        float((steps[-1].image() - calm[-1].image()).abs().max()) < (2 if style_loss == "gram" else 8) / 255
    )
    for step in steps:  # the neighbours that were searched before the memory ran out
        assert all(map(torch.equal, step.snapshot().matches, steps[0].snapshot().matches))


def test_when_nothing_is_left_to_step_down_to(
    roomy: StylizeSettings, painting: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def never(*_: object, **__: object) -> object:
        raise MemoryError

    monkeypatch.setattr(scale_run, "evaluator", never)
    with pytest.raises(DeviceError, match=r"the memory does not suffice for a picture of 64×48\. Use"):
        next(iter_run(plan_stylize(Picture(scene(48, 64)), painting, replace(roomy, size=64))))


def test_a_real_bound_is_kept(painting: str, small_file: str, tmp_path: Path) -> None:
    """A process under `ulimit -v` paints what would not fit whole, and finishes."""
    large = save(scene(600, 800), tmp_path / "large.png")
    small = save(scene(36, 48), tmp_path / "small.png")
    code = f"""
import resource
from impasto.cli.main import app
job = ["--weights", {small_file!r}, "--precision", "float32", "--scales", "1"]
app(["stylize", {small!r}, {painting!r}, "-o", "48.png", "--size", "48", "--steps", "1", *job],
    standalone_mode=False)
size = int(open("/proc/self/statm").read().split()[0]) * resource.getpagesize()
resource.setrlimit(resource.RLIMIT_AS, (size + 330_000_000,) * 2)
app(["stylize", {large!r}, {painting!r}, "-o", "out.png", "--size", "800", "--steps", "14", *job])
"""
    # Each thread may reserve 64 MB of addresses that it never touches; here they would count.
    one_heap = {**os.environ, "MALLOC_ARENA_MAX": "1"}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=one_heap)
    assert done.returncode == 0, done.stderr
    manifest = manifests.read("out.png")
    assert manifest["result"]["complete"]
    assert manifest["layouts"] != [{"tile": 0, "keep": "memory", "history": 20}]
    assert read_picture("out.png").pixels.shape == (1, 3, 600, 800)


def test_limits_of_containers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Both versions of control groups; a limit above counts; pages of files that can be dropped are free."""
    old, new = tmp_path / "memory" / "a" / "b", tmp_path / "unified" / "c"
    old.mkdir(parents=True)
    new.mkdir(parents=True)

    def write(folder: Path, limit: str, used: str, stat: str, most: str, now: str) -> None:
        (folder / limit).write_text(most)
        (folder / used).write_text(now)
        (folder / "memory.stat").write_text(f"x 1\n{stat} 50\n")

    write(old, "memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file", "9" * 18, "200")
    write(old.parent, "memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file", "1000", "400")
    write(new, "memory.max", "memory.current", "inactive_file", "5000", "3000")
    (tmp_path / "own").write_text("4:memory:/a/b\n2:cpu:/\n0::/c\n")
    monkeypatch.setattr(memory, "CGROUPS", tmp_path)
    monkeypatch.setattr(memory, "OWN_GROUPS", tmp_path / "own")
    assert sorted(memory._free_in_containers())[:2] == [1000 - 400 + 50, 5000 - 3000 + 50]
    write(new, "memory.max", "memory.current", "inactive_file", "max", "3000")
    assert min(memory._free_in_containers()) == 650


def test_bounds_of_the_process(monkeypatch: pytest.MonkeyPatch) -> None:
    whole = memory.limit(torch.device("cpu"))
    bounds = {resource.RLIMIT_AS: resource.RLIM_INFINITY, resource.RLIMIT_DATA: 10**18}
    monkeypatch.setattr(resource, "getrlimit", lambda kind: (bounds[kind], resource.RLIM_INFINITY))
    assert memory.limit(torch.device("cpu")) == pytest.approx(whole, rel=0.2)
    size = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    bounds[resource.RLIMIT_AS] = size + 10_000_000
    assert memory.limit(torch.device("cpu")) - resident() == pytest.approx(10_000_000, abs=2_000_000)


def test_the_command_plan(
    photo: str, painting: str, small_file: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("IMPASTO_CACHE", str(tmp_path / "cache"))
    job = ["plan", photo, painting, "--weights", small_file, "--size", "96", "--precision", "float32"]
    shown = RUNNER.invoke(app, job)
    assert shown.exit_code == 0, shown.output
    for words in (
        "96×72",
        "80 steps",
        "the whole image at once",
        "available",
        "if no scale ends early",
    ):
        assert words in shown.output
    found = json.loads(RUNNER.invoke(app, [*job, "--json"]).output)
    again = json.loads(RUNNER.invoke(app, [*job, "--json"]).output)
    assert again["seconds"] == found["seconds"] > 4  # measured once, then remembered
    assert found["bytes"] < found["limit"]
    speed = tmp_path / "cache" / "speed.json"
    speed.write_text("{broken")
    assert RUNNER.invoke(app, job).exit_code == 0
    assert json.loads(speed.read_text())
    assert not list(tmp_path.glob("*.png"))


def test_predictions_grow_with_the_job(
    photo: str, painting: str, roomy: StylizeSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("impasto.run.estimate.used", lambda device: 0)  # this process grows and shrinks
    plans = []
    for size in (64, 128, 256):
        settings = replace(roomy, size=size, style_loss="gram")
        plans.append(estimate(plan_stylize(photo, painting, settings), settings))
    assert plans[0].seconds < plans[1].seconds < plans[2].seconds
    assert plans[0].bytes < plans[1].bytes < plans[2].bytes
    # four times the pixels, four times the time; nearest neighbours are searched among four times as many
    rest = [plan.seconds - 4 for plan in plans]
    assert rest[2] / rest[1] == pytest.approx(4, rel=0.1)
    settings = replace(roomy, size=256, style_loss="gram=1,neighbors=1")
    near = estimate(plan_stylize(photo, painting, settings), settings)
    assert near.bytes > plans[2].bytes
    model = plan_stylize(photo, painting, settings).problem.memory_model
    large, small = Scale(192, 256, 1), Scale(96, 128, 1)
    compared = [model.compared_places(s, [(s.height, s.width)]) for s in (small, large)]
    assert compared == [(24 * 32) ** 2, (48 * 64) ** 2]


def stylized(painting: str, settings: StylizeSettings) -> impasto.Painting:
    return impasto.stylize(Picture(scene(300, 400)), painting, settings)


def test_a_preview_is_where_the_full_run_would_be(small_file: str, painting: str) -> None:
    settings = StylizeSettings(weights=small_file, size=400, steps=6, finest_steps=3, precision="float32")
    settings = replace(settings, scales=3)
    small = stylized(painting, replace(settings, preview=True))
    job = plan_stylize(Picture(scene(300, 400)), painting, settings)
    there = next(step for step in iter_run(job) if step.width == 200 and step.step == step.steps)
    assert small.picture.pixels.shape == (1, 3, 150, 200)
    assert torch.equal(small.picture.pixels, there.image())
    assert small.manifest["settings"]["size"] == 400


def test_a_preview_balances_as_the_full_size_does(small_file: str, painting: str) -> None:
    """The literal content loss grows with the pixels; the preview's share of it does not shrink."""
    settings = StylizeSettings(
        weights=small_file, size=512, preview=False, formula="paper", scales=1, steps=1, alpha=1e-6, recipe=1
    )
    shares = []
    for chosen in (settings, replace(settings, preview=True), replace(settings, size=256)):
        job = plan_stylize(Picture(scene(384, 512)), Picture(stripes(384, 512)), chosen)
        terms = next(iter_run(job)).by_term
        shares.append(terms["content conv4_2"] / sum(terms.values()))
    full, preview, plain = shares
    assert preview == pytest.approx(full, rel=0.5)
    assert abs(preview / full - 1) < abs(plain / full - 1) / 2
