"""Several processes compute the same loss, gradient and steps as one, and stop when one of them dies."""

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
def distributed(tmp_path_factory: pytest.TempPathFactory) -> dict[int, dict[str, list[object]]]:
    """The results of each number of processes."""
    folder = tmp_path_factory.mktemp("ranks")
    process = launch(str(HERE / "ranked.py"), *map(str, COUNTS), cwd=folder)
    assert process.returncode == 0, process.stderr[-3000:]
    return {count: torch.load(folder / f"{count}.pt", weights_only=True) for count in COUNTS}


@pytest.fixture(scope="module")
def single_process() -> dict[str, list[object]]:
    return {
        "evaluations": ranked.evaluations(),  # type: ignore[dict-item]
        "controls": ranked.controls(),  # type: ignore[dict-item]
        "runs": ranked.runs(),  # type: ignore[dict-item]
    }


@pytest.mark.parametrize("count", COUNTS)
def test_several_processes_compute_the_same_as_one(
    count: int, distributed: dict[int, dict[str, list[object]]], single_process: dict[str, list[object]]
) -> None:
    report = distributed[count]
    assert report["ranks"] == count
    for case, result, expected in zip(
        ranked.CASES, report["evaluations"], single_process["evaluations"], strict=True
    ):
        float64 = case[4] == torch.float64
        torch.testing.assert_close(
            result["values"], expected["values"], rtol=1e-10 if float64 else 4e-6, atol=0
        )
        assert distance(result["gradient"], expected["gradient"]) < (1e-10 if float64 else 1e-5), case
    for result, expected in zip(report["controls"], single_process["controls"], strict=True):
        torch.testing.assert_close(result["values"], expected["values"], rtol=1e-9, atol=1e-15)
        assert distance(result["gradient"], expected["gradient"]) < 1e-9
        for name in result.keys() - {"values", "gradient"}:
            assert torch.equal(result[name], expected[name])
    for result, expected in zip(report["runs"], single_process["runs"], strict=True):
        assert distance(result, expected) < 1e-8


def test_torchrun_paints_the_picture_that_one_process_paints(
    photo: str, painting: str, small_file: str, tmp_path: Path
) -> None:
    """Two processes paint and one of them writes; one process resumes from their checkpoint.

    Two scales are solved, in 6 steps and 1, and the third is enlarged.
    """
    quick = ["--weights", small_file, "--size", "128", "--scales", "3", "--steps", "6", "--finest-steps", "0"]
    # Average pooling: max pooling chooses between responses that differ by rounding only, so runs diverge.
    job = ["stylize", photo, painting, *quick, "--precision", "float32", "--pooling", "average"]
    single = CliRunner().invoke(app, [*job, "-o", "single.png"])
    assert single.exit_code == 0, single.output
    checkpoint = ["--checkpoint", "run.checkpoint", "--checkpoint-every", "5"]
    process = torchrun(2, "-m", "impasto", *job, "-o", "both.png", *checkpoint)
    assert process.returncode == 0, process.stderr[-3000:]
    assert process.stderr.count("Painted both.png") == 1
    resumed = CliRunner().invoke(app, ["resume", "run.checkpoint", "-o", "resumed.png"])
    assert resumed.exit_code == 0, resumed.output
    pixels = [read_picture(f"{name}.png").pixels for name in ("single", "both", "resumed")]
    assert pixels[0].shape == (1, 3, 96, 128)
    for picture in pixels[1:]:
        assert float((picture - pixels[0]).abs().max()) <= 1 / 255


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
        open("message.txt", "w").write(str(error))
        os._exit(1)

forked(2, work)
"""


def test_when_a_process_dies_the_others_stop_with_an_error(tmp_path: Path) -> None:
    process = launch("-c", DYING, cwd=tmp_path)
    assert "they ended with [1, 9]" in process.stderr, process.stderr[-3000:]
    message = (tmp_path / "message.txt").read_text()
    assert message.startswith("another process of this run has ended or cannot be reached")
    assert "impasto resume" in message
