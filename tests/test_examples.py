"""Every script in examples/ runs, at a tiny size and on a small network, and writes its pictures."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

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
    "inspect_layer.py": ["gram.png", "responses.png"],
}


def test_none_is_left_out() -> None:
    assert sorted(WRITES) == sorted(path.name for path in EXAMPLES.glob("*.py"))


@pytest.mark.parametrize("name", WRITES)
def test_example(name: str, small_file: str) -> None:
    subprocess.run(
        [sys.executable, str(EXAMPLES / name), "64"],
        check=True,
        env={**os.environ, "IMPASTO_WEIGHTS": small_file},
    )
    assert sorted(path.name for path in Path().iterdir()) == WRITES[name]
