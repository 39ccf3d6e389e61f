"""Atomic writing: a file is complete under its name, or it does not exist."""

import errno
import os
import signal
from pathlib import Path

import pytest

from impasto.storage import atomic
from impasto.storage.atomic import atomic_write, hidden_folder, hidden_sibling


def test_a_new_file_replaces_the_old_one_and_keeps_its_permissions(tmp_path: Path) -> None:
    target = tmp_path / "file.txt"
    target.write_text("old")
    target.chmod(0o640)
    with atomic_write(target) as file:
        file.write(b"new")
        assert target.read_text() == "old"
        (temporary,) = set(tmp_path.iterdir()) - {target}
        assert temporary.name.startswith(".impasto-")
        assert temporary.suffix == ".txt"
    assert target.read_text() == "new"
    assert target.stat().st_mode & 0o777 == 0o640
    assert list(tmp_path.iterdir()) == [target]


@pytest.mark.parametrize("name", [None, "part"])
def test_a_failure_leaves_the_old_file_and_nothing_else(name: str | None, tmp_path: Path) -> None:
    target = tmp_path / "file"
    target.write_text("old")
    temporary = tmp_path / name if name else None

    def fail() -> None:
        with atomic_write(target, temporary=temporary) as file:
            file.write(b"half")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fail()
    assert target.read_text() == "old"
    assert list(tmp_path.iterdir()) == [target]


def test_leftovers_under_a_given_temporary_name_are_overwritten(tmp_path: Path) -> None:
    (tmp_path / "part").write_text("of a process that was killed")
    with atomic_write(tmp_path / "file", temporary=tmp_path / "part") as file:
        file.write(b"new")
    assert [path.name for path in tmp_path.iterdir()] == ["file"]
    assert (tmp_path / "file").read_text() == "new"
    assert hidden_sibling(tmp_path / "file") != hidden_sibling(tmp_path / "file")


def test_leftovers_of_killed_processes_are_removed_and_files_being_written_are_not(tmp_path: Path) -> None:
    """A file that is being written is locked, and the lock ends with the process."""
    target = tmp_path / "picture[1].png"
    child = os.fork()
    if not child:
        with atomic_write(target) as file:
            file.write(b"half")
            file.flush()
            os.kill(os.getpid(), signal.SIGKILL)
    assert os.waitpid(child, 0)[1] == signal.SIGKILL
    (leftover,) = tmp_path.iterdir()
    assert leftover.read_bytes() == b"half"
    kept = [hidden_sibling(tmp_path / "other.png"), hidden_sibling(target)]
    kept[0].touch()  # the temporary file of another target
    kept[1].mkdir()  # the folder of a deep-zoom picture
    with atomic_write(target) as first:
        first.write(b"first")
        assert not leftover.exists()
        with atomic_write(target) as second:
            second.write(b"second")
        assert target.read_bytes() == b"second"
    assert target.read_bytes() == b"first"
    assert set(tmp_path.iterdir()) == {target, *kept}


def test_folders_of_killed_processes_are_removed_unless_in_use_or_needed(tmp_path: Path) -> None:
    target = tmp_path / "picture[1].dzi"

    def is_needed(folder: Path) -> bool:
        return (folder / "old").exists()

    for name in ("new", "old"):
        child = os.fork()
        if not child:
            with hidden_folder(target, is_needed) as folder:
                (folder / name).write_bytes(b"half")
                os.kill(os.getpid(), signal.SIGKILL)
        assert os.waitpid(child, 0)[1] == signal.SIGKILL
    (needed,) = (path.parent for path in tmp_path.rglob("old"))
    with hidden_folder(target, is_needed) as first, hidden_folder(target, is_needed) as second:
        assert {path for path in tmp_path.iterdir() if path.is_dir()} == {first, second, needed}
        first.rmdir()
        second.rmdir()
    assert list(tmp_path.iterdir()) == [needed]


def test_a_temporary_file_removed_before_it_is_locked_is_made_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Between making and locking its file, a writer may lose it to another, who takes it for a leftover."""
    target = tmp_path / "file"
    names: list[Path] = []

    def intercepted(path: Path, suffix: str) -> Path:
        names.append(hidden_sibling(path, suffix))
        return names[-1]

    def lock(*_: object) -> None:
        if len(names) == 1:
            names[0].unlink()

    monkeypatch.setattr(atomic, "hidden_sibling", intercepted)
    monkeypatch.setattr(atomic.fcntl, "flock", lock)
    with atomic_write(target) as file:
        file.write(b"whole")
    assert len(names) == 2
    assert target.read_bytes() == b"whole"
    assert list(tmp_path.iterdir()) == [target]


def test_on_a_disk_without_locks_leftovers_stay(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def unsupported(*_: object) -> None:
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr(atomic.fcntl, "flock", unsupported)
    leftover = hidden_sibling(tmp_path / "file")
    leftover.touch()
    with atomic_write(tmp_path / "file") as file:
        file.write(b"whole")
    assert (tmp_path / "file").read_bytes() == b"whole"
    assert leftover.exists()
