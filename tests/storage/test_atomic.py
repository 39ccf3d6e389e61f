"""Whole files: complete under their name, or not there."""

from pathlib import Path

import pytest

from impasto.storage.atomic import atomic_write, hidden_sibling


def test_a_new_file_takes_the_place_and_keeps_the_permissions_of_the_old_one(tmp_path: Path) -> None:
    target = tmp_path / "file.txt"
    target.write_text("old")
    target.chmod(0o640)
    with atomic_write(target) as file:
        file.write(b"new")
        assert target.read_text() == "old"
        (part,) = set(tmp_path.iterdir()) - {target}
        assert part.name.startswith(".impasto-")
        assert part.suffix == ".txt"
    assert target.read_text() == "new"
    assert target.stat().st_mode & 0o777 == 0o640
    assert list(tmp_path.iterdir()) == [target]


@pytest.mark.parametrize("temporary", [None, "part"])
def test_a_failure_leaves_the_old_file_and_nothing_else(temporary: str | None, tmp_path: Path) -> None:
    target = tmp_path / "file"
    target.write_text("old")
    part = tmp_path / temporary if temporary else None

    def fail() -> None:
        with atomic_write(target, temporary=part) as file:
            file.write(b"half")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fail()
    assert target.read_text() == "old"
    assert list(tmp_path.iterdir()) == [target]


def test_a_given_temporary_name_may_hold_leftovers(tmp_path: Path) -> None:
    (tmp_path / "part").write_text("of a process that was killed")
    with atomic_write(tmp_path / "file", temporary=tmp_path / "part") as file:
        file.write(b"new")
    assert [path.name for path in tmp_path.iterdir()] == ["file"]
    assert (tmp_path / "file").read_text() == "new"
    assert hidden_sibling(tmp_path / "file") != hidden_sibling(tmp_path / "file")
