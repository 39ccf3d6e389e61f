"""Several processes = one: the same loss, gradient and steps, whatever their number; and when one dies."""

from pathlib import Path

import pytest
import torch
from typer.testing import CliRunner

import ranked
from impasto.cli.main import app
from impasto.image.read import read_picture
from launched import HERE, launch, torchrun
from tiled import distance

COUNTS = (2, 3)


@pytest.fixture(scope="module")
def together(tmp_path_factory: pytest.TempPathFactory) -> dict[int, dict[str, list[object]]]:
    """What so many processes find."""
    folder = tmp_path_factory.mktemp("ranks")
    done = launch(str(HERE / "ranked.py"), *map(str, COUNTS), cwd=folder)
    assert done.returncode == 0, done.stderr[-3000:]
    return {count: torch.load(folder / f"{count}.pt", weights_only=True) for count in COUNTS}


@pytest.fixture(scope="module")
def alone() -> dict[str, list[object]]:
    return {
        "evaluations": ranked.evaluations(),  # type: ignore[dict-item]
        "controls": ranked.controls(),  # type: ignore[dict-item]
        "runs": ranked.runs(),  # type: ignore[dict-item]
    }


@pytest.mark.parametrize("count", COUNTS)
def test_several_processes_are_one(
    count: int, together: dict[int, dict[str, list[object]]], alone: dict[str, list[object]]
) -> None:
    report = together[count]
    assert report["ranks"] == count
    for case, found, expected in zip(ranked.CASES, report["evaluations"], alone["evaluations"], strict=True):
        wide = case[4] == torch.float64
        torch.testing.assert_close(found["values"], expected["values"], rtol=1e-10 if wide else 4e-6, atol=0)
        assert distance(found["gradient"], expected["gradient"]) < (1e-10 if wide else 1e-5), case
    for found, expected in zip(report["controls"], alone["controls"], strict=True):
        torch.testing.assert_close(found["values"], expected["values"], rtol=1e-9, atol=1e-15)
        assert distance(found["gradient"], expected["gradient"]) < 1e-9
        for name in found.keys() - {"values", "gradient"}:
            assert torch.equal(found[name], expected[name])
    for found, expected in zip(report["runs"], alone["runs"], strict=True):
        assert distance(found, expected) < 1e-8


def test_the_command_under_torchrun(photo: str, painting: str, small_file: str, tmp_path: Path) -> None:
    """Two processes paint and one writes; where they stood, one process goes on."""
    quick = ["--weights", small_file, "--size", "64", "--steps", "6", "--finest-steps", "6", "--scales", "2"]
    # average pooling: max pooling chooses between responses that are equal to rounding, and the runs part
    job = ["stylize", photo, painting, *quick, "--precision", "float32", "--pooling", "average"]
    alone = CliRunner().invoke(app, [*job, "-o", "alone.png"])
    assert alone.exit_code == 0, alone.output
    checkpoint = ["--checkpoint", "run.checkpoint", "--checkpoint-every", "5"]
    done = torchrun(2, "-m", "impasto", *job, "-o", "both.png", *checkpoint)
    assert done.returncode == 0, done.stderr[-3000:]
    assert done.stderr.count("Painted both.png") == 1
    resumed = CliRunner().invoke(app, ["resume", "run.checkpoint", "-o", "one.png"])
    assert resumed.exit_code == 0, resumed.output
    pixels = [read_picture(f"{name}.png").pixels for name in ("alone", "both", "one")]
    for other in pixels[1:]:
        assert float((other - pixels[0]).abs().max()) <= 1 / 255


DYING = """
import os, torch
from forked import forked
from impasto.system.distributed import all_sum, join_process_group, rank
from impasto.errors import DeviceError

def work():
    join_process_group()
    all_sum(torch.ones(1))
    if rank() == 1:
        os._exit(9)
    try:
        for _ in range(1000):
            all_sum(torch.ones(1))
    except DeviceError as error:
        open("said.txt", "w").write(str(error))
        os._exit(1)

forked(2, work)
"""


def test_a_process_that_dies_ends_the_run(tmp_path: Path) -> None:
    """The others say so in a sentence instead of waiting for ever."""
    done = launch("-c", DYING, cwd=tmp_path)
    assert "they ended with [1, 9]" in done.stderr, done.stderr[-3000:]
    message = (tmp_path / "said.txt").read_text()
    assert message.startswith("another process of this run has ended or cannot be reached")
    assert "impasto resume" in message
