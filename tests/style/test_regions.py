"""Each region takes its own style, kept regions do not change, and bad masks are refused."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image as PILImage

import impasto
from impasto import StylizeSettings
from impasto.errors import ImageError, ImpastoWarning, SettingsError
from impasto.image.color_mask import read_color, read_color_mask
from impasto.image.read import read_picture
from impasto.objective.bands import Band
from impasto.objective.build import style_terms_from_images
from impasto.objective.constraint import Constraint
from impasto.objective.evaluate import evaluator
from impasto.objective.objective import Objective
from impasto.recipes.recorded_run import MovedInputs
from impasto.recipes.rerun import plan_rerun
from impasto.recipes.stylize import plan_stylize
from impasto.run.layout import Layout
from impasto.style.regions import read_regions
from small import scene, small_network, stripes

RED, BLUE, GREEN = (255, 0, 0), (0, 0, 255), (0, 255, 0)


def mask(*colors: tuple[int, int, int], height: int = 64, width: int = 64) -> np.ndarray:
    """Vertical stripes of these colours."""
    columns = np.arange(width) * len(colors) // width
    return np.broadcast_to(np.array(colors, np.uint8)[columns], (height, width, 3)).copy()


def dots(height: int, width: int) -> torch.Tensor:
    """A painting unlike `stripes`: dark with bright dots."""
    y, x = torch.meshgrid(torch.arange(height), torch.arange(width), indexing="ij")
    bright = ((x % 9 - 4) ** 2 + (y % 9 - 4) ** 2 < 6).float()
    return torch.stack([0.1 + 0.8 * bright, 0.2 + 0.1 * bright, 0.3 - 0.2 * bright])[None]


@pytest.fixture
def quick(small_file: str) -> StylizeSettings:
    return StylizeSettings(
        size=64, steps=40, scales=1, strength=0.97, weights=small_file, tolerance=0, precision="float32"
    )


def test_each_region_is_nearer_to_its_own_style_than_to_the_other(quick: StylizeSettings) -> None:
    """At least five times nearer."""
    photo, styles = scene(64, 64), [stripes(64, 64), dots(64, 64)]
    masks = [mask(RED, BLUE), mask(RED), mask(BLUE)]
    quick = replace(
        quick, style_loss="gram", strength=1.0, layers=dict.fromkeys(("conv1_1", "conv2_1", "conv3_1"), 1 / 3)
    )
    painted = impasto.stylize(photo, styles, quick, regions=masks).picture.pixels

    def distances(paintings: list[torch.Tensor]) -> list[float]:
        plan = plan_stylize(photo, paintings, quick, regions=masks)
        objective = plan.problem.objective(plan.scales[0], Layout())
        terms = evaluator(plan.problem.network, objective)(painted).by_term
        return [
            sum(v for name, v in terms.items() if f" {color} " in name) for color in ("#ff0000", "#0000ff")
        ]

    to_style, to_other = distances(styles), distances(styles[::-1])
    for near, far in zip(to_style, to_other, strict=True):
        assert far > 5 * near


@pytest.mark.parametrize(
    ("precision", "steps", "tolerance"), [("float32", 4, 1e-4), ("bfloat16", 1, 1 / 255)]
)
def test_a_mask_of_one_colour_changes_nothing(
    quick: StylizeSettings, precision: str, steps: int, tolerance: float
) -> None:
    """To rounding. In bfloat16 only the first step is compared, because later steps of L-BFGS diverge."""
    settings = replace(quick, steps=steps, precision=precision)  # type: ignore[arg-type]
    photo, style = scene(64, 64), stripes(40, 40)
    plain = impasto.stylize(photo, style, settings).picture.pixels
    for masks in ([mask(RED)], [mask(RED), mask(RED, height=40, width=40)]):
        painted = impasto.stylize(photo, style, settings, regions=masks).picture.pixels
        torch.testing.assert_close(painted, plain, rtol=0, atol=tolerance)


def test_a_kept_region_equals_the_photo_exactly(quick: StylizeSettings) -> None:
    settings = replace(quick, steps=6, keep="blue", scales=2, finest_steps=6)
    photo = scene(64, 64).clamp(0, 1)
    for init in ("content", "noise"):
        painted = impasto.stylize(
            photo, stripes(40, 40), replace(settings, init=init), regions=[mask(RED, BLUE)]
        ).picture.pixels
        assert torch.equal(painted[..., 32:], photo[..., 32:])
        assert float((painted[..., :32] - photo[..., :32]).abs().max()) > 0.05


def test_a_kept_region_does_not_change_at_any_step(quick: StylizeSettings) -> None:
    photo = scene(64, 64).clamp(0, 1)
    for optimizer in ("lbfgs", "adam"):
        settings = replace(quick, steps=5, keep="blue", optimizer=optimizer)  # type: ignore[arg-type]
        for step in impasto.iter_stylize(photo, stripes(40, 40), settings, regions=[mask(RED, BLUE)]):
            snapshot = step.snapshot()
            assert snapshot.descent is not None
            assert snapshot.space is not None
            assert torch.equal(snapshot.space.whole_image(snapshot.descent.point)[..., 32:], photo[..., 32:])


def test_a_picture_with_regions_can_be_rerun(quick: StylizeSettings, photo: str, painting: str) -> None:
    PILImage.fromarray(mask(RED, BLUE, height=36, width=48)).save("mask.png")
    PILImage.fromarray(mask(BLUE, RED, height=40, width=40)).save("style-mask.png")
    settings = replace(quick, size=48, steps=3, keep="")
    first = impasto.stylize(photo, painting, settings, regions=["mask.png", "style-mask.png"])
    first.save("out.png")
    impasto.rerun("out.png").save("rerun.png")
    assert torch.equal(read_picture("rerun.png").pixels, read_picture("out.png").pixels)
    assert list(first.manifest["inputs"]) == ["content", "style", "regions", "style-regions"]
    Path("mask.png").rename("moved.png")
    with pytest.raises(impasto.CheckpointError, match="--regions FILE"):
        plan_rerun("out.png")
    plan_rerun("out.png", MovedInputs(regions=["moved.png", "style-mask.png"]))


def test_the_colours_of_blurred_and_compressed_masks_are_found(tmp_path: Path) -> None:
    """JPEG and soft brushes mix colours at the borders; such pixels go to the nearest area."""
    picture = PILImage.fromarray(mask(RED, BLUE, GREEN, height=90, width=90))
    soft = picture.resize((120, 120), PILImage.Resampling.BICUBIC)
    soft.save(tmp_path / "mask.jpg", quality=70)
    areas = read_color_mask(read_picture(tmp_path / "mask.jpg"))
    assert len(areas.colors) == 3
    for color in (RED, BLUE, GREEN):
        index = areas.find(color)
        assert index is not None
        assert areas.share(index) == pytest.approx(1 / 3, abs=0.02)


def test_the_areas_of_a_mask_add_up_to_1_at_any_size() -> None:
    areas = read_color_mask(read_picture(mask(RED, BLUE, GREEN)))
    for size in ((64, 64), (31, 17), (100, 90)):
        total = sum(areas.soft(index, *size) for index in range(3))
        torch.testing.assert_close(total, torch.ones(1, 1, *size), rtol=0, atol=1e-6)


def test_a_painting_without_a_colour_has_no_term_in_that_region(quick: StylizeSettings) -> None:
    photo, styles = scene(64, 64), [stripes(64, 64), dots(64, 64)]
    quick = replace(quick, style_loss="gram")
    plan = plan_stylize(photo, styles, quick, regions=[mask(RED, BLUE), mask(RED), mask(RED, BLUE)])
    names = plan.problem.objective(plan.scales[0], Layout()).names
    assert sum("#ff0000" in name for name in names) == sum("#0000ff" in name for name in names) == 5


def paintings(count: int = 1) -> list[impasto.Picture]:
    return [read_picture(stripes(64, 64)) for _ in range(count)]


def test_a_mask_of_another_size_is_resized_with_a_warning() -> None:
    with pytest.warns(ImpastoWarning, match="32×20 and .* is 64×64; the mask is resized"):
        read_regions([mask(RED, BLUE, height=20, width=32)], "", read_picture(scene(64, 64)), paintings())


@pytest.mark.parametrize(
    ("masks", "keep", "message"),
    [
        ([mask(RED, BLUE), mask(RED)], "", r"#0000ff .*\(50% of the photo\) has no counterpart.*#ff0000"),
        ([mask(RED), mask(RED), mask(RED)], "", "3 masks were given for one photo and 1 paintings"),
        ([mask(RED, BLUE)], "green", "keep names #008000, but mask .* has #.*Name one of these"),
        ([mask(RED, BLUE)], "colourful", "'colourful' is no colour"),
        ([mask(RED)], "red", "nothing to paint"),
        ([], "red", "there is no mask"),
        ([np.random.default_rng(0).integers(0, 255, (64, 64, 3), np.uint8)], "", "each painted in one plain"),
    ],
)  # fmt: skip
def test_bad_masks_are_refused(masks: list[np.ndarray], keep: str, message: str) -> None:
    with pytest.raises((ImageError, SettingsError), match=message):
        read_regions(masks, keep, read_picture(scene(64, 64)), paintings())


def test_colours_are_read_by_name_and_as_hexadecimal() -> None:
    assert read_color("black") == (0, 0, 0)
    assert read_color(" #FF8000 ") == (255, 128, 0)


def test_a_constraint_sets_only_the_gradient_of_fixed_pixels_to_0() -> None:
    network, image = small_network(), scene(40, 48)
    terms = style_terms_from_images(
        network, [(stripes(40, 40), 1.0)], {"conv2_1": 1.0}, canvas=(40, 48), weight=1.0, formula="balanced"
    )
    evaluate = evaluator(network, Objective(terms))
    fixed = torch.zeros(40, 48, dtype=torch.bool)
    fixed[:10] = True
    gradient = Constraint(fixed).project(evaluate, Band.of(40, 48))(image).gradient
    assert bool((gradient[:, :, :10] == 0).all())
    assert torch.equal(gradient[:, :, 10:], evaluate(image).gradient[:, :, 10:])
