"""Choosing the device and the precision, and describing the machine."""

import os
import platform
from dataclasses import dataclass

import torch

from impasto.choices import Precision
from impasto.errors import DeviceError, SettingsError
from impasto.settings.base import ComputeSettings
from impasto.system import process as process  # before anything is computed


@dataclass(frozen=True)
class Compute:
    """A device, and the number type of the features. Pixels, Gram matrices and losses are always float32."""

    device: torch.device
    dtype: torch.dtype


def choose_compute(device: str = "auto", precision: Precision = "auto") -> Compute:
    """Choose the device and the number type of the features.

    Args:
        device: "auto" (CUDA, else Apple's MPS, else the CPU), or a name that torch knows: cpu, cuda, cuda:1,
            mps.
        precision: "auto" is bfloat16 if the processor has it in hardware, else float32.
    Raises:
        SettingsError: torch does not know the name, or the precision is another.
        DeviceError: the machine has no such device.
    """
    chosen = _device(device)
    if precision == "auto":
        return Compute(chosen, torch.bfloat16 if has_bfloat16(chosen) else torch.float32)
    if precision not in ("float32", "bfloat16"):
        raise SettingsError(f"precision is {precision!r}; it is 'auto', 'float32' or 'bfloat16'.")
    return Compute(chosen, getattr(torch, precision))


def _device(name: str) -> torch.device:
    """Return the device of `choose_compute`."""
    if name == "auto":
        if torch.cuda.is_available():
            # torchrun numbers the processes of each machine; each gets a GPU of its own.
            return torch.device("cuda", int(os.environ.get("LOCAL_RANK", 0)) % torch.cuda.device_count())
        return torch.device("mps" if _has_mps() else "cpu")
    try:
        device = torch.device(name)
    except RuntimeError:
        raise SettingsError(f"device is {name!r}; use auto, cpu, cuda, cuda:1, … or mps.") from None
    count = {"cpu": 1, "cuda": torch.cuda.device_count(), "mps": int(_has_mps())}.get(device.type, 0)
    if (device.index or 0) >= count:
        have = ", ".join(available())
        raise DeviceError(f"there is no device {name!r} here; this machine has {have}. Use --device auto.")
    return device


def _has_mps() -> bool:
    return torch.backends.mps.is_available()


def available() -> list[str]:
    """Return the names of this machine's devices."""
    names = ["cpu", *(f"cuda:{index}" for index in range(torch.cuda.device_count()))]
    return [*names, "mps"] if _has_mps() else names


def has_bfloat16(device: torch.device) -> bool:
    """Return whether the device has bfloat16 in hardware. (Emulated, it is slower than float32.)

    The environment variable IMPASTO_BFLOAT16, 0 or 1, overrides the answer.

    Raises:
        SettingsError: the variable is something else.
    """
    answer = os.environ.get("IMPASTO_BFLOAT16", "")
    if answer not in ("", "0", "1"):
        raise SettingsError(f"IMPASTO_BFLOAT16 is {answer!r}; it is 0, 1 or not set.")
    if answer:
        return answer == "1"
    if device.type == "cuda":
        return torch.cuda.get_device_capability(device) >= (8, 0)  # Ampere and later
    if device.type != "cpu":
        return False
    # torch has no public query for this. The private ones have existed since 2.4; if one is missing, it
    # counts as "no".
    return any(
        bool(query()) for name in _BF16_QUERIES if (query := getattr(torch.cpu, name, None)) is not None
    )


_BF16_QUERIES = ("_is_avx512_bf16_supported", "_is_amx_tile_supported")


def describe_machine() -> dict[str, str | int]:
    """Describe the machine for the manifest and for `impasto doctor`."""
    return {
        "system": f"{platform.system()} {platform.machine()}",
        "processor": _processor(),
        "cores": os.cpu_count() or 1,
        "threads": torch.get_num_threads(),
        "instructions": torch.backends.cpu.get_cpu_capability(),
        "gpu": torch.cuda.get_device_name() if torch.cuda.is_available() else "none",
        "python": platform.python_version(),
        "torch": torch.__version__,
    }


def _processor() -> str:
    """Return the processor's model name, or its architecture where the name is unknown."""
    try:
        with open("/proc/cpuinfo", encoding="utf-8") as lines:
            for line in lines:
                if line.startswith("model name"):
                    return line.partition(":")[2].strip()
    except OSError:
        pass  # not Linux
    return platform.processor() or platform.machine()


def use_threads(count: int) -> None:
    """Compute with this many processor threads; 0 keeps torch's choice, which is one per core."""
    if count:
        torch.set_num_threads(count)


def compute_for_settings(settings: ComputeSettings) -> Compute:
    """Choose the device and number type that the settings ask for, and set the number of threads.

    Raises:
        SettingsError, DeviceError: as `choose_compute`.
    """
    use_threads(settings.threads)
    return choose_compute(settings.device, settings.precision)
