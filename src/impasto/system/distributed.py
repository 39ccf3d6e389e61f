"""Several processes that work on one picture under torchrun, and what they exchange."""

import atexit
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar

import torch.distributed

from impasto.errors import DeviceError
from impasto.system import process as process  # before anything is computed


def launched_processes() -> int:
    """Return the number of processes that torchrun has started for this command; 1 without torchrun."""
    return int(os.environ.get("WORLD_SIZE", "1"))


def wait_for_ranks() -> None:
    """Under torchrun, wait until every process of the run has called this; without torchrun, do nothing.

    torchrun ends all processes as soon as one exits with an error. A process that has an error to report, but
    whose work does not concern the others, calls this first. The processes meet at torchrun's own key store;
    no process group is made.
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
        return  # torchrun has ended, and its store with it


def join_process_group() -> None:
    """Join the other processes that torchrun has started, to work on one picture; do nothing without them.

    Raises:
        DeviceError: the other processes cannot be reached.
    """
    if launched_processes() == 1 or world_size() > 1:
        return
    cuda = torch.cuda.is_available()
    if cuda:  # tensors that name no GPU go to this process's own
        torch.cuda.set_device(int(os.environ.get("LOCAL_RANK", "0")) % torch.cuda.device_count())
    with _peer_errors():
        torch.distributed.init_process_group("cpu:gloo,cuda:nccl" if cuda else "gloo")
    # If they are left to the interpreter's end, gloo's threads sometimes abort the process (once in 24 runs).
    atexit.register(leave_process_group)


def leave_process_group() -> None:
    """Undo `join_process_group`."""
    if world_size() > 1:
        torch.distributed.destroy_process_group()


@contextmanager
def single_process() -> Iterator[None]:
    """Compute alone while the context lasts, even if there are other processes: no picture is shared."""
    token = _SINGLE_PROCESS.set(True)
    try:
        yield
    finally:
        _SINGLE_PROCESS.reset(token)


_SINGLE_PROCESS: ContextVar[bool] = ContextVar("alone", default=False)


def data_parallel(module: torch.nn.Module) -> torch.nn.Module:
    """Wrap a module so that its gradients are averaged over all processes; without others, return it as it
    is.

    Raises:
        DeviceError: another process cannot be reached.
    """
    if world_size() == 1:
        return module
    with _peer_errors():
        return torch.nn.parallel.DistributedDataParallel(module)


def world_size() -> int:
    """Return the number of processes that work on one picture together; 1 before `join_process_group`."""
    return torch.distributed.get_world_size() if _is_joined() else 1


def rank() -> int:
    """Return the number of this process among them, from 0."""
    return torch.distributed.get_rank() if _is_joined() else 0


def all_sum(total: torch.Tensor) -> torch.Tensor:
    """Return the sum of all processes' tensors, on every process; without others, the tensor itself.

    Raises:
        DeviceError: another process cannot be reached.
    """
    if world_size() == 1:
        return total
    total = total.clone()  # all_reduce works in place
    with _peer_errors():
        torch.distributed.all_reduce(total)
    return total


def all_min(number: int) -> int:
    """Return the smallest of all processes' numbers, on every process; without others, the number itself.

    Raises:
        DeviceError: another process cannot be reached.
    """
    if world_size() == 1:
        return number
    # A table with a place for each process, and 0 in the others' places, becomes complete by `all_sum`.
    every = torch.zeros(
        world_size(), dtype=torch.int64, device="cuda" if torch.cuda.is_available() else "cpu"
    )
    every[rank()] = number
    return int(all_sum(every).min())


def local_world_size() -> int:
    """Return the number of this run's processes on this machine, including this one."""
    return int(os.environ.get("LOCAL_WORLD_SIZE", "1")) if world_size() > 1 else 1


def broadcast(tensor: torch.Tensor, source: int) -> None:
    """Overwrite every process's tensor with that of process `source`.

    Raises:
        DeviceError: another process cannot be reached.
    """
    with _peer_errors():
        torch.distributed.broadcast(tensor, source)


def broadcast_text(text: str) -> str:
    """Return the text of the first process, on every process; alone, the text itself."""
    if world_size() == 1:
        return text
    device = "cuda" if torch.cuda.is_available() else "cpu"
    data = torch.tensor(list(text.encode()), dtype=torch.uint8, device=device)
    length = torch.tensor([len(data)], dtype=torch.int64, device=device)
    broadcast(length, 0)
    if rank():
        data = torch.empty(int(length), dtype=torch.uint8, device=device)
    broadcast(data, 0)
    return bytes(data.tolist()).decode()


def exchange(outgoing: Mapping[int, torch.Tensor], incoming: Mapping[int, torch.Tensor]) -> None:
    """Send tensors to other processes and receive tensors from them.

    Args:
        outgoing: by process, the tensor to send; empty tensors are not sent.
        incoming: by process, the tensor to fill, of the shape that the other sends.
    Raises:
        DeviceError: another process cannot be reached.
    """
    operations = [
        torch.distributed.P2POp(kind, tensor, other)
        for kind, tensors in ((torch.distributed.isend, outgoing), (torch.distributed.irecv, incoming))
        for other, tensor in tensors.items()
        if tensor.numel()
    ]
    if not operations:
        return
    with _peer_errors():
        for work in torch.distributed.batch_isend_irecv(operations):
            work.wait()


def _is_joined() -> bool:
    """Return whether this process shares a picture with others now."""
    if _SINGLE_PROCESS.get():
        return False
    return torch.distributed.is_available() and torch.distributed.is_initialized()


@contextmanager
def _peer_errors() -> Iterator[None]:
    """Turn errors of torch.distributed into a DeviceError with advice."""
    try:
        yield
    except RuntimeError as error:  # the base class of torch.distributed's errors
        reason = str(error).strip().splitlines()[0]
        raise DeviceError(
            f"another process of this run has ended or cannot be reached ({reason}). "
            "If there is a checkpoint, go on from it with: impasto resume FILE."
        ) from error
