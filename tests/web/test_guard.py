"""The studio's server refuses foreign requests, files and settings, and offers an API to programs."""

import asyncio
import io
import json
import os
import re
import socket
import struct
import subprocess
import sys
import zlib
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import gradio as gr
import httpx
import psutil
import pytest
from gradio.components.image_editor import AcceptBlobs
from gradio_client import Client, handle_file
from gradio_client.exceptions import AppError

from impasto.errors import BusyError, SettingsError
from impasto.results import manifest as manifests
from impasto.settings.stylize import StylizeSettings
from impasto.studio.job_queue import JobQueue
from impasto.studio.messages import JobRequest, JobStatus, Limits
from impasto.system.scratch import scratch
from impasto.web import region_editor
from impasto.web.api import endpoints
from impasto.web.artworks import bundled_artworks, folders, met_artworks, search
from impasto.web.controls import PAINTING_OPTIONS, PLAIN, bounded, checked, control, settings
from impasto.web.guard import SLACK, Guard, Message
from impasto.web.job_panel import JobPanel
from impasto.web.server import bound
from served import studio

API = "/gradio_api"
QUICK = {"size": 64, "steps": 4, "scales": 1}


@pytest.fixture(scope="module")
def server(small_file: str, decoder_file: str) -> Iterator[tuple[str, psutil.Process]]:
    with studio(small_file, decoder_file, "--upload", "8MB", "--longest", "512") as address_and_process:
        yield address_and_process


@pytest.fixture(scope="module")
def client(server: tuple[str, psutil.Process]) -> Client:
    return Client(server[0], verbose=False)


def test_the_server_listens_on_this_machine_only(server: tuple[str, psutil.Process]) -> None:
    connections = server[1].net_connections()
    assert [c.laddr.ip for c in connections if c.status == psutil.CONN_LISTEN] == ["127.0.0.1"]


@pytest.mark.parametrize(
    ("headers", "allowed"),
    [
        ({}, True),
        ({"origin": "http://{host}"}, True),
        ({"origin": "http://evil.example"}, False),
        ({"origin": "null"}, False),
        ({"origin": "http://localhost:1"}, False),
        ({"host": "evil.example"}, False),  # another name for this machine
        ({"host": "127.0.0.1.evil.example:{port}"}, False),
        ({"host": "LOCALHOST:{port}", "origin": "http://LOCALHOST:{port}"}, True),
        ({"host": "[::1]"}, True),
        ({"host": "192.168.7.7:{port}"}, True),  # DNS rebinding needs a name
        ({"host": "[::1"}, False),
        ({"host": ""}, False),
        ({"sec-fetch-site": "cross-site"}, False),
        ({"sec-fetch-site": "same-site"}, False),
        ({"sec-fetch-site": "none"}, True),
    ],
)
def test_requests_from_other_origins_are_refused(
    server: tuple[str, psutil.Process], headers: dict[str, str], allowed: bool
) -> None:
    host = urlsplit(server[0]).netloc
    sent = {key: value.format(host=host, port=host.split(":")[1]) for key, value in headers.items()}
    body = json.dumps({"data": [None, None, {}]})
    # Browsers send the second kind without asking the server first.
    for kind in ("application/json", "text/plain"):
        answer = httpx.post(
            f"{server[0]}{API}/call/paint", content=body, headers={**sent, "content-type": kind}, timeout=30
        )
        assert (answer.status_code == 403) == (not allowed), (answer.status_code, answer.text)
    answer = httpx.get(server[0], headers=sent, timeout=30)
    assert (answer.status_code == 403) == (not allowed)
    if allowed:
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert answer.headers["x-frame-options"] == "DENY"
        assert answer.headers.get("access-control-allow-origin") in (None, sent.get("origin"))


@pytest.mark.parametrize(
    "path",
    [
        "/etc/passwd",
        "../../../../etc/passwd",
        "..%2f..%2f..%2f..%2fetc%2fpasswd",
        "/proc/self/environ",
        "{weights}",
        "{source}",
        "{artworks}/../server.py",
        "{artworks}/%2e%2e/server.py",
        "http://127.0.0.1:1/",
        "file:///etc/passwd",
        "https://example.org/picture.png",
        "https:%2f%2fexample.org/picture.png",
    ],
)
@pytest.mark.parametrize("route", ["file=", "file/"])
def test_files_that_nobody_uploaded_are_not_served(
    server: tuple[str, psutil.Process], small_file: str, path: str, route: str
) -> None:
    artworks = folders()[0] if "paintings" in folders()[0] else folders()[1]
    requested = path.format(weights=small_file, source=str(Path(__file__).resolve()), artworks=artworks)
    host = urlsplit(server[0]).netloc
    head = f"GET {API}/{route}{requested} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n"
    # A plain socket, because httpx would normalise the path.
    with socket.create_connection(host.split(":"), timeout=30) as raw:
        raw.sendall(head.encode())
        answer = b"".join(iter(lambda: raw.recv(65536), b""))
    status = int(answer.split()[1])
    assert status >= 400 or (status in (301, 302, 307) and b"root:" not in answer), answer[:300]
    assert b"root:" not in answer
    assert b"def application" not in answer


ADDRESSES = ["http://127.0.0.1:9/picture.png", "https://example.org/picture.png", "//example.org/x.png"]


@pytest.mark.parametrize("path", ["/etc/passwd", "{photo}", *ADDRESSES])
def test_files_that_are_named_but_not_uploaded_are_not_read(
    server: tuple[str, psutil.Process], path: str, photo: str
) -> None:
    data = {"path": path.format(photo=photo), "meta": {"_type": "gradio.FileData"}}
    answer = httpx.post(f"{server[0]}{API}/call/paint", json={"data": [data, data, QUICK]}, timeout=30)
    event = answer.json()["event_id"]
    events = httpx.get(f"{server[0]}{API}/call/paint/{event}", timeout=60).text
    assert "event: error" in events
    assert "event: complete" not in events
    assert "root:" not in events


def test_no_event_of_the_page_reads_or_copies_a_file_of_this_machine(
    server: tuple[str, psutil.Process], tmp_path: Path
) -> None:
    """Every event, public or not, is called with a file that nobody uploaded as each of its inputs."""
    secret = tmp_path / "a-secret-of-this-machine.png"
    secret.write_bytes(b"\x89PNG\r\n\x1a\n not for you")
    payload = {"path": str(secret), "meta": {"_type": "gradio.FileData"}}
    editor = {"background": payload, "layers": [payload], "composite": payload}
    config = httpx.get(f"{server[0]}/config", timeout=30).json()
    kinds = {component["id"]: component["type"] for component in config["components"]}
    events = [event for event in config["dependencies"] if event["backend_fn"]]
    assert len(events) > 15
    sessions = []
    for event in events:
        data = [editor if kinds[component] == "imageeditor" else payload for component in event["inputs"]]
        body = {"data": data, "fn_index": event["id"], "session_hash": f"x{event['id']}"}
        joined = httpx.post(f"{server[0]}{API}/queue/join", json=body, timeout=30)
        assert joined.status_code < 500
        if joined.status_code == 200:
            sessions.append(body["session_hash"])
    assert sessions
    for session in sessions:  # wait until each has ended
        httpx.get(f"{server[0]}{API}/queue/data?session_hash={session}", timeout=60)
    uploads = list(Path(scratch()).glob("impasto-studio-*/uploads"))
    assert uploads
    assert not [path for folder in uploads for path in folder.rglob(secret.name)]


def test_a_layer_with_a_huge_index_takes_no_memory(
    server: tuple[str, psutil.Process],
) -> None:
    config = httpx.get(f"{server[0]}/config", timeout=30).json()
    editor = next(part["id"] for part in config["components"] if part["type"] == "imageeditor")
    before = server[1].memory_info().rss
    for index in ("2000000000", "0"):
        data = {
            "type": "layer", "index": index, "id": "blob", "component_id": str(editor),
            "fn_name": "accept_blobs", "session_hash": "anybody",
        }  # fmt: skip
        files = {"file": ("layer.png", bytes(1_000_000))}
        answer = httpx.post(f"{server[0]}{API}/component_server", data=data, files=files, timeout=30)
        assert answer.status_code == 200, answer.text
    assert server[1].memory_info().rss < before + 50_000_000


def test_an_editor_keeps_the_newest_layers_of_bounded_size(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(region_editor, "LARGEST", 1000)
    drawn = region_editor._Drawn()
    for number in range(2 * region_editor.KEPT):
        for index, size in (("0", 1000), ("1", 1000), ("0", region_editor.LARGEST + 1)):
            data = {"type": "layer", "index": index, "id": f"{number} {index} {size}"}
            drawn.accept(AcceptBlobs.model_construct(data=data, files=[("layer.png", bytes(size))]))
    assert list(drawn.layers) == [
        f"{number} 0 1000" for number in range(region_editor.KEPT, 2 * region_editor.KEPT)
    ]


def test_an_editors_layers_have_a_bounded_size_in_all(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(region_editor, "TOTAL", 2500)
    drawn = region_editor._Drawn()
    for number in range(5):
        data = {"type": "layer", "index": "0", "id": str(number)}
        drawn.accept(AcceptBlobs.model_construct(data=data, files=[("layer.png", bytes(1000))]))
    assert list(drawn.layers) == ["3", "4"]


def test_a_large_request_without_a_file_is_refused(server: tuple[str, psutil.Process]) -> None:
    body = "[" + "[]," * 500_000 + "[]]"
    for _ in range(10):
        try:
            answer = httpx.post(f"{server[0]}{API}/queue/join", content=body, timeout=30)
            break
        except httpx.NetworkError:  # the server may answer and close the connection before all is sent
            continue
    assert answer.status_code == 413


def test_a_large_upload_is_refused_before_it_is_sent(server: tuple[str, psutil.Process]) -> None:
    host, port = urlsplit(server[0]).netloc.split(":")
    with socket.create_connection((host, int(port)), timeout=30) as raw:
        head = f"POST {API}/upload HTTP/1.1\r\nHost: {host}:{port}\r\nContent-Length: 2000000000\r\n"
        raw.sendall((head + "Content-Type: multipart/form-data; boundary=x\r\n\r\n").encode())
        answer = b"".join(iter(lambda: raw.recv(4096), b"")).decode()  # until the server closes it
    assert answer.startswith("HTTP/1.1 413")
    assert "the file is too large; the limit is 8 MB" in answer


def test_a_large_upload_without_a_length_is_cut_off(server: tuple[str, psutil.Process]) -> None:
    sent = 0

    def endless() -> Iterator[bytes]:
        nonlocal sent
        yield b'--x\r\nContent-Disposition: form-data; name="files"; filename="a.png"\r\n\r\n'
        for _ in range(2000):
            sent += 1 << 20
            yield bytes(1 << 20)

    before = server[1].memory_info().rss
    try:
        headers = {"content-type": "multipart/form-data; boundary=x"}
        answer = httpx.post(f"{server[0]}{API}/upload", content=endless(), headers=headers, timeout=60)
        assert answer.status_code == 413
    except httpx.TransportError:
        pass  # the server closed the connection during the upload
    assert sent < 200 << 20
    assert server[1].memory_info().rss < before + 100_000_000
    assert httpx.get(server[0], timeout=30).status_code == 200


def bomb() -> bytes:
    """A PNG of a few hundred bytes whose header promises 3.6 gigapixels."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", 60_000, 60_000, 8, 2, 0, 0, 0)
    rows = zlib.compress(bytes(100_000))
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", rows) + chunk(b"IEND", b"")


SVG = b'<svg xmlns="http://www.w3.org/2000/svg"><image href="file:///etc/passwd"/></svg>'
HTML = b"<!doctype html><script>alert(1)</script>"


@pytest.mark.parametrize(
    ("name", "data", "message"),
    [
        ("bomb.png", bomb(), "60000×60000, 3,600,000,000 pixels; at most 64,000,000 are read"),
        ("drawing.svg", SVG, "is no picture that can be read"),
        ("page.png", HTML, "is no picture that can be read"),
        ("empty.jpg", b"", "is empty"),
        ("text.jpg", b"hello", "is no picture that can be read"),
    ],
)
def test_a_file_that_is_no_picture_is_refused_with_a_message(
    client: Client, painting: str, tmp_path: Path, name: str, data: bytes, message: str
) -> None:
    path = tmp_path / name
    path.write_bytes(data)
    with pytest.raises((AppError, ValueError), match=message):
        client.predict(handle_file(path), handle_file(painting), QUICK, api_name="/paint")


def test_an_uploaded_page_is_never_rendered_by_a_browser(server: tuple[str, psutil.Process]) -> None:
    """HTML and SVG come back as downloads, if at all, and the browser may not guess their type."""
    served = []
    for name, data in (("page.png", HTML), ("page.html", HTML), ("drawing.svg", SVG)):
        files = {"files": (name, io.BytesIO(data))}
        answer = httpx.post(f"{server[0]}{API}/upload", files=files, timeout=30)
        if answer.status_code >= 400:
            continue
        response = httpx.get(f"{server[0]}{API}/file={answer.json()[0]}", timeout=30)
        kind = response.headers.get("content-type", "")
        assert response.headers["x-content-type-options"] == "nosniff"
        is_download = "attachment" in response.headers.get("content-disposition", "")
        assert is_download or kind.startswith("image/png"), kind
        served.append(name)
    assert "page.png" in served


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"weights": "/etc/passwd"}, "weights cannot be set here"),
        ({"init": "/etc/passwd"}, "init is '/etc/passwd'; here it must be one of noise, content, fast"),
        ({"device": "cuda"}, "device cannot be set here"),
        ({"size": 100_000}, "size is 100000; this studio paints at most 512 px"),
        ({"strength": 3}, "strength is 3; it must be from 0 to 1"),
        ({"nonsense": 1}, "nonsense cannot be set here"),
        (["a list"], "settings are"),
    ],
)
def test_settings_of_programs_are_checked(
    client: Client, photo: str, painting: str, values: object, message: str
) -> None:
    with pytest.raises((AppError, ValueError), match=message):
        client.predict(handle_file(photo), handle_file(painting), values, api_name="/paint")


def test_a_program_paints_and_plans(client: Client, photo: str, painting: str) -> None:
    estimate = client.predict(handle_file(photo), handle_file(painting), QUICK, api_name="/plan")
    assert (estimate["width"], estimate["height"]) == (64, 48)
    assert estimate["memory"] > 0
    job = client.submit(handle_file(photo), handle_file(painting), QUICK, api_name="/paint")
    path, facts = job.result(timeout=120)
    assert facts["state"] == "finished"
    manifest = manifests.read(path)
    assert manifest["settings"]["size"] == 64
    assert manifest["inputs"]["content"]["path"] == "photo.png"
    assert set(client.view_api(return_format="dict")["named_endpoints"]) == {"/paint", "/plan"}


def test_two_calls_of_one_program_are_two_paintings(client: Client, photo: str, painting: str) -> None:
    calls = [
        client.submit(handle_file(photo), handle_file(painting), {**QUICK, "seed": seed}, api_name="/paint")
        for seed in (1, 2)
    ]
    assert [manifests.read(call.result(timeout=120)[0])["settings"]["seed"] for call in calls] == [1, 2]


def test_a_refused_call_of_a_program_leaves_no_page(photo: str, painting: str) -> None:
    class Queue(JobQueue):
        def __init__(self) -> None:  # without workers
            self.limits = Limits()
            self.pages: set[str] = set()

        def submit(self, page: str, job: JobRequest) -> None:
            self.pages.add(page)
            raise BusyError("the queue is full")

        def close_page(self, page: str) -> None:
            self.pages.remove(page)

    async def call() -> None:
        with gr.Blocks() as page:
            endpoints(queue)
        (paint,) = [event.fn for event in page.fns.values() if event.api_name == "paint"]
        assert paint is not None
        await anext(paint(photo, painting, QUICK, gr.Request(session_hash="program")))

    queue = Queue()
    with pytest.raises(gr.Error, match="the queue is full"):
        asyncio.run(call())
    assert not queue.pages


def test_the_example_for_programs_runs(
    server: tuple[str, psutil.Process], photo: str, painting: str, tmp_path: Path
) -> None:
    example = Path(__file__).parents[2] / "examples" / "studio_client.py"
    out = tmp_path / "out.png"
    process = subprocess.run(
        [sys.executable, str(example), server[0], photo, painting, str(out), "--size", "64"],
        capture_output=True, text=True, timeout=120, env={**os.environ},
    )  # fmt: skip
    assert process.returncode == 0, process.stderr
    assert manifests.read(out)["settings"]["size"] == 64


def test_after_a_job_that_needs_too_much_memory_the_server_still_answers(
    small_file: str, decoder_file: str, photo: str, painting: str
) -> None:
    with studio(small_file, decoder_file, "--memory", "420MB") as (address, _):
        client = Client(address, verbose=False)
        large = {"size": 4096, "steps": 2, "scales": 1}
        with pytest.raises((AppError, ValueError), match=r"needs .* at least, and .* may be used"):
            client.predict(handle_file(photo), handle_file(painting), large, api_name="/paint")
        assert httpx.get(address, timeout=30).status_code == 200


def test_the_next_free_port_is_used_if_the_first_is_taken() -> None:
    with bound("127.0.0.1", 0) as first:
        first.listen()
        taken = first.getsockname()[1]
        with bound("127.0.0.1", taken) as second:
            assert second.getsockname()[1] > taken
        with pytest.raises(SettingsError, match=f"cannot listen on 127\\.0\\.0\\.1:{taken}"):
            bound("127.0.0.1", taken, tries=1)
    with pytest.raises(SettingsError, match=r"cannot listen on 192\.0\.2\.1"):
        bound("192.0.2.1", 0)


def test_the_page_has_a_control_for_every_setting_with_its_default() -> None:
    """Settings of the machine are left out, and the plain settings come first."""
    names = [field.name for field in PAINTING_OPTIONS]
    assert tuple(names[: len(PLAIN)]) == PLAIN
    assert not {"device", "weights", "threads", "memory"} & set(names)
    assert {"alpha", "beta", "layers", "optimizer", "seed", "precision"} <= set(names)
    values = [control(field, longest=4096).value for field in PAINTING_OPTIONS]  # type: ignore[attr-defined]
    chosen = settings(StylizeSettings, PAINTING_OPTIONS, values)
    assert StylizeSettings(**chosen) == StylizeSettings()
    with pytest.raises(SettingsError, match="'much'; it must be a number, or left empty"):
        settings(StylizeSettings, [f for f in PAINTING_OPTIONS if f.name == "tv"], ["much"])


def test_a_job_started_before_the_last_one_was_shown_as_ended_is_followed() -> None:
    """The new job's follower ends because the old one is still there, so the old one must go on."""

    class Queue(JobQueue):
        def __init__(self) -> None:  # without workers
            self.status = JobStatus(state="stopped", version=1)

        def view(self, page: str) -> JobStatus:
            return self.status

    async def watch() -> list[str]:
        with gr.Blocks() as page:
            panel = JobPanel(queue, "paint", "Paint", lambda visitor: 0)
            panel.wire()
        (resume,) = [event for event in page.fns.values() if event.outputs]
        # Otherwise Gradio's page drops a click while the event of the last one is open.
        assert resume.trigger_mode == "multiple"
        old = panel.follow("page")
        shown = [await anext(old)]
        queue.status = JobStatus(state="finished", version=2)
        shown += [update async for update in panel.follow("page")]
        shown += [update async for update in old]
        return [str(update[1]) for update in shown]

    queue = Queue()
    states = [re.findall('data-state="(.*?)"', sentence) for sentence in asyncio.run(watch())]
    assert states == [["stopped"], ["finished"]]


def test_sizes_written_as_text_are_limited() -> None:
    bounded({"size": "256x512"}, 512)
    with pytest.raises(SettingsError, match="at most 512 px"):
        bounded({"size": "256x513"}, 512)
    assert checked(StylizeSettings, {"size": 64}, longest=64) == {"size": 64}


def test_the_bundled_and_the_museums_paintings_can_be_searched() -> None:
    assert len(bundled_artworks()) == 8
    assert all(Path(artwork.path).is_file() for artwork in bundled_artworks())
    assert len(met_artworks()) == 174
    (artwork,) = search(met_artworks(), "GOGH wheat cypress")
    assert artwork.artist == "Vincent van Gogh"
    assert search(bundled_artworks(), "nothing like it") == []


def test_a_refused_body_is_read_before_the_answer_but_not_without_end() -> None:
    """A connection that is closed while bytes arrive may be reset, and then the client sees no answer."""
    events: list[str] = []

    async def receive() -> Message:
        events.append("read")
        return {"type": "http.request", "body": bytes(SLACK // 4), "more_body": True}

    async def send(message: Message) -> None:
        events.append(str(message.get("status", "sent")))

    async def application(*_: object) -> None:
        raise AssertionError("a refused request does not reach the application")

    scope = {"type": "http", "path": "/", "method": "POST", "headers": [(b"host", b"evil.example")]}
    asyncio.run(Guard(application, (), 2 * SLACK)(scope, receive, send))
    assert events == [*["read"] * 5, "403", "sent"]
