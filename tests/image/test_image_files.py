"""Reading files: every format, orientation, frames, and files that are refused."""

import hashlib
import struct
import subprocess
import sys
import zlib

import numpy as np
import pytest
import torch
from PIL import Image as PilImage

from impasto.errors import ImageError, ImpastoWarning
from impasto.image.read import read_picture
from made_files import DEEP, RGB, RGBA, RNG, SMOOTH, as_nobody, numbers, saved, stored, vips


@pytest.mark.parametrize("name", ["in.png", "in.tif", "in.webp", "in.avif"])
@pytest.mark.parametrize("values", [RGB, RGBA])
def test_8_bit_files_are_read_exactly(tmp_path, name, values):
    options = {".webp": {"lossless": True, "exact": True}, ".avif": {"lossless": True}}.get(name[2:], {})
    vips(values).write_to_file(str(tmp_path / name), **options)
    picture = read_picture(tmp_path / name)
    assert np.array_equal(picture.to_numpy(), values)
    assert (picture.height, picture.width) == (24, 31)
    assert picture.pixels.dtype == torch.float32
    assert picture.name == str(tmp_path / name)
    assert picture.sha256 == hashlib.sha256((tmp_path / name).read_bytes()).hexdigest()


def test_jpeg_and_gif_are_read(tmp_path):
    PilImage.fromarray(SMOOTH).save(tmp_path / "in.jpg", quality=95, subsampling=0)
    assert np.abs(numbers(tmp_path / "in.jpg").astype(int) - SMOOTH).max() <= 4
    flat = PilImage.fromarray(RGB).quantize(64)
    flat.save(tmp_path / "in.gif")
    assert np.array_equal(numbers(tmp_path / "in.gif"), np.asarray(flat.convert("RGB")))


def test_the_format_is_read_from_the_bytes_not_the_name(tmp_path):
    path = saved(tmp_path, RGB)
    path.rename(tmp_path / "really a png.jpg")
    assert np.array_equal(numbers(tmp_path / "really a png.jpg"), RGB)


def test_a_changed_file_is_read_again(tmp_path):
    first = numbers(saved(tmp_path, RGB))
    second = numbers(saved(tmp_path, RGB[::-1]))
    assert np.array_equal(first, second[::-1])


@pytest.mark.parametrize("name", ["in.png", "in.tif"])
def test_16_bits_are_kept(tmp_path, name):
    vips(DEEP, "rgb16").write_to_file(str(tmp_path / name))
    picture = read_picture(tmp_path / name)
    assert np.array_equal(picture.pixels[0].permute(1, 2, 0).numpy(), DEEP / np.float32(65535))
    vips(DEEP[..., 0], "grey16").write_to_file(str(tmp_path / ("grey" + name)))
    grey = read_picture(tmp_path / ("grey" + name)).pixels
    assert np.array_equal(grey.numpy(), np.broadcast_to(DEEP[..., 0] / np.float32(65535), grey.shape))


@pytest.mark.parametrize("kind", ["png", "tiff"])
@pytest.mark.parametrize("mode", ["1", "L", "P", "LA"])
def test_grey_1_bit_and_palette_files_are_read(tmp_path, kind, mode):
    image = PilImage.fromarray(RGBA if mode == "LA" else RGB).convert(mode)
    image.save(tmp_path / "in", kind)
    expected = np.asarray(image.convert("RGBA" if mode == "LA" else "RGB"))
    assert np.array_equal(numbers(tmp_path / "in"), expected)


def test_a_palette_with_a_transparent_colour_is_read(tmp_path):
    image = PilImage.fromarray(RGB).quantize(8)
    image.save(tmp_path / "in.png", transparency=3)
    assert np.array_equal(
        numbers(tmp_path / "in.png"), np.asarray(PilImage.open(tmp_path / "in.png").convert("RGBA"))
    )


@pytest.mark.parametrize("kind", ["jpeg", "png", "webp", "tiff"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_every_orientation_gives_the_same_picture(tmp_path, kind, orientation):
    exif = PilImage.Exif()
    exif[0x112] = orientation
    options = {"webp": {"lossless": True}, "jpeg": {"quality": 100, "subsampling": 0}}.get(kind, {})
    PilImage.fromarray(stored(RGB, orientation)).save(tmp_path / "in", kind, exif=exif, **options)
    difference = np.abs(numbers(tmp_path / "in").astype(int) - RGB)
    assert difference.max() <= (4 if kind == "jpeg" else 0)


def test_only_the_first_frame_is_read_with_a_warning(tmp_path):
    frames = [PilImage.fromarray(values) for values in (RGB, RGB[::-1], RGB[:, ::-1])]
    for name, options in (("in.webp", {"lossless": True}), ("in.tif", {})):
        frames[0].save(tmp_path / name, save_all=True, append_images=frames[1:], **options)
        with pytest.warns(ImpastoWarning, match=f"image '.*{name}' has 3 frames or pages; only the first"):
            assert np.array_equal(numbers(tmp_path / name), RGB)


# ---- files that are refused


def test_missing_files_are_named(tmp_path):
    saved(tmp_path, RGB, "Neckarfront.png")
    with pytest.raises(
        ImageError, match=r"content image '.*neckarfront.png' does not exist. Did you mean '.*Neck"
    ):
        read_picture(tmp_path / "neckarfront.png", role="content image")
    with pytest.raises(ImageError, match=f"image '.*x' does not exist. Looked in {tmp_path}"):
        read_picture(tmp_path / "x")
    with pytest.raises(ImageError, match=r"does not exist. Neither does its folder, .*nowhere"):
        read_picture(tmp_path / "nowhere" / "x.png")


def test_folders_empty_files_and_bad_names_are_refused(tmp_path):
    with pytest.raises(ImageError, match=r"style image '.*' is a folder; name a picture in it"):
        read_picture(tmp_path, role="style image")
    (tmp_path / "empty.png").touch()
    with pytest.raises(ImageError, match=r"image '.*empty.png' is empty \(0 bytes\)"):
        read_picture(str(tmp_path / "empty.png"))
    with pytest.raises(ImageError, match=r"cannot be read: .*null"):
        read_picture("a\0b.png")
    with pytest.raises(ImageError, match=r"cannot be read: .*too long"):
        read_picture("x" * 5000 + ".png")


def test_a_file_without_read_permission_is_refused(open_folder):
    path = saved(open_folder, RGB)
    path.chmod(0)
    with as_nobody(), pytest.raises(ImageError, match=r"image '.*in.png' may not be read: Permission denied"):
        read_picture(path)


@pytest.mark.parametrize(
    ("content", "what"),
    [
        (b"Dear diary,\n" * 900, "text"),
        ("Gruß\n".encode() * 3000, "text"),
        (b"<!DOCTYPE html><html>404</html>", "a web page"),
        (
            b'<?xml version="1.0"?><svg xmlns="http://www.w3.org/2000/svg" width="9" height="9"/>',
            "an SVG drawing",
        ),
        (b"%PDF-1.7 ...", "a PDF document"),
        (b"\0\0\0\x18ftypmp42" + bytes(50), "a film"),
        (b"8BPS\0\1", "a Photoshop document"),
        (bytes(range(256)), "data of an unknown kind"),
        (b"abc\0def", "data of an unknown kind"),
    ],
)
def test_a_file_that_is_no_picture_is_named_for_what_it_is(tmp_path, content, what):
    path = tmp_path / "photo.jpg"
    path.write_bytes(content)
    with pytest.raises(
        ImageError, match=rf"image '.*photo.jpg' is no picture .*: it is {what}. Export it as one"
    ):
        read_picture(path)


def test_camera_raw_is_not_read_as_its_thumbnail(tmp_path):
    saved(tmp_path, RGB, "in.tif").rename(tmp_path / "IMG_1.DNG")
    with pytest.raises(ImageError, match="it is a camera raw file"):
        read_picture(tmp_path / "IMG_1.DNG")


@pytest.mark.parametrize("name", ["in.jpg", "in.png", "in.webp", "in.tif", "in.avif", "in.gif"])
@pytest.mark.parametrize("part", [0.03, 0.5, 0.98])
def test_cut_files_are_refused(tmp_path, name, part, capfd):
    whole = RNG.integers(0, 256, (200, 300, 3), dtype=np.uint8)
    path = tmp_path / name
    PilImage.fromarray(whole).save(path)
    data = path.read_bytes()
    path.write_bytes(data[: int(len(data) * part)])
    kind = {"in.jpg": "JPEG", "in.webp": "WebP", "in.tif": "TIFF"}.get(name, name[3:].upper())
    with pytest.raises(ImageError, match=rf"image '.*{name}' is cut off or damaged \({kind}: \w.*\). Copy"):
        read_picture(path)
    assert capfd.readouterr() == ("", "")


def test_a_file_damaged_in_the_middle_is_refused(tmp_path):
    data = bytearray(saved(tmp_path, RGB).read_bytes())
    data[len(data) // 2] ^= 0x5A
    (tmp_path / "in.png").write_bytes(data)
    with pytest.raises(ImageError, match=r"is cut off or damaged \(PNG"):
        read_picture(tmp_path / "in.png")


def test_a_decompression_bomb_is_not_decoded(tmp_path):
    def chunk(name, content):
        return (
            struct.pack(">I", len(content)) + name + content + struct.pack(">I", zlib.crc32(name + content))
        )

    header = chunk(b"IHDR", struct.pack(">IIBBBBB", 100_000, 90_000, 8, 2, 0, 0, 0))
    data = b"\x89PNG\r\n\x1a\n" + header + chunk(b"IDAT", zlib.compress(bytes(9))) + chunk(b"IEND", b"")
    (tmp_path / "bomb.png").write_bytes(data)
    with pytest.raises(ImageError, match=r"100000×90000, 9,000,000,000 pixels; at most 400,000,000 are read"):
        read_picture(tmp_path / "bomb.png")
    with pytest.raises(ImageError, match="31×24, 744 pixels; at most 743"):
        read_picture(saved(tmp_path, RGB), max_pixels=743)
    assert read_picture(saved(tmp_path, RGB), max_pixels=744).width == 31


def test_pillow_is_not_needed_to_read_files(tmp_path):
    path = saved(tmp_path, RGB)
    code = (
        "import sys; from impasto.image.read import read_picture; "
        f"print(read_picture({str(path)!r}).width, 'PIL' in sys.modules, 'pillow_heif' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert (done.stdout, done.stderr) == ("31 False False\n", "")


def test_other_types_are_refused():
    unchecked = getattr(
        read_picture, "__wrapped__", read_picture
    )  # without the type check that is on in tests
    with pytest.raises(ImageError, match="style image is a list; needed: a path, an array"):
        unchecked([1, 2], role="style image")
