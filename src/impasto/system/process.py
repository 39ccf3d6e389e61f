"""Process settings that must be made before PyTorch computes: repeatable arithmetic and large memory pages.

Importing this module makes them, once. Every module that imports torch imports this one, directly or through
`shapes`, `device` or `memory` (`tests/system/test_process.py`). There are two:

- On some processors (seen on AMD), MKL, which multiplies matrices for PyTorch on x86, chooses kernels by the
  alignment of its buffers, so the same run can end in other pixels. Its strict mode chooses by shape alone,
  at no measurable cost (`benchmarks/repeatable.py`). MKL refuses the mode after the first product or `exp`.
- Each step frees and requests the same large buffers, and the system clears every fresh 4 kB page. Pages of
  2 MB save a tenth of the time (docs/performance.md). PyTorch reads the variable at its first tensor.

Variables that the user has set take precedence: `MKL_CBWR=AUTO` and `THP_MEM_ALLOC_ENABLE=0` switch the two
settings off.
"""

import ctypes
import os
from dataclasses import dataclass
from pathlib import Path

import torch

ADVICE = "set MKL_CBWR=AUTO,STRICT before Python starts"

# MKL's constants (mkl_types.h): the branch to use, a flag on top of it, and "all settings" for a query.
_AUTO, _COMPATIBLE, _STRICT, _ALL = 2, 3, 0x10000, -1


@dataclass(frozen=True)
class Repeatability:
    """Whether this process computes the same bits for the same work.

    Attributes:
        holds: whether arithmetic on the CPU depends on shapes, versions and the number of threads alone.
        reason: if it does not, why, and what to do; "" otherwise.
    """

    holds: bool
    reason: str = ""


def _use_large_pages() -> None:
    os.environ.setdefault("THP_MEM_ALLOC_ENABLE", "1")


def _make_repeatable() -> Repeatability:
    """Switch MKL to its strict mode, unless the environment has chosen a mode."""
    functions = _mkl_functions()
    if functions is None:
        return _without_functions()
    set_mode, get_mode = functions
    if not os.environ.get("MKL_CBWR"):
        set_mode(_AUTO | _STRICT)
    mode = get_mode(_ALL)
    if mode & _STRICT or mode == _COMPATIBLE:
        return Repeatability(True)
    if os.environ.get("MKL_CBWR"):
        return Repeatability(False, f"MKL_CBWR is {os.environ['MKL_CBWR']!r}; {ADVICE}")
    return Repeatability(False, f"MKL had computed before Impasto was imported; import it first, or {ADVICE}")


def _mkl_functions() -> "tuple[ctypes._NamedFuncPointer, ctypes._NamedFuncPointer] | None":
    """Find the functions that set and get MKL's mode, in the library that PyTorch uses; None without MKL."""
    folder = Path(torch.__file__).parent / "lib"
    # A wheel for Linux contains MKL in libtorch_cpu under internal names; a conda package depends on
    # libmkl_rt, whose public names a look-up in libtorch_cpu finds as well.
    for library in ("libtorch_cpu.so", "torch_cpu.dll"):
        try:
            loaded = ctypes.CDLL(str(folder / library))
        except OSError:
            continue
        for setter, getter in (
            ("mkl_serv_cbwr_set", "mkl_serv_cbwr_get"),
            ("MKL_CBWR_Set", "MKL_CBWR_Get"),
        ):
            try:
                return getattr(loaded, setter), getattr(loaded, getter)
            except AttributeError:
                continue
    return None


def _without_functions() -> Repeatability:
    """Return the state of a PyTorch whose MKL cannot be switched, or that has none."""
    if not torch.backends.mkl.is_available():  # type: ignore[no-untyped-call]
        return Repeatability(False, "PyTorch has no MKL here, and other libraries promise no equal bits")
    if any(word in os.environ.get("MKL_CBWR", "").upper() for word in ("STRICT", "COMPATIBLE")):
        return Repeatability(True)
    return Repeatability(False, f"this build of PyTorch does not let MKL's mode be set; {ADVICE}")


_use_large_pages()
REPEATABILITY = _make_repeatable()
"""The state of this process's arithmetic on the CPU, settled at import."""


def repeatability(device: torch.device) -> Repeatability:
    """Return whether a second run gives the same bits on the same machine with equal versions and threads."""
    if device.type != "cpu":
        return Repeatability(False, f"PyTorch promises no equal bits on {device.type}; use --device cpu")
    return REPEATABILITY
