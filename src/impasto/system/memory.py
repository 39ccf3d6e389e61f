"""How much memory there is, how much is used, and what to say when it does not suffice."""

import ctypes
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil
import torch

from impasto.errors import DeviceError, OutOfMemoryError
from impasto.system import process as process  # before anything is computed

SPARE = 0.95
"""Share of what is free that a run may take: other programs go on."""

CGROUPS = Path("/sys/fs/cgroup")
"""Where Linux shows the limits of containers."""

OWN_GROUPS = Path("/proc/self/cgroup")
"""Where it says to which of them this process belongs."""


def resident() -> int:
    """Bytes of memory that this process has now."""
    return int(psutil.Process().memory_info().rss)


def used(device: torch.device) -> int:
    """Bytes that this process has now: on the GPU, else in all."""
    return int(torch.cuda.memory_allocated(device)) if device.type == "cuda" else resident()


def limit(device: torch.device) -> int:
    """Bytes that this process may have in all, what it has already included.

    On a GPU what is free there; else the least of what the machine has free, what its container may have, and
    the process's own bounds (`ulimit -v` and `-d`).
    """
    if device.type == "cuda":
        free, _ = torch.cuda.mem_get_info(device)
        return int(free * SPARE) + int(torch.cuda.memory_reserved(device))
    has = resident()
    rest = [int(psutil.virtual_memory().available * SPARE), *_free_in_containers(), *_free_in_bounds()]
    return has + max(0, min(rest))


def _free_in_containers() -> list[int]:
    """Bytes that each of Linux's control groups, of both versions, leaves to this process and its likes."""
    try:
        lines = OWN_GROUPS.read_text().splitlines()
    except OSError:
        return []
    free = []
    for line in lines:
        _, kinds, path = line.split(":", 2)
        if kinds and "memory" not in kinds.split(","):
            continue
        names = (
            ("memory.limit_in_bytes", "memory.usage_in_bytes") if kinds else ("memory.max", "memory.current")
        )
        for root in (CGROUPS, CGROUPS / "memory", CGROUPS / "unified"):
            here = root / path.lstrip("/")
            free += [
                left
                for folder in (here, *here.parents)
                if folder.is_relative_to(root) and (left := _free_in(folder, *names)) is not None
            ]
    return free


def _free_in(folder: Path, most: str, used: str) -> int | None:
    """What a control group leaves; pages of files that it can drop count as free. None: it sets no limit."""
    try:
        bound, usage = int((folder / most).read_text()), int((folder / used).read_text())
        rows = dict(line.split() for line in (folder / "memory.stat").read_text().splitlines())
    except (OSError, ValueError):
        return None
    return bound - usage + int(rows.get("total_inactive_file", rows.get("inactive_file", 0)))


def _free_in_bounds() -> list[int]:
    """Bytes that `ulimit` leaves."""
    if sys.platform == "win32":
        return []
    import resource

    used = psutil.Process().memory_info()
    bounds = [(resource.RLIMIT_AS, used.vms), (resource.RLIMIT_DATA, getattr(used, "data", used.rss))]
    soft = [(resource.getrlimit(kind)[0], has) for kind, has in bounds]
    return [most - has for most, has in soft if most != resource.RLIM_INFINITY]


def peak_memory(device: torch.device) -> int:
    """The most memory in bytes that this process has held so far: on the GPU, else in all (resident)."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device)
    try:
        import resource
    except ImportError:  # Windows
        return int(getattr(psutil.Process().memory_info(), "peak_wset", 0))
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024  # macOS counts bytes, Linux kilobytes


def return_freed_memory() -> None:
    """From now on give freed memory back to the system at once, where the C library is GNU's.

    By itself it keeps buffers below 32 MB for the next ones of their size, which is quicker, but many sizes
    of tiles in turn leave it with hundreds of megabytes that nobody uses.
    """
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (OSError, AttributeError, TypeError):
        return  # another C library
    mallopt(_MMAP_THRESHOLD, 4 << 20)


_MMAP_THRESHOLD = -3
"""The number of that option in malloc.h."""


@contextmanager
def memory_errors(what: str, advice: str) -> Iterator[None]:
    """Say in words that the memory did not suffice.

    Args:
        what: for what; way_out: a sentence.
    Raises:
        OutOfMemoryError: in place of the several things that torch and NumPy raise.
    """
    try:
        yield
    except (MemoryError, RuntimeError) as error:
        # The CPU's allocators have no exception of their own.
        message = str(error)
        short = isinstance(error, (MemoryError, torch.OutOfMemoryError)) or any(
            word in message for word in _SAID
        )
        if not short or isinstance(error, DeviceError):
            raise
        raise OutOfMemoryError(f"the memory does not suffice for {what}. {advice}") from error


_SAID = ("alloc", "could not create a primitive", "could not create a memory")
