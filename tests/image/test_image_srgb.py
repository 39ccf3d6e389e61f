"""Files are converted to sRGB: profiles, CMYK, Lab, grey."""

import io
import struct

import numpy as np
import pytest
import pyvips
from PIL import Image as PilImage
from PIL import ImageCms

from impasto.errors import ImageError, ImpastoWarning
from impasto.image import srgb
from impasto.image.read import read_picture
from made_files import DEEP, RGB, RGBA, RNG, SMOOTH, numbers, profile_of, saved, vips

MUTED = RNG.integers(70, 200, (24, 31, 3), dtype=np.uint8)  # inside every gamut used here


def tagged(image, profile):
    image = image.copy()
    image.set_type(pyvips.GValue.blob_type, "icc-profile-data", profile)
    return image


@pytest.mark.parametrize("name", ["in.png", "in.tif", "in.jpg", "in.webp", "in.avif"])
def test_p3_is_converted_to_srgb(tmp_path, name):
    wide = vips(SMOOTH // 2 + 64).icc_transform("p3", input_profile="srgb")
    options = {".jpg": {"Q": 100}, ".webp": {"lossless": True}, ".avif": {"lossless": True}}.get(name[2:], {})
    wide.write_to_file(str(tmp_path / name), **options)
    assert np.abs(wide.numpy().astype(int) - (SMOOTH // 2 + 64)).max() > 4  # there was something to convert
    difference = np.abs(numbers(tmp_path / name).astype(int) - (SMOOTH // 2 + 64))
    assert difference.max() <= (5 if name == "in.jpg" else 2)  # JPEG's own loss at quality 100
    assert difference.mean() < 1


def test_16_bit_p3_is_converted_at_16_bits(tmp_path):
    source = DEEP // 2 + 16384
    wide = vips(source, "rgb16").icc_transform("p3", input_profile="srgb", depth=16)
    wide.write_to_file(str(tmp_path / "in.png"))
    picture = read_picture(tmp_path / "in.png")
    assert np.abs(picture.to_numpy(16).astype(int) - source).max() < 2 * 257
    assert len(np.unique(picture.to_numpy(16))) > 256


@pytest.mark.parametrize(
    "make",
    [lambda: profile_of("srgb"), lambda: ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()],
)
def test_an_srgb_profile_changes_no_pixel(tmp_path, make):
    tagged(vips(RGB), make()).write_to_file(str(tmp_path / "in.png"))
    assert np.array_equal(numbers(tmp_path / "in.png"), RGB)
    tagged(vips(DEEP, "rgb16"), make()).write_to_file(str(tmp_path / "deep.png"))
    assert np.array_equal(read_picture(tmp_path / "deep.png").to_numpy(16), DEEP)


def test_a_profile_does_not_change_alpha(tmp_path):
    wide = vips(MUTED).icc_transform("p3", input_profile="srgb").bandjoin(vips(RGBA[..., 3], "b-w"))
    wide.write_to_file(str(tmp_path / "in.png"))
    read = numbers(tmp_path / "in.png")
    assert np.abs(read[..., :3].astype(int) - MUTED).max() <= 2
    assert np.array_equal(read[..., 3], RGBA[..., 3])


def gray_profile(gamma):
    """A minimal ICC version 2 profile: grey with a power curve."""

    def fixed(*values):
        return b"".join(struct.pack(">i", round(value * 65536)) for value in values)

    white = fixed(0.9642, 1, 0.8249)
    tags = {
        b"desc": b"desc\0\0\0\0" + struct.pack(">I", 5) + b"grey\0" + bytes(79),
        b"wtpt": b"XYZ \0\0\0\0" + white,
        b"kTRC": b"curv\0\0\0\0" + struct.pack(">IHH", 1, round(gamma * 256), 0),
    }
    table, body = struct.pack(">I", len(tags)), b""
    for tag, content in tags.items():
        table += tag + struct.pack(">II", 132 + 12 * len(tags) + len(body), len(content))
        body += content
    header = bytearray(128)
    header[0:4] = struct.pack(">I", 128 + len(table) + len(body))
    header[8:24] = b"\x02\x40\0\0mntrGRAYXYZ "
    header[36:40] = b"acsp"
    header[68:80] = white
    return bytes(header) + table + body


@pytest.mark.parametrize("bits", [8, 16])
def test_a_grey_profile_is_converted(tmp_path, bits):
    levels = np.tile(np.linspace(0, 1, 256), (4, 1))
    stored = (levels * (2**bits - 1)).round().astype(np.uint8 if bits == 8 else np.uint16)
    image = tagged(vips(stored, "b-w" if bits == 8 else "grey16"), gray_profile(1.0))
    image.write_to_file(str(tmp_path / "in.png"))
    encoded = np.where(levels <= 0.0031308, levels * 12.92, 1.055 * levels ** (1 / 2.4) - 0.055)
    pixels = read_picture(tmp_path / "in.png").pixels
    assert np.abs(pixels.numpy() - encoded).max() < 1 / 255


@pytest.mark.parametrize("depth", [8, 16])
def test_cmyk_with_and_without_profile_is_converted(tmp_path, depth):
    ink = vips(MUTED).icc_transform("cmyk", input_profile="srgb", depth=depth)
    ink.write_to_file(str(tmp_path / "in.tif"))
    ink.write_to_file(str(tmp_path / "bare.tif"), keep="none")
    ink8 = ink.numpy() if depth == 8 else (ink.numpy() / 257).round().astype(np.uint8)
    # LittleCMS, through Pillow, as an independent conversion
    expected = ImageCms.profileToProfile(
        PilImage.frombytes("CMYK", (31, 24), ink8.tobytes()),
        ImageCms.ImageCmsProfile(io.BytesIO(profile_of("cmyk"))),
        ImageCms.createProfile("sRGB"),
        ImageCms.Intent.RELATIVE_COLORIMETRIC,
        "RGB",
        flags=ImageCms.Flags.BLACKPOINTCOMPENSATION,
    )
    for name in ("in.tif", "bare.tif"):
        assert np.abs(numbers(tmp_path / name).astype(int) - np.asarray(expected)).max() <= 3


def test_a_cmyk_jpeg_of_another_program_is_converted(tmp_path):
    PilImage.new("CMYK", (16, 16), (0, 255, 255, 0)).save(tmp_path / "in.jpg", quality=100)
    red, green, blue = numbers(tmp_path / "in.jpg")[8, 8]
    assert red > 200
    assert max(green, blue) < 70


def test_lab_and_linear_float_tiffs_are_converted(tmp_path):
    vips(RGB).colourspace("lab").write_to_file(str(tmp_path / "lab.tif"))
    assert np.array_equal(numbers(tmp_path / "lab.tif"), RGB)
    vips(RGB).colourspace("scrgb").bandjoin(0.5).write_to_file(str(tmp_path / "linear.tif"))
    picture = read_picture(tmp_path / "linear.tif")
    assert np.array_equal(picture.to_numpy()[..., :3], RGB)
    assert abs(float(picture.alpha.mean()) - 0.5) < 1e-4


@pytest.mark.parametrize(
    ("profile", "why"),
    [(b"nonsense" * 60, "corrupt profile"), (gray_profile(2.2), "profile incompatible with image")],
)
def test_a_broken_profile_is_ignored_with_a_warning(tmp_path, profile, why):
    saved(tmp_path, RGB, "in.tif", icc_profile=profile)
    with pytest.warns(ImpastoWarning, match=f"image '.*in.tif': its colour profile is left out: {why}"):
        assert np.array_equal(numbers(tmp_path / "in.tif"), RGB)


def test_a_profile_of_zeros_is_ignored_with_a_warning(tmp_path):
    profile = profile_of("p3")
    tagged(vips(RGB), profile[:128] + bytes(len(profile) - 128)).write_to_file(str(tmp_path / "in.tif"))
    with pytest.warns(ImpastoWarning, match="its colour profile is left out"):
        assert np.array_equal(numbers(tmp_path / "in.tif"), RGB)


def test_other_numbers_of_channels_are_refused(tmp_path):
    pyvips.Image.new_from_array(np.zeros((4, 5), np.float32)).tiffsave(str(tmp_path / "depth.tif"))
    with pytest.raises(ImageError, match=r"holds 1 channel\(s\) of float numbers \(b-w\)"):
        read_picture(tmp_path / "depth.tif")
    vips(RGB).bandjoin([1, 2, 3]).tiffsave(str(tmp_path / "six.tif"))
    with pytest.raises(ImageError, match="has 6 channels; srgb needs 3, or 4 with transparency"):
        read_picture(tmp_path / "six.tif")


def test_colours_that_libvips_cannot_convert_are_an_image_error(tmp_path, monkeypatch):
    def fail(*_):
        raise pyvips.Error("unable to call icc_transform", "no such profile")

    monkeypatch.setattr(srgb, "_apply_profile", fail)
    with pytest.raises(ImageError, match=r"its colours \(srgb\) cannot be converted \(.*no such profile"):
        read_picture(saved(tmp_path, RGB))
