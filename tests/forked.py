"""Processes that work together, as torchrun starts them, but forks of one: everything is loaded once.

As a script: runs the command with the arguments that follow the number of processes.
"""

import os
import socket
import sys
import traceback
from collections.abc import Callable


def forked(count: int, work: Callable[[], object]) -> None:
    """Let so many processes do the work, each knowing its rank.

    Raises:
        ChildProcessError: one has failed.
    """
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    together = {
        "WORLD_SIZE": count,
        "LOCAL_WORLD_SIZE": count,
        "MASTER_ADDR": "127.0.0.1",
        "MASTER_PORT": port,
    }
    children = []
    for rank in range(count):
        child = os.fork()
        if child == 0:
            ranks = {**together, "RANK": rank, "LOCAL_RANK": rank}
            os.environ.update({name: str(value) for name, value in ranks.items()})
            _work_and_exit(work)
        children.append(child)
    codes = [os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) for child in children]
    if any(codes):
        raise ChildProcessError(f"they ended with {codes}")


def _work_and_exit(work: Callable[[], object]) -> None:
    code = 1
    try:
        work()
        code = 0
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else int(end.code is not None)
    except BaseException:  # noqa: BLE001 — whatever it is, this process ends here
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


if __name__ == "__main__":
    import impasto.recipes.train  # so that it is loaded once
    from impasto.cli.main import app

    assert impasto.fast.trainer
    forked(int(sys.argv[1]), lambda: app(sys.argv[2:]))
