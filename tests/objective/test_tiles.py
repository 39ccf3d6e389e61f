"""Tiles give the same loss and gradient as the whole image, whatever the sizes of image and tile."""

import tempfile
from pathlib import Path
from typing import IO

import pytest
import torch

from impasto.choices import Pooling, ResponseStorage
from impasto.errors import DeviceError
from impasto.image.read import read_picture
from impasto.image.resize import resize
from impasto.layers import LAYERS
from impasto.network.vgg import VGG19
from impasto.network.weights import load
from impasto.objective.build import content_terms, prior_terms, style_terms_from_images
from impasto.objective.evaluate import Evaluation, evaluator
from impasto.objective.objective import Objective
from impasto.objective.targets import content_targets
from impasto.objective.tiles import halos, tile_image, tile_unit
from impasto.settings.presets import PAPER_STYLE_LAYERS
from small import EXAMPLES, scene, small_network, stripes
from tiled import KEEPS, SIZES, SUBSETS, distance, objective_for


def evaluate_both(
    size: tuple[int, int],
    tile: int,
    pooling: Pooling,
    layers: tuple[str, ...],
    dtype: torch.dtype,
    wrap: bool = False,
    keep: ResponseStorage = "memory",
) -> tuple[Evaluation, Evaluation]:
    """The evaluation of the whole image, and in tiles, with targets measured in tiles as well."""
    network, objective, image = objective_for(size, pooling, layers, dtype, wrap=wrap)
    expected = evaluator(network, objective)(image)
    network, objective, image = objective_for(size, pooling, layers, dtype, wrap=wrap, tile=tile, keep=keep)
    return expected, evaluator(network, objective, tile=tile)(image)


@pytest.mark.parametrize("pooling", ["average", "max"])
@pytest.mark.parametrize("tile", [16, 48, 70])
@pytest.mark.parametrize("size", SIZES)
def test_tiles_give_the_same_as_the_whole(size: tuple[int, int], tile: int, pooling: Pooling) -> None:
    """To 1e-10 in float64, because only the order of the sums differs."""
    layers = SUBSETS[(SIZES.index(size) + tile) % 5]
    keep = KEEPS[(SIZES.index(size) + tile // 2) % 3]
    expected, tiled = evaluate_both(size, tile, pooling, layers, torch.float64, keep=keep)
    torch.testing.assert_close(tiled.values, expected.values, rtol=1e-10, atol=0)
    assert distance(tiled.gradient, expected.gradient) < 1e-10


@pytest.mark.parametrize("keep", KEEPS)
@pytest.mark.parametrize("pooling", ["average", "max"])
def test_targets_measured_in_tiles_equal_those_of_the_whole(pooling: Pooling, keep: ResponseStorage) -> None:
    """Kept in memory, on disk or recomputed, and in the network's dtype."""
    size, content = (77, 101), scene(77, 101)
    network = small_network(pooling=pooling, dtype=torch.bfloat16)
    whole, half_squares = content_targets(network, content, ["conv3_2"])["conv3_2"]
    parts, tiled_half_squares = content_targets(network, content, ["conv3_2"], tile=48, keep=keep)["conv3_2"]
    assert tiled_half_squares == pytest.approx(half_squares, rel=1e-3)
    height, width = LAYERS["conv3_2"].grid(*size)
    for rows, columns in ((slice(0, height), slice(0, width)), (slice(3, 9), slice(11, width))):
        expected, computed = whole.at(rows, columns), parts.at(rows, columns)
        assert computed.shape == expected.shape
        assert computed.dtype == torch.bfloat16
        torch.testing.assert_close(computed, expected, rtol=0.02, atol=0.02)


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="only Linux has /dev/full")
@pytest.mark.parametrize("size", [(4, 40), (500, 700)], ids=["a single row", "larger than the buffer"])
def test_a_full_disk_is_named_and_nothing_stays_on_it(
    size: tuple[int, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    files: list[IO[bytes]] = []

    def full(dir: str) -> IO[bytes]:
        files.append(open("/dev/full", "r+b"))  # noqa: SIM115 - closed by what is tested
        return files[-1]

    monkeypatch.setattr(tempfile, "TemporaryFile", full)
    monkeypatch.setenv("TMPDIR", "/tmp/pictures")
    monkeypatch.setattr(tempfile, "tempdir", "/tmp")
    message = r"responses at conv3_2 need .* in '/tmp', where .* are free \(No space left on device\).*TMPDIR"
    with pytest.raises(DeviceError, match=message):
        content_targets(small_network(), scene(*size), ["conv3_2"], tile=48, keep="disk")
    # At once, because the picture so far may still have to be saved on the same disk.
    assert [file.closed for file in files] == [True]


@pytest.mark.parametrize("layers", SUBSETS)
def test_tiles_give_the_same_as_the_whole_for_every_row_of_figure_2(layers: tuple[str, ...]) -> None:
    expected, tiled = evaluate_both((77, 101), 48, "average", layers, torch.float32)
    assert float(tiled.loss) == pytest.approx(float(expected.loss), rel=1e-6)
    assert distance(tiled.gradient, expected.gradient) < 1e-5


@pytest.mark.parametrize("pooling", ["average", "max"])
def test_tiles_of_a_torus_give_the_same_as_the_whole(pooling: Pooling) -> None:
    expected, tiled = evaluate_both((48, 80), 32, pooling, PAPER_STYLE_LAYERS, torch.float64, wrap=True)
    torch.testing.assert_close(tiled.values, expected.values, rtol=1e-10, atol=0)
    assert distance(tiled.gradient, expected.gradient) < 1e-10


@pytest.mark.parametrize("name", ["conv1_1", "pool1", "conv2_1", "conv3_1", "conv4_2", "conv5_1"])
def test_the_halo_covers_the_receptive_field(name: str) -> None:
    """A gradient reaches as far as the layer's `support` says, and not beyond the halo."""
    layer = LAYERS[name]
    network = small_network(dtype=torch.float64)
    side = 2 * layer.support + 3 * layer.stride
    image = torch.rand(1, 3, side, side, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    middle = side // 2 // layer.stride
    image.requires_grad_(True)
    (gradient,) = torch.autograd.grad(
        network.features(image, [name])[name][0, :, middle, middle].sum(), image
    )
    rows = gradient.abs().sum((0, 1, 3)).nonzero().flatten()
    reach = int(rows[-1] - rows[0]) + 1
    start, stop = middle * layer.stride, (middle + 1) * layer.stride
    assert reach <= layer.support
    for size in (layer.stride, 1000):
        halo = halos(layer, tile_unit(size, layer))[0]
        assert start - halo <= int(rows[0]) <= int(rows[-1]) < stop + halo
        assert halo - (layer.support - layer.stride) / 2 < tile_unit(size, layer)
    assert reach > layer.support / 2


@pytest.mark.parametrize("wrap", [False, True])
@pytest.mark.parametrize(
    ("size", "tile"), [((96, 160), 64), ((97, 33), 16), ((16, 16), 500), ((300, 20), 90)]
)
def test_cores_cover_the_image_once(size: tuple[int, int], tile: int, wrap: bool) -> None:
    last = LAYERS["conv5_1"]
    count = torch.zeros(size)
    for part in tile_image(
        (0, size[0]), (0, size[1]), tile, last, height=size[0], width=size[1], circular=wrap
    ):
        count[part.rows.start : part.rows.stop, part.columns.start : part.columns.stop] += 1
        assert part.rows.stop - part.rows.start <= max(tile, last.stride)
        assert part.rows.start % last.stride == 0
    assert bool((count == 1).all())


@pytest.mark.weights
@pytest.mark.parametrize("pooling", ["average", "max"])
def test_tiles_give_the_same_as_the_whole_on_the_real_network(pooling: Pooling) -> None:
    """In float32 with Winograd's convolutions: the loss to 1e-6, the gradient to 1e-5 of its norm.

    With small tiles a gradient through max pooling differs more: see `tile_unit` in tiles.py.
    """
    size = (260, 450)
    network = VGG19.build(load(), pooling=pooling, deepest_layer="conv5_1")
    content, image = (
        resize(read_picture(EXAMPLES / f"{name}.jpg").pixels, *size).clamp(0, 1)
        for name in ("temple", "dandelion")
    )
    shares = dict.fromkeys(PAPER_STYLE_LAYERS, 0.2)
    contents = content_terms(network, content, {"conv4_2": 1.0}, weight=1.0, formula="balanced")
    styles = style_terms_from_images(
        network, [(stripes(64, 96), 1.0)], shares, canvas=size, weight=5.0, formula="balanced"
    )
    objective = Objective((*contents, *styles, *prior_terms(size, variation=2.0, gamut=100.0)))
    expected, tiled = evaluator(network, objective)(image), evaluator(network, objective, tile=384)(image)
    assert float(tiled.loss) == pytest.approx(float(expected.loss), rel=1e-6)
    assert distance(tiled.gradient, expected.gradient) < 1e-5
