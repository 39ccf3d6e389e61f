"""Oklab agrees with published values; palettes map the photo's colours to the painting's."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import Tensor

import impasto
from impasto import StylizeSettings
from impasto.errors import SettingsError
from impasto.image.arrays import from_tensor
from impasto.image.oklab import to_oklab, to_srgb
from impasto.image.palette import MOST_GAIN, Palette, guided_filter, match_palette, with_chroma
from impasto.image.read import read_picture
from impasto.settings.fast import FastSettings
from impasto.shapes import Image
from impasto.style.palettes import PhotoPalette
from impasto.style.style_images import read_styles
from small import EXAMPLES, red_blue_mask, scene, stripes

PUBLISHED = {
    (0, 0, 0): (0.0, 0.0, 0.0),
    (1, 1, 1): (1.0, 0.0, 0.0),
    (1, 0, 0): (0.62796, 0.22486, 0.12585),
    (0, 1, 0): (0.86644, -0.23389, 0.17950),
    (0, 0, 1): (0.45201, -0.03246, -0.31153),
}
"""Oklab of sRGB colours, from CSS Color Module Level 4 and its tests."""


def chroma(image: Image) -> Tensor:
    return to_oklab(image)[:, 1:]


def moments(values: Tensor) -> tuple[np.ndarray, np.ndarray]:
    """Mean and covariance of the channels, independently in NumPy and float64."""
    flat = values[0].flatten(1).double().numpy()
    return flat.mean(1), np.cov(flat, bias=True)


@pytest.mark.parametrize(("rgb", "lab"), PUBLISHED.items())
def test_oklab_has_the_published_values(rgb: tuple[int, ...], lab: tuple[float, ...]) -> None:
    actual = to_oklab(torch.tensor(rgb, dtype=torch.float64).reshape(1, 3, 1, 1)).flatten()
    torch.testing.assert_close(actual, torch.tensor(lab, dtype=torch.float64), rtol=0, atol=1e-4)


def test_oklab_and_back_is_the_identity() -> None:
    levels = torch.linspace(0, 1, 18, dtype=torch.float64)
    image = torch.cartesian_prod(levels, levels, levels).T.reshape(1, 3, 18, 324)
    torch.testing.assert_close(to_srgb(to_oklab(image)), image, rtol=0, atol=1e-6)
    torch.testing.assert_close(to_srgb(to_oklab(image.float())), image.float(), rtol=0, atol=1e-4)


def test_converting_in_strips_changes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    lab = to_oklab(scene(30, 40)) * torch.tensor([1.0, 3.0, 3.0])[:, None, None]
    whole = to_srgb(lab)
    monkeypatch.setattr("impasto.image.oklab.STRIP", 300)
    torch.testing.assert_close(to_srgb(lab), whole, rtol=0, atol=1e-6)


def test_colours_outside_srgb_lose_only_chroma() -> None:
    """Lightness and hue stay, and no more chroma is lost than necessary."""
    generator = torch.Generator().manual_seed(0)
    lab = torch.rand(1, 3, 40, 50, generator=generator) * torch.tensor([1.0, 0.8, 0.8])[:, None, None]
    lab[:, 1:] -= 0.4
    shown = to_srgb(lab)
    assert 0 <= float(shown.min()) <= float(shown.max()) <= 1
    actual = to_oklab(shown)
    torch.testing.assert_close(actual[:, :1], lab[:, :1], rtol=0, atol=1e-3)
    lengths = actual[:, 1:].norm(dim=1), lab[:, 1:].norm(dim=1)
    assert bool((lengths[0] <= lengths[1] + 1e-3).all())
    across = actual[:, 1] * lab[:, 2] - actual[:, 2] * lab[:, 1]  # 0 if the hues are the same
    assert float((across / lengths[1]).abs().max()) < 1e-3
    reduced = lengths[0] < 0.95 * lengths[1]
    assert float(reduced.float().mean()) > 0.5
    at_the_edge = torch.minimum(shown.amin(1), 1 - shown.amax(1))[reduced]
    assert float(at_the_edge.max()) < 5e-3


@pytest.mark.parametrize(
    ("photo", "painting"), [("temple.jpg", "great-wave.jpg"), ("dandelion.jpg", "kandinsky.jpg")]
)
def test_mapped_colours_have_the_paintings_mean_and_covariance(photo: str, painting: str) -> None:
    ours, theirs = (read_picture(EXAMPLES / name).pixels[:, :, ::4, ::4] for name in (photo, painting))
    match = match_palette(Palette.of(ours), Palette.of(theirs))
    mapped = match.affine(chroma(ours).double())
    for actual, expected in zip(moments(mapped), moments(chroma(theirs)), strict=True):
        np.testing.assert_allclose(actual, expected, rtol=1e-4, atol=1e-7)
    matrix = match.affine.matrix
    torch.testing.assert_close(matrix, matrix.T)
    assert float(torch.linalg.eigvalsh(matrix).min()) > 0
    clamped, target = match(chroma(ours)), chroma(theirs)
    for channel in range(2):
        assert float(clamped[:, channel].min()) >= float(target[:, channel].min()) - 1e-6
        assert float(clamped[:, channel].max()) <= float(target[:, channel].max()) + 1e-6


def test_flat_pictures_can_be_mapped_and_noise_is_not_amplified() -> None:
    plain, busy = torch.full((1, 3, 8, 8), 0.25), stripes(9, 9)
    for source, target in ((plain, busy), (busy, plain), (plain, plain)):
        mapped = match_palette(Palette.of(source), Palette.of(target))(chroma(source))
        expected = chroma(target).mean((2, 3))
        torch.testing.assert_close(mapped.mean((2, 3)), expected, rtol=0, atol=0.02)
    nearly_grey = 0.5 + 1e-4 * torch.rand(1, 3, 8, 8)
    gains = torch.linalg.eigvalsh(match_palette(Palette.of(nearly_grey), Palette.of(busy)).affine.matrix)
    assert float(gains.max()) == pytest.approx(MOST_GAIN)


def test_a_mix_of_palettes_is_the_palette_of_the_pictures_side_by_side() -> None:
    first, second = stripes(20, 20), scene(20, 20)
    both = Palette.of(torch.cat([first, second, second, second], dim=3))
    mixed = Palette.mixed([Palette.of(first), Palette.of(second), Palette.of(stripes(9, 9))], [1, 3, 0])
    weighted = Palette.of(
        torch.cat([first, second], dim=3),
        torch.cat([torch.ones(1, 1, 20, 20) / 3, torch.ones(1, 1, 20, 20)], 3),
    )
    for name in ("mean", "covariance"):
        torch.testing.assert_close(getattr(mixed, name), getattr(both, name))
        torch.testing.assert_close(getattr(weighted, name), getattr(both, name))
    torch.testing.assert_close(mixed.least, both.least)
    torch.testing.assert_close(mixed.most, both.most)


def test_with_a_flat_guide_the_filter_is_the_mean_of_means() -> None:
    values, radius = torch.rand(1, 2, 13, 17, dtype=torch.float64), 2

    def mean(array: np.ndarray) -> np.ndarray:
        rows, columns = array.shape
        return np.array(
            [
                [
                    array[max(0, y - radius) : y + radius + 1, max(0, x - radius) : x + radius + 1].mean()
                    for x in range(columns)
                ]
                for y in range(rows)
            ]
        )

    filtered = guided_filter(values, torch.full((1, 1, 13, 17), 0.3), radius, 1e-3)
    for channel in range(2):
        expected = mean(mean(values[0, channel].numpy()))
        np.testing.assert_allclose(filtered[0, channel].numpy(), expected, atol=1e-6)


@pytest.mark.parametrize("size", [64, 256])
def test_colours_do_not_cross_a_contour(size: int) -> None:
    """A border of the colours that is a little off the contour is moved to it."""
    left = torch.arange(size) < size // 2
    guide = torch.where(left, 0.3, 0.7).expand(1, 1, size, size)
    colors = torch.where(left, -0.1, 0.1).expand(1, 2, size, size)
    radius = max(1, size // 32)
    filtered = guided_filter(colors, guide, radius, 1e-3)
    assert float((filtered - colors).abs().max()) < 1e-2
    off = torch.where(torch.arange(size) < size // 2 + radius // 2, -0.1, 0.1).expand(1, 2, size, size)
    filtered = guided_filter(off, guide, radius, 1e-3)
    jumps = filtered[0, 0, size // 2].diff().abs()
    assert int(jumps.argmax()) == size // 2 - 1
    assert float(jumps.max()) > 2 * float(jumps[size // 2 :].max())


def test_lightness_stays_and_colours_are_within_range() -> None:
    image, colors = scene(60, 90).clamp(0, 1), 4 * chroma(stripes(60, 90))
    changed = with_chroma(image, colors)
    assert 0 <= float(changed.min()) <= float(changed.max()) <= 1
    torch.testing.assert_close(to_oklab(changed)[:, :1], to_oklab(image)[:, :1], rtol=0, atol=1e-3)
    assert float((chroma(changed) - chroma(image)).abs().mean()) > 1e-2


@pytest.mark.parametrize("size", [512, 2048])
def test_the_filters_window_grows_with_the_picture(size: int, monkeypatch: pytest.MonkeyPatch) -> None:
    radii = []

    def record(values: Tensor, guide: Tensor, radius: int, softness: float) -> Tensor:
        radii.append(radius)
        return values

    monkeypatch.setattr("impasto.image.palette.guided_filter", record)
    with_chroma(torch.full((1, 3, 4, size), 0.5), torch.zeros(1, 2, 4, size))
    assert radii == [3 * size // 512]


@pytest.fixture
def settings(small_file: str) -> StylizeSettings:
    return StylizeSettings(
        size=64, steps=6, scales=1, colors="photo-palette", weights=small_file, precision="float32"
    )  # fmt: skip


@pytest.mark.parametrize("init", ["content", "noise"])
def test_a_painting_keeps_its_lightness(settings: StylizeSettings, init: str) -> None:
    """It is painted in the painting's colours and recoloured at the end; so are previews."""
    photo, style = scene(48, 64).clamp(0, 1), stripes(40, 40)
    settings = replace(settings, init=init)
    painting = impasto.stylize(photo, style, settings)
    plain = impasto.stylize(photo, style, replace(settings, colors="style", recolor=0.0)).picture.pixels
    pixels = painting.picture.pixels
    torch.testing.assert_close(to_oklab(pixels)[:, :1], to_oklab(plain)[:, :1], rtol=0, atol=1e-3)
    assert float((pixels - plain).abs().mean()) > 1e-2
    assert painting.manifest["settings"]["colors"] == "photo-palette"
    *_, last = impasto.iter_stylize(photo, style, settings)
    torch.testing.assert_close(last.image(), pixels, rtol=0, atol=1e-5)


def test_the_fast_initial_image_has_the_paintings_colours(
    settings: StylizeSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    colors_used = []

    def record(cache: object, style: object, settings: FastSettings, *_: object) -> None:
        colors_used.append(settings.colors)
        raise SettingsError("far enough")

    monkeypatch.setattr("impasto.recipes.stylize.cached_stylizer", record)
    for colors in ("photo-palette", "photo-luminance"):
        with pytest.raises(SettingsError, match="far enough"):
            impasto.stylize(scene(48, 64), stripes(40, 40), replace(settings, init="fast", colors=colors))
    assert colors_used == ["style", "photo-luminance"]


def test_kept_regions_equal_the_photo(settings: StylizeSettings) -> None:
    photo, style = scene(48, 64).clamp(0, 1), stripes(40, 40)
    kept = impasto.stylize(photo, style, replace(settings, keep="red"), regions=[red_blue_mask(48, 64)])
    pixels = kept.picture.pixels
    torch.testing.assert_close(pixels[..., :32], photo[..., :32], rtol=0, atol=1e-6)
    assert float((pixels[..., 32:] - photo[..., 32:]).abs().mean()) > 1e-2


def test_each_region_has_the_palette_of_its_counterpart() -> None:
    """The photo's left half takes the colours of the painting's right half, and vice versa."""
    photo, size = from_tensor(scene(48, 64).clamp(0, 1)), (48, 64)
    pixels = stripes(*size)
    pixels[:, 0, :, :32] *= 0.2
    pixels[:, 2, :, 32:] *= 0.2
    settings = StylizeSettings(colors="photo-palette")
    paintings = read_styles(pixels, "").matched_to(
        photo, settings, [red_blue_mask(*size), red_blue_mask(*size).flip(3)]
    )
    assert not paintings.recolors
    palette = PhotoPalette.of(paintings, photo, ["conv1_1"])
    recolored, theirs = chroma(palette.recolor(torch.full((1, 3, *size), 0.5), photo.pixels)), chroma(pixels)
    sides = theirs[..., 32:].mean((0, 2, 3)), theirs[..., :32].mean((0, 2, 3))
    left, right = recolored[..., :28].mean((0, 2, 3)), recolored[..., 36:].mean((0, 2, 3))
    for mean, (expected, other) in ((left, sides), (right, sides[::-1])):
        assert float((mean - expected).norm()) < 0.3 * float((mean - other).norm())


def test_several_paintings_count_by_their_shares() -> None:
    photo, pictures = from_tensor(scene(48, 64)), [stripes(40, 40), 0.3 + 0.4 * scene(30, 30)]
    settings = StylizeSettings(colors="photo-palette")
    palettes = [Palette.of(picture) for picture in pictures]
    for blend, shares in (("1,3", [1, 3]), ("1,0", [1, 0]), ("fine,coarse", [2, 1])):
        paintings = read_styles(pictures, blend).matched_to(photo, settings, [])
        (actual,) = PhotoPalette.of(paintings, photo, ["conv1_1", "conv2_1", "conv4_1"]).maps
        expected = match_palette(Palette.of(photo.pixels), Palette.mixed(palettes, shares))
        torch.testing.assert_close(actual.affine.matrix, expected.affine.matrix)
        torch.testing.assert_close(actual.affine.offset, expected.affine.offset)
