"""Deep-zoom pyramids: the tiles make up the picture, and the manifest can be read back."""

import json
import os
import xml.etree.ElementTree as ET
import zipfile

import numpy as np
import pytest
import pyvips
from PIL import Image as PilImage
from typer.testing import CliRunner

from impasto.cli.main import app
from impasto.errors import ImageError
from impasto.image.read import read_manifest, read_picture
from impasto.image.write import write_picture
from made_files import MANIFEST, RGB, RGBA, SMOOTH, as_nobody, numbers, only, profile_of
from pyramids import ENDINGS, contents, deepest, index_of, level, noise


@pytest.mark.parametrize(("height", "width"), [(300, 517), (254, 255), (255, 254), (1, 509), (1, 1)])
def test_the_deepest_level_equals_the_picture(tmp_path, height, width):
    values = noise(height, width)
    write_picture(read_picture(values), tmp_path / "out.dz")
    assert only(tmp_path) == ["out.dzi", "out_files"]
    assert index_of(tmp_path / "out.dzi") == {
        "tile": 254, "overlap": 1, "format": "png", "width": width, "height": height,
    }  # fmt: skip
    number = int(np.ceil(np.log2(max(height, width))))
    assert only(tmp_path / "out_files") == sorted(map(str, range(number + 1)))
    assert np.array_equal(level(tmp_path / "out.dzi", number), values)


def test_tiles_without_alpha_are_jpeg_of_the_given_quality(tmp_path):
    smooth = np.asarray(PilImage.fromarray(SMOOTH).resize((517, 301)))
    sizes = []
    for quality, tolerance in ((92, 8), (40, 25)):
        write_picture(read_picture(smooth), tmp_path / "out.dz", quality=quality)
        assert index_of(tmp_path / "out.dzi")["format"] == "jpg"
        assert np.abs(level(tmp_path / "out.dzi", 10).astype(int) - smooth).max() <= tolerance
        sizes.append(sum(map(len, contents(tmp_path).values())))
    assert sizes[1] < sizes[0]


def test_every_level_is_the_mean_of_the_next(tmp_path):
    values = noise(256, 512)
    values[..., 3] = 255
    write_picture(read_picture(values), tmp_path / "out.dz")
    index = tmp_path / "out.dzi"
    for number in range(5, 9):
        fine = level(index, number + 1).astype(float)
        mean = fine.reshape(len(fine) // 2, 2, -1, 2, 4).mean((1, 3))
        assert np.abs(level(index, number) - mean).max() <= 1


def test_tiles_have_254_pixels_and_overlap_by_one(tmp_path):
    write_picture(read_picture(noise(3, 600, 3)), tmp_path / "out.dz")
    widths = [numbers(tmp_path / "out_files" / "10" / f"{n}_0.jpg").shape[1] for n in range(3)]
    assert widths == [255, 256, 93]


@pytest.mark.parametrize(("height", "width"), [(301, 517), (3, 600), (255, 255)])
def test_every_level_of_an_odd_picture_has_its_tiles(tmp_path, height, width):
    write_picture(read_picture(noise(height, width)), tmp_path / "out.dz")
    for number in range(deepest(tmp_path / "out.dzi") + 1):
        level(tmp_path / "out.dzi", number)
    assert level(tmp_path / "out.dzi", 0).shape == (1, 1, 4)


def test_colours_of_transparent_pixels_do_not_reach_coarser_levels(tmp_path):
    values = np.zeros((64, 64, 4), np.uint8)
    values[:, ::2] = (255, 0, 0, 0)
    values[:, 1::2] = (0, 0, 255, 255)
    write_picture(read_picture(values), tmp_path / "out.dz")
    assert np.array_equal(level(tmp_path / "out.dzi", 6), values)
    assert (level(tmp_path / "out.dzi", 5)[..., :3] == (0, 0, 255)).all()


@pytest.mark.parametrize("values", [RGB, RGBA])
def test_tiles_carry_the_srgb_profile(tmp_path, values):
    write_picture(read_picture(values), tmp_path / "out.dz")
    (tile,) = (tmp_path / "out_files" / "5").iterdir()
    header = pyvips.Image.new_from_buffer(tile.read_bytes(), "")
    assert bytes(header.get("icc-profile-data")) == bytes(profile_of("srgb"))


def test_a_zip_holds_the_same_files_uncompressed(tmp_path):
    picture = read_picture(noise(30, 300, 3))
    write_picture(picture, tmp_path / "out.dz", manifest=MANIFEST)
    expected = {f"out/{name}": data for name, data in contents(tmp_path).items()}
    write_picture(picture, tmp_path / "out.szi", manifest=MANIFEST)
    assert only(tmp_path) == ["out.dzi", "out.szi", "out_files"]
    with zipfile.ZipFile(tmp_path / "out.szi") as archive:
        assert archive.testzip() is None
        assert all(member.compress_type == zipfile.ZIP_STORED for member in archive.infolist())
        inside = {name: archive.read(name) for name in archive.namelist()}
    properties = ET.fromstring(inside.pop("out/scan-properties.xml"))
    assert [element.text for element in properties.iter() if element.tag.endswith(("name", "value"))] == [
        "ImageWidth", "300", "ImageHeight", "30",
    ]  # fmt: skip
    assert inside == expected


@pytest.mark.parametrize("ending", ENDINGS)
@pytest.mark.parametrize("values", [RGB, RGBA])
def test_the_same_pixels_give_the_same_bytes(tmp_path, ending, values):
    for folder in ("a", "b"):
        (tmp_path / folder).mkdir()
        write_picture(read_picture(values), tmp_path / folder / f"out{ending}", manifest=MANIFEST)
    assert contents(tmp_path / "a") == contents(tmp_path / "b")


@pytest.mark.parametrize("name", ["a[strip].x", "spaces and %d", "漢字", os.fsdecode(b"not utf-8 \xff")])
@pytest.mark.parametrize("ending", ENDINGS)
def test_names_that_libvips_could_misread_are_written(tmp_path, name, ending):
    folder = tmp_path / name
    try:
        folder.mkdir()
    except OSError:
        pytest.skip("this system knows no such names")
    write_picture(read_picture(RGB), folder / f"{name}{ending}", manifest=MANIFEST)
    expected = [f"{name}.szi"] if ending == ".szi" else [f"{name}.dzi", f"{name}_files"]
    assert only(folder) == expected
    assert read_manifest(folder / f"{name}{ending}") == MANIFEST


# ---- the manifest


@pytest.mark.parametrize("ending", ENDINGS)
def test_manifest_round_trip(tmp_path, ending):
    long = json.dumps([f"step {number}: <ü>\r" for number in range(12_000)], ensure_ascii=False, indent=1)
    for manifest in (MANIFEST, long, None):
        write_picture(read_picture(RGB), tmp_path / f"out{ending}", manifest=manifest)
        assert read_manifest(str(tmp_path / f"out{ending}")) == manifest


@pytest.mark.parametrize("ending", ENDINGS)
def test_a_lone_surrogate_keeps_its_value(tmp_path, ending):
    manifest = json.dumps({"text": "a\ud800b"}, ensure_ascii=False)
    write_picture(read_picture(RGB), tmp_path / f"out{ending}", manifest=manifest)
    assert json.loads(read_manifest(tmp_path / f"out{ending}") or "") == {"text": "a\ud800b"}


def test_the_manifest_is_found_by_both_names_and_in_a_renamed_zip(tmp_path):
    write_picture(read_picture(RGB), tmp_path / "out.dz", manifest=MANIFEST)
    assert read_manifest(tmp_path / "out.dz") == read_manifest(tmp_path / "out.dzi") == MANIFEST
    write_picture(read_picture(RGB), tmp_path / "out.szi", manifest=MANIFEST)
    (tmp_path / "out.szi").rename(tmp_path / "other.szi")
    assert read_manifest(tmp_path / "other.szi") == MANIFEST


def test_a_manifest_is_not_read_from_other_files(tmp_path):
    for name in ("no.dz", "no.dzi", "no.szi"):
        with pytest.raises(ImageError, match=rf"picture '.*{name}' does not exist. Looked in"):
            read_manifest(tmp_path / name)
    for name in ("no.dzi", "no.szi"):
        (tmp_path / name).write_text("no")
    with pytest.raises(ImageError, match=r"'.*no.dzi' is no deep-zoom picture: it is text. Give the .dzi"):
        read_manifest(tmp_path / "no.dzi")
    with pytest.raises(ImageError, match=r"'.*no.szi' is cut off or damaged \(zip: .*\). Copy or export"):
        read_manifest(tmp_path / "no.szi")
    with zipfile.ZipFile(tmp_path / "other.szi", "w") as archive:
        archive.writestr("a.txt", "no")
    with pytest.raises(ImageError, match=r"no deep-zoom picture: it is a zip archive without a .dzi"):
        read_manifest(tmp_path / "other.szi")


def test_a_damaged_manifest_in_a_zip_is_refused(tmp_path):
    write_picture(read_picture(RGB), tmp_path / "out.szi", manifest=MANIFEST)
    data = (tmp_path / "out.szi").read_bytes()
    (tmp_path / "out.szi").write_bytes(data.replace(b"Stil", b"Spil"))
    with pytest.raises(ImageError, match=r"is cut off or damaged \(zip: Bad CRC-32"):
        read_manifest(tmp_path / "out.szi")


def test_a_manifest_without_read_permission_is_refused(open_folder):
    write_picture(read_picture(RGB), open_folder / "out.dz", manifest=MANIFEST)
    (open_folder / "out_files" / "manifest.json").chmod(0)
    with as_nobody(), pytest.raises(ImageError, match=r"the manifest of picture '.*out.dz' may not be read"):
        read_manifest(open_folder / "out.dz")


def test_a_painting_is_rerun_from_its_pyramid(tmp_path, photo, painting, small_file):
    quick = ["--size", "48", "--steps", "2", "--scales", "1", "--weights", small_file]
    quick += ["--precision", "float32"]
    runner = CliRunner()
    result = runner.invoke(app, ["stylize", photo, painting, "-o", "out.dz", *quick])
    assert result.exit_code == 0, result.output
    result = runner.invoke(app, ["rerun", "out.dzi"])
    assert result.exit_code == 0, result.output
    assert only(tmp_path) == ["out-rerun.dzi", "out-rerun_files", "out.dzi", "out_files"]
    assert np.array_equal(level(tmp_path / "out.dzi", 6), level(tmp_path / "out-rerun.dzi", 6))


def test_pyramids_are_not_read_as_pictures(tmp_path):
    write_picture(read_picture(RGB), tmp_path / "out.dz")
    write_picture(read_picture(RGB), tmp_path / "one.szi")
    for name in ("out.dzi", "one.szi"):
        with pytest.raises(
            ImageError, match=rf"{name}' is no .*: it is a deep-zoom picture, which is only wr"
        ):
            read_picture(tmp_path / name)
    with pytest.raises(ImageError, match=r"out.dz' does not exist. Did you mean '.*out.dzi'"):
        read_picture(tmp_path / "out.dz")
