"""Pictures from and to arrays, tensors and Pillow images."""

import io
import sys

import numpy as np
import pytest
import pyvips
import torch
from PIL import Image as PilImage
from PIL import ImageCms

from impasto.errors import ImageError, ImpastoWarning, SettingsError
from impasto.image.arrays import from_pil
from impasto.image.picture import Picture
from impasto.image.read import read_picture
from made_files import stored

RNG = np.random.default_rng(0)
RGB = RNG.integers(0, 256, (4, 5, 3), dtype=np.uint8)
RGBA = RNG.integers(0, 256, (4, 5, 4), dtype=np.uint8)


def plane(values):
    """An array of (H, W) or (H, W, C) as a float tensor (1, C, H, W)."""
    values = values.reshape(*values.shape[:2], -1)
    return torch.from_numpy(values.astype(np.float32)).permute(2, 0, 1)[None]


def bytes_of(image, kind, **options):
    out = io.BytesIO()
    image.save(out, kind, **options)
    return out.getvalue()


def reopened(image, kind, **options):
    return PilImage.open(io.BytesIO(bytes_of(image, kind, **options)))


# ---- arrays


@pytest.mark.parametrize(("kind", "top"), [(np.uint8, 255), (np.uint16, 65535), (">u2", 65535)])
@pytest.mark.parametrize("shape", [(4, 5), (4, 5, 1), (4, 5, 3), (4, 5, 4)])
def test_integer_arrays_keep_their_precision(kind, top, shape):
    values = RNG.integers(0, top + 1, shape).astype(kind)
    picture = read_picture(values)
    expected = plane(values) / top
    colours = expected[:, :3].expand(1, 3, 4, 5)
    assert torch.equal(picture.pixels, colours)
    assert (picture.name, picture.sha256, picture.height, picture.width) == ("array", None, 4, 5)
    if shape[-1] == 4:
        assert torch.equal(picture.alpha, expected[:, 3:])
    else:
        assert picture.alpha is None


@pytest.mark.parametrize("kind", [np.float16, np.float32, np.float64])
def test_float_arrays_are_taken_over_exactly(kind):
    values = RNG.random((4, 5, 4)).astype(kind)
    picture = read_picture(values)
    assert torch.equal(torch.cat([picture.pixels, picture.alpha], 1), plane(values))


def test_a_strided_view_is_read_correctly():
    assert torch.equal(read_picture(RGB[::-1, ::-2]).pixels, plane(RGB[::-1, ::-2].copy()) / 255)


def test_arrays_and_tensors_are_copied():
    array = np.zeros((4, 5, 3), np.float32)
    tensor = torch.zeros(3, 4, 5)
    pictures = read_picture(array), read_picture(tensor)
    array[:] = 1
    tensor[:] = 1
    assert [float(picture.pixels.max()) for picture in pictures] == [0, 0]


@pytest.mark.parametrize("shape", [(5,), (4, 5, 2), (4, 5, 5), (1, 4, 5, 3), (0, 5, 3)])
def test_arrays_of_another_shape_are_refused(shape):
    with pytest.raises(ImageError, match=r"style image \(array\) has shape \(.*\); needed: \(H, W\)"):
        read_picture(np.zeros(shape, np.uint8), role="style image")


@pytest.mark.parametrize("kind", [np.int32, np.uint32, bool, np.int8, complex])
def test_arrays_of_other_dtypes_are_refused(kind):
    with pytest.raises(ImageError, match=r"holds (int|uint|bool|complex)\d* numbers; needed: uint8"):
        read_picture(np.zeros((4, 5, 3), kind))


@pytest.mark.parametrize("convert", [np.asarray, lambda values: torch.from_numpy(values).permute(2, 0, 1)])
def test_values_on_another_scale_are_refused_with_both_ranges(convert):
    values = np.zeros((4, 5, 3), np.float32)
    values[0, 0, 0] = 254.5
    with pytest.raises(ImageError, match=r"values from 0 to 254\.5; needed: 0 to 1\. Divide by 255 first"):
        read_picture(convert(values))
    values[1, 1, 1] = -103.9
    with pytest.raises(ImageError, match=r"values from -103\.9 to 254\.5; needed: 0 to 1\.$"):
        read_picture(convert(values))
    values[2, 2, 2] = np.nan
    with pytest.raises(ImageError, match="holds NaN or infinite values"):
        read_picture(convert(values))
    values[2, 2, 2] = np.inf
    with pytest.raises(ImageError, match="holds NaN or infinite values"):
        read_picture(convert(values))


def test_a_little_overshoot_is_clipped():
    picture = read_picture(np.array([[-0.1, 1.2]]))
    assert picture.pixels[0, 0].tolist() == [[0.0, 1.0]]


# ---- tensors


@pytest.mark.parametrize("shape", [(3, 4, 5), (1, 3, 4, 5), (6, 3, 4, 5), (4, 4, 5), (2, 4, 4, 5), (1, 4, 5)])
@pytest.mark.parametrize("kind", [torch.float32, torch.float64, torch.bfloat16])
def test_tensors_are_taken_over_exactly(shape, kind):
    values = torch.rand(shape, generator=torch.Generator().manual_seed(3)).to(kind).requires_grad_()
    picture = read_picture(values)
    batch = values.detach().float().reshape(-1, *shape[-3:])
    assert torch.equal(picture.pixels, batch[:, :3].expand(-1, 3, -1, -1))
    assert picture.alpha is None if shape[-3] != 4 else torch.equal(picture.alpha, batch[:, 3:])
    assert picture.pixels.dtype == torch.float32
    assert not picture.pixels.requires_grad
    assert picture.name == "tensor"


@pytest.mark.parametrize("shape", [(4, 5), (2, 4, 5), (1, 1, 3, 4, 5), (5, 4, 3), (1, 3, 0, 5)])
def test_tensors_of_another_shape_are_refused(shape):
    with pytest.raises(ImageError, match=r"image \(tensor\) has shape \(.*\); needed: \(3, H, W\)"):
        read_picture(torch.zeros(shape))


def test_integer_tensors_are_refused():
    with pytest.raises(ImageError, match=r"holds uint8 numbers; needed: floating point, .* Divide"):
        read_picture(torch.zeros(3, 4, 5, dtype=torch.uint8))


def test_a_picture_is_returned_as_it_is():
    picture = read_picture(RGB)
    assert read_picture(picture) is picture


# ---- Pillow images


@pytest.mark.parametrize("mode", ["1", "L", "P", "RGB", "RGBX", "YCbCr", "HSV"])
def test_pil_modes_without_alpha_are_read(mode):
    image = PilImage.fromarray(RGB).convert(mode)
    picture = read_picture(image)
    assert torch.equal(picture.pixels, plane(np.asarray(image.convert("RGB"))) / 255)
    assert picture.alpha is None
    assert picture.name == "PIL image"


@pytest.mark.parametrize("mode", ["LA", "PA", "RGBA"])
def test_pil_modes_with_alpha_are_read(mode):
    image = PilImage.fromarray(RGBA).convert(mode)
    picture = read_picture(image)
    expected = plane(np.asarray(image.convert("RGBA"))) / 255
    assert torch.equal(torch.cat([picture.pixels, picture.alpha], 1), expected)


@pytest.mark.parametrize("mode", ["RGBa", "La"])
def test_pil_premultiplied_modes_are_read(mode):
    straight = PilImage.new("RGBA" if mode == "RGBa" else "LA", (2, 2), (200, 100, 50, 128)[-len(mode) :])
    picture = read_picture(straight.convert(mode))
    expected = plane(np.asarray(straight.convert("RGBA"))) / 255
    torch.testing.assert_close(torch.cat([picture.pixels, picture.alpha], 1), expected, atol=1 / 255, rtol=0)


def test_pil_16_bit_grey_and_32_bit_integers_are_read():
    values = np.array([[0, 1, 257], [30000, 65534, 65535]], np.uint16)
    expected = (plane(values) / 65535).expand(1, 3, 2, 3)
    assert torch.equal(read_picture(PilImage.fromarray(values)).pixels, expected)
    assert torch.equal(read_picture(PilImage.fromarray(values.astype(np.int32))).pixels, expected)
    big_endian = PilImage.frombytes("I;16B", (3, 2), values.astype(">u2").tobytes())
    assert torch.equal(read_picture(big_endian).pixels, expected)


def test_pil_float_mode_must_be_0_to_1():
    good = PilImage.fromarray(np.full((2, 3), 0.25, np.float32))
    assert float(read_picture(good).pixels.mean()) == 0.25
    bad = PilImage.fromarray(np.full((2, 3), 200.0, np.float32))
    with pytest.raises(ImageError, match="values from 200 to 200; needed: 0 to 1"):
        read_picture(bad)
    with pytest.raises(ImageError, match="holds int32 numbers"):
        read_picture(PilImage.new("I", (2, 2), 70000))


def test_pil_cmyk_and_lab_are_converted():
    red = read_picture(PilImage.new("CMYK", (2, 2), (0, 255, 255, 0))).pixels[0, :, 0, 0]
    assert red[0] > 0.8
    assert red[1] < 0.25
    srgb, lab = ImageCms.createProfile("sRGB"), ImageCms.createProfile("LAB")
    image = ImageCms.profileToProfile(PilImage.new("RGB", (2, 2), (200, 90, 40)), srgb, lab, outputMode="LAB")
    colour = read_picture(image).pixels[0, :, 0, 0] * 255
    assert (colour - torch.tensor([200.0, 90, 40])).abs().max() < 5


def test_a_transparent_colour_of_a_pil_image_becomes_alpha():
    image = PilImage.fromarray(RGB)
    image.info["transparency"] = tuple(int(value) for value in RGB[1, 2])
    alpha = read_picture(image).alpha
    assert alpha[0, 0, 1, 2] == 0
    assert alpha.sum() == 19


@pytest.mark.parametrize("orientation", range(1, 9))
def test_pil_orientation_is_applied(orientation):
    exif = PilImage.Exif()
    exif[0x112] = orientation
    image = reopened(PilImage.fromarray(stored(RGB, orientation)), "png", exif=exif)
    assert torch.equal(read_picture(image).pixels, plane(RGB) / 255)


def test_a_pil_profile_is_converted_and_a_broken_one_ignored():
    grey = RNG.integers(60, 200, (8, 9, 3), dtype=np.uint8)
    vips = pyvips.Image.new_from_array(grey).copy(interpretation="srgb")
    p3 = vips.icc_transform("p3", input_profile="srgb")
    profile = pyvips.Operation.call("profile_load", "p3")
    image = reopened(PilImage.fromarray(p3.numpy()), "png", icc_profile=profile)
    assert (read_picture(image).pixels * 255 - plane(grey)).abs().max() < 2
    image.info["icc_profile"] = b"nonsense" * 40
    with pytest.warns(ImpastoWarning, match=r"image \(PIL image\): its colour profile is left out: "):
        picture = read_picture(image)
    assert torch.equal(picture.pixels, plane(p3.numpy()) / 255)


def test_large_and_cut_pil_images_are_refused():
    with pytest.raises(ImageError, match=r"style \(PIL image\) is 5×4, 20 pixels; at most 19 are read"):
        from_pil(PilImage.fromarray(RGB), role="style", max_pixels=19)
    data = bytes_of(PilImage.fromarray(RGB).resize((100, 100)), "jpeg")
    with pytest.raises(ImageError, match=r"image \(PIL image\) is cut off or damaged"):
        read_picture(PilImage.open(io.BytesIO(data[:-200])))


# ---- back to arrays and Pillow images


@pytest.mark.parametrize("bits", [8, 16])
@pytest.mark.parametrize("channels", [3, 4])
def test_numpy_round_trip_is_exact(bits, channels):
    kind = np.uint8 if bits == 8 else np.uint16
    levels = np.arange(2**bits, dtype=kind).reshape(2 ** (bits // 2), -1, 1)
    values = np.concatenate([np.roll(levels, shift) for shift in range(channels)], 2)
    back = read_picture(values).to_numpy(bits)
    assert back.dtype == kind
    assert np.array_equal(back, values)


def test_to_numpy_clips_and_rounds_to_nearest():
    values = torch.tensor([-0.2, 0.0, 0.4 / 255, 0.6 / 255, 254.4 / 255, 1.7]).reshape(1, 1, 2, 3)
    out = Picture(values.expand(1, 3, 2, 3)).to_numpy()
    assert out[..., 0].ravel().tolist() == [0, 0, 0, 1, 254, 255]


def test_to_numpy_refuses_other_bits_batches_and_nan():
    picture = read_picture(RGB)
    with pytest.raises(SettingsError, match="bits is 12; a channel has 8 or 16"):
        picture.to_numpy(12)
    with pytest.raises(ImageError, match="tensor holds 2 pictures; pass them one at a time"):
        read_picture(torch.zeros(2, 3, 4, 5)).to_numpy()
    with pytest.raises(ImageError, match="result holds NaN; it cannot be shown or written"):
        Picture(torch.full((1, 3, 2, 2), torch.nan), name="result").to_numpy()


def test_pil_round_trip_is_exact():
    assert np.array_equal(np.asarray(read_picture(RGB).to_pil()), RGB)
    assert np.array_equal(np.asarray(read_picture(RGBA).to_pil()), RGBA)
    assert read_picture(RGBA).to_pil().mode == "RGBA"


def test_to_pil_without_pillow_says_how_to_install_it(monkeypatch):
    monkeypatch.setitem(sys.modules, "PIL.Image", None)
    monkeypatch.setitem(sys.modules, "PIL", None)
    with pytest.raises(ImageError, match=r"needs Pillow\. Run pip install pillow"):
        read_picture(RGB).to_pil()
