"""Every script in examples/ runs, at a tiny size and on a small network, and writes its pictures."""

import re
import runpy
import sys
from dataclasses import replace
from importlib import import_module
from pathlib import Path

import pytest

from impasto.run.scales import Scale, coarse_to_fine

EXAMPLES = Path(__file__).parent.parent / "examples"
WRITES = {
    "reconstruct.py": [
        "reconstruction-conv1_1.png",
        "reconstruction-conv3_1.png",
        "reconstruction-conv5_1.png",
    ],
    "texture.py": ["texture.png"],
    "transfer.py": ["transfer.png"],
    "ratio.py": ["ratio-0.02.png", "ratio-0.2.png", "ratio-2.png", "ratio-20.png"],
    "fast.py": [
        f"fast-{name}-{photo}.png" for name in ("any", "trained") for photo in ("dandelion", "temple")
    ],
    "inspect_layer.py": ["gram.png", "responses.png"],
    "own_loss.py": ["own-loss.png"],
}


ELSEWHERE = ["onnx_paint.py", "studio_client.py"]  # in fast/test_export.py, web/test_guard.py


def test_none_is_left_out() -> None:
    assert sorted([*WRITES, *ELSEWHERE]) == sorted(path.name for path in EXAMPLES.glob("*.py"))


@pytest.fixture
def two_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two solver steps a scale: what is tested is that the code runs, not how well it paints."""

    def short(*size: int, **options: int) -> tuple[Scale, ...]:
        return tuple(replace(scale, steps=2) for scale in coarse_to_fine(*size, **options))

    for recipe in ("reconstruct", "stylize"):
        monkeypatch.setattr(import_module(f"impasto.recipes.{recipe}"), "coarse_to_fine", short)


@pytest.mark.parametrize("name", WRITES)
@pytest.mark.usefixtures("two_steps")
def test_example(name: str, small_file: str, decoder_file: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("IMPASTO_WEIGHTS", small_file)
    monkeypatch.setenv("IMPASTO_DECODER", decoder_file)
    monkeypatch.setattr(sys, "argv", [str(EXAMPLES / name), "64"])
    runpy.run_path(sys.argv[0], run_name="__main__")
    assert sorted(path.name for path in Path().iterdir()) == WRITES[name]


def test_the_page_on_python_runs(small_file: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("IMPASTO_WEIGHTS", small_file)
    page = (EXAMPLES.parent / "docs" / "python.md").read_text(encoding="utf-8")
    session: dict[str, object] = {}
    for cell in re.findall(r"```python\n(.*?)```", page, re.DOTALL):
        exec(cell.replace('"examples/', f'"{EXAMPLES}/').replace("size=512", "size=32, steps=2"), session)
    assert {path.name for path in Path().iterdir()} == {
        "out.png", "seed-1.png", "seed-2.png", "early.png", "golden.png",
    }  # fmt: skip


PAGE = EXAMPLES.parent / "docs" / "walkthrough.md"


@pytest.mark.usefixtures("two_steps")
def test_the_walk_through_runs_and_writes_every_picture_it_shows(
    small_file: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("IMPASTO_WEIGHTS", small_file)
    page = PAGE.read_text(encoding="utf-8")
    session: dict[str, object] = {}
    for cell in re.findall(r"```python\n(.*?)```", page, re.DOTALL):
        exec(cell.replace('"examples/', f'"{EXAMPLES}/').replace("SIZE = 256", "SIZE = 32"), session)
    shown = set(re.findall(r"\]\(walkthrough/([^)]*)\)", page))
    assert {path.name for path in Path().iterdir()} == shown
    assert shown <= {path.name for path in (PAGE.parent / "walkthrough").iterdir()}
