"""Networks that are kept as the ONNX files that they came as: one tensor, `file`, with the file's bytes."""

import hashlib
import struct
import zlib
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from impasto.errors import WeightsError
from impasto.network.download import disk_errors, download_part
from impasto.network.weight_files import part_beside
from impasto.network.weight_records import OnnxRecord
from impasto.storage.atomic import atomic_write

_HEADER = struct.Struct("<4s5H3L2H")
"""A zip archive's local file header: PKWARE's APPNOTE.TXT, section 4.3.7."""


def read_onnx(path: Path) -> dict[str, Tensor]:
    """The file's bytes, not verified.

    Raises:
        WeightsError: it cannot be read.
    """
    try:
        return _as_tensor(path.read_bytes())
    except OSError as error:
        raise WeightsError(f"{path} cannot be read: {error.strerror or error}.") from error


def onnx_digest(tensors: dict[str, Tensor]) -> str:
    """SHA-256 of the file's bytes."""
    return hashlib.sha256(tensors["file"].numpy().data).hexdigest()


def keep_onnx(data: bytes, path: Path) -> dict[str, Tensor]:
    """Write the file, whole or not at all.

    Raises:
        WeightsError: the disk is full, or the file cannot be written.
    """
    with disk_errors(path, len(data)), atomic_write(path, temporary=part_beside(path)) as file:
        file.write(data)
    return _as_tensor(data)


def fetch_onnx_part(record: OnnxRecord, path: Path, index_url: str | None) -> dict[str, Tensor]:
    """Fetch and keep the record's member alone, verified; nothing if that does not work.

    Raises:
        WeightsError: as `download_part` and `keep_onnx`.
    """
    part = download_part(record, index_url=index_url)
    data = None if part is None else unpack_part(part, record)
    return {} if data is None else keep_onnx(data, path)


def unpack_part(part: bytes, record: OnnxRecord) -> bytes | None:
    """The record's member, its size and SHA-256 checked; None if it is anything else.

    Args:
        part: the bytes of `record.member_span`: a local header, its name, and deflated data.
    """
    try:
        signature, _, _, method, *_, name_length, extra_length = _HEADER.unpack_from(part)
        if signature != b"PK\x03\x04" or method != zlib.DEFLATED:
            return None
        packed = memoryview(part)[_HEADER.size + name_length + extra_length :]
        # One byte more than needed shows that it is too long, and no archive can blow up in memory.
        member = zlib.decompressobj(-zlib.MAX_WBITS).decompress(packed, record.member_bytes + 1)
    except (struct.error, zlib.error):
        return None
    return member if hashlib.sha256(member).hexdigest() == record.member_sha256 else None


def _as_tensor(data: bytes) -> dict[str, Tensor]:
    return {"file": torch.from_numpy(np.frombuffer(data, np.uint8).copy())}
