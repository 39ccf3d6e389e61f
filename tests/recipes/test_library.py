"""The public functions: stylize, iter_stylize, batch and figure, and what they return."""

import gc
import io
import weakref
from collections.abc import Callable
from pathlib import Path

import numpy as np
import PIL.Image
import pytest
import torch

import impasto
from impasto import ImageError
from impasto.results import manifest as manifests

QUICK = {"size": 48, "steps": 3, "scales": 1, "precision": "float32", "recipe": 1}


@pytest.fixture(autouse=True)
def _small(small_file: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("IMPASTO_WEIGHTS", small_file)


def test_keywords_and_settings_paint_the_same(photo: str, painting: str) -> None:
    by_keywords = impasto.stylize(photo, painting, strength=0.7, **QUICK)  # type: ignore[arg-type]
    settings = impasto.StylizeSettings(strength=0.7, **QUICK)  # type: ignore[arg-type]
    by_settings = impasto.stylize(photo, painting, settings)
    assert torch.equal(by_keywords.picture.pixels, by_settings.picture.pixels)
    assert by_keywords.manifest["settings"] == by_settings.manifest["settings"]
    assert by_keywords.manifest["settings"]["strength"] == 0.7
    changed = impasto.stylize(photo, painting, settings, strength=0.2)
    assert changed.manifest["settings"]["strength"] == 0.2
    assert changed.manifest["settings"]["steps"] == 3


def test_a_run_that_is_left_early_gives_the_painting_so_far(
    photo: str, painting: str, tmp_path: Path
) -> None:
    options = QUICK | {"steps": 6}
    for progress in impasto.iter_stylize(photo, painting, **options):  # type: ignore[arg-type]
        if progress.step == 3:
            break
    early = progress.painting()
    assert torch.equal(early.picture.pixels, progress.image())
    assert not early.manifest["result"]["complete"]
    assert early.manifest["result"]["evaluations"] == progress.evaluations
    early.save(tmp_path / "early.png")
    assert manifests.read(tmp_path / "early.png")["result"]["loss"] == progress.loss
    *_, last = impasto.iter_stylize(photo, painting, **options)  # type: ignore[arg-type]
    uninterrupted = impasto.stylize(photo, painting, **options)  # type: ignore[arg-type]
    assert last.painting().manifest["result"]["complete"]
    assert torch.equal(last.painting().picture.pixels, uninterrupted.picture.pixels)


def test_a_progress_is_freed_without_garbage_collection(photo: str, painting: str) -> None:
    """A reference cycle would keep the solver's vectors in memory, most of what a large run needs."""
    steps = impasto.iter_stylize(photo, painting, **QUICK)  # type: ignore[arg-type]
    gc.collect()
    gc.disable()
    try:
        first = weakref.ref(next(steps))
        next(steps)
        assert first() is None
    finally:
        gc.enable()


def test_a_painting_converts_to_numpy_pillow_and_png(photo: str, painting: str) -> None:
    *_, last = impasto.iter_stylize(photo, painting, **QUICK)  # type: ignore[arg-type]
    result = last.painting()
    values = (result.picture.pixels[0].permute(1, 2, 0) * 255).round().to(torch.uint8).numpy()
    assert np.array_equal(result.to_numpy(), values)
    assert result.to_numpy(16).dtype == np.uint16
    assert np.array_equal(np.asarray(result.to_pil()), values)
    for viewable in (result, result.picture, last):
        data = viewable._repr_png_()
        assert np.array_equal(np.asarray(PIL.Image.open(io.BytesIO(data))), values)


def test_batch_returns_when_all_pictures_are_painted(photo: str, painting: str, tmp_path: Path) -> None:
    (tmp_path / "broken.jpg").write_bytes(b"no picture")
    pairs = [(str(tmp_path / "broken.jpg"), painting), (photo, painting)]
    results = impasto.batch(pairs, tmp_path / "out", **QUICK)  # type: ignore[arg-type]
    assert [result.state for result in results] == ["failed", "painted"]
    assert "broken.jpg" in results[0].error
    assert not results[1].error
    assert manifests.read(results[1].pair.output)["settings"]["steps"] == 3
    second = impasto.batch(pairs[1:], tmp_path / "out", **QUICK)  # type: ignore[arg-type]
    assert [result.state for result in second] == ["skipped"]


def test_figure_returns_when_the_figure_is_drawn(photo: str, painting: str, tmp_path: Path) -> None:
    panels = impasto.figure(1, photo, painting, tmp_path / "figure.png", size=32, steps=1)
    assert list(panels)[:2] == ["style-1", "style-2"]
    assert len(panels) == 10
    assert all(isinstance(panel, impasto.Picture) for panel in panels.values())
    assert impasto.read_picture(tmp_path / "figure.png").width > 100
    assert [path.name for path in tmp_path.iterdir()] == ["figure.png"]


BATCH = torch.rand(2, 3, 64, 64, generator=torch.Generator().manual_seed(0))

BATCHES: dict[str, Callable[[str], object]] = {
    "content": lambda picture: impasto.stylize(BATCH, picture, size=64),
    "style": lambda picture: impasto.stylize(picture, [picture, BATCH], size=64),
    "reconstruct content": lambda _: impasto.reconstruct_content(BATCH, size=64),
    "reconstruct style": lambda _: impasto.reconstruct_style(BATCH, size="64"),
    "features": lambda _: impasto.features(BATCH, size=64),
    "fast": lambda picture: impasto.stylize_fast(BATCH, picture),
    "loss": lambda picture: impasto.paper_loss(BATCH, picture, picture),
    "regions": lambda picture: impasto.stylize(picture, picture, regions=[BATCH], size=64),
    "figure": lambda picture: impasto.figure(2, BATCH, picture, size=64, output="figure-2.png"),
}


@pytest.mark.parametrize("name", BATCHES)
def test_a_batch_is_refused_before_weights_are_loaded(
    name: str, photo: str, decoder_file: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("IMPASTO_DECODER", decoder_file)
    if name != "fast":  # which needs no weights to read its photos, but loads them once for many
        monkeypatch.setenv("IMPASTO_WEIGHTS", "nowhere.safetensors")
    with pytest.raises(ImageError, match="'tensor' holds 2 pictures; pass them one at a time"):
        BATCHES[name](photo)


def test_iterators_check_when_called_and_paint_when_iterated(
    photo: str, painting: str, tmp_path: Path
) -> None:
    stream = impasto.iter_batch([(photo, painting)], tmp_path / "out", **QUICK)  # type: ignore[arg-type]
    assert not list((tmp_path / "out").iterdir())
    assert [progress.state for progress in stream][-1] == "painted"
    with pytest.raises(impasto.SettingsError, match="format is 'gif'"):
        impasto.iter_batch([(photo, painting)], tmp_path / "out", format="gif")
    with pytest.raises(impasto.SettingsError):
        impasto.iter_figure(1, photo, painting, tmp_path / "figure.xyz")
    with pytest.raises(impasto.ImageError):
        impasto.iter_stylize("nowhere.jpg", painting)
    (first, *_) = impasto.iter_reconstruct_content(photo, layer="conv1_1", size=32, steps=2)
    assert first.step == 1
    (first, *_) = impasto.iter_reconstruct_style(painting, size="32", steps=2)
    assert first.step == 1
