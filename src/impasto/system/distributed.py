"""Several processes on one picture: torchrun, and what passes between them."""

import atexit
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar

import torch.distributed

from impasto.errors import DeviceError
from impasto.system import process as process  # before anything is computed


def launched_processes() -> int:
    """How many processes torchrun has started for this command; 1 without it."""
    return int(os.environ.get("WORLD_SIZE", "1"))


def wait_for_ranks() -> None:
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


def join_process_group() -> None:
    """Work on one picture together with the other processes that torchrun has started; alone, do nothing.

    Raises:
        DeviceError: they cannot be reached.
    """
    if launched_processes() == 1 or world_size() > 1:
        return
    cuda = torch.cuda.is_available()
    if cuda:  # what is made without naming a GPU is made on this process's own
        torch.cuda.set_device(int(os.environ.get("LOCAL_RANK", "0")) % torch.cuda.device_count())
    with _peer_errors():
        torch.distributed.init_process_group("cpu:gloo,cuda:nccl" if cuda else "gloo")
    # Left to the interpreter's end, gloo's threads abort the process now and then (seen once in 24 runs).
    atexit.register(leave_process_group)


def leave_process_group() -> None:
    """Undo `join_process_group`."""
    if world_size() > 1:
        torch.distributed.destroy_process_group()


@contextmanager
def single_process() -> Iterator[None]:
    """What is computed inside is this process's own, whatever others there are: no picture is shared."""
    token = _SINGLE_PROCESS.set(True)
    try:
        yield
    finally:
        _SINGLE_PROCESS.reset(token)


_SINGLE_PROCESS: ContextVar[bool] = ContextVar("alone", default=False)


def data_parallel(module: torch.nn.Module) -> torch.nn.Module:
    """The module, its gradients averaged over all processes at every way back; alone, the module itself."""
    if world_size() == 1:
        return module
    with _peer_errors():
        return torch.nn.parallel.DistributedDataParallel(module)


def world_size() -> int:
    """How many processes work on one picture together; 1 before `join`."""
    return torch.distributed.get_world_size() if _is_joined() else 1


def rank() -> int:
    """Which of these this process is, from 0."""
    return torch.distributed.get_rank() if _is_joined() else 0


def all_sum(total: torch.Tensor) -> torch.Tensor:
    """The sum of everybody's tensors, on every process; alone, the tensor itself."""
    if world_size() == 1:
        return total
    total = total.clone()
    with _peer_errors():
        torch.distributed.all_reduce(total)
    return total


def all_min(number: int) -> int:
    """The least of everybody's numbers, on every process; alone, the number itself."""
    if world_size() == 1:
        return number
    every = torch.zeros(
        world_size(), dtype=torch.int64, device="cuda" if torch.cuda.is_available() else "cpu"
    )
    every[rank()] = number
    return int(all_sum(every).min())


def local_world_size() -> int:
    """How many processes of this run share this machine, itself included."""
    return int(os.environ.get("LOCAL_WORLD_SIZE", "1")) if world_size() > 1 else 1


def broadcast(tensor: torch.Tensor, source: int) -> None:
    """Write the tensor of process `source` over everybody's."""
    with _peer_errors():
        torch.distributed.broadcast(tensor, source)


def broadcast_text(text: str) -> str:
    """The text of the first process, on every process; alone, the text itself."""
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
    """Give tensors to processes and fill those wanted from them; empty ones are not sent."""
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
    if _SINGLE_PROCESS.get():
        return False
    return torch.distributed.is_available() and torch.distributed.is_initialized()


@contextmanager
def _peer_errors() -> Iterator[None]:
    try:
        yield
    except RuntimeError as error:  # torch.distributed's own are among them
        reason = str(error).strip().splitlines()[0]
        raise DeviceError(
            f"another process of this run has ended or cannot be reached ({reason}). "
            "If there is a checkpoint, go on from it with: impasto resume FILE."
        ) from error
