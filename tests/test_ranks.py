"""Several processes = one: the same loss, gradient and steps, whatever their number; and when one dies."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

import ranked
from impasto.image.files import read_picture
from test_tiles import distance

HERE = Path(__file__).parent


def launch(count: int, *command: str, **options: object) -> subprocess.CompletedProcess[str]:
    """Run a command under torchrun with one thread each."""
    torchrun = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", str(count)]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(HERE)}
    return subprocess.run(
        [*torchrun, *command], capture_output=True, text=True, env=environment, timeout=300, **options
    )  # type: ignore[call-overload,no-any-return]


@pytest.fixture(scope="module")
def alone() -> dict[str, list[object]]:
    return {
        "evaluations": ranked.evaluations(),  # type: ignore[dict-item]
        "controls": ranked.controls(),  # type: ignore[dict-item]
        "runs": ranked.runs(),  # type: ignore[dict-item]
    }


@pytest.mark.parametrize("count", [2, 3])
def test_several_processes_are_one(count: int, alone: dict[str, list[object]], tmp_path: Path) -> None:
    done = launch(count, str(HERE / "ranked.py"), str(tmp_path / "found.pt"))
    assert done.returncode == 0, done.stderr[-3000:]
    report = torch.load(tmp_path / "found.pt", weights_only=True)
    for case, found, expected in zip(ranked.CASES, report["evaluations"], alone["evaluations"], strict=True):
        wide = case[4] == torch.float64
        torch.testing.assert_close(found["values"], expected["values"], rtol=1e-10 if wide else 2e-6, atol=0)
        assert distance(found["gradient"], expected["gradient"]) < (1e-10 if wide else 1e-5), case
    for found, expected in zip(report["controls"], alone["controls"], strict=True):
        torch.testing.assert_close(found["values"], expected["values"], rtol=1e-9, atol=1e-15)
        assert distance(found["gradient"], expected["gradient"]) < 1e-9
    for found, expected in zip(report["runs"], alone["runs"], strict=True):
        assert distance(found, expected) < 1e-8


def test_the_command_under_torchrun(photo: str, painting: str, small_file: str, tmp_path: Path) -> None:
    """Two processes paint and one writes; where they stood, one process goes on."""
    quick = ["--weights", small_file, "--size", "64", "--steps", "6", "--finest-steps", "6", "--scales", "2"]
    job = ["stylize", photo, painting, *quick, "--precision", "float32"]
    alone = subprocess.run(
        [sys.executable, "-m", "impasto", *job, "-o", "alone.png"], capture_output=True, text=True
    )
    assert alone.returncode == 0, alone.stderr
    checkpoint = ["--checkpoint", "run.checkpoint", "--checkpoint-every", "5"]
    done = launch(2, "-m", "impasto", *job, "-o", "both.png", *checkpoint)
    assert done.returncode == 0, done.stderr[-3000:]
    assert done.stderr.count("Painted both.png") == 1
    resumed = subprocess.run(
        [sys.executable, "-m", "impasto", "resume", "run.checkpoint", "-o", "one.png"],
        capture_output=True, text=True,
    )  # fmt: skip
    assert resumed.returncode == 0, resumed.stderr
    pixels = [read_picture(f"{name}.png").pixels for name in ("alone", "both", "one")]
    for other in pixels[1:]:
        assert float((other - pixels[0]).abs().max()) <= 2 / 255


def test_a_process_that_dies_ends_the_run(tmp_path: Path) -> None:
    """The others say so in a sentence instead of waiting for ever."""
    script = tmp_path / "dying.py"
    script.write_text(
        "import os, signal, torch\n"
        "from impasto.device import all_sum, join, rank\n"
        "from impasto.errors import DeviceError\n"
        "signal.signal(signal.SIGTERM, signal.SIG_IGN)\n"  # torchrun ends the others as soon as it looks
        "join()\n"
        "all_sum(torch.ones(1))\n"
        "if rank() == 1: os._exit(9)\n"
        "try:\n"
        "    for _ in range(1000): all_sum(torch.ones(1))\n"
        "except DeviceError as error:\n"
        "    open('said.txt', 'w').write(str(error)); os._exit(1)\n"
    )
    done = launch(2, str(script), cwd=tmp_path)
    assert done.returncode != 0
    said = (tmp_path / "said.txt").read_text()
    assert said.startswith("another process of this run has ended or cannot be reached")
    assert "impasto resume" in said
