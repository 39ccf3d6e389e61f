"""The library as it is typed: a picture at once, one that is watched, many."""

import gc
import io
import weakref
from pathlib import Path

import numpy as np
import PIL.Image
import pytest
import torch

import impasto
from impasto.results import manifest as manifests

QUICK = {"size": 48, "steps": 3, "scales": 1, "precision": "float32", "recipe": 1}


@pytest.fixture(autouse=True)
def _small(small_file: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("IMPASTO_WEIGHTS", small_file)


def test_keywords_and_settings_paint_the_same(photo: str, painting: str) -> None:
    typed = impasto.stylize(photo, painting, strength=0.7, **QUICK)  # type: ignore[arg-type]
    settings = impasto.StylizeSettings(strength=0.7, **QUICK)  # type: ignore[arg-type]
    given = impasto.stylize(photo, painting, settings)
    assert torch.equal(typed.picture.pixels, given.picture.pixels)
    assert typed.manifest["settings"] == given.manifest["settings"]
    assert typed.manifest["settings"]["strength"] == 0.7
    changed = impasto.stylize(photo, painting, settings, strength=0.2)
    assert changed.manifest["settings"]["strength"] == 0.2
    assert changed.manifest["settings"]["steps"] == 3


def test_a_run_that_is_left_early_gives_its_painting(photo: str, painting: str, tmp_path: Path) -> None:
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
    whole = impasto.stylize(photo, painting, **options)  # type: ignore[arg-type]
    assert last.painting().manifest["result"]["complete"]
    assert torch.equal(last.painting().picture.pixels, whole.picture.pixels)


def test_a_step_is_gone_when_nobody_holds_it(photo: str, painting: str) -> None:
    """A cycle would keep a solver's vectors, which are most of a large run's memory, beyond the next step."""
    steps = impasto.iter_stylize(photo, painting, **QUICK)  # type: ignore[arg-type]
    gc.collect()
    gc.disable()
    try:
        first = weakref.ref(next(steps))
        next(steps)
        assert first() is None
    finally:
        gc.enable()


def test_a_painting_becomes_what_other_libraries_take(photo: str, painting: str) -> None:
    *_, last = impasto.iter_stylize(photo, painting, **QUICK)  # type: ignore[arg-type]
    done = last.painting()
    values = (done.picture.pixels[0].permute(1, 2, 0) * 255).round().to(torch.uint8).numpy()
    assert np.array_equal(done.to_numpy(), values)
    assert done.to_numpy(16).dtype == np.uint16
    assert np.array_equal(np.asarray(done.to_pil()), values)
    for shown in (done, done.picture, last):
        data = shown._repr_png_()
        assert np.array_equal(np.asarray(PIL.Image.open(io.BytesIO(data))), values)


def test_a_batch_is_done_when_it_returns(photo: str, painting: str, tmp_path: Path) -> None:
    (tmp_path / "broken.jpg").write_bytes(b"no picture")
    pairs = [(str(tmp_path / "broken.jpg"), painting), (photo, painting)]
    results = impasto.batch(pairs, tmp_path / "out", **QUICK)  # type: ignore[arg-type]
    assert [result.state for result in results] == ["failed", "painted"]
    assert "broken.jpg" in results[0].error
    assert not results[1].error
    assert manifests.read(results[1].pair.output)["settings"]["steps"] == 3
    again = impasto.batch(pairs[1:], tmp_path / "out", **QUICK)  # type: ignore[arg-type]
    assert [result.state for result in again] == ["skipped"]


def test_a_figure_is_drawn_when_it_returns(photo: str, painting: str, tmp_path: Path) -> None:
    panels = impasto.figure(1, photo, painting, tmp_path / "one.png", size=32, steps=1)
    assert list(panels)[:2] == ["style-1", "style-2"]
    assert len(panels) == 10
    assert all(isinstance(panel, impasto.Picture) for panel in panels.values())
    assert impasto.read_picture(tmp_path / "one.png").width > 100
    assert [path.name for path in tmp_path.iterdir()] == ["one.png"]


def test_iterators_check_at_the_call_and_paint_when_asked(photo: str, painting: str, tmp_path: Path) -> None:
    stream = impasto.iter_batch([(photo, painting)], tmp_path / "out", **QUICK)  # type: ignore[arg-type]
    assert not list((tmp_path / "out").iterdir())
    assert [at.state for at in stream][-1] == "painted"
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
