"""Where and in which precision to compute, and what the machine is."""

import os
import platform
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass

import torch
import torch.distributed

from impasto import process as process  # before anything is computed
from impasto.choices import Precision
from impasto.errors import DeviceError, SettingsError


@dataclass(frozen=True)
class Compute:
    """A device and the type of the features on it; pixels, Gram matrices and losses are always float32."""

    device: torch.device
    dtype: torch.dtype


def choose(device: str = "auto", precision: Precision = "auto") -> Compute:
    """The device and feature type to use.

    Args:
        device: "auto" (CUDA, else Apple's MPS, else the CPU) or a name torch knows: cpu, cuda, cuda:1, mps.
        precision: "auto" is bfloat16 where the processor has it in hardware, else float32.
    Raises:
        SettingsError: a name that torch does not know.
        DeviceError: a device that is not there.
    """
    found = _device(device)
    if precision == "auto":
        return Compute(found, torch.bfloat16 if has_bfloat16(found) else torch.float32)
    if precision not in ("float32", "bfloat16"):
        raise SettingsError(f"precision is {precision!r}; it is 'auto', 'float32' or 'bfloat16'.")
    return Compute(found, getattr(torch, precision))


def _device(name: str) -> torch.device:
    if name == "auto":
        if torch.cuda.is_available():
            # torchrun numbers the processes of each machine: one GPU each
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
    """Names of the devices on this machine."""
    names = ["cpu", *(f"cuda:{index}" for index in range(torch.cuda.device_count()))]
    return [*names, "mps"] if _has_mps() else names


def has_bfloat16(device: torch.device) -> bool:
    """Whether to compute in bfloat16 on the device: it has it in hardware (emulation is slower than float32).

    The environment variable IMPASTO_BFLOAT16, 0 or 1, answers instead of the hardware.

    Raises:
        SettingsError: the variable is something else.
    """
    answer = os.environ.get("IMPASTO_BFLOAT16", "")
    if answer not in ("", "0", "1"):
        raise SettingsError(f"IMPASTO_BFLOAT16 is {answer!r}; it is 0, 1 or not set.")
    if answer:
        return answer == "1"
    if device.type == "cuda":
        return torch.cuda.get_device_capability(device) >= (8, 0)
    if device.type != "cpu":
        return False
    # torch has no public query for this; the private one has stood since 2.4, and its absence means "no".
    return any(
        bool(query()) for name in _BF16_QUERIES if (query := getattr(torch.cpu, name, None)) is not None
    )


_BF16_QUERIES = ("_is_avx512_bf16_supported", "_is_amx_tile_supported")


def describe() -> dict[str, str | int]:
    """The machine in words, for the manifest and for `impasto doctor`."""
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
    try:
        with open("/proc/cpuinfo", encoding="utf-8") as lines:
            for line in lines:
                if line.startswith("model name"):
                    return line.partition(":")[2].strip()
    except OSError:
        pass  # not Linux
    return platform.processor() or platform.machine()


def use_threads(count: int) -> None:
    """Compute with that many processor threads; 0 leaves torch's choice, one per core."""
    if count:
        torch.set_num_threads(count)


def launched() -> int:
    """How many processes torchrun has started for this command; 1 without it."""
    return int(os.environ.get("WORLD_SIZE", "1"))


def await_ranks() -> None:
    """Under torchrun, return when every process of the run has got here; without it, at once.

    torchrun ends all processes as soon as one exits with an error. One that has an error to report, and whose
    work is no concern of the others', waits for them first. They meet at torchrun's own store of keys; no
    process group is made.
    """
    if "TORCHELASTIC_RUN_ID" not in os.environ:
        return
    from time import sleep

    from torch.distributed.rendezvous import rendezvous

    key = f"impasto/{os.environ.get('TORCHELASTIC_RESTART_COUNT', '0')}/arrived"
    try:
        store, _, count = next(rendezvous("env://"))
        arrived = store.add(key, 1)
        while arrived < count:
            sleep(0.1)
            arrived = store.add(key, 0)
    except RuntimeError:
        return  # the store has gone, and torchrun with it


def join() -> None:
    """Work on one picture together with the other processes that torchrun has started; alone, do nothing.

    Raises:
        DeviceError: they cannot be reached.
    """
    if launched() == 1 or ranks() > 1:
        return
    cuda = torch.cuda.is_available()
    if cuda:  # what is made without naming a GPU is made on this process's own
        torch.cuda.set_device(int(os.environ.get("LOCAL_RANK", "0")) % torch.cuda.device_count())
    with _together():
        torch.distributed.init_process_group("cpu:gloo,cuda:nccl" if cuda else "gloo")


def leave() -> None:
    """Undo `join`."""
    if ranks() > 1:
        torch.distributed.destroy_process_group()


@contextmanager
def alone() -> Iterator[None]:
    """What is computed inside is this process's own, whatever others there are: no picture is shared."""
    token = _ALONE.set(True)
    try:
        yield
    finally:
        _ALONE.reset(token)


_ALONE: ContextVar[bool] = ContextVar("alone", default=False)


def in_step(module: torch.nn.Module) -> torch.nn.Module:
    """The module, its gradients averaged over all processes at every way back; alone, the module itself."""
    if ranks() == 1:
        return module
    with _together():
        return torch.nn.parallel.DistributedDataParallel(module)


def ranks() -> int:
    """How many processes work on one picture together; 1 before `join`."""
    return torch.distributed.get_world_size() if _joined() else 1


def rank() -> int:
    """Which of these this process is, from 0."""
    return torch.distributed.get_rank() if _joined() else 0


def all_sum(total: torch.Tensor) -> torch.Tensor:
    """The sum of everybody's tensors, on every process; alone, the tensor itself."""
    if ranks() == 1:
        return total
    total = total.clone()
    with _together():
        torch.distributed.all_reduce(total)
    return total


def least_of_all(number: int) -> int:
    """The least of everybody's numbers, on every process; alone, the number itself."""
    if ranks() == 1:
        return number
    every = torch.zeros(ranks(), dtype=torch.int64, device="cuda" if torch.cuda.is_available() else "cpu")
    every[rank()] = number
    return int(all_sum(every).min())


def neighbours() -> int:
    """How many processes of this run share this machine, itself included."""
    return int(os.environ.get("LOCAL_WORLD_SIZE", "1")) if ranks() > 1 else 1


def spread(tensor: torch.Tensor, source: int) -> None:
    """Write the tensor of process `source` over everybody's."""
    with _together():
        torch.distributed.broadcast(tensor, source)


def exchange(gifts: Mapping[int, torch.Tensor], wanted: Mapping[int, torch.Tensor]) -> None:
    """Give tensors to processes and fill those wanted from them; empty ones are not sent."""
    operations = [
        torch.distributed.P2POp(kind, tensor, other)
        for kind, tensors in ((torch.distributed.isend, gifts), (torch.distributed.irecv, wanted))
        for other, tensor in tensors.items()
        if tensor.numel()
    ]
    if not operations:
        return
    with _together():
        for work in torch.distributed.batch_isend_irecv(operations):
            work.wait()


def _joined() -> bool:
    if _ALONE.get():
        return False
    return torch.distributed.is_available() and torch.distributed.is_initialized()


@contextmanager
def _together() -> Iterator[None]:
    try:
        yield
    except RuntimeError as error:  # torch.distributed's own are among them
        reason = str(error).strip().splitlines()[0]
        raise DeviceError(
            f"another process of this run has ended or cannot be reached ({reason}). "
            "If there is a checkpoint, go on from it with: impasto resume FILE."
        ) from error
