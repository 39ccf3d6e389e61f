from pathlib import Path

import pytest

from impasto.network.weights import save as save_weights
from small import save, scene, small_layers, stripes


@pytest.fixture(scope="session")
def small_file(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A weights file with a small seeded network."""
    path = tmp_path_factory.mktemp("weights") / "small.safetensors"
    save_weights(small_layers(), path)
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
