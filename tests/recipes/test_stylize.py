"""Stylizing on a small network: progress, repeatability, reruns, time limits and errors."""

import json
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image as PILImage

import impasto
from impasto import FastSettings, StylizeSettings
from impasto.errors import CheckpointError, ImageError, SettingsError, WeightsError
from impasto.image.arrays import from_tensor
from impasto.image.picture import Picture
from impasto.image.read import read_picture
from impasto.image.write import write_picture
from impasto.recipes.recorded_run import MovedInputs
from impasto.recipes.rerun import plan_rerun
from impasto.recipes.stylize import plan_stylize
from impasto.results import manifest as manifests
from impasto.run.clock import Clock
from impasto.run.loop import complete, iter_run
from impasto.run.scales import Scale
from small import EXAMPLES, scene, stripes


@pytest.fixture
def quick(small_file: str) -> StylizeSettings:
    return StylizeSettings(
        size=64, steps=6, finest_steps=3, scales=2, weights=small_file, precision="float32"
    )


def test_stylize_saves_a_picture_of_the_chosen_size(
    photo: str, painting: str, quick: StylizeSettings, tmp_path: Path
) -> None:
    impasto.stylize(photo, painting, quick).save(tmp_path / "out.png")
    picture = read_picture(tmp_path / "out.png")
    assert (picture.width, picture.height) == (64, 48)


def test_a_run_is_a_stream_of_progress(photo: str, painting: str, quick: StylizeSettings) -> None:
    steps = list(impasto.iter_stylize(photo, painting, quick))
    assert [(p.scale, p.step) for p in steps] == [(1, i) for i in range(1, 7)] + [(2, i) for i in range(1, 4)]
    assert {(p.width, p.height) for p in steps} == {(32, 24), (64, 48)}
    for scale in (1, 2):
        losses = [p.loss for p in steps if p.scale == scale]
        assert losses == sorted(losses, reverse=True)
        assert losses[-1] < losses[0]
    for p in steps:
        assert sum(p.by_term.values()) == pytest.approx(p.loss, rel=1e-5)
        assert p.image().shape == (1, 3, p.height, p.width)
        assert 0 <= float(p.image().min()) <= float(p.image().max()) <= 1
    assert [p.evaluations for p in steps] == sorted(p.evaluations for p in steps)
    assert [p.seconds for p in steps] == sorted(p.seconds for p in steps)
    assert steps[0].eta > 0
    assert steps[-1].eta == 0
    assert set(steps[0].by_term) == {
        "content conv4_2",
        *(f"style conv{i}_1" for i in range(1, 6)),
        "style neighbors",
        "gamut",
    }


@pytest.mark.parametrize(("precision", "steps"), [("float32", 6), ("bfloat16", 1)])
def test_tiles_do_not_change_the_picture(
    photo: str, painting: str, quick: StylizeSettings, precision: str, steps: int
) -> None:
    """To rounding. In bfloat16 only the first step is compared, because later steps of L-BFGS diverge."""
    short = replace(quick, precision=precision, steps=steps, finest_steps=(steps + 1) // 2)  # type: ignore[arg-type]
    whole, tiled = (impasto.stylize(photo, painting, replace(short, tile=tile)) for tile in (0, 32))
    assert float((whole.picture.pixels - tiled.picture.pixels).abs().max()) < 1 / 255
    assert tiled.manifest["settings"]["tile"] == 32


def test_later_steps_do_not_change_the_images_of_earlier_ones(
    photo: str, painting: str, quick: StylizeSettings
) -> None:
    steps, copies = [], []
    for progress in impasto.iter_stylize(photo, painting, quick):
        steps.append(progress)
        copies.append(progress.image().clone())
    for progress, copy in zip(steps, copies, strict=True):
        assert torch.equal(progress.image(), copy)


def test_a_run_left_early_gives_a_picture_of_full_size(
    photo: str, painting: str, quick: StylizeSettings
) -> None:
    plan = plan_stylize(photo, painting, quick)
    last = next(iter_run(plan))
    stopped = last.painting()
    assert (stopped.picture.width, stopped.picture.height) == (64, 48)
    assert stopped.manifest["result"]["complete"] is False


@pytest.mark.parametrize("init", ["noise", "content"])
@pytest.mark.parametrize("optimizer", ["lbfgs", "adam"])
def test_the_seed_determines_the_pixels(
    photo: str, painting: str, small_file: str, init: str, optimizer: str
) -> None:
    def paint(seed: int) -> torch.Tensor:
        settings = StylizeSettings(
            size=48, steps=5, scales=1, seed=seed, init=init, optimizer=optimizer, weights=small_file,
            precision="float32",
        )  # type: ignore[arg-type]  # fmt: skip
        return impasto.stylize(photo, painting, settings).picture.pixels

    assert torch.equal(paint(1), paint(1))
    assert torch.equal(paint(1), paint(2)) == (init == "content")


def test_a_long_thin_style_works_at_every_scale(photo: str, small_file: str) -> None:
    """At the coarsest scale its short side would be below one position of conv5_1, so it is kept larger."""
    settings = StylizeSettings(size=64, scales=2, steps=1, finest_steps=1, weights=small_file)
    (*_, last) = impasto.iter_stylize(photo, stripes(20, 100), settings)
    assert (last.width, last.scales) == (64, 2)


def test_any_image_can_be_the_start(photo: str, painting: str, small_file: str) -> None:
    settings = StylizeSettings(size=48, steps=1, scales=1, init=painting, weights=small_file)
    plan = plan_stylize(photo, painting, settings)
    assert plan.manifest["inputs"]["init"]["sha256"] == plan.problem.inputs["init"].sha256


def test_strength_0_gives_the_photo_and_strength_1_ignores_it(
    photo: str, painting: str, small_file: str
) -> None:
    """At 0 the photo, where the run starts, is already the minimum. At 1 its loss has weight 0."""
    settings = StylizeSettings(size=48, strength=0, tv=0, gamut=0, scales=1, steps=5, weights=small_file)
    unchanged = impasto.stylize(photo, painting, settings)
    np.testing.assert_allclose(unchanged.picture.to_numpy(), read_picture(photo).to_numpy(), atol=1)
    *_, last = impasto.iter_stylize(
        photo, painting, StylizeSettings(size=48, strength=1, steps=3, scales=1, weights=small_file)
    )
    assert last.by_term["content conv4_2"] == 0


def test_pictures_come_from_memory_and_keep_their_alpha(
    painting: str, quick: StylizeSettings, tmp_path: Path
) -> None:
    pixels = (scene(48, 64)[0].permute(1, 2, 0).numpy() * 255).astype(np.uint8)
    alpha = np.zeros((48, 64, 1), np.uint8)
    alpha[:, 20:] = 255
    painted = impasto.stylize(PILImage.fromarray(np.concatenate([pixels, alpha], 2)), stripes(40, 40), quick)
    assert painted.picture.alpha is not None
    painted.save(tmp_path / "out.png")
    assert np.array(PILImage.open(tmp_path / "out.png"))[:, :, 3].tolist() == alpha[:, :, 0].tolist()
    assert painted.manifest["inputs"]["content"]["sha256"] is None


def test_the_papers_content_loss_grows_with_the_picture(photo: str, painting: str, small_file: str) -> None:
    losses = {}
    for size in (64, 128):
        settings = StylizeSettings(
            size=size, formula="paper", scales=1, steps=1, noise=1, init="noise", weights=small_file
        )
        (only,) = impasto.iter_stylize(photo, painting, settings)
        losses[size] = only.by_term["content conv4_2"]
    assert 3 < losses[128] / losses[64] < 5.5


def test_rerun_from_the_manifest_gives_the_same_pixels(
    photo: str, painting: str, quick: StylizeSettings, tmp_path: Path
) -> None:
    for name in ("out.png", "out.tif", "out.webp"):
        first = impasto.stylize(photo, painting, quick)
        first.save(tmp_path / name, quality=100)
        plan, _ = plan_rerun(tmp_path / name)
        *_, last = iter_run(plan)
        assert torch.equal(last.painting().picture.pixels, first.picture.pixels)


def test_the_manifest_records_settings_inputs_weights_machine_and_result(
    photo: str, painting: str, quick: StylizeSettings, tmp_path: Path
) -> None:
    impasto.stylize(photo, painting, quick).save(tmp_path / "out.jpg")
    manifest = manifests.read(tmp_path / "out.jpg")
    assert manifest["impasto"] == impasto.__version__
    assert manifest["settings"]["seed"] == 0
    assert manifest["inputs"]["content"] == {"path": photo, "sha256": read_picture(photo).sha256}
    assert manifest["weights"]["name"] == "custom"
    assert manifest["machine"]["threads"] == torch.get_num_threads()
    assert manifest["result"]["complete"] is True
    assert sum(manifest["result"]["by_term"].values()) == pytest.approx(manifest["result"]["loss"], rel=1e-5)


def picture_with_manifest(path: Path, text: str) -> Path:
    write_picture(from_tensor(scene(16, 16)), path, manifest=text)
    return path


def test_rerun_refuses_with_the_reason(
    photo: str, painting: str, quick: StylizeSettings, tmp_path: Path
) -> None:
    photo_copy = tmp_path / "copy.png"
    photo_copy.write_bytes(Path(photo).read_bytes())
    out = tmp_path / "out.png"
    original = impasto.stylize(str(photo_copy), painting, quick)
    original.save(out)
    with pytest.raises(CheckpointError, match="carries no Impasto manifest"):
        plan_rerun(photo)
    with pytest.raises(CheckpointError, match="is damaged"):
        plan_rerun(picture_with_manifest(tmp_path / "a.png", "{"))
    with pytest.raises(CheckpointError, match="format 99; this Impasto"):
        plan_rerun(picture_with_manifest(tmp_path / "a.png", json.dumps({**original.manifest, "format": 99})))
    with pytest.raises(CheckpointError, match="was made by 'bake'"):
        plan_rerun(
            picture_with_manifest(tmp_path / "a.png", json.dumps({**original.manifest, "command": "bake"}))
        )
    write_picture(from_tensor(stripes(36, 48)), photo_copy)
    with pytest.raises(CheckpointError, match=r"content image .*copy.png has changed: SHA-256 was"):
        plan_rerun(out)
    photo_copy.unlink()
    with pytest.raises(CheckpointError, match=r"is no longer there\. Say where it is with --content FILE"):
        plan_rerun(out)
    assert (
        plan_rerun(out, MovedInputs(content=photo))[0].problem.inputs["content"].sha256
        == read_picture(photo).sha256
    )
    other = {**original.manifest, "weights": {"name": "other", "sha256": "ab" * 32}}
    with pytest.raises(CheckpointError, match="was painted with weights other"):
        plan_rerun(picture_with_manifest(tmp_path / "a.png", json.dumps(other)), MovedInputs(content=photo))
    memory = impasto.stylize(scene(36, 48), painting, quick)
    memory.save(out)
    with pytest.raises(CheckpointError, match="came from memory, not from a file"):
        plan_rerun(out)


def test_the_clock_extrapolates_in_proportion_to_pixels() -> None:
    """Two scales of 10 steps, the second with 4 times the pixels: at 1 s a step the total is 10 + 40 s."""
    times = iter([0.0, 1.0, 5.0, 10.0, 14.0, 50.0])
    clock = Clock((Scale(8, 8, 10), Scale(16, 16, 10)), now=lambda: next(times))
    estimates = []
    for index, step in ((0, 1), (0, 5), (0, 10), (1, 1), (1, 10)):
        clock.tick(index, step)
        estimates.append(clock.eta)
    assert estimates == [9 + 40, 5 + 40, 40, 36, 0]


def test_too_little_memory_is_an_error_with_advice(photo: str, painting: str, small_file: str) -> None:
    """A process that may allocate 400 MB more is asked for 36 megapixels."""
    code = f"""
import resource, impasto
from impasto.run.loop import iter_run
from impasto.recipes.stylize import plan_stylize
settings = impasto.StylizeSettings(size=7000, scales=1, weights={small_file!r})
plan = plan_stylize({photo!r}, {painting!r}, settings)
used = int(open('/proc/self/statm').read().split()[0]) * resource.getpagesize()
resource.setrlimit(resource.RLIMIT_AS, (used + 400_000_000,) * 2)
try:
    next(iter_run(plan))
except impasto.DeviceError as error:
    print(error)
"""
    process = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert process.stdout.startswith("the memory does not suffice for a picture of 7000×5250. Use a smaller")


def test_small_pictures_are_refused_before_anything_is_computed(
    photo: str, painting: str, quick: StylizeSettings
) -> None:
    with pytest.raises(ImageError, match="style image is 12×9; conv5_1 needs at least 16×16"):
        plan_stylize(photo, Picture(scene(9, 12)), quick)
    with pytest.raises(ImageError, match="painting is 64×1; conv5_1 needs"):
        plan_stylize(Picture(scene(3, 1000)), painting, quick)
    with pytest.raises(WeightsError):
        plan_stylize(photo, painting, StylizeSettings(weights="no-such-file"))


def test_init_fast_starts_from_the_mean_of_the_photo_and_the_one_pass_picture(
    photo: str, painting: str, small_file: str, decoder_file: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("IMPASTO_DECODER", decoder_file)
    settings = StylizeSettings(
        size=48, scales=1, steps=2, init="fast", weights=small_file, precision="float32"
    )
    plan = plan_stylize(photo, painting, settings)
    start = plan.problem.initial_image(plan.scales[0])
    fast = impasto.stylize_fast(
        photo, painting, FastSettings(size=48, weights=small_file, precision="float32")
    ).picture.pixels
    torch.testing.assert_close(start, (read_picture(photo).pixels + fast) / 2, atol=1e-5, rtol=0)
    assert "init" not in plan.manifest["inputs"]
    complete(plan).save("out.png")
    rerun = impasto.rerun("out.png")
    assert torch.equal(rerun.picture.pixels, complete(plan).picture.pixels)


def simulated(scales: Sequence[Scale], budget: float) -> tuple[list[int], float]:
    """The steps of each scale with a budget, and the seconds, if a pixel costs 0.01 s in every step.

    The first step of a scale takes four times as long.
    """
    now = [0.0]
    clock = Clock(tuple(scales), now=lambda: now[0], budget=budget)
    counts = []
    for index, scale in enumerate(scales):
        step = 0
        while not clock.is_over(index, step):
            now[0] += 0.01 * scale.pixels * (1 if step else 4)
            step += 1
            clock.tick(index, step)
        counts.append(step)
    return counts, now[0]


def test_a_budget_is_divided_among_the_scales_that_it_suffices_for() -> None:
    planned = (Scale(16, 16, 40), Scale(32, 32, 20), Scale(64, 64, 10))
    whole = sum(0.01 * scale.pixels * (scale.steps + 3) for scale in planned)
    for part in (0.35, 0.45, 0.6, 0.8, 1.0, 1.5):
        counts, seconds = simulated(planned, part * whole)
        assert 0.8 * part * whole < seconds <= part * whole
        shares = [count / scale.steps for count, scale in zip(counts, planned, strict=True)]
        if part < 0.5:  # the finest is left out, and the others are not short of steps
            assert shares[2] == 0
            assert min(shares[:2]) > 2 * part - 0.05
        else:
            assert min(shares) > 0.6 * part
    # What is left over by a scale goes to the next ones; none takes more than ten times its steps.
    assert simulated(planned, 1e6)[0] == [400, 200, 100]
    assert simulated((*planned[:2], Scale(64, 64, 0)), 1e6)[0] == [400, 200, 0]
    # Time to enlarge the last scale is set aside: four of its steps.
    counts, seconds = simulated((*planned[:2], Scale(64, 64, 0)), 300.0)
    assert counts[2] == 0
    assert 230 < seconds <= 300 - 4 * 0.01 * 32 * 32


@pytest.mark.parametrize(("elapsed", "late"), [(378.5, False), (379.5, True)])
def test_a_scale_is_begun_if_the_budget_suffices_for_its_first_steps(elapsed: float, late: bool) -> None:
    """Five seconds, a second a step, leave 16 s or less: four steps of the next scale."""
    times = iter([0.0, 4.0, 5.0, 6.0, 7.0, 8.0])
    scales = (Scale(16, 16, 40), Scale(32, 32, 20))
    clock = Clock(scales, now=lambda: next(times, 8.0), elapsed=elapsed - 3, budget=400.0)
    for step in range(1, 6):
        clock.tick(0, step)
    assert clock.is_over(1, 0) is late


def test_a_painting_with_a_budget_has_its_full_size(photo: str, painting: str, small_file: str) -> None:
    short = StylizeSettings(size=64, scales=3, steps=50, budget="0.001s", weights=small_file)
    result = impasto.stylize(photo, painting, short)
    assert (result.picture.width, result.picture.height) == (64, 48)
    assert result.manifest["result"]["complete"]
    assert len(result.manifest["trace"]["rows"]) == 1
    long = StylizeSettings(size=48, scales=1, steps=2, budget="20s", tolerance=0, weights=small_file)
    *_, last = impasto.iter_stylize(photo, painting, long)
    assert last.step == 20, "ten times as many steps as planned, if there is time"
    with pytest.raises(SettingsError, match="budget is 'soon'; give a time above 0, for instance 10s"):
        StylizeSettings(budget="soon")


@pytest.mark.weights
def test_the_real_network_paints() -> None:
    """Within a few steps the loss falls far below that of the photo."""
    settings = StylizeSettings(size=64, scales=1, steps=20, init="content", alpha=1.0, beta=8.0)
    steps = list(impasto.iter_stylize(EXAMPLES / "temple.jpg", EXAMPLES / "great-wave.jpg", settings))
    assert steps[-1].loss < 0.5 * steps[0].loss
