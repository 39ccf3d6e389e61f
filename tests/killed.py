"""Kills runs at random moments and resumes them; test_checkpoint.py starts this script.

After each kill it reads the picture so far. Runs are forks of this process, so that torch is imported once.
"""

import os
import random
import signal
import sys
import time
from pathlib import Path

from typer.testing import CliRunner

import impasto.cli.run_command
import impasto.recipes.rerun
from impasto.cli.main import app
from impasto.image.read import read_picture
from impasto.results import manifest as manifests


def start(arguments: list[str]) -> int:
    """Start the command in a forked process; return the process id."""
    child = os.fork()
    if child:
        return child
    result = CliRunner().invoke(app, arguments)
    if result.exit_code:
        sys.stderr.write(f"{result.output} {result.exception}")
    os._exit(result.exit_code)


def read_in_fork(path: Path) -> int:
    """Read an unfinished picture in a forked process: forks of a process that has used libvips hang."""
    child = os.fork()
    if child:
        return child
    whole = False
    try:
        whole = read_picture(path).width == 128 and not manifests.read(path)["result"]["complete"]
    finally:
        os._exit(not whole)


def modified(path: Path) -> int:
    """When the file was last written, in nanoseconds; 0 if there is none."""
    return path.stat().st_mtime_ns if path.exists() else 0


def main(kills: int, *job: str) -> None:
    """Paint whole.png in one run, then killed.png with that many kills; print how many runs that took."""
    assert os.waitpid(start([*job, "-o", "whole.png"]), 0)[1] == 0
    checkpoint = Path("run.checkpoint")
    first = [*job, "-o", "killed.png", "--checkpoint", str(checkpoint), "--checkpoint-every", "1"]
    first += ["--preview-every", "1"]
    generator, runs, pictures, ended = random.Random(0), 0, 0, False
    while not ended:
        runs, before = runs + 1, modified(checkpoint)
        child = start(["resume", str(checkpoint)] if checkpoint.exists() else first)
        if runs > kills:
            ended = os.waitpid(child, 0)[1] == 0
            assert ended, "a run that nobody killed failed"
            break
        while modified(checkpoint) == before:
            time.sleep(0.001)
        time.sleep(generator.uniform(0, 0.1))
        os.kill(child, signal.SIGKILL)
        _, status = os.waitpid(child, 0)
        assert status == signal.SIGKILL, f"the run ended with {status} before it was killed"
        if Path("killed.png").exists():
            assert os.waitpid(read_in_fork(Path("killed.png")), 0)[1] == 0, "the picture is not whole"
            pictures += 1
    assert pictures >= kills - 1
    sys.stdout.write(str(runs))


if __name__ == "__main__":
    assert impasto.cli.run_command
    assert impasto.recipes.rerun
    main(int(sys.argv[1]), *sys.argv[2:])
