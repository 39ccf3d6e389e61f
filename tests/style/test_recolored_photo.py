"""The photo in the painting's colours: at any size, region by region, and nowhere that it must not be."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import Tensor

from impasto import StylizeSettings
from impasto.errors import SettingsError
from impasto.image.oklab import to_oklab
from impasto.image.resize import resize
from impasto.objective.evaluate import evaluator
from impasto.recipes.stylize import plan_stylize
from impasto.run.layout import Layout
from impasto.run.plan import RunPlan
from impasto.style.recolored_photo import RecoloredPhoto
from impasto.style.transfer import StyleTransfer
from small import scene

RED, BLUE, GREEN = (0.9, 0.3, 0.3), (0.3, 0.4, 0.9), (0.3, 0.8, 0.3)


def tinted(image: Tensor, *colors: tuple[float, float, float]) -> Tensor:
    """The picture's lightness in shades of some colours, in upright stripes."""
    columns = torch.arange(image.shape[3]) * len(colors) // image.shape[3]
    return image.mean(1, keepdim=True) * torch.tensor(colors).T[:, columns][None, :, None]


def mask(*colors: tuple[int, int, int], height: int, width: int) -> np.ndarray:
    """Upright stripes of those colours."""
    columns = np.arange(width) * len(colors) // width
    return np.broadcast_to(np.array(colors, np.uint8)[columns], (height, width, 3)).copy()


def chroma(image: Tensor) -> Tensor:
    """The mean a and b of Oklab."""
    return to_oklab(image)[0, 1:].mean((1, 2))


def distance(image: Tensor, other: Tensor) -> float:
    """How far apart the mean colours are."""
    return float((chroma(image) - chroma(other)).norm())


def problem(plan: RunPlan) -> StyleTransfer:
    assert isinstance(plan.problem, StyleTransfer)
    return plan.problem


@pytest.fixture
def settings(small_file: str) -> StylizeSettings:
    return StylizeSettings(size=80, scales=1, steps=2, weights=small_file, precision="float32")


def test_the_photo_takes_the_colors_and_keeps_its_shapes(settings: StylizeSettings) -> None:
    photo, painting = tinted(scene(60, 80), BLUE), tinted(scene(50, 70, seed=2), RED)
    transfer = problem(plan_stylize(photo, painting, settings))
    change = RecoloredPhoto.of(transfer.photo, transfer.paintings, ["conv1_1"], 1.0)
    moved = change.apply(photo)
    assert distance(moved, painting) < 0.1 * distance(photo, painting)
    light = torch.stack([to_oklab(image)[0, 0].flatten() for image in (photo, moved)])
    assert float(torch.corrcoef(light)[0, 1]) > 0.97
    # It makes no difference whether the photo is recoloured or resized first, so all scales agree.
    exchanged = change.apply(resize(photo, 30, 40)) - resize(moved, 30, 40)
    assert float(exchanged.abs().mean()) < 0.01


def test_each_region_takes_the_colors_of_its_own_area(settings: StylizeSettings) -> None:
    photo, painting = tinted(scene(60, 80), GREEN), tinted(scene(60, 80, seed=2), RED, BLUE)
    left, right = (255, 0, 0), (0, 0, 255)
    masks = [mask(left, right, height=60, width=80), mask(right, left, height=60, width=80)]
    plan = plan_stylize(photo, painting, replace(settings, recolor=1.0), regions=masks)
    start = problem(plan).initial_image(plan.scales[0])
    # The left of the photo has the colour of the right of the painting, and the other way round.
    for part, other in ((slice(0, 30), slice(50, 80)), (slice(50, 80), slice(0, 30))):
        assert distance(start[..., part], painting[..., other]) < 0.05
        assert distance(start[..., part], painting[..., part]) > 0.15


def test_kept_areas_have_the_photos_colors(settings: StylizeSettings) -> None:
    photo, painting = tinted(scene(60, 80), GREEN), tinted(scene(60, 80, seed=2), RED)
    masks = [mask((255, 0, 0), (0, 0, 255), height=60, width=80)]
    plan = plan_stylize(photo, painting, replace(settings, keep="#ff0000"), regions=masks)
    start = problem(plan).initial_image(plan.scales[0])
    assert torch.equal(start[..., :40], photo[..., :40])
    assert distance(start[..., 50:], photo[..., 50:]) > 0.1


@pytest.mark.parametrize(
    "changes",
    [
        {"strength": 0.0},
        {"recipe": 3},
        {"recolor": 0.0},
        {"colors": "photo-luminance"},
        {"formula": "paper"},
        {"beta": 0.0},
    ],
)
def test_nothing_is_recolored(settings: StylizeSettings, changes: dict[str, object]) -> None:
    """Without style, in older recipes, on request, with the photo's colours, and in other formulas."""
    plan = plan_stylize(tinted(scene(60, 80), GREEN), tinted(scene(50, 70), RED), settings)
    assert problem(plan).settings.recolor_share == 1.0
    settings = replace(settings, **changes)  # type: ignore[arg-type]
    assert settings.recolor_share == 0.0
    assert settings.resolved().recolor_share == 0.0


def test_the_recolored_photo_is_the_content(settings: StylizeSettings) -> None:
    """The content loss is 0 at the start, which is the recoloured photo, and not at the photo itself."""
    photo, painting = tinted(scene(60, 80), GREEN), tinted(scene(50, 70, seed=2), RED)
    plan = plan_stylize(photo, painting, replace(settings, style_loss="gram"))
    transfer, scale = problem(plan), plan.scales[0]
    evaluate = evaluator(transfer.network, transfer.objective(scale, Layout()))
    losses = [evaluate(image).by_term["content conv4_2"] for image in (transfer.initial_image(scale), photo)]
    assert losses[0] == pytest.approx(0, abs=1e-9)
    assert losses[1] > 0.01


def test_recoloring_with_the_photos_colors_is_an_error() -> None:
    with pytest.raises(SettingsError, match=r"recolor is 0\.5 and colors is 'photo-palette'"):
        StylizeSettings(recolor=0.5, colors="photo-palette")
