"""A guard before the server, which accepts only requests of bounded size from the studio's own page."""

from collections.abc import Awaitable, Callable, MutableMapping
from ipaddress import ip_address
from typing import Any, TypeAlias
from urllib.parse import unquote, urlsplit

Message: TypeAlias = MutableMapping[str, Any]
Receive: TypeAlias = Callable[[], Awaitable[Message]]
Send: TypeAlias = Callable[[Message], Awaitable[None]]
App: TypeAlias = Callable[[Message, Receive, Send], Awaitable[None]]

SLACK = 1_000_000
"""Most bytes of a request without a file, and of an upload in addition to its file."""

UPLOADS = ("/upload", "/component_server", "/upload/", "/component_server/")
"""Ends of the paths of requests that upload files."""

FORWARDING = ("/file=http", "/file/http", "/proxy=", "/stream/http")
"""Parts of paths that would make Gradio fetch a file from another server."""

HEADERS = {
    b"x-content-type-options": b"nosniff",
    b"x-frame-options": b"DENY",
    b"referrer-policy": b"no-referrer",
    b"cross-origin-resource-policy": b"same-origin",
}


class TooLarge(Exception):
    """A request has more bytes than its limit."""


class Guard:
    """ASGI middleware that accepts only known hosts, the page's own origin and bodies of bounded size.

    A page of another origin can send requests to a server on this machine, or reach it under a host name of
    its own (DNS rebinding). But it cannot forge the headers that name its origin and the host.

    Args:
        app: the application to guard.
        hosts: accepted host names. Addresses are always accepted, because rebinding needs a name.
        most: most bytes of a request that uploads a file.
    """

    def __init__(self, app: App, hosts: tuple[str, ...], most: int) -> None:
        self.app, self.most = app, most
        self.hosts = {"localhost", *(host.lower() for host in hosts)}

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        """Answer one connection (ASGI)."""
        if scope["type"] not in ("http", "websocket"):
            await self.app(scope, receive, send)
            return
        headers = {name.lower(): value.decode("latin-1") for name, value in scope["headers"]}
        most = self.most if scope["path"].endswith(UPLOADS) else SLACK
        refusal = self._refusal(headers, unquote(scope["path"]), most)
        # Gradio's page needs no websockets (it uses server-sent events), so none are accepted.
        if refusal is not None or scope["type"] == "websocket":
            status, reason = refusal or (403, "no websockets here")
            if scope["type"] == "http" and status != 413:  # one that is too large is not waited for
                await _discard(receive)
            await _refuse(send, status, reason, websocket=scope["type"] != "http")
            return
        taken, answered, whole = 0, False, False

        async def counted() -> Message:
            nonlocal taken, whole
            message = await receive()
            whole = not message.get("more_body", False)
            # Counted as well as announced: a chunked request announces no length.
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
                    # Otherwise the server would read the rest of a refused body.
                    more.append((b"connection", b"close"))
                message["headers"] = [*message["headers"], *more]
            await send(message)

        try:
            await self.app(scope, counted, sent)
        except TooLarge:
            if not answered:
                await _refuse(send, 413, self._too_large())

    def _refusal(self, headers: dict[bytes, str], path: str, most: int) -> tuple[int, str] | None:
        """Status and message if the request is refused, else None."""
        host = headers.get(b"host", "")
        if not self._known(host):
            return 403, f"this studio is not known as {host!r}; allow the name with impasto web --name"
        origin = headers.get(b"origin")
        # Browsers send it with every request but GET and HEAD, so with all that could change anything here.
        if origin is not None and origin.partition("://")[2] != host:
            return 403, f"a page of {origin} may not use this studio"
        if headers.get(b"sec-fetch-site", "same-origin") not in ("same-origin", "none"):
            return 403, "a page of another site may not use this studio"
        if any(part in path for part in FORWARDING):
            return 403, "this studio fetches nothing from elsewhere"
        length = headers.get(b"content-length", "0")
        # 18 digits are an exabyte. Python refuses to convert thousands of them, with an error.
        if not length.isdecimal() or len(length) > 18 or int(length) > most:
            return 413, self._too_large()
        return None

    def _known(self, host: str) -> bool:
        """Return whether a Host header is an address or an accepted name."""
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
        return f"the file is too large; the limit is {most} MB. Make it smaller."


async def _discard(receive: Receive) -> None:
    """Read a refused body, at most SLACK bytes of it and one more chunk.

    If the server closes a connection on which bytes still arrive, the client may see a reset instead of the
    answer.
    """
    taken, more = 0, True
    while more and taken <= SLACK:
        message = await receive()
        taken += len(message.get("body", b""))
        more = message.get("more_body", False)


async def _refuse(send: Send, status: int, words: str, *, websocket: bool = False) -> None:
    if websocket:
        await send({"type": "websocket.close", "code": 1008})
        return
    headers = [(b"content-type", b"text/plain; charset=utf-8"), (b"connection", b"close")]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": words.encode()})
