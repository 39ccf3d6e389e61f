"""HEIC files, with and without the package that decodes them."""

import base64
import sys
import types

import numpy as np
import pytest

from impasto.errors import ImageError
from impasto.image.read import read_manifest, read_picture
from impasto.image.write import check_output, write_picture
from made_files import MANIFEST, RGB, RNG, SMOOTH, numbers

# A HEIC file of 16×8 pixels of (200, 100, 50), with 4:2:0 chroma.
HEIC = base64.b85decode(
    "0000SW^{RQXk}?*00000ZE0pPXk}?*ZE0a<0004KZDn*}000000000XXk=`10000000000aA{+7000000000000000"
    "00000B57=IV*mgE07O6l0RRC200001i~s=u00000001@s001LtX>Mi!000000RR916=`l}WdZ;I000310BCk&F#rGn"
    "01j|zbZr0t000010002!X>f9I0002VX>en20001WXm(>m0RwOV0058x000009`FGC{rLC*01pFT0096PKmiN^|NjGU"
    "00093kN^M!000939=ZZRVE_RDDMA4O18@KU0|1Z!00RI30{|YNAb|yz>aLpR;31&EfB*mtfB*mk0EA)y0RRR>0l{;@"
    "i2wiq6lrsCWdHyG00000KmY&$KmY&$C}V74Z~y=R5C8xG0RR912mk;80ssI1&;S4c0{{R2$N&HU0ssI25O8UDX#fBK"
    "00RgJ2mk;87in;9VE_OC000000RRC6fdT}B0000!ZDe6|0000oC;_hqG8Shvi6HR1_5c6&HveV#1Cq^bp14QoW5?vT"
    "kddDBUwar*<vesC^qf<<&42"
)


def test_without_its_package_heic_is_refused_with_how_to_install_it(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "pillow_heif", None)
    (tmp_path / "in.heic").write_bytes(HEIC)
    need = r"HEIC needs one more package. Run pip install 'impasto\[heic\]', or"
    with pytest.raises(ImageError, match=rf"image '.*in.heic': {need} export it as JPEG"):
        read_picture(tmp_path / "in.heic")
    with pytest.raises(ImageError, match=rf"'.*out.heic': {need} choose .avif"):
        check_output(tmp_path / "out.heic")
    with pytest.raises(ImageError, match=rf"'.*out.heic': {need} choose .avif"):
        write_picture(read_picture(RGB), tmp_path / "out.heic")


class FakeHeif(types.ModuleType):
    """The part of pillow-heif that is called, so that the calls are tested where it is not installed."""

    class Opened:
        def __init__(self, values):
            self.values = values
            self.info = {"icc_profile": None}

        def __array__(self, dtype=None, copy=None):
            return self.values

    def __init__(self, values):
        super().__init__("pillow_heif")
        self.values = values

    def open_heif(self, data, *, convert_hdr_to_8bit):
        if self.values is None:
            raise ValueError("Invalid input: Unexpected end of file")
        assert data == HEIC
        assert not convert_hdr_to_8bit
        return self.Opened(self.values)

    def from_bytes(self, **_):
        raise RuntimeError("No encoder")


@pytest.mark.parametrize("kind", [np.uint8, np.uint16])
@pytest.mark.parametrize("shape", [(8, 16), (8, 16, 3), (8, 16, 4)])
def test_decoded_pixels_are_taken_over_exactly(tmp_path, monkeypatch, kind, shape):
    values = RNG.integers(0, np.iinfo(kind).max, shape, dtype=kind)
    monkeypatch.setitem(sys.modules, "pillow_heif", FakeHeif(values))
    (tmp_path / "in.heic").write_bytes(HEIC)
    read = read_picture(tmp_path / "in.heic").to_numpy(8 * values.dtype.itemsize)
    assert np.array_equal(read, values if len(shape) == 3 else np.stack([values] * 3, 2))


def test_failures_of_the_package_are_image_errors(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "pillow_heif", FakeHeif(None))
    (tmp_path / "in.heic").write_bytes(HEIC)
    with pytest.raises(ImageError, match=r"'.*in.heic' is cut off or damaged \(HEIC: .*end of file\)"):
        read_picture(tmp_path / "in.heic")
    with pytest.raises(ImageError, match=r"cannot write HEIC: No encoder. Choose .png or .avif"):
        write_picture(read_picture(RGB), tmp_path / "out.heic")


def test_heic_is_read_and_a_cut_file_refused(tmp_path):
    pytest.importorskip("pillow_heif")
    (tmp_path / "in.heic").write_bytes(HEIC)
    read = numbers(tmp_path / "in.heic")
    assert read.shape == (8, 16, 3)
    assert np.abs(read.astype(int) - [200, 100, 50]).max() <= 3
    (tmp_path / "in.heic").write_bytes(HEIC[:-20])
    with pytest.raises(ImageError, match=r"is cut off or damaged \(HEIC"):
        read_picture(tmp_path / "in.heic")


def test_heic_round_trip(tmp_path):
    pytest.importorskip("pillow_heif")
    alpha = np.full((48, 64, 1), 90, np.uint8)
    for values in (SMOOTH, np.concatenate([SMOOTH, alpha], 2)):
        write_picture(read_picture(values), tmp_path / "out.heic", manifest=MANIFEST)
        assert np.abs(numbers(tmp_path / "out.heic").astype(int) - values).max() <= 8
        assert read_manifest(tmp_path / "out.heic") == MANIFEST
