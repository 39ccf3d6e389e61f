"""What the server lets in: requests of this page alone, of bounded size."""

from collections.abc import Awaitable, Callable, MutableMapping
from ipaddress import ip_address
from typing import Any, TypeAlias
from urllib.parse import unquote, urlsplit

import gradio as gr

Message: TypeAlias = MutableMapping[str, Any]
Receive: TypeAlias = Callable[[], Awaitable[Message]]
Send: TypeAlias = Callable[[Message], Awaitable[None]]
App: TypeAlias = Callable[[Message, Receive, Send], Awaitable[None]]

SLACK = 1_000_000
"""Bytes of a request besides the file that it uploads, and of a request that uploads none."""

UPLOADS = ("/upload", "/component_server", "/upload/", "/component_server/")
"""Ends of the paths of requests that bring files."""

FORWARDING = ("/file=http", "/file/http", "/proxy=", "/stream/http")
"""Parts of paths with which Gradio would fetch something from elsewhere."""

HEADERS = {
    b"x-content-type-options": b"nosniff",
    b"x-frame-options": b"DENY",
    b"referrer-policy": b"no-referrer",
    b"cross-origin-resource-policy": b"same-origin",
}


class TooLarge(Exception):
    """A request has more bytes than are taken."""


class Guard:
    """Lets in only what the page itself asks: this host, this origin, bodies of bounded size.

    A page of another origin can send requests to a server on this machine, or reach it under a name of its
    own (DNS rebinding); it cannot hide its origin or its host.

    Args:
        app: what is guarded.
        hosts: names under which the server may be reached, besides this machine's addresses: rebinding needs
            a name.
        most: bytes of a request that uploads a file.
    """

    def __init__(self, app: App, hosts: tuple[str, ...], most: int) -> None:
        self.app, self.most = app, most
        self.hosts = {"localhost", *(host.lower() for host in hosts)}

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        """One connection, as ASGI has it."""
        if scope["type"] not in ("http", "websocket"):
            await self.app(scope, receive, send)
            return
        headers = {name.lower(): value.decode("latin-1") for name, value in scope["headers"]}
        most = self.most if scope["path"].endswith(UPLOADS) else SLACK
        refusal = self._refusal(headers, unquote(scope["path"]), most)
        if refusal is not None or scope["type"] == "websocket":
            await _refuse(send, *(refusal or (403, "no websockets here")), websocket=scope["type"] != "http")
            return
        taken, answered, whole = 0, False, False

        async def counted() -> Message:
            nonlocal taken, whole
            message = await receive()
            whole = not message.get("more_body", False)
            taken += len(message.get("body", b""))
            if taken > most:
                raise TooLarge
            return message

        async def sent(message: Message) -> None:
            nonlocal answered
            if message["type"] == "http.response.start":
                answered = True
                known = {name.lower() for name, _ in message["headers"]}
                more = [(name, value) for name, value in HEADERS.items() if name not in known]
                if not whole and scope["method"] not in ("GET", "HEAD"):
                    more.append((b"connection", b"close"))  # else the rest would be read, to no use
                message["headers"] = [*message["headers"], *more]
            await send(message)

        try:
            await self.app(scope, counted, sent)
        except TooLarge:
            if not answered:
                await _refuse(send, 413, self._too_large())

    def _refusal(self, headers: dict[bytes, str], path: str, most: int) -> tuple[int, str] | None:
        """Status and words, if a request is not let in."""
        host = headers.get(b"host", "")
        if not self._known(host):
            return 403, f"this studio is not reached under the name {host!r}"
        origin = headers.get(b"origin")
        if origin is not None and origin.partition("://")[2] != host:
            return 403, f"a page of {origin} may not use this studio"
        if headers.get(b"sec-fetch-site", "same-origin") not in ("same-origin", "none"):
            return 403, "a page of another site may not use this studio"
        if any(part in path for part in FORWARDING):
            return 403, "this studio fetches nothing from elsewhere"
        length = headers.get(b"content-length", "0")
        if not length.isdecimal() or len(length) > 18 or int(length) > most:
            return 413, self._too_large()
        return None

    def _known(self, host: str) -> bool:
        """Whether the server may be reached under this name and port: an address, or a name that was said."""
        try:
            name = urlsplit(f"//{host}").hostname or ""
            if name in self.hosts:
                return True
            ip_address(name)
        except ValueError:
            return False
        return True

    def _too_large(self) -> str:
        most = (self.most - SLACK) // 1_000_000
        return f"the file is too large; at most {most} MB are taken. Make it smaller."


async def _refuse(send: Send, status: int, words: str, *, websocket: bool = False) -> None:
    if websocket:
        await send({"type": "websocket.close", "code": 1008})
        return
    headers = [(b"content-type", b"text/plain; charset=utf-8"), (b"connection", b"close")]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": words.encode()})


async def _nothing(*_: Any, **__: Any) -> str:
    raise gr.Error("only uploads are read here", print_exception=False)
