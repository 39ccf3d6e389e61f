"""What the studio's server does not let in, and what programs may call."""

import asyncio
import io
import json
import os
import re
import socket
import struct
import tempfile
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

from impasto.errors import SettingsError
from impasto.results import manifest as manifests
from impasto.settings.stylize import StylizeSettings
from impasto.studio.job_queue import JobQueue
from impasto.studio.messages import JobStatus
from impasto.web import region_editor
from impasto.web.artworks import bundled_artworks, folders, met_artworks, search
from impasto.web.controls import PAINTING_OPTIONS, PLAIN, bounded, checked, settings
from impasto.web.job_panel import JobPanel
from impasto.web.server import bound
from served import studio

API = "/gradio_api"
QUICK = {"size": 64, "steps": 4, "scales": 1}


@pytest.fixture(scope="module")
def server(small_file: str, decoder_file: str) -> Iterator[tuple[str, psutil.Process]]:
    with studio(small_file, decoder_file, "--upload", "8MB", "--longest", "512") as found:
        yield found


@pytest.fixture(scope="module")
def client(server: tuple[str, psutil.Process]) -> Client:
    return Client(server[0], verbose=False)


def test_it_listens_on_this_machine_alone(server: tuple[str, psutil.Process]) -> None:
    listening = [one for one in server[1].net_connections() if one.status == psutil.CONN_LISTEN]
    assert [one.laddr.ip for one in listening] == ["127.0.0.1"]


@pytest.mark.parametrize(
    ("headers", "allowed"),
    [
        ({}, True),
        ({"origin": "http://{host}"}, True),
        ({"origin": "http://evil.example"}, False),
        ({"origin": "null"}, False),
        ({"origin": "http://localhost:1"}, False),
        ({"host": "evil.example"}, False),  # a name that was made to point here
        ({"host": "127.0.0.1.evil.example:{port}"}, False),
        ({"host": "LOCALHOST:{port}", "origin": "http://LOCALHOST:{port}"}, True),
        ({"host": "[::1]"}, True),
        ({"host": "192.168.7.7:{port}"}, True),  # rebinding needs a name
        ({"host": "[::1"}, False),
        ({"host": ""}, False),
        ({"sec-fetch-site": "cross-site"}, False),
        ({"sec-fetch-site": "same-site"}, False),
        ({"sec-fetch-site": "none"}, True),
    ],
)
def test_pages_of_other_origins_start_nothing(
    server: tuple[str, psutil.Process], headers: dict[str, str], allowed: bool
) -> None:
    host = urlsplit(server[0]).netloc
    own = {key: value.format(host=host, port=host.split(":")[1]) for key, value in headers.items()}
    body = json.dumps({"data": [None, None, {}]})
    for kind in ("application/json", "text/plain"):  # the second needs no preflight
        answer = httpx.post(
            f"{server[0]}{API}/call/paint", content=body, headers={**own, "content-type": kind}, timeout=30
        )
        assert (answer.status_code == 403) == (not allowed), (answer.status_code, answer.text)
    answer = httpx.get(server[0], headers=own, timeout=30)
    assert (answer.status_code == 403) == (not allowed)
    if allowed:
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert answer.headers["x-frame-options"] == "DENY"
        assert answer.headers.get("access-control-allow-origin") in (None, own.get("origin"))


@pytest.mark.parametrize(
    "path",
    [
        "/etc/passwd",
        "../../../../etc/passwd",
        "..%2f..%2f..%2f..%2fetc%2fpasswd",
        "/proc/self/environ",
        "{weights}",
        "{source}",
        "{shelf}/../server.py",
        "{shelf}/%2e%2e/server.py",
        "http://127.0.0.1:1/",
        "file:///etc/passwd",
        "https://example.org/picture.png",
        "https:%2f%2fexample.org/picture.png",
    ],
)
@pytest.mark.parametrize("way", ["file=", "file/"])
def test_files_that_nobody_uploaded_are_not_served(
    server: tuple[str, psutil.Process], small_file: str, path: str, way: str
) -> None:
    shelf = folders()[0] if "paintings" in folders()[0] else folders()[1]
    named = path.format(weights=small_file, source=str(Path(__file__).resolve()), shelf=shelf)
    with socket.create_connection(urlsplit(server[0]).netloc.split(":"), timeout=30) as raw:  # as it is typed
        host = urlsplit(server[0]).netloc
        raw.sendall(f"GET {API}/{way}{named} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n".encode())
        answer = b"".join(iter(lambda: raw.recv(65536), b""))
    status = int(answer.split()[1])
    assert status >= 400 or (status in (301, 302, 307) and b"root:" not in answer), answer[:300]
    assert b"root:" not in answer
    assert b"def application" not in answer


ADDRESSES = ["http://127.0.0.1:9/picture.png", "https://example.org/picture.png", "//example.org/x.png"]


@pytest.mark.parametrize("what", ["/etc/passwd", "{test}", *ADDRESSES])
def test_files_that_are_named_but_not_uploaded_are_not_read(
    server: tuple[str, psutil.Process], what: str, photo: str
) -> None:
    path = what.format(test=photo)
    data = {"path": path, "meta": {"_type": "gradio.FileData"}}
    answer = httpx.post(f"{server[0]}{API}/call/paint", json={"data": [data, data, QUICK]}, timeout=30)
    event = answer.json()["event_id"]
    said = httpx.get(f"{server[0]}{API}/call/paint/{event}", timeout=60).text
    assert "event: error" in said
    assert "event: complete" not in said
    assert "root:" not in said


def test_no_event_of_the_page_reads_or_copies_a_file_of_this_machine(
    server: tuple[str, psutil.Process], tmp_path: Path
) -> None:
    """Every event, public or not, is sent a file that nobody uploaded in place of each of its inputs."""
    secret = tmp_path / "a-secret-of-this-machine.png"
    secret.write_bytes(b"\x89PNG\r\n\x1a\n not for you")
    payload = {"path": str(secret), "meta": {"_type": "gradio.FileData"}}
    editor = {"background": payload, "layers": [payload], "composite": payload}
    config = httpx.get(f"{server[0]}/config", timeout=30).json()
    kinds = {one["id"]: one["type"] for one in config["components"]}
    events = [one for one in config["dependencies"] if one["backend_fn"]]
    assert len(events) > 15
    sessions = []
    for event in events:
        data = [editor if kinds[place] == "imageeditor" else payload for place in event["inputs"]]
        body = {"data": data, "fn_index": event["id"], "session_hash": f"x{event['id']}"}
        joined = httpx.post(f"{server[0]}{API}/queue/join", json=body, timeout=30)
        assert joined.status_code < 500
        if joined.status_code == 200:
            sessions.append(body["session_hash"])
    assert sessions
    for session in sessions:  # until each has ended
        httpx.get(f"{server[0]}{API}/queue/data?session_hash={session}", timeout=60)
    held = list(Path(tempfile.gettempdir()).glob("impasto-studio-*/uploads"))
    assert held
    assert not [one for folder in held for one in folder.rglob("*") if one.name == secret.name]


def test_an_editor_takes_layers_of_any_number_without_keeping_them(
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


def test_requests_that_bring_no_file_are_small(server: tuple[str, psutil.Process]) -> None:
    body = "[" + "[]," * 500_000 + "[]]"
    for _ in range(10):
        try:
            answer = httpx.post(f"{server[0]}{API}/queue/join", content=body, timeout=30)
            break
        except httpx.NetworkError:  # the server answers and hangs up while it is still being sent to
            continue
    assert answer.status_code == 413


def test_two_gigabytes_are_refused_before_they_are_sent(server: tuple[str, psutil.Process]) -> None:
    host, port = urlsplit(server[0]).netloc.split(":")
    with socket.create_connection((host, int(port)), timeout=30) as raw:
        head = f"POST {API}/upload HTTP/1.1\r\nHost: {host}:{port}\r\nContent-Length: 2000000000\r\n"
        raw.sendall((head + "Content-Type: multipart/form-data; boundary=x\r\n\r\n").encode())
        answer = b"".join(iter(lambda: raw.recv(4096), b"")).decode()  # until it hangs up
    assert answer.startswith("HTTP/1.1 413")
    assert "the file is too large; the limit is 8 MB" in answer


def test_nor_without_a_length(server: tuple[str, psutil.Process]) -> None:
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
        pass  # the server hung up while we were still sending
    assert sent < 200 << 20
    assert server[1].memory_info().rss < before + 100_000_000
    assert httpx.get(server[0], timeout=30).status_code == 200


def bomb() -> bytes:
    """A PNG of a few hundred bytes that says that it has 3.6 gigapixels."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", 60_000, 60_000, 8, 2, 0, 0, 0)
    rows = zlib.compress(bytes(100_000))
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", rows) + chunk(b"IEND", b"")


SVG = b'<svg xmlns="http://www.w3.org/2000/svg"><image href="file:///etc/passwd"/></svg>'
HTML = b"<!doctype html><script>alert(1)</script>"


@pytest.mark.parametrize(
    ("name", "data", "said"),
    [
        ("bomb.png", bomb(), "60000×60000, 3,600,000,000 pixels; at most 64,000,000 are read"),
        ("drawing.svg", SVG, "is no picture that can be read"),
        ("page.png", HTML, "is no picture that can be read"),
        ("empty.jpg", b"", "is empty"),
        ("text.jpg", b"hello", "is no picture that can be read"),
    ],
)
def test_what_is_no_picture_is_refused_with_a_message(
    client: Client, painting: str, tmp_path: Path, name: str, data: bytes, said: str
) -> None:
    path = tmp_path / name
    path.write_bytes(data)
    with pytest.raises((AppError, ValueError), match=said):
        client.predict(handle_file(path), handle_file(painting), QUICK, api_name="/paint")


def test_an_uploaded_page_is_never_run_as_one(server: tuple[str, psutil.Process]) -> None:
    """What looks like HTML or SVG comes back as a download, if at all, and with no guessing of its kind."""
    served = []
    for name, data in (("page.png", HTML), ("page.html", HTML), ("drawing.svg", SVG)):
        files = {"files": (name, io.BytesIO(data))}
        answer = httpx.post(f"{server[0]}{API}/upload", files=files, timeout=30)
        if answer.status_code >= 400:
            continue
        back = httpx.get(f"{server[0]}{API}/file={answer.json()[0]}", timeout=30)
        kind = back.headers.get("content-type", "")
        assert back.headers["x-content-type-options"] == "nosniff"
        assert "attachment" in back.headers.get("content-disposition", "") or kind.startswith("image/png"), (
            kind
        )
        served.append(name)
    assert "page.png" in served


@pytest.mark.parametrize(
    ("said", "message"),
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
    client: Client, photo: str, painting: str, said: object, message: str
) -> None:
    with pytest.raises((AppError, ValueError), match=message):
        client.predict(handle_file(photo), handle_file(painting), said, api_name="/paint")


def test_a_program_paints_and_plans(client: Client, photo: str, painting: str) -> None:
    found = client.predict(handle_file(photo), handle_file(painting), QUICK, api_name="/plan")
    assert (found["width"], found["height"]) == (64, 48)
    assert found["memory"] > 0
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


def test_the_example_for_programs_runs(
    server: tuple[str, psutil.Process], photo: str, painting: str, tmp_path: Path
) -> None:
    import subprocess
    import sys

    example = Path(__file__).parents[2] / "examples" / "studio_client.py"
    out = tmp_path / "out.png"
    done = subprocess.run(
        [sys.executable, str(example), server[0], photo, painting, str(out), "--size", "64"],
        capture_output=True, text=True, timeout=120, env={**os.environ},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert manifests.read(out)["settings"]["size"] == 64


def test_a_painting_that_needs_too_much_memory_says_so_and_the_server_goes_on(
    small_file: str, decoder_file: str, photo: str, painting: str
) -> None:
    with studio(small_file, decoder_file, "--memory", "420MB") as (address, _):
        client = Client(address, verbose=False)
        large = {"size": 4096, "steps": 2, "scales": 1}
        with pytest.raises((AppError, ValueError), match=r"needs .* at least, and .* may be used"):
            client.predict(handle_file(photo), handle_file(painting), large, api_name="/paint")
        assert httpx.get(address, timeout=30).status_code == 200


def test_a_port_that_is_taken_is_not_the_end() -> None:
    with bound("127.0.0.1", 0) as first:
        first.listen()
        taken = first.getsockname()[1]
        with bound("127.0.0.1", taken) as second:
            assert second.getsockname()[1] > taken
        with pytest.raises(SettingsError, match=f"cannot listen on 127\\.0\\.0\\.1:{taken}"):
            bound("127.0.0.1", taken, tries=1)
    with pytest.raises(SettingsError, match=r"cannot listen on 192\.0\.2\.1"):
        bound("192.0.2.1", 0)


def test_controls_are_the_settings() -> None:
    """Every setting that is not the machine's is on the page; the plain ones first; defaults are the same."""
    names = [field.name for field in PAINTING_OPTIONS]
    assert tuple(names[: len(PLAIN)]) == PLAIN
    assert not {"device", "weights", "threads", "memory"} & set(names)
    assert {"alpha", "beta", "layers", "optimizer", "seed", "precision"} <= set(names)
    from impasto.web.controls import control

    values = [control(field, longest=4096).value for field in PAINTING_OPTIONS]  # type: ignore[attr-defined]
    said = settings(StylizeSettings, PAINTING_OPTIONS, values)
    assert StylizeSettings(**said) == StylizeSettings()
    with pytest.raises(SettingsError, match="'much'; it must be a number, or left empty"):
        settings(StylizeSettings, [f for f in PAINTING_OPTIONS if f.name == "tv"], ["much"])


def test_a_job_begun_while_the_last_ones_end_is_shown_is_followed() -> None:
    """The new job's own follower leaves, as the old one is still there; so the old one has to stay."""

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
        assert (
            resume.trigger_mode == "multiple"
        )  # or Gradio's page drops a click while the last one's event is open
        old = panel.follow("page")
        shown = [await anext(old)]
        queue.status = JobStatus(state="finished", version=2)
        shown += [update async for update in panel.follow("page")]
        shown += [update async for update in old]
        return [str(update[1]) for update in shown]

    queue = Queue()
    states = [re.findall('data-state="(.*?)"', sentence) for sentence in asyncio.run(watch())]
    assert states == [["stopped"], ["finished"]]


def test_bounds_of_sizes_written_as_text() -> None:
    bounded({"size": "256x512"}, 512)
    with pytest.raises(SettingsError, match="at most 512 px"):
        bounded({"size": "256x513"}, 512)
    assert checked(StylizeSettings, {"size": 64}, longest=64) == {"size": 64}


def test_the_shelf() -> None:
    assert len(bundled_artworks()) == 8
    assert all(Path(one.path).is_file() for one in bundled_artworks())
    assert len(met_artworks()) == 174
    assert [one.artist for one in search(met_artworks(), "GOGH wheat cypress")] == ["Vincent van Gogh"]
    assert search(bundled_artworks(), "nothing like it") == []
