"""The files that the judging networks come in, read without running anything in them.

One kind is a pickle of NumPy arrays, which may name three things of NumPy's and nothing else. The other is
TorchScript, a zip archive with code and tensors: only the tensors' bytes are read.
"""

import io
import math
import pickle
import zipfile
import zlib
from typing import Any

import numpy as np
import torch
from torch import Tensor

from impasto.errors import WeightsError
from impasto.network.weight_records import MeasureRecord
from impasto.system import process as process  # before anything is computed

_ALLOWED = {
    # By what arrays name themselves: the module has another name in NumPy 2.
    ("numpy.core.multiarray", "_reconstruct"): np.empty(0).__reduce__()[0],
    ("numpy", "ndarray"): np.ndarray,
    ("numpy", "dtype"): np.dtype,
}
"""All that a pickle of arrays may call."""

_UNREADABLE = (
    pickle.UnpicklingError,
    zipfile.BadZipFile,
    zlib.error,
    ArithmeticError,
    AttributeError,
    EOFError,
    LookupError,
    NotImplementedError,
    TypeError,
    ValueError,
)


class _ArrayUnpickler(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> Any:
        if (module, name) not in _ALLOWED:
            raise pickle.UnpicklingError(f"it names {module}.{name}")
        return _ALLOWED[module, name]


def convert_measure_tensors(data: bytes, record: MeasureRecord) -> dict[str, Tensor]:
    """The record's tensors out of its member, float32, filters as (outputs, inputs, rows, columns).

    Raises:
        WeightsError: damaged, or holding anything but what the record says; nothing of it was run.
    """
    read = _from_arrays if record.form == "NumPy arrays" else _from_torchscript
    try:
        return read(data, record)
    except _UNREADABLE as error:
        raise WeightsError(
            f"{record.member} is damaged, or holds other things than the tensors of {record.name} ({error}); "
            "nothing in it was run."
        ) from error


def _from_arrays(data: bytes, record: MeasureRecord) -> dict[str, Tensor]:
    tree = _ArrayUnpickler(io.BytesIO(data)).load()
    tensors = {}
    for name, path, shape in record.sources:
        array = tree
        for key in path.split("/"):
            array = array[key]
        if not isinstance(array, np.ndarray) or array.dtype != np.float32 or array.shape != shape:
            raise ValueError(f"{path} is no float32 of shape {shape}")
        if array.ndim == 4:
            array = array.transpose(3, 2, 0, 1)
        tensors[name] = torch.from_numpy(array.copy())
    return tensors


def _from_torchscript(data: bytes, record: MeasureRecord) -> dict[str, Tensor]:
    tensors = {}
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        for name, path, shape in record.sources:
            size = archive.getinfo(path).file_size
            if size != 4 * math.prod(shape):
                raise ValueError(f"{path} is {size} bytes")
            values = np.frombuffer(archive.read(path), "<f4").reshape(shape)
            tensors[name] = torch.from_numpy(values.astype(np.float32))
    return tensors
