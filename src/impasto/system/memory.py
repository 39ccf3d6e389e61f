"""How much memory there is, how much is used, and errors for when there is too little."""

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
"""The fraction of the free memory that a run may take. The rest is for other programs."""

CGROUPS = Path("/sys/fs/cgroup")
"""The folder in which Linux shows the limits of containers (control groups)."""

OWN_GROUPS = Path("/proc/self/cgroup")
"""The file that names the control groups of this process."""


def resident() -> int:
    """Return the memory of this process now, in bytes (resident set size)."""
    return int(psutil.Process().memory_info().rss)


def used(device: torch.device) -> int:
    """Return the memory of this process now, in bytes: on the GPU if the device is one, else in all."""
    return int(torch.cuda.memory_allocated(device)) if device.type == "cuda" else resident()


def limit(device: torch.device) -> int:
    """Return the memory that this process may use in all, in bytes, including what it uses already.

    On a GPU it is what is free there. Otherwise it is the least of what the machine has free, what the
    container allows, and the process's own limits (`ulimit -v` and `-d`).
    """
    if device.type == "cuda":
        free, _ = torch.cuda.mem_get_info(device)
        return int(free * SPARE) + int(torch.cuda.memory_reserved(device))
    has = resident()
    rest = [int(psutil.virtual_memory().available * SPARE), *_free_in_containers(), *_free_in_bounds()]
    return has + max(0, min(rest))


def _free_in_containers() -> list[int]:
    """Return the bytes that each control group of this process, of versions 1 and 2, leaves free."""
    try:
        lines = OWN_GROUPS.read_text().splitlines()
    except OSError:
        return []
    free = []
    for line in lines:
        _, kinds, path = line.split(":", 2)  # version 2 names no kinds
        if kinds and "memory" not in kinds.split(","):
            continue
        names = (
            ("memory.limit_in_bytes", "memory.usage_in_bytes") if kinds else ("memory.max", "memory.current")
        )
        for root in (CGROUPS, CGROUPS / "memory", CGROUPS / "unified"):
            group = root / path.lstrip("/")
            free += [
                left
                for folder in (group, *group.parents)
                if folder.is_relative_to(root) and (left := _free_in(folder, *names)) is not None
            ]
    return free


def _free_in(folder: Path, most: str, used: str) -> int | None:
    """Return the bytes that a control group leaves free, with cached file pages; None without a limit."""
    try:
        bound, usage = int((folder / most).read_text()), int((folder / used).read_text())
        rows = dict(line.split() for line in (folder / "memory.stat").read_text().splitlines())
    except (OSError, ValueError):
        return None
    return bound - usage + int(rows.get("total_inactive_file", rows.get("inactive_file", 0)))


def _free_in_bounds() -> list[int]:
    """Return the bytes that each limit of `ulimit` leaves free."""
    if sys.platform == "win32":
        return []
    import resource

    used = psutil.Process().memory_info()
    bounds = [(resource.RLIMIT_AS, used.vms), (resource.RLIMIT_DATA, getattr(used, "data", used.rss))]
    soft = [(resource.getrlimit(kind)[0], has) for kind, has in bounds]
    return [most - has for most, has in soft if most != resource.RLIM_INFINITY]


def peak_memory(device: torch.device) -> int:
    """Return this process's peak memory so far, in bytes: on the GPU, or resident on the CPU."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device)
    try:
        import resource
    except ImportError:  # Windows
        return int(getattr(psutil.Process().memory_info(), "peak_wset", 0))
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024  # macOS counts bytes, Linux kilobytes


def return_freed_memory() -> None:
    """Make glibc return freed memory to the system at once; other C libraries are left as they are.

    glibc keeps freed buffers below 32 MB for later requests of their size. That is faster, but tiles of many
    sizes leave it with hundreds of megabytes that nobody uses. (With `--memory 1GB` at 1024 px the peak fell
    from 1.14 to 0.86 GB, for a quarter more time; docs/performance.md.)
    """
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (OSError, AttributeError, TypeError):
        return  # another C library
    mallopt(_MMAP_THRESHOLD, 4 << 20)  # buffers from 4 MB on get mappings of their own


_MMAP_THRESHOLD = -3
"""M_MMAP_THRESHOLD in malloc.h."""


@contextmanager
def memory_errors(what: str, advice: str) -> Iterator[None]:
    """Turn allocation failures into an OutOfMemoryError with advice.

    Args:
        what: what the memory is for, such as "a training step".
        advice: what to do, as a sentence.
    Raises:
        OutOfMemoryError: torch, NumPy or Python could not allocate memory.
    """
    try:
        yield
    except (MemoryError, RuntimeError) as error:
        # torch's CPU allocators raise a plain RuntimeError, which is recognised by its text.
        message = str(error)
        short = isinstance(error, (MemoryError, torch.OutOfMemoryError)) or any(
            word in message for word in _SAID
        )
        if not short or isinstance(error, DeviceError):
            raise
        raise OutOfMemoryError(f"the memory does not suffice for {what}. {advice}") from error


_SAID = ("alloc", "could not create a primitive", "could not create a memory")
