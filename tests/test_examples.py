"""Every script in examples/ and the code of two pages run at a tiny size and write their pictures."""

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
    "reconstruct.py": [f"reconstruction-conv{block}_1.png" for block in (1, 3, 5)],
    "texture.py": ["texture.png"],
    "transfer.py": ["transfer.png"],
    "ratio.py": ["ratio-0.02.png", "ratio-0.2.png", "ratio-2.png", "ratio-20.png"],
    "fast.py": [
        f"fast-{name}-{photo}.png" for name in ("any", "trained") for photo in ("dandelion", "temple")
    ],
    "inspect_layer.py": ["gram.png", "responses.png"],
    "own_loss.py": ["own-loss.png"],
}
"""The pictures that each script writes."""

ELSEWHERE = ["onnx_paint.py", "studio_client.py"]
"""Scripts tested in fast/test_export.py and web/test_guard.py."""


def test_every_example_is_tested() -> None:
    assert sorted([*WRITES, *ELSEWHERE]) == sorted(path.name for path in EXAMPLES.glob("*.py"))


@pytest.fixture
def two_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    """Take two solver steps at each scale: the tests ask whether the code runs, not how well it paints."""

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


def run_page(name: str, size: str, small: str) -> str:
    """Run the Python code of a page of the docs as one session, at a small size; return its text."""
    page = (EXAMPLES.parent / "docs" / name).read_text(encoding="utf-8")
    session: dict[str, object] = {}
    for cell in re.findall(r"```python\n(.*?)```", page, re.DOTALL):
        exec(cell.replace('"examples/', f'"{EXAMPLES}/').replace(size, small), session)
    return page


def test_the_page_on_python_runs(small_file: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("IMPASTO_WEIGHTS", small_file)
    run_page("python.md", "size=512", "size=32, steps=2")
    assert {path.name for path in Path().iterdir()} == {
        "out.png", "seed-1.png", "seed-2.png", "early.png", "golden.png",
    }  # fmt: skip


@pytest.mark.usefixtures("two_steps")
def test_the_walkthrough_runs_and_writes_every_picture_it_shows(
    small_file: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("IMPASTO_WEIGHTS", small_file)
    page = run_page("walkthrough.md", "SIZE = 256", "SIZE = 32")
    shown = set(re.findall(r"\]\(walkthrough/([^)]*)\)", page))
    assert {path.name for path in Path().iterdir()} == shown
    assert shown <= {path.name for path in (EXAMPLES.parent / "docs" / "walkthrough").iterdir()}
