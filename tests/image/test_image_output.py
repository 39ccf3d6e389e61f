"""Bad outputs are refused before the work starts."""

import os

import pytest
import torch

from impasto.errors import ImageError, SettingsError
from impasto.image.picture import Picture
from impasto.image.read import read_picture
from impasto.image.write import check_output, write_picture
from made_files import RGB, SUFFIXES, as_nobody, only


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_checking_an_output_changes_nothing(tmp_path, suffix):
    check_output(tmp_path / f"out{suffix}")
    assert only(tmp_path) == []
    (tmp_path / f"out{suffix}").write_bytes(b"old")
    check_output(str(tmp_path / f"out{suffix}"))
    assert (tmp_path / f"out{suffix}").read_bytes() == b"old"


def test_unknown_endings_are_refused(tmp_path):
    with pytest.raises(
        SettingsError, match=r"format of '.*out.xyz': the ending '.xyz' is no .* Use one of .jpg, "
    ):
        check_output(tmp_path / "out.xyz")
    with pytest.raises(SettingsError, match=r"there is no ending. Use one of .*\.png"):
        write_picture(read_picture(RGB), tmp_path / "out")
    with pytest.raises(SettingsError, match=r"'\.gif' is no known format"):
        check_output("out.gif")


@pytest.mark.parametrize(("name", "bits"), [("a.jpg", 16), ("a.webp", 16), ("a.avif", 16), ("a.png", 12)])
def test_bits_that_a_format_cannot_hold_are_refused(tmp_path, name, bits):
    with pytest.raises(
        SettingsError, match=rf"is written with 8.* bits, not {bits}. Use .png or .tif for 16"
    ):
        check_output(tmp_path / name, bits=bits)


def test_a_picture_too_large_for_its_format_is_refused(tmp_path):
    with pytest.raises(ImageError, match="WebP holds at most 16,383 pixels a side, this picture has 16,384"):
        check_output(tmp_path / "out.webp", longest=16_384)
    with pytest.raises(ImageError, match="WebP holds at most 16,383 pixels a side"):
        write_picture(Picture(torch.zeros(1, 3, 1, 16_384)), tmp_path / "out.webp")
    check_output(tmp_path / "out.webp", longest=16_383)


@pytest.mark.parametrize(("name", "longest"), [("a.jpg", 65_500), ("a.webp", 16_383), ("a.avif", 16_384)])
def test_the_stated_limits_of_size_are_true(tmp_path, name, longest):
    write_picture(Picture(torch.zeros(1, 3, 2, longest)), tmp_path / name)
    assert read_picture(tmp_path / name).width == longest


def test_a_missing_folder_or_a_folder_as_output_is_refused(tmp_path):
    with pytest.raises(
        ImageError, match=r"the folder of '.*out.png' does not exist. Make it first: .*nowhere"
    ):
        check_output(tmp_path / "nowhere" / "out.png")
    for name in ("folder.png", "folder", "folder.2"):
        (tmp_path / name).mkdir()
        with pytest.raises(ImageError, match=rf"'.*{name}' is a folder. Add a file name, such as .*out.png"):
            check_output(tmp_path / name)
    (tmp_path / "pyramid.dz").mkdir()
    check_output(tmp_path / "pyramid.dz")  # it would be written to pyramid.dzi
    with pytest.raises(ImageError, match=r"cannot write '.*': File name too long"):
        check_output(tmp_path / ("x" * 300 + ".png"))


def test_a_read_only_file_is_not_replaced_even_by_root(tmp_path):
    path = tmp_path / "out.png"
    path.write_bytes(b"precious")
    path.chmod(0o444)
    with pytest.raises(ImageError, match=r"'.*out.png' is read-only. Choose another name"):
        check_output(path)
    with pytest.raises(ImageError, match="is read-only"):
        write_picture(read_picture(RGB), path)
    assert path.read_bytes() == b"precious"


def test_a_folder_without_write_permission_is_refused(open_folder):
    open_folder.chmod(0o555)
    with (
        as_nobody(),
        pytest.raises(ImageError, match=r"the folder of '.*out.png' may not be written to. Choose another"),
    ):
        check_output(open_folder / "out.png")


def test_a_file_of_another_user_is_refused(open_folder):
    if os.geteuid() != 0:
        pytest.skip("only root can make a file of another user")
    (open_folder / "out.png").write_bytes(b"")
    (open_folder / "out.png").chmod(0o644)
    open_folder.chmod(0o777)
    with as_nobody(), pytest.raises(ImageError, match="is read-only"):
        check_output(open_folder / "out.png")
