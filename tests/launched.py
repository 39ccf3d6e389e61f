"""Start Python, or a group of Python processes, with the tests' helper modules on the path."""

import os
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).parent


def launch(*command: str, **options: object) -> subprocess.CompletedProcess[str]:
    """Run Python with one thread and with this folder on its path."""
    paths = [str(HERE), *filter(None, [os.environ.get("PYTHONPATH")])]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": os.pathsep.join(paths)}
    return subprocess.run(
        [sys.executable, *command], capture_output=True, text=True, env=environment, timeout=300, **options
    )  # type: ignore[call-overload,no-any-return]


def torchrun(count: int, *command: str) -> subprocess.CompletedProcess[str]:
    return launch("-m", "torch.distributed.run", "--standalone", "--nproc-per-node", str(count), *command)
