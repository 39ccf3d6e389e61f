"""Matching regions: clustering, trust, soft areas, and reruns that need no clustering."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor
from typer.testing import CliRunner

import impasto
from forked import forked
from impasto import StylizeSettings
from impasto.cli.main import app
from impasto.errors import CheckpointError, ImpastoWarning, SettingsError
from impasto.image.color_mask import read_color_mask
from impasto.image.picture import Picture
from impasto.image.read import read_picture
from impasto.recipes.rerun import plan_rerun
from impasto.recipes.resume import plan_resume
from impasto.recipes.stylize import iter_stylize, plan_stylize
from impasto.results import manifest
from impasto.run import checkpoint
from impasto.run.loop import complete
from impasto.style import clustering, matched_regions, region_matching
from impasto.style.clustering import k_means, silhouette
from impasto.style.region_matching import RegionMatch, match_regions, recorded_match
from impasto.style.regions import NO_STYLE
from impasto.system.distributed import broadcast_text, join_process_group, leave_process_group, rank
from small import save, small_network

TRUSTED = {"distance": 0.5, "height": 0.1, "light": 0.1, "borders": 0.1, "shared": 2.0, "silhouette": 0.5}


def landscape(height: int, width: int, *, horizon: float = 0.5, above: float = 0.9) -> Tensor:
    """A smooth sky over rough ground, or the ground over the sky if `above` is at most 0.5."""
    generator = torch.Generator().manual_seed(int(100 * horizon))
    rough = 0.3 * torch.rand(1, 3, height, width, generator=generator)
    sky = torch.full_like(rough, 0.9) * torch.tensor([0.8, 0.9, 1.0])[:, None, None]
    rows = (torch.arange(height) < horizon * height)[:, None]
    return torch.where(rows, sky, rough) if above > 0.5 else torch.where(rows, rough, sky)


def rows_of_labels(width: int, *rows: int) -> Tensor:
    """Labels (len(rows), width) of a grid, constant in each row."""
    return torch.tensor(rows, dtype=torch.uint8)[:, None].repeat(1, width)


@pytest.fixture(autouse=True)
def _small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Cluster pictures at 128 px."""
    monkeypatch.setattr(region_matching, "SIDE", 128)


@pytest.fixture
def quick(small_file: str) -> StylizeSettings:
    return StylizeSettings(
        size=48, steps=2, threads=1, scales=1, weights=small_file, precision="float32", match="regions",
        style_loss="gram", space="pixels", layers={"conv1_1": 1.0, "conv3_1": 1.0},
    )  # fmt: skip


@pytest.fixture
def files(tmp_path: Path) -> tuple[str, str]:
    return (
        save(landscape(96, 128), tmp_path / "a.png"),
        save(landscape(128, 96, horizon=0.4), tmp_path / "b.png"),
    )


def test_k_means_finds_the_best_of_all_partitions() -> None:
    points = np.random.default_rng(3).normal(size=(9, 2))
    labels, centers = k_means(points, 2)
    cost = ((points - centers[labels]) ** 2).sum()
    best = min(
        sum(((part - part.mean(0)) ** 2).sum() for part in (points[mask], points[~mask]))
        for number in range(1, 256)
        for mask in [np.array([number >> bit & 1 for bit in range(9)], bool)]
    )
    assert cost == pytest.approx(best)
    np.testing.assert_allclose(centers, [points[labels == index].mean(0) for index in range(2)])


def test_no_step_of_k_means_raises_the_cost(monkeypatch: pytest.MonkeyPatch) -> None:
    points = np.random.default_rng(0).normal(size=(300, 5))
    costs = []
    for steps in range(1, 12):
        monkeypatch.setattr(clustering, "STEPS", steps)
        costs.append(clustering._lloyd(points, points[:4].copy())[2])
    assert costs == sorted(costs, reverse=True)
    assert costs[0] > costs[-1]


def test_the_silhouette_equals_its_definition() -> None:
    points = np.random.default_rng(1).normal(size=(40, 3))
    labels = np.arange(40) % 3
    expected = []
    for index in range(40):
        distances = np.linalg.norm(points - points[index], axis=1)
        means = [distances[(labels == k) & (np.arange(40) != index)].mean() for k in range(3)]
        a, b = means[labels[index]], min(np.delete(means, labels[index]))
        expected.append((b - a) / max(a, b))
    assert silhouette(points, labels) == pytest.approx(np.mean(expected))


def test_sky_matches_sky_and_an_inverted_picture_is_not_trusted() -> None:
    network = small_network(pooling="max")
    photo, painting = Picture(landscape(96, 128)), Picture(landscape(128, 96, horizon=0.4))
    match = match_regions(network, photo, [painting])
    assert not match.doubts
    assert match_regions(network, photo, [painting]).manifest_entry == match.manifest_entry
    sky, ground = int(match.labels[0][0, 0]), int(match.labels[0][-1, 0])
    assert sky != ground
    assert int(match.labels[1][0, 0]) == sky
    assert int(match.labels[1][-1, 0]) == ground
    upside_down = Picture(landscape(128, 96, above=0.1))
    assert "lie at different heights" in match_regions(network, photo, [upside_down]).doubts


def test_a_match_is_restored_from_the_manifest_and_damage_is_refused() -> None:
    match = RegionMatch((rows_of_labels(5, 0, 1, 2), rows_of_labels(3, 2, 0)), 3, TRUSTED)
    entry = match.manifest_entry
    restored = recorded_match(entry)
    assert all(torch.equal(a, b) for a, b in zip(restored.labels, match.labels, strict=True))
    assert restored.manifest_entry == entry
    for change in (
        {"clusters": 2},
        {"facts": 3},
        {"maps": [{"size": [9, 9], "labels": "AAAA"}]},
        {"maps": 1},
    ):
        with pytest.raises(CheckpointError, match="damaged"):
            recorded_match({**entry, **change})


def test_areas_are_soft_and_together_cover_every_pixel() -> None:
    match = RegionMatch((rows_of_labels(8, 0, 0, 1, 1, 2, 2),), 3, TRUSTED)
    areas = matched_regions.color_mask(match, 0, Picture(landscape(96, 128)))
    assert areas.shares is not None
    assert bool((areas.shares.sum(0, dtype=torch.int64) == 255).all())
    assert bool(((areas.shares > 20) & (areas.shares < 235)).any())
    total = sum(areas.soft(index, 37, 53) for index in range(3))
    assert float((total - 1).abs().max()) < 1e-5  # type: ignore[union-attr]


def test_a_region_that_a_painting_lacks_takes_its_style_from_the_others() -> None:
    """Both paintings have cluster 0, the second has 1, neither has 2, and 3 is not in the photo."""
    labels = (rows_of_labels(9, 0, 0, 1, 2), rows_of_labels(9, 0, 3), rows_of_labels(9, 0, 1))
    match = RegionMatch(labels, 4, TRUSTED)
    pictures = [Picture(landscape(64, 72)) for _ in labels]
    regions = matched_regions.regions_of(match, pictures[0], pictures[1:])
    assert regions.painted == (0, 1, 2)
    assert regions.sources == ((0, 0), (NO_STYLE, 1), (None, None))
    masks = [mask.mask.int() for mask in regions.photo_masks(64, 72, torch.device("cpu"))]
    assert bool((sum(masks) == 255).all())  # type: ignore[union-attr]


def test_rerun_and_resume_need_no_clustering_and_tiles_change_nothing(
    files: tuple[str, str], quick: StylizeSettings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    steps = list(iter_stylize(*files, quick))
    first = steps[-1].painting()
    first.save(tmp_path / "out.png")
    entry = manifest.read(tmp_path / "out.png")["matching"]
    assert entry["doubts"] == ""
    assert len(str(entry)) < 2000
    checkpoint.save(tmp_path / "c", steps[0].snapshot(), {"manifest": first.manifest, "output": {}})

    def refuse(*_: Any) -> None:
        raise AssertionError("clustered again")

    tiled = complete(plan_stylize(*files, replace(quick, tile=32)))
    assert tiled.manifest["matching"] == entry
    torch.testing.assert_close(tiled.picture.pixels, first.picture.pixels, rtol=0, atol=2e-3)
    monkeypatch.setattr(matched_regions, "match_regions", refuse)
    plan, _ = plan_rerun(tmp_path / "out.png")
    rerun = complete(plan)
    assert torch.equal(rerun.picture.pixels, first.picture.pixels)
    assert rerun.manifest["matching"] == entry
    plan, snapshot, _ = plan_resume(tmp_path / "c")
    assert torch.equal(complete(plan, snapshot).picture.pixels, first.picture.pixels)


def test_a_match_that_is_not_trusted_does_not_change_the_picture(
    quick: StylizeSettings, tmp_path: Path
) -> None:
    files = save(landscape(96, 128), tmp_path / "a.png"), save(landscape(64, 64, above=0), tmp_path / "b.png")
    with pytest.warns(ImpastoWarning, match="do not match the painting's: .* everywhere instead"):
        untrusted = impasto.stylize(*files, quick)
    plain = impasto.stylize(*files, replace(quick, match="none"))
    assert torch.equal(untrusted.picture.pixels, plain.picture.pixels)
    assert untrusted.manifest["matching"]["doubts"]
    assert "matching" not in plain.manifest


def test_the_command_writes_two_masks_that_can_be_used_as_regions(
    files: tuple[str, str], quick: StylizeSettings, small_file: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("IMPASTO_WEIGHTS", small_file)
    result = CliRunner().invoke(app, ["mask", files[0], "--kind", f"like:{files[1]}", "-o", "m.png"])
    assert result.exit_code == 0, result.output
    masks = [read_color_mask(read_picture(file)) for file in ("m.png", "m-painting.png")]
    assert set(masks[0].colors) == set(masks[1].colors)
    assert masks[0].labels.shape == (96, 128)
    matched = plan_stylize(*files, quick)
    drawn = plan_stylize(*files, replace(quick, match="none"), regions=["m.png", "m-painting.png"])
    terms = [plan.problem.objective(plan.scales[0], plan.layouts[0]).terms for plan in (matched, drawn)]
    assert len(terms[0]) == len(terms[1])


def test_all_processes_receive_the_text_of_the_first() -> None:
    forked(2, _broadcast)


def _broadcast() -> None:
    join_process_group()
    texts = ["the first", "another, longer one"]
    assert broadcast_text(texts[rank()]) == texts[0]
    leave_process_group()


@pytest.mark.parametrize(
    ("changes", "regions", "message"),
    [
        ({}, ["mask.png"], r"match is 'regions' and --regions has 1 masks.*Leave out --match or --regions"),
        ({"keep": "subject"}, [], r"match is 'regions' and keep is 'subject'.*Leave out --match or --keep"),
        ({"formula": "paper"}, [], r"match is 'regions' and formula is 'paper'"),
    ],
)
def test_options_that_exclude_matching_are_refused(
    files: tuple[str, str],
    quick: StylizeSettings,
    changes: dict[str, Any],
    regions: Sequence[str],
    message: str,
) -> None:
    with pytest.raises(SettingsError, match=message):
        plan_stylize(*files, replace(quick, **changes), regions=regions)
