"""Automatic masks are used like drawn ones, and a rerun does not look for the subject again."""

import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from typer.testing import CliRunner

import impasto
from impasto import FastSettings, StylizeSettings
from impasto.cli.main import app
from impasto.errors import CheckpointError, SettingsError
from impasto.image.picture import Picture
from impasto.image.read import read_picture
from impasto.masks import automatic
from impasto.masks.subject import SubjectMap, subject_mask
from impasto.objective.custom import custom_term
from impasto.recipes.rerun import plan_rerun, rerun_fast
from impasto.results import manifest
from impasto.style.regions import NO_STYLE, read_regions
from small import EXAMPLES, save, scene, stripes

RUNNER = CliRunner()


def left_half() -> SubjectMap:
    """A subject on the left, with a soft border."""
    ramp = ((170 - torch.arange(320)) / 20).clamp(0, 1) * 255
    return SubjectMap(ramp.round().to(torch.uint8).expand(320, 320).contiguous())


@pytest.fixture
def searched(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The photos in which the subject was looked for; it is `left_half` in each."""
    names: list[str] = []

    def find(photo: Picture, **_: Any) -> SubjectMap:
        names.append(photo.name)
        return left_half()

    monkeypatch.setattr(automatic, "find_subject", find)
    return names


@pytest.fixture
def quick(small_file: str) -> StylizeSettings:
    return StylizeSettings(
        size=32, steps=2, threads=1, scales=1, recipe=1, strength=1.0, noise=0.5, weights=small_file,
        precision="float32",
    )  # fmt: skip


def pictures(*images: torch.Tensor) -> list[Picture]:
    return [Picture(image) for image in images]


def test_the_subject_takes_the_first_painting_and_the_rest_the_second(searched: list[str]) -> None:
    (photo,) = pictures(scene(60, 80))
    regions = read_regions(["auto:subject"], "", photo, pictures(stripes(40, 40), stripes(50, 40)))
    assert regions is not None
    assert dict(zip(regions.names, regions.sources, strict=True)) == {
        "#ffffff": (0, NO_STYLE),
        "#000000": (NO_STYLE, 0),
    }
    masks = [mask.mask.double() / 255 for mask in regions.photo_masks(60, 80, torch.device("cpu"))]
    subject = subject_mask(photo, left_half())[0, 0].double()
    white = masks[regions.names.index("#ffffff")]
    assert float((white - subject).abs().max()) <= 0.5 / 255 + 1e-6
    assert float((masks[0] + masks[1] - 1).abs().max()) < 1e-6
    whole = regions.style_masks(0, 20, 20, torch.device("cpu"))[regions.names.index("#ffffff")]
    assert whole is not None
    assert bool((whole.mask == 255).all())


def test_the_subject_is_kept_and_the_rest_painted(searched: list[str], quick: StylizeSettings) -> None:
    photo = scene(24, 32)
    painted = impasto.stylize(photo, stripes(40, 40), replace(quick, keep="subject")).picture.pixels
    change = (painted - photo).abs().amax(1)[0]
    mask = subject_mask(Picture(photo), left_half())[0, 0]
    assert bool((mask[:, :13] > 0.999).all())
    assert float(change[:, :13].max()) < 1e-6
    assert float(change[:, 20:].mean()) > 0.01
    assert searched


def test_an_automatic_mask_keeps_what_the_same_mask_from_a_file_keeps(
    searched: list[str], quick: StylizeSettings
) -> None:
    """Apart from the soft border, which areas in a file do not have."""
    photo = Picture(scene(36, 48))
    hard = (subject_mask(photo, left_half()) >= 0.5).float().expand(-1, 3, -1, -1).contiguous()
    from_file = read_regions([hard], "white", photo, pictures(stripes(40, 40)))
    automatic_regions = read_regions([], "subject", photo, pictures(stripes(40, 40)))
    assert from_file is not None
    assert automatic_regions is not None
    kept, expected = automatic_regions.kept_mask(36, 48), from_file.kept_mask(36, 48)
    assert kept is not None
    assert expected is not None
    assert torch.equal(kept >= 0.5, expected >= 0.5)


@pytest.mark.parametrize("case", ["keep", "two paintings", "luminance"])
def test_a_rerun_gives_the_same_pixels_and_does_not_look_for_the_subject(
    case: str, searched: list[str], quick: StylizeSettings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    photo = save(scene(60, 80), tmp_path / "photo.png")
    paintings = [save(stripes(40, 40), tmp_path / "one.png"), save(stripes(44, 40), tmp_path / "two.png")]
    settings, styles, regions = {
        "keep": (replace(quick, keep="subject"), paintings[:1], []),
        "two paintings": (quick, paintings, ["auto:subject"]),
        "luminance": (replace(quick, keep="black"), paintings[:1], ["auto:luminance"]),
    }[case]
    first = impasto.stylize(photo, styles, settings, regions=regions)
    first.save(tmp_path / "out.png")
    facts = manifest.read(tmp_path / "out.png")
    assert facts["inputs"]["regions"]["path"] == ("auto:luminance" if case == "luminance" else "auto:subject")
    assert len(str(facts.get("masks", ""))) < 10_000
    monkeypatch.setattr(automatic, "find_subject", None)
    rerun = impasto.rerun(tmp_path / "out.png")
    assert torch.equal(rerun.picture.pixels, first.picture.pixels)
    assert rerun.manifest["inputs"] == first.manifest["inputs"]
    assert rerun.manifest.get("masks") == first.manifest.get("masks")


def test_a_rerun_of_one_pass_does_not_look_for_the_subject(
    searched: list[str],
    small_file: str,
    decoder_file: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    photo, painting = save(scene(60, 80), tmp_path / "a.png"), save(stripes(40, 40), tmp_path / "b.png")
    settings = FastSettings(
        weights=small_file, decoder=decoder_file, keep="subject", size=64, precision="float32"
    )
    first = impasto.stylize_fast(photo, painting, settings)
    first.save(tmp_path / "out.png")
    monkeypatch.setattr(automatic, "find_subject", None)
    assert torch.equal(rerun_fast(tmp_path / "out.png").picture.pixels, first.picture.pixels)
    with pytest.raises(CheckpointError, match=r"extra terms .*: none; given: 'dark'"):
        impasto.rerun(tmp_path / "out.png", extra_terms=[custom_term("dark", lambda image: image.sum())])


def test_a_resumed_run_does_not_look_for_the_subject(
    searched: list[str], small_file: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Even from another folder, because the name of an automatic mask is not a path."""
    save(scene(60, 80), tmp_path / "a.png")
    save(stripes(40, 40), tmp_path / "b.png")
    options = ["--size", "32", "--threads", "1", "--scales", "1", "--recipe", "1", "--weights", small_file]
    run = ["stylize", "a.png", "b.png", "-o", "out.png", "--keep", "subject", "--steps", "4", *options]
    first = RUNNER.invoke(app, [*run, "--checkpoint", "c", "--checkpoint-every", "3"])
    assert first.exit_code == 0, first.output
    monkeypatch.setattr(automatic, "find_subject", None)
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    resumed = RUNNER.invoke(app, ["resume", "../c", "-o", "again.png"])
    assert resumed.exit_code == 0, resumed.output
    assert torch.equal(read_picture("again.png").pixels, read_picture("../out.png").pixels)


def test_a_damaged_mask_in_the_manifest_is_refused(
    searched: list[str], quick: StylizeSettings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    photo, painting = save(scene(60, 80), tmp_path / "a.png"), save(stripes(40, 40), tmp_path / "b.png")
    first = impasto.stylize(photo, painting, replace(quick, keep="subject"))
    for text, message in (
        ("AAAA", "damaged"),
        (automatic.to_text(SubjectMap(left_half().levels.flip(1))), "has changed"),
    ):
        changed = replace(first, manifest={**first.manifest, "masks": {"subject": text}})
        changed.save(tmp_path / "out.png")
        with pytest.raises(CheckpointError, match=message):
            plan_rerun(tmp_path / "out.png")


@pytest.mark.parametrize(
    ("regions", "keep", "paintings", "message"),
    [
        (["auto:sky"], "", 1, r"'auto:sky' is no mask; it must be one of auto:subject, auto:luminance"),
        (["auto:subject", "two.png"], "", 1, r"'auto:subject' is one of 2 masks.*give it alone"),
        (["auto:subject"], "", 3, r"'auto:subject' has two areas, and there are 3 paintings"),
        (["auto:luminance"], "subject", 1, r"'auto:luminance' does not look for it"),
        (["mask.png"], "red;subject", 1, r"keep is 'red;subject', and --regions names 'mask\.png'"),
        ([], "subject;black", 1, r"all of the photo"),
        (["auto:subject"], "green", 1, r"mask 'auto:subject' has"),
        ([], "red", 1, r"keep the subject with --keep subject"),
    ],
)
def test_regions_and_kept_areas_that_conflict_are_refused(
    searched: list[str], regions: list[str], keep: str, paintings: int, message: str
) -> None:
    (photo,) = pictures(scene(60, 80))
    with pytest.raises(SettingsError, match=message):
        read_regions(regions, keep, photo, pictures(*[stripes(40, 40)] * paintings))


def test_the_subject_may_be_kept_by_name_and_by_colour(searched: list[str]) -> None:
    (photo,) = pictures(scene(60, 80))
    by_name, twice = (
        read_regions([], keep, photo, pictures(stripes(40, 40))) for keep in ("subject", "subject;white")
    )
    assert by_name is not None
    assert twice is not None
    expected, kept = by_name.kept_mask(60, 80), twice.kept_mask(60, 80)
    assert expected is not None
    assert kept is not None
    assert torch.equal(kept, expected)


@pytest.mark.weights
def test_the_command_keeps_a_real_subject_and_reruns_without_onnxruntime(
    small_file: str, painting: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    options = ["--size", "32", "--threads", "1", "--steps", "2", "--scales", "1", "--recipe", "1"]
    options += ["--weights", small_file]
    photo = str(EXAMPLES / "dandelion.jpg")
    first = RUNNER.invoke(app, ["stylize", photo, painting, "-o", "out.png", "--keep", "subject", *options])
    assert first.exit_code == 0, first.output
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    rerun = RUNNER.invoke(app, ["rerun", "out.png"])
    assert rerun.exit_code == 0, rerun.output
    assert torch.equal(read_picture("out-rerun.png").pixels, read_picture("out.png").pixels)
