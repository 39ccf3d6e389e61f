"""Every script in examples/ runs, at a tiny size and with a small network, and writes its pictures."""

import re
import runpy
import sys
from dataclasses import replace
from importlib import import_module
from pathlib import Path

import pytest

from impasto.run.scales import Scale, coarse_to_fine

EXAMPLES = Path(__file__).parent.parent / "examples"
DOCS = EXAMPLES.parent / "docs"

PICTURES = {
    "reconstruct.py": [f"reconstruction-conv{block}_1.png" for block in (1, 3, 5)],
    "texture.py": ["texture.png"],
    "transfer.py": ["transfer.png"],
    "ratio.py": [f"ratio-{ratio}.png" for ratio in ("0.02", "0.2", "2", "20")],
    "fast.py": [
        f"fast-{name}-{photo}.png" for name in ("any", "trained") for photo in ("dandelion", "temple")
    ],
    "inspect_layer.py": ["gram.png", "responses.png"],
    "custom_loss.py": ["custom-loss.png"],
}
"""The pictures that each script writes, sorted by name."""

TESTED_ELSEWHERE = ["onnx_paint.py", "studio_client.py"]  # in fast/test_export.py and web/test_guard.py


def test_every_example_is_tested() -> None:
    assert sorted([*PICTURES, *TESTED_ELSEWHERE]) == sorted(path.name for path in EXAMPLES.glob("*.py"))


@pytest.fixture
def two_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two solver steps a scale: the tests ask whether the code runs, not how well it paints."""

    def short(*size: int, **options: int) -> tuple[Scale, ...]:
        return tuple(replace(scale, steps=2) for scale in coarse_to_fine(*size, **options))

    for recipe in ("reconstruct", "stylize"):
        monkeypatch.setattr(import_module(f"impasto.recipes.{recipe}"), "coarse_to_fine", short)


@pytest.mark.parametrize("name", PICTURES)
@pytest.mark.usefixtures("two_steps")
def test_example(name: str, small_file: str, decoder_file: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("IMPASTO_WEIGHTS", small_file)
    monkeypatch.setenv("IMPASTO_DECODER", decoder_file)
    monkeypatch.setattr(sys, "argv", [str(EXAMPLES / name), "64"])
    runpy.run_path(sys.argv[0], run_name="__main__")
    assert sorted(path.name for path in Path().iterdir()) == PICTURES[name]


def run_cells(page: Path, before: str, after: str) -> str:
    """Run the Python cells of a page, with a smaller size in place of its own, and return its text."""
    text = page.read_text(encoding="utf-8")
    session: dict[str, object] = {}
    for cell in re.findall(r"```python\n(.*?)```", text, re.DOTALL):
        exec(cell.replace('"examples/', f'"{EXAMPLES}/').replace(before, after), session)
    return text


def test_the_page_on_python_runs(small_file: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("IMPASTO_WEIGHTS", small_file)
    run_cells(DOCS / "python.md", "size=512", "size=32, steps=2")
    assert {path.name for path in Path().iterdir()} == {
        "out.png", "seed-1.png", "seed-2.png", "early.png", "golden.png",
    }  # fmt: skip


@pytest.mark.usefixtures("two_steps")
def test_the_walk_through_runs_and_writes_every_picture_it_shows(
    small_file: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("IMPASTO_WEIGHTS", small_file)
    text = run_cells(DOCS / "walkthrough.md", "SIZE = 256", "SIZE = 32")
    shown = set(re.findall(r"\]\(walkthrough/([^)]*)\)", text))
    assert {path.name for path in Path().iterdir()} == shown
    assert shown <= {path.name for path in (DOCS / "walkthrough").iterdir()}
