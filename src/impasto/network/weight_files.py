"""Reading and writing weights: as safetensors, or as the state dicts that these were made from.

Whatever a file claims to hold, the weights returned are the layers asked for: 3×3, finite, and each layer
takes as many channels as the one before has.
"""

import hashlib
import io
import os
import pickle
import secrets
import struct
import warnings
from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TypeAlias

import torch
from jaxtyping import Float32
from safetensors import SafetensorError, safe_open
from safetensors.torch import save as safetensors_bytes
from torch import Tensor

from impasto.errors import WeightsError
from impasto.network.download import disk_errors
from impasto.network.weight_records import CAFFE_MEAN_BGR, MeasureRecord, WeightRecord
from impasto.storage.atomic import atomic_write
from impasto.system import process as process  # before anything is computed

ConvWeights: TypeAlias = tuple[Float32[Tensor, "_ _ 3 3"], Float32[Tensor, "_"]]
"""Weight (N, C, 3, 3) and bias (N,) of one layer."""

_NEEDED = (
    "Name a .safetensors that Impasto wrote or the original vgg_normalized.pth, or leave out --weights and "
    "IMPASTO_WEIGHTS to have the file fetched."
)

# The exceptions that torch's restricted unpickler has been seen to raise for damaged files.
_UNREADABLE = (
    pickle.UnpicklingError,
    ArithmeticError,
    AssertionError,
    AttributeError,
    EOFError,
    LookupError,
    MemoryError,
    OSError,
    RuntimeError,
    TypeError,
    struct.error,
    ValueError,
)


def digest(layers: Mapping[str, ConvWeights]) -> str:
    """Return the SHA-256 of weights, which depends on the tensors alone and not on the file that holds them.

    It is `tensors_digest` of all layers in the order given, weight before bias.
    """
    return tensors_digest(by_tensor(layers))


def tensors_digest(named: Mapping[str, Tensor]) -> str:
    """Return the SHA-256 over ASCII lines `conv1_1.weight 64x3x3x3 <SHA-256>\\n`, in the order given.

    The inner SHA-256 is over the numbers as little-endian float32 in row-major order. With one digest for
    each tensor, tensors can be hashed in parallel: 0.2 s instead of 0.4 s on two cores.
    """
    with ThreadPoolExecutor() as pool:
        inner = pool.map(_tensor_digest, named.values())
        lines = [f"{name} {'x'.join(map(str, tensor.shape))} " for name, tensor in named.items()]
        text = "".join(line + sha256 + "\n" for line, sha256 in zip(lines, inner, strict=True))
    return hashlib.sha256(text.encode("ascii")).hexdigest()


def save_tensors(named: Mapping[str, Tensor], path: str | os.PathLike[str], *, credit: str = "") -> None:
    """Write named tensors as safetensors, completely or not at all.

    Args:
        named: the tensors, such as those of `by_tensor`.
        path: the file to write or replace; its folder must exist.
        credit: the authors of the weights; stored in the file's header.
    Raises:
        WeightsError: the disk is full, or the file cannot be written.
    """
    target = Path(path)
    tensors = {name: tensor.contiguous() for name, tensor in named.items()}
    data = safetensors_bytes(tensors, {"credit": credit} if credit else None)
    with disk_errors(target, len(data)), atomic_write(target, temporary=part_beside(target)) as file:
        file.write(data)


def by_tensor(layers: Mapping[str, ConvWeights]) -> dict[str, Tensor]:
    """Flatten layers to tensors `conv1_1.weight`, `conv1_1.bias`, …"""
    return {
        f"{name}.{part}": tensor
        for name, convolution in layers.items()
        for part, tensor in zip(("weight", "bias"), convolution, strict=True)
    }


def _tensor_digest(tensor: Tensor) -> str:
    return hashlib.sha256(tensor.contiguous().numpy().astype("<f4", copy=False).data).hexdigest()


def part_beside(path: Path) -> Path:
    """Return a new name for a temporary file beside `path`."""
    return path.with_name(f"{path.stem}.{secrets.token_hex(4)}.part")


def read(path: Path, record: WeightRecord) -> dict[str, ConvWeights]:
    """Read the record's layers from a file of either kind.

    Raises:
        WeightsError: the file is unusable; the message says what it is and what is needed.
    """
    try:
        if path.exists() and not (path.is_file() or path.is_dir()):  # opening a pipe would wait for ever
            raise WeightsError(f"weights {path} cannot be read: it is a pipe or a device. {_NEEDED}")
        with path.open("rb") as file:
            head = file.read(9)
            if head[8:] == b"{":
                needed = [f"{name}.{part}" for name in record.layer_names for part in ("weight", "bias")]
                return _layers(_safetensors(path, needed), record, str(path))
            if head.startswith((b"PK\x03\x04", b"\x80")):  # torch.save, new and old
                file.seek(0)
                return from_state_dict(load_pickled(file, str(path)), record, str(path))
            size = os.fstat(file.fileno()).st_size
    except OSError as error:
        raise WeightsError(f"weights {path} cannot be read: {error.strerror or error}. {_NEEDED}") from error
    raise WeightsError(f"{path} ({size:,} bytes, {_kind(head)}) holds no weights. {_NEEDED}")


def read_measure_tensors(path: Path, record: MeasureRecord) -> dict[str, Tensor]:
    """Read the record's tensors from a file that `save_tensors` wrote.

    Raises:
        WeightsError: the file is missing, damaged, or another one.
    """
    if not path.is_file():
        raise WeightsError(f"{path} is no file.")
    return _safetensors(path, [name for name, _, _ in record.sources])


def _kind(head: bytes) -> str:
    """Describe a file by its first bytes, for messages."""
    known = {b"\x89PNG": "a PNG picture", b"\xff\xd8\xff": "a JPEG picture", b"\x1f\x8b": "a gzip archive"}
    for start, kind in known.items():
        if head.startswith(start):
            return kind
    if not head:
        return "empty"
    return "text" if all(byte in b"\t\r\n" or 32 <= byte < 127 for byte in head) else "of an unknown kind"


def _safetensors(path: Path, needed: Iterable[str]) -> dict[str, Tensor]:
    """Copy the tensors with these names out of a file."""
    needed = list(needed)
    try:
        with safe_open(path, "pt") as file:
            names = list(file.keys())
            _check_names(needed, names, str(path))
            # Copied, because safetensors maps the file: verified numbers must not change when the file does.
            return {name: file.get_tensor(name).clone() for name in needed}
    except SafetensorError as error:
        raise WeightsError(f"{path} is a damaged safetensors file ({error}). {_NEEDED}") from error


def load_pickled(file: io.BufferedReader | io.BytesIO, label: str) -> dict[str, Tensor]:
    """Load a state dict that torch.save wrote. Code in it is refused, not run.

    Args:
        file: opened for reading bytes.
        label: what to call the file in messages.
    Raises:
        WeightsError: the file is damaged, or holds anything but tensors by name.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # torch warns about some pickles that are refused below anyway
            state = torch.load(file, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        raise WeightsError(
            f"{label} is damaged, or holds code or objects besides tensors; it was not run. {_NEEDED}"
        ) from error
    except _UNREADABLE as error:
        raise WeightsError(f"{label} is a damaged state dict ({type(error).__name__}). {_NEEDED}") from error
    if not isinstance(state, dict):
        raise WeightsError(f"{label} holds a {type(state).__name__}, not tensors by name. {_NEEDED}")
    return {str(name): tensor for name, tensor in state.items() if isinstance(tensor, Tensor)}


def from_state_dict(state: Mapping[str, Tensor], record: WeightRecord, label: str) -> dict[str, ConvWeights]:
    """Take the record's layers out of a state dict with the record's source keys.

    Args:
        state: tensors by name.
        record: the layers and their keys in the state dict.
        label: what to call the file in messages.
    Raises:
        WeightsError: a layer is missing or has a wrong shape, or the network expects other colours.
    """
    sources = {
        f"{name}.{part}": f"{key}.{part}" for name, key in record.source_keys for part in ("weight", "bias")
    }
    _check_names(sources.values(), state, label)
    if record.colour_key is not None:
        _check_colour(state, record.colour_key, label)
    return _layers({name: state[key] for name, key in sources.items()}, record, label)


def _check_names(needed: Iterable[str], names: Iterable[str], label: str) -> None:
    """Refuse a file that lacks tensors."""
    available = list(names)
    missing = sorted(set(needed) - set(available))
    if missing:
        examples = ", ".join(available[:3]) + (", …" if len(available) > 3 else "")
        raise WeightsError(
            f"{label} lacks {len(missing)} of the tensors needed, {missing[0]} among them; it holds "
            f"{len(available)} ({examples}). {_NEEDED}"
        )


def _check_colour(state: Mapping[str, Tensor], key: str, label: str) -> None:
    """Check that the 1×1 convolution before the network is RGB 0..1 → BGR 0..255 minus the mean."""
    _check_names((f"{key}.weight", f"{key}.bias"), state, label)
    weight = 255 * torch.eye(3).flip(0)[:, :, None, None]  # (3, 3, 1, 1)
    bias = -torch.tensor(CAFFE_MEAN_BGR)
    if not (torch.equal(state[f"{key}.weight"], weight) and torch.equal(state[f"{key}.bias"], bias)):
        raise WeightsError(
            f"{label} expects other colours than BGR, 0..255, less {CAFFE_MEAN_BGR}: its layer {key} "
            f"differs. {_NEEDED}"
        )


def _layers(tensors: Mapping[str, Tensor], record: WeightRecord, label: str) -> dict[str, ConvWeights]:
    """Check shapes and numbers, and group tensors by layer."""
    layers: dict[str, ConvWeights] = {}
    first = tensors[f"{record.layer_names[0]}.weight"]
    channels = record.input_channels or (first.shape[1] if first.dim() == 4 else 0)
    for name in record.layer_names:
        weight, bias = tensors[f"{name}.weight"], tensors[f"{name}.bias"]
        if weight.shape[1:] != (channels, 3, 3) or bias.shape != weight.shape[:1] or not bias.numel():
            raise WeightsError(
                f"{label}: {name} has weight {tuple(weight.shape)} and bias {tuple(bias.shape)}; "
                f"(N, {channels}, 3, 3) and (N,) are needed. {_NEEDED}"
            )
        layers[name] = _floats(weight, f"{label}: {name}.weight"), _floats(bias, f"{label}: {name}.bias")
        channels = weight.shape[0]
    return layers


def _floats(tensor: Tensor, label: str) -> Tensor:
    """Convert a tensor to finite float32 in row-major order."""
    if not tensor.is_floating_point() or tensor.layout is not torch.strided or tensor.is_meta:
        raise WeightsError(
            f"{label} is {tensor.dtype}, {tensor.layout}; plain floating point is needed. {_NEEDED}"
        )
    values = tensor.detach().to(torch.float32).contiguous()
    # The extremes are NaN if any value is. This takes one pass and no copy; isfinite().all() needs a mask.
    if not torch.stack(values.aminmax()).isfinite().all():
        raise WeightsError(f"{label} holds values that are infinite or not numbers. {_NEEDED}")
    return values
