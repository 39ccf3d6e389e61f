"""A group of processes as torchrun starts it, but by forking, so that torch is imported only once.

As a script, it runs `impasto` in each process: the first argument is their number, the rest go to `impasto`.
"""

import os
import socket
import sys
import traceback
from collections.abc import Callable


def forked(count: int, work: Callable[[], object]) -> None:
    """Call `work` in `count` processes, each of which knows its rank.

    Raises:
        ChildProcessError: a process has failed.
    """
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    group = {
        "WORLD_SIZE": count,
        "LOCAL_WORLD_SIZE": count,
        "MASTER_ADDR": "127.0.0.1",
        "MASTER_PORT": port,
    }
    children = []
    for rank in range(count):
        child = os.fork()
        if child == 0:
            ranks = {**group, "RANK": rank, "LOCAL_RANK": rank}
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
    except BaseException:  # noqa: BLE001 — the child must end here, whatever happened
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


if __name__ == "__main__":
    import impasto.recipes.train  # before the fork, so that it is imported once
    from impasto.cli.main import app

    assert impasto.fast.trainer
    forked(int(sys.argv[1]), lambda: app(sys.argv[2:]))
