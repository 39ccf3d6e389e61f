"""Deep-zoom pyramids are written whole or not at all, and bad outputs are refused before the work starts."""

import errno
import os
import shutil
import signal
import stat
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from impasto.errors import ImageError, ImpastoWarning, SettingsError
from impasto.image import deepzoom
from impasto.image.picture import Picture
from impasto.image.read import read_manifest, read_picture
from impasto.image.write import check_output, write_picture
from made_files import RGB, as_nobody, only
from pyramids import ENDINGS, contents, index_of, level, noise


def old_picture(folder: Path, name: str) -> dict[str, bytes]:
    write_picture(read_picture(noise(300, 520, 3)), folder / name, manifest='"old"')
    return contents(folder)


@pytest.mark.parametrize("ending", ENDINGS)
def test_a_new_picture_replaces_every_tile_of_the_old(tmp_path, ending):
    old_picture(tmp_path, f"out{ending}")
    write_picture(read_picture(RGB), tmp_path / f"out{ending}")
    (tmp_path / "fresh").mkdir()
    write_picture(read_picture(RGB), tmp_path / "fresh" / f"out{ending}")
    fresh = contents(tmp_path / "fresh")
    shutil.rmtree(tmp_path / "fresh")
    assert contents(tmp_path) == fresh


def failing(call: str, at: int, error: BaseException) -> Callable[..., None]:
    """A function of `os` whose call number `at` fails."""
    real, calls = getattr(os, call), []

    def fail(*arguments: object) -> None:
        calls.append(arguments)
        if len(calls) == at:
            raise error
        real(*arguments)

    return fail


FULL = OSError(errno.ENOSPC, "No space left on device")
STEPS = [("fsync", 1), ("fsync", 5), *(("replace", number) for number in range(1, 5))]


@pytest.mark.parametrize(("call", "at"), STEPS)
def test_a_failure_at_any_step_leaves_the_old_picture(tmp_path, monkeypatch, call, at):
    old = old_picture(tmp_path, "out.dz")
    monkeypatch.setattr(os, call, failing(call, at, FULL))
    with pytest.raises(ImageError, match=r"cannot write '.*out.dz': No space left on device. Free some"):
        write_picture(read_picture(RGB), tmp_path / "out.dz")
    assert contents(tmp_path) == old
    assert only(tmp_path) == ["out.dzi", "out_files"]


@pytest.mark.parametrize(("call", "at"), STEPS)
def test_ctrl_c_at_any_step_leaves_the_old_picture(tmp_path, monkeypatch, call, at):
    old = old_picture(tmp_path, "out.dz")
    monkeypatch.setattr(os, call, failing(call, at, KeyboardInterrupt()))
    with pytest.raises(KeyboardInterrupt):
        write_picture(read_picture(RGB), tmp_path / "out.dz")
    assert contents(tmp_path) == old
    assert only(tmp_path) == ["out.dzi", "out_files"]


@pytest.mark.parametrize("call", ["fsync", "replace"])
def test_a_failure_leaves_the_old_zip(tmp_path, monkeypatch, call):
    old = old_picture(tmp_path, "out.szi")
    monkeypatch.setattr(os, call, failing(call, 1, FULL))
    with pytest.raises(ImageError, match=r"cannot write '.*out.szi': No space left on device. Free some"):
        write_picture(read_picture(RGB), tmp_path / "out.szi")
    assert contents(tmp_path) == old
    assert only(tmp_path) == ["out.szi"]


@pytest.mark.parametrize(("call", "at"), [("fsync", 1), ("replace", 1), ("replace", 2)])
def test_a_first_write_that_fails_leaves_nothing(tmp_path, monkeypatch, call, at):
    monkeypatch.setattr(os, call, failing(call, at, FULL))
    with pytest.raises(ImageError, match="No space left on device"):
        write_picture(read_picture(RGB), tmp_path / "out.dz")
    assert only(tmp_path) == []


@pytest.mark.skipif(sys.platform == "win32", reason="no limits to the size of files there")
@pytest.mark.parametrize("name", ["out.dz", "out.szi"])
def test_a_tile_that_libvips_cannot_write_leaves_the_old_picture(tmp_path, name):
    """A real failure: the system lets no file grow past 20,000 bytes."""
    import resource

    write_picture(read_picture(RGB), tmp_path / name, manifest='"new"')
    old, limits = contents(tmp_path), resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, limits[1]))
    try:
        with pytest.raises(ImageError, match=rf"cannot write '.*{name}': File too large. Free some space"):
            write_picture(read_picture(noise(300, 300)), tmp_path / name)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert contents(tmp_path) == old


def test_old_and_new_parts_are_never_there_together(tmp_path, monkeypatch):
    old_picture(tmp_path, "out.dz")
    real, seen = os.replace, []

    def record(source: Path, target: Path) -> None:
        seen.append([name for name in only(tmp_path) if not name.startswith(".impasto-")])
        real(source, target)

    monkeypatch.setattr(os, "replace", record)
    write_picture(read_picture(RGB), tmp_path / "out.dz")
    assert seen == [["out.dzi", "out_files"], ["out_files"], [], ["out_files"]]


def test_ctrl_c_after_the_last_step_leaves_the_new_picture(tmp_path, monkeypatch):
    old_picture(tmp_path, "out.dz")
    real = os.replace

    def interrupted(source: Path, target: Path) -> None:
        real(source, target)
        if target.name == "out.dzi":
            raise KeyboardInterrupt

    monkeypatch.setattr(os, "replace", interrupted)
    with pytest.raises(KeyboardInterrupt):
        write_picture(read_picture(RGB), tmp_path / "out.dz")
    assert index_of(tmp_path / "out.dzi")["width"] == 31
    assert only(tmp_path) == ["out.dzi", "out_files"]
    assert level(tmp_path / "out.dzi", 5).shape == RGB.shape


def test_an_old_picture_that_cannot_be_restored_is_kept_and_named(tmp_path, monkeypatch):
    old = old_picture(tmp_path, "out.dz")
    real = os.replace

    def broken(source: Path, target: Path) -> None:
        if source.name in ("new_files", "old_files"):
            raise FULL
        real(source, target)

    monkeypatch.setattr(os, "replace", broken)
    with pytest.raises(
        ImageError, match=r"could not be put back \(No space.*\). Its parts are in '.*\.impasto"
    ):
        write_picture(read_picture(RGB), tmp_path / "out.dz")
    (kept,) = tmp_path.iterdir()
    assert {name: data for name, data in contents(kept).items() if name.startswith("old")} == {
        name.replace("out", "old"): data for name, data in old.items()
    }


def killed_write(folder: Path, call: str, at: int) -> None:
    """Write a pyramid in a process that is killed at the at-th call of a function of `os`."""

    def make(_: object, work: Path, *__: object) -> None:  # libvips would hang after a fork
        (work / "new_files").mkdir()
        (work / "new.dzi").write_bytes(b"new")

    def kill(*arguments: object) -> None:
        calls.append(arguments)
        if len(calls) == at:
            os.kill(os.getpid(), signal.SIGKILL)
        real(*arguments)

    real, calls = getattr(os, call), []
    child = os.fork()
    if not child:
        deepzoom._make = make
        setattr(os, call, kill)
        deepzoom.write_pyramid(np.zeros((4, 4, 3), np.uint8), str(folder / "out.dz"), 90, None)
    assert os.waitpid(child, 0)[1] == signal.SIGKILL


@pytest.mark.skipif(sys.platform == "win32", reason="no fork there")
def test_the_next_write_removes_what_a_killed_one_left(tmp_path):
    killed_write(tmp_path, "fsync", at=1)
    assert len(only(tmp_path)) == 2  # its folder and its lock
    write_picture(read_picture(RGB), tmp_path / "out.dz")
    assert only(tmp_path) == ["out.dzi", "out_files"]


@pytest.mark.skipif(sys.platform == "win32", reason="no fork there")
def test_the_next_write_keeps_an_old_picture_that_a_killed_one_had_moved_away(tmp_path):
    old_picture(tmp_path, "out.dz")
    index = (tmp_path / "out.dzi").read_bytes()
    killed_write(tmp_path, "replace", at=2)
    (work,) = (path for path in tmp_path.iterdir() if path.name.endswith(".folder"))
    write_picture(read_picture(RGB), tmp_path / "out.dz")
    assert only(tmp_path) == [work.name, "out.dzi", "out_files"]
    assert (work / "old.dzi").read_bytes() == index


def test_old_tiles_that_cannot_be_removed_are_named(tmp_path, monkeypatch):
    old_picture(tmp_path, "out.dz")
    monkeypatch.setattr(shutil, "rmtree", lambda *_, **__: None)
    with pytest.warns(ImpastoWarning, match=r"what is left in '.*\.impasto-.*' could not be removed"):
        write_picture(read_picture(RGB), tmp_path / "out.dz")
    assert index_of(tmp_path / "out.dzi")["width"] == 31


def test_nan_is_not_written(tmp_path):
    with pytest.raises(ImageError, match="result holds NaN"):
        write_picture(Picture(torch.full((1, 3, 4, 4), torch.nan), name="result"), tmp_path / "out.dz")
    assert only(tmp_path) == []


def test_the_mode_obeys_the_umask_and_an_existing_picture_keeps_its_own(tmp_path):
    old = os.umask(0o027)
    modes = ((tmp_path / "out.dzi", 0o640, 0o604), (tmp_path / "out_files", 0o750, 0o705))
    try:
        write_picture(read_picture(RGB), tmp_path / "out.dz")
        for path, expected, other in modes:
            assert stat.S_IMODE(path.stat().st_mode) == expected
            path.chmod(other)
        write_picture(read_picture(RGB), tmp_path / "out.dz")
        for path, _, other in modes:
            assert stat.S_IMODE(path.stat().st_mode) == other
    finally:
        os.umask(old)


def test_a_link_to_a_zip_stays_a_link(tmp_path):
    (tmp_path / "real").mkdir()
    (tmp_path / "out.szi").symlink_to(tmp_path / "real" / "there.szi")
    write_picture(read_picture(RGB), tmp_path / "out.szi", manifest='"new"')
    assert (tmp_path / "out.szi").is_symlink()
    assert read_manifest(tmp_path / "real" / "there.szi") == '"new"'


# ---- refused before the work starts


@pytest.mark.parametrize("ending", [".dz", ".dzi", ".szi", ".DZ"])
def test_checking_an_output_changes_nothing(tmp_path, ending):
    check_output(tmp_path / f"out{ending}", longest=2**24)
    assert only(tmp_path) == []
    old = old_picture(tmp_path, f"out{ending}")
    check_output(tmp_path / f"out{ending}")
    assert contents(tmp_path) == old


@pytest.mark.parametrize(("name", "format_"), [("a.dz", "deep zoom"), ("a.szi", "SZI")])
def test_sixteen_bits_are_refused(tmp_path, name, format_):
    with pytest.raises(SettingsError, match=rf"{format_} is written with 8 bits, not 16. Use .png or .tif"):
        check_output(tmp_path / name, bits=16)


def test_the_list_of_endings_includes_deep_zoom(tmp_path):
    with pytest.raises(SettingsError, match=r"Use one of .*\.dz, \.dzi, \.szi"):
        check_output(tmp_path / "out.xyz")


def test_unwritable_outputs_are_refused(tmp_path):
    with pytest.raises(
        ImageError, match=r"the folder of '.*out.dzi' does not exist. Make it first: .*nowhere"
    ):
        check_output(tmp_path / "nowhere" / "out.dz")
    with pytest.raises(ImageError, match=r"cannot write '.*': File name too long. Choose another name"):
        check_output(tmp_path / ("x" * 250 + ".dz"))  # too long with _files at the end
    (tmp_path / "out.dzi").mkdir()
    with pytest.raises(ImageError, match=r"'.*out.dzi' is a folder"):
        check_output(tmp_path / "out.dz")


@pytest.mark.parametrize("part", ["out.dzi", "out_files"])
def test_a_read_only_part_is_not_replaced_even_by_root(tmp_path, part):
    old_picture(tmp_path, "out.dz")
    (tmp_path / part).chmod(0o555)
    try:
        with pytest.raises(ImageError, match=rf"'.*{part}' is read-only. Choose another name, or allow"):
            check_output(tmp_path / "out.dz")
    finally:
        (tmp_path / part).chmod(0o755)


@pytest.mark.parametrize("part", ["out.dzi", "out_files"])
def test_a_link_in_place_of_a_part_is_refused(tmp_path, part):
    (tmp_path / part).symlink_to(tmp_path / "elsewhere")
    with pytest.raises(ImageError, match=rf"'{part}' is a link, .* Remove the link or choose another name"):
        check_output(tmp_path / "out.dz")


@pytest.mark.parametrize("thing", ["style.css", "images/a.png", "3/notes.txt", "3/3/0_0.jpg"])
def test_a_folder_with_other_files_is_not_taken_for_tiles(tmp_path, thing):
    """Browsers save a page as photo.html and photo_files, which has the same name as a folder of tiles."""
    old_picture(tmp_path, "photo.dz")
    (tmp_path / "photo_files" / thing).parent.mkdir(parents=True, exist_ok=True)
    (tmp_path / "photo_files" / thing).write_text("precious")
    with pytest.raises(
        ImageError, match=r"tiles would go to 'photo_files', where 'photo_files.*' is, which is"
    ):
        write_picture(read_picture(RGB), tmp_path / "photo.dz")
    assert (tmp_path / "photo_files" / thing).read_text() == "precious"


def test_desktop_files_among_the_tiles_do_no_harm(tmp_path):
    old_picture(tmp_path, "out.dz")
    (tmp_path / "out_files" / ".DS_Store").touch()
    (tmp_path / "out_files" / "3" / "Thumbs.db").touch()
    write_picture(read_picture(RGB), tmp_path / "out.dz")
    assert level(tmp_path / "out.dzi", 5).shape == RGB.shape


def test_a_file_in_place_of_the_tiles_is_refused(tmp_path):
    (tmp_path / "out_files").write_text("precious")
    with pytest.raises(ImageError, match=r"tiles would go to 'out_files', where 'out_files' is, which is no"):
        check_output(tmp_path / "out.dz")


def test_tiles_without_read_permission_are_refused(open_folder):
    write_picture(read_picture(RGB), open_folder / "out.dz")
    (open_folder / "out.dzi").chmod(0o666)
    (open_folder / "out_files" / "3").chmod(0)
    open_folder.chmod(0o777)
    with as_nobody(), pytest.raises(ImageError, match=r"cannot write '.*out.dz': Permission denied. Choose"):
        check_output(open_folder / "out.dz")
