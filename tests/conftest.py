import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

import shape_check  # before anything of the package is imported
from impasto.network.weight_files import save as save_weights
from small import save, scene, small_decoder_layers, small_layers, stripes

assert shape_check

if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    # A shell that starts the suite in its background lets it ignore Ctrl-C, and the programs under test too.
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
"""Files that take longest: begun first, so that no process is left with one at the end."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    items.sort(key=lambda item: FIRST.index(item.path.stem) if item.path.stem in FIRST else len(FIRST))


@pytest.fixture(scope="session")
def small_file(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A weights file with a small seeded network."""
    path = tmp_path_factory.mktemp("weights") / "small.safetensors"
    save_weights(small_layers(), path)
    return str(path)


@pytest.fixture(scope="session")
def decoder_file(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A weights file with the decoder that belongs to it."""
    path = tmp_path_factory.mktemp("weights") / "decoder.safetensors"
    save_weights(small_decoder_layers(), path)
    return str(path)


@pytest.fixture(scope="session")
def photo(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A picture file of 48×36 pixels."""
    return save(scene(36, 48), tmp_path_factory.mktemp("pictures") / "photo.png")


@pytest.fixture(scope="session")
def painting(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A picture file of 40×40 pixels."""
    return save(stripes(40, 40), tmp_path_factory.mktemp("pictures") / "painting.png")


@pytest.fixture(autouse=True)
def _no_stray_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Tests run in an empty folder and with no weights but those they name."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("IMPASTO_WEIGHTS", raising=False)
    monkeypatch.delenv("IMPASTO_DECODER", raising=False)


@pytest.fixture
def open_folder(tmp_path: Path) -> Iterator[Path]:
    """A folder that nobody can reach too: pytest's own are closed to other users."""
    closed = [path for path in tmp_path.parents if path.stat().st_uid == os.geteuid()]
    modes = [(path, path.stat().st_mode & 0o7777) for path in closed if not path.stat().st_mode & 0o001]
    for path, mode in modes:
        path.chmod(mode | 0o011)
    tmp_path.chmod(0o755)
    yield tmp_path
    tmp_path.chmod(0o755)
    for path, mode in modes:
        path.chmod(mode)
