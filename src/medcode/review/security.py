"""What every request passes: the name of the host, the token, the size of the body; and the headers of every answer.

The token is in the path of the page's address, and in a header of every other request. It is in no cookie: a browser
sends a cookie of 127.0.0.1 to every port, and so to the servers of other people on the same machine.
"""

from __future__ import annotations

import secrets
import sys
import traceback
from collections.abc import Awaitable, Callable, Mapping, MutableMapping
from typing import Any

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Any]]
Send = Callable[[Any], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]

TOKEN_HEADER = "X-Medcode-Token"
LARGEST_BODY = 2**16  # bytes
LARGEST_PREDICT_BODY = 2**25
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; base-uri 'none'; "
    "form-action 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'; trusted-types 'none'"
)
HEADERS = {
    "content-security-policy": POLICY,
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "cache-control": "no-store",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "x-frame-options": "DENY",
}


def new_token() -> str:
    """Return a token that cannot be guessed, 32 random bytes."""
    return secrets.token_urlsafe(32)


class Guard:
    """An application behind the token. What it refuses has a status and no content.

    Args:
        app: answers the requests that pass.
        token: of this server.
        hosts: values of the header `Host` that are this server; others come from a name that was bound to this address.
        files: paths of the page's files, which a browser asks for by the token in the address, without a header.
    """

    def __init__(self, app: App, token: str, hosts: frozenset[str], files: frozenset[str]) -> None:
        self._app, self._token, self._hosts, self._files = app, token.encode(), hosts, files

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request, as ASGI describes it."""
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
        elif scope["type"] == "http":
            await self._http(scope, receive, _with_headers(send))
        else:  # no web socket is served
            await send({"type": "websocket.close", "code": 1008})

    async def _http(self, scope: Scope, receive: Receive, send: Send) -> None:
        headers = _single(scope)
        status = self._refused(scope, headers)
        if status:
            await _answer(send, status)
            return
        started = False

        async def sending(message: Any) -> None:
            nonlocal started
            started |= message["type"] == "http.response.start"
            await send(message)

        try:
            await self._app(scope, receive, sending)
        except Exception as error:  # its message may have the text of a note
            place = traceback.extract_tb(error.__traceback__)[-1]
            print(f"error: {type(error).__name__} in {place.filename}, line {place.lineno}", file=sys.stderr)
            if not started:
                await _answer(send, 500)

    def _refused(self, scope: Scope, headers: Mapping[str, str] | None) -> int | None:
        """Return the status of a request that is refused, and shorten the path of one for a file of the page."""
        if headers is None or headers.get("host") not in self._hosts:
            return 403
        if headers.get("origin", f"http://{headers['host']}") != f"http://{headers['host']}":
            return 403
        if not secrets.compare_digest(headers.get(TOKEN_HEADER.lower(), "").encode(), self._token):
            _, token, *rest = f"{scope['path']}/".split("/", 2)
            path = "/" + rest[0].removesuffix("/") if rest else ""
            known = secrets.compare_digest(token.encode(), self._token)
            if not known or path not in self._files or scope["method"] not in ("GET", "HEAD"):
                return 403
            scope["path"], scope["raw_path"] = path, path.encode()
        if scope["method"] in ("GET", "HEAD"):
            return None
        length = headers.get("content-length", "")
        if not length.isdecimal():
            return 411
        return 413 if int(length) > (LARGEST_PREDICT_BODY if scope["path"] == "/predict" else LARGEST_BODY) else None


def _single(scope: Scope) -> dict[str, str] | None:
    """Return the headers by name; None if one that decides comes twice."""
    pairs = [(name.decode("latin-1").lower(), value.decode("latin-1")) for name, value in scope["headers"]]
    deciding = [name for name, _ in pairs if name in ("host", "origin", "content-length", TOKEN_HEADER.lower())]
    return None if len(deciding) > len(set(deciding)) else dict(pairs)


def _with_headers(send: Send) -> Send:
    async def sending(message: Any) -> None:
        if message["type"] == "http.response.start":
            kept = [(name, value) for name, value in message.get("headers", []) if name.decode().lower() not in HEADERS]
            message["headers"] = kept + [(name.encode(), value.encode()) for name, value in HEADERS.items()]
        await send(message)

    return sending


async def _answer(send: Send, status: int) -> None:
    await send({"type": "http.response.start", "status": status, "headers": [(b"content-length", b"0")]})
    await send({"type": "http.response.body", "body": b""})
