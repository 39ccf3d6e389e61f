"""Reading the weight files of the networks that judge pictures, without running anything in them.

One kind is a pickle of NumPy arrays, which may name three things from NumPy and nothing else. The other is
TorchScript, a zip archive with code and tensors, of which only the tensors' bytes are read.
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
    # Taken from an array, because the module has another name in NumPy 2.
    ("numpy.core.multiarray", "_reconstruct"): np.empty(0).__reduce__()[0],
    ("numpy", "ndarray"): np.ndarray,
    ("numpy", "dtype"): np.dtype,
}
"""Everything that a pickle of arrays may call."""

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
    """An unpickler that refuses all names but `_ALLOWED`."""

    def find_class(self, module: str, name: str) -> Any:
        """Return an allowed class or function.

        Raises:
            UnpicklingError: any other name.
        """
        if (module, name) not in _ALLOWED:
            raise pickle.UnpicklingError(f"it names {module}.{name}")
        return _ALLOWED[module, name]


def convert_measure_tensors(data: bytes, record: MeasureRecord) -> dict[str, Tensor]:
    """Convert a record's member to tensors.

    Args:
        data: the bytes of the member.
        record: the record, which says how the member holds tensors and which shapes they have.
    Returns:
        float32 tensors by name; filters are (outputs, inputs, rows, columns).
    Raises:
        WeightsError: the member is damaged, or does not hold what the record says; none of it was run.
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
            array = array.transpose(3, 2, 0, 1)  # Flax has (rows, columns, inputs, outputs)
        tensors[name] = torch.from_numpy(array.copy())
    return tensors


def _from_torchscript(data: bytes, record: MeasureRecord) -> dict[str, Tensor]:
    tensors = {}
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        for name, path, shape in record.sources:
            size = archive.getinfo(path).file_size  # checked first: an archive must not fill the memory
            if size != 4 * math.prod(shape):
                raise ValueError(f"{path} is {size} bytes")
            values = np.frombuffer(archive.read(path), "<f4").reshape(shape)
            tensors[name] = torch.from_numpy(values.astype(np.float32))
    return tensors
