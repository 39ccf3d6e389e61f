"""Writing files: round trips, manifests, files written whole or not at all, limits of the formats."""

import errno
import json
import os
import stat

import numpy as np
import pytest
import pyvips
import torch

from impasto.errors import ImageError, ImpastoWarning, SettingsError
from impasto.image import write
from impasto.image.picture import Picture
from impasto.image.read import read_manifest, read_picture
from impasto.image.write import write_picture
from made_files import (
    DEEP,
    MANIFEST,
    RGB,
    RGBA,
    RNG,
    SMOOTH,
    SUFFIXES,
    numbers,
    only,
    profile_of,
    saved,
    vips,
)


@pytest.mark.parametrize("suffix", [".png", ".tif", ".tiff", ".PNG"])
@pytest.mark.parametrize(
    ("values", "bits"), [(RGB, 8), (RGBA, 8), (DEEP, 16), (DEEP.repeat(2, 2)[..., :4], 16)]
)
def test_lossless_round_trip_is_exact(tmp_path, suffix, values, bits):
    write_picture(read_picture(values), tmp_path / f"out{suffix}", bits=bits)
    back = read_picture(tmp_path / f"out{suffix}")
    assert np.array_equal(back.to_numpy(bits), values)


@pytest.mark.parametrize("suffix", [".webp", ".avif"])
@pytest.mark.parametrize("values", [RGB, RGBA])
def test_quality_100_is_lossless(tmp_path, suffix, values):
    write_picture(read_picture(values), tmp_path / f"out{suffix}", quality=100)
    assert np.array_equal(numbers(tmp_path / f"out{suffix}"), values)


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_every_format_keeps_a_smooth_picture_and_carries_the_srgb_profile(tmp_path, suffix):
    write_picture(read_picture(SMOOTH), tmp_path / f"out{suffix}")
    assert np.abs(numbers(tmp_path / f"out{suffix}").astype(int) - SMOOTH).max() <= 8
    header = pyvips.Image.new_from_buffer((tmp_path / f"out{suffix}").read_bytes(), "")
    assert bytes(header.get("icc-profile-data")) == bytes(profile_of("srgb"))
    assert only(tmp_path) == [f"out{suffix}"]


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_the_same_pixels_give_the_same_bytes(tmp_path, suffix):
    for name in ("a", "b"):
        write_picture(read_picture(SMOOTH), tmp_path / f"{name}{suffix}", manifest=MANIFEST)
    assert (tmp_path / f"a{suffix}").read_bytes() == (tmp_path / f"b{suffix}").read_bytes()


def test_quality_changes_the_size_and_is_checked(tmp_path):
    for suffix in (".jpg", ".webp", ".avif"):
        write_picture(read_picture(RGB), tmp_path / f"low{suffix}", quality=20)
        write_picture(read_picture(RGB), tmp_path / f"high{suffix}", quality=95)
        assert (tmp_path / f"low{suffix}").stat().st_size < (tmp_path / f"high{suffix}").stat().st_size
    for quality in (0, 101):
        with pytest.raises(SettingsError, match=f"quality is {quality}; it must be from 1 to 100"):
            write_picture(read_picture(RGB), tmp_path / "x.jpg", quality=quality)


def test_jpeg_puts_transparent_pixels_on_white(tmp_path):
    half = np.zeros((16, 16, 4), np.uint8)
    half[..., 3] = 128
    with pytest.warns(ImpastoWarning, match="JPEG holds no transparency; array is laid over white"):
        write_picture(read_picture(half), tmp_path / "out.jpg")
    assert np.abs(numbers(tmp_path / "out.jpg").astype(int) - 127).max() <= 1


def test_jpeg_of_an_opaque_picture_needs_no_warning(tmp_path):
    opaque = np.concatenate([SMOOTH, np.full((48, 64, 1), 255, np.uint8)], 2)
    write_picture(read_picture(opaque), tmp_path / "out.jpg")
    assert np.abs(numbers(tmp_path / "out.jpg").astype(int) - SMOOTH).max() <= 8


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_manifest_round_trip(tmp_path, suffix):
    write_picture(read_picture(SMOOTH), tmp_path / f"out{suffix}", manifest=MANIFEST)
    assert read_manifest(tmp_path / f"out{suffix}") == MANIFEST
    write_picture(read_picture(SMOOTH), str(tmp_path / f"none{suffix}"))
    assert read_manifest(str(tmp_path / f"none{suffix}")) is None


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_long_manifest_round_trip(tmp_path, suffix):
    manifest = json.dumps([f"step {number}: <ü>" for number in range(12_000)], ensure_ascii=False, indent=1)
    write_picture(read_picture(SMOOTH), tmp_path / f"out{suffix}", manifest=manifest)
    assert read_manifest(tmp_path / f"out{suffix}") == manifest


def test_a_manifest_at_the_limit_of_jpeg_is_kept(tmp_path):
    for length in range(59_400, 59_700, 20):
        manifest = json.dumps(RNG.bytes(length // 2 - 1).hex()[: length - 2])
        write_picture(read_picture(SMOOTH), tmp_path / "out.jpg", manifest=manifest)
        assert read_manifest(tmp_path / "out.jpg") == manifest


def test_a_manifest_too_large_for_jpeg_is_refused(tmp_path):
    manifest = json.dumps(RNG.bytes(100_000).hex())
    with pytest.raises(
        ImageError, match=r"the manifest takes 1\d\d,\d\d\d bytes, JPEG holds 60,000. Use .png"
    ):
        write_picture(read_picture(SMOOTH), tmp_path / "out.jpg", manifest=manifest)
    assert only(tmp_path) == []


def test_characters_that_xml_cannot_hold_keep_their_value(tmp_path):
    text = "a\ud800b\x00c\ufffed\x7f\r\n"
    manifest = json.dumps({"text": text}, ensure_ascii=False, indent=1).replace("\n", "\r\n")
    write_picture(read_picture(SMOOTH), tmp_path / "out.png", manifest=manifest)
    assert json.loads(read_manifest(tmp_path / "out.png")) == {"text": text}


def test_pictures_of_other_programs_have_no_manifest(tmp_path):
    saved(tmp_path, RGB)
    assert read_manifest(tmp_path / "in.png") is None
    for packet in (b"<x:xmpmeta xmlns:x='adobe:ns:meta/'/>", b"<broken", b""):
        image = vips(RGB)
        image.set_type(pyvips.GValue.blob_type, "xmp-data", packet)
        image.write_to_file(str(tmp_path / "other.tif"))
        assert read_manifest(tmp_path / "other.tif") is None
    (tmp_path / "x.txt").write_text("no")
    with pytest.raises(ImageError, match=r"picture '.*x.txt' is no picture that can be read: it is text"):
        read_manifest(tmp_path / "x.txt")


def test_a_manifest_rewritten_by_another_program_is_read(tmp_path):
    image = vips(RGB)
    packet = (
        '<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">'
        '<rdf:Description rdf:about="" xmlns:q="urn:impasto:1.0/" q:manifest="{&quot;a&quot;: 1}"/>'
        "</rdf:RDF></x:xmpmeta>" + " " * 99
    )
    image.set_type(pyvips.GValue.blob_type, "xmp-data", packet.encode())
    image.write_to_file(str(tmp_path / "other.png"))
    assert read_manifest(tmp_path / "other.png") == '{"a": 1}'


# ---- written whole or not at all


@pytest.mark.parametrize("call", ["replace", "fsync"])
@pytest.mark.parametrize("suffix", SUFFIXES)
def test_a_failed_write_leaves_the_old_file(tmp_path, monkeypatch, call, suffix):
    path = tmp_path / f"out{suffix}"
    path.write_bytes(b"the old picture")

    def full(*_):
        assert len(only(tmp_path)) == 2  # the other is the temporary file, hidden and with the same ending
        assert only(tmp_path)[0].startswith(".impasto-")
        assert only(tmp_path)[0].endswith(suffix)
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, call, full)
    with pytest.raises(ImageError, match=r"cannot write '.*out.*': No space left on device. Free some space"):
        write_picture(read_picture(SMOOTH), path)
    assert path.read_bytes() == b"the old picture"
    assert only(tmp_path) == [f"out{suffix}"]


def test_ctrl_c_while_writing_leaves_the_old_file(tmp_path, monkeypatch):
    path = tmp_path / "out.png"
    path.write_bytes(b"the old picture")

    def interrupted(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(os, "fsync", interrupted)
    with pytest.raises(KeyboardInterrupt):
        write_picture(read_picture(SMOOTH), path)
    assert path.read_bytes() == b"the old picture"
    assert only(tmp_path) == ["out.png"]


def test_nan_is_not_written(tmp_path):
    picture = Picture(torch.full((1, 3, 4, 4), torch.nan), name="result")
    with pytest.raises(ImageError, match="result holds NaN"):
        write_picture(picture, tmp_path / "out.png")
    assert only(tmp_path) == []


def test_a_failing_encoder_is_an_image_error(tmp_path, monkeypatch):
    def refuse(*_):
        raise pyvips.Error("unable to write", "webp: too large")

    monkeypatch.setattr(write, "encode", refuse)
    with pytest.raises(ImageError, match=r"cannot make WebP for '.*out.webp': .*too large.*\. Try .png"):
        write_picture(read_picture(SMOOTH), tmp_path / "out.webp")
    assert only(tmp_path) == []


def test_the_mode_obeys_the_umask_and_an_existing_file_keeps_its_own(tmp_path):
    old = os.umask(0o027)
    try:
        write_picture(read_picture(SMOOTH), tmp_path / "out.png")
        assert stat.S_IMODE((tmp_path / "out.png").stat().st_mode) == 0o640
        (tmp_path / "out.png").chmod(0o604)
        write_picture(read_picture(SMOOTH), tmp_path / "out.png")
        assert stat.S_IMODE((tmp_path / "out.png").stat().st_mode) == 0o604
    finally:
        os.umask(old)


def test_a_link_stays_a_link(tmp_path):
    (tmp_path / "real").mkdir()
    (tmp_path / "out.png").symlink_to(tmp_path / "real" / "there.png")
    write_picture(read_picture(RGB), tmp_path / "out.png")
    assert (tmp_path / "out.png").is_symlink()
    assert np.array_equal(numbers(tmp_path / "real" / "there.png"), RGB)
