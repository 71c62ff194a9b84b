"""The door of the studio: which requests get in, and what every answer must say.

A page of another origin must not be able to reach the studio: not by posting to it, not through a
name that it has pointed at this machine (DNS rebinding), not with a web socket.
"""

from __future__ import annotations

import hmac
import json
from collections.abc import Iterable
from http.cookies import CookieError, SimpleCookie
from urllib.parse import parse_qs

from starlette.types import ASGIApp, Message, Receive, Scope, Send

NAMES = ("127.0.0.1", "localhost")
SAFE_METHODS = ("GET", "HEAD", "OPTIONS")
OPEN_PATHS = ("/static/",)
"""What needs no token: the program of the page, the same for everybody."""

FORBIDDEN = 403
UNAUTHORIZED = 401
POLICY_VIOLATION = 1008


def cookie_name(port: int) -> str:
    """Name the cookie; browsers do not keep the cookies of two ports apart."""
    return f"realdrag-{port}"


def hosts_of(port: int, more: Iterable[str] = ()) -> frozenset[str]:
    """Return the Host names by which a studio on that port may be called: this machine's, and more.

    More are names, or names with a port: that of a tunnel's other end.
    """
    asked = (name if ":" in name else f"{name}:{port}" for name in (*NAMES, *more))
    return frozenset(name.lower() for name in asked)


def security_headers(hosts: Iterable[str]) -> list[tuple[bytes, bytes]]:
    """Return what every answer carries: nothing is loaded from elsewhere, nothing is framed."""
    sockets = " ".join(f"ws://{host}" for host in sorted(hosts))
    policy = (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob:; "
        f"connect-src 'self' {sockets}; base-uri 'none'; form-action 'none'; "
        "frame-ancestors 'none'"
    )
    headers = {
        "Content-Security-Policy": policy,
        "X-Content-Type-Options": "nosniff",
        "Referrer-Policy": "no-referrer",
        "Cross-Origin-Resource-Policy": "same-origin",
        "Cross-Origin-Opener-Policy": "same-origin",
    }
    return [(name.lower().encode(), value.encode()) for name, value in headers.items()]


class Guard:
    """ASGI middleware: checks Host, Origin and token before anything else runs.

    The token comes with the opened address, which sets the cookie that is looked at from then on.
    """

    def __init__(self, app: ASGIApp, token: str, port: int, hosts: frozenset[str]) -> None:
        self._app = app
        self._token = token.encode()
        self._cookie = cookie_name(port)
        self._hosts = hosts
        self._headers = security_headers(hosts)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on, or answer it with a refusal."""
        if scope["type"] not in ("http", "websocket"):
            await self._app(scope, receive, send)
            return
        refusal = self._refusal(scope)
        if refusal is not None:
            await self._refuse(scope, receive, send, *refusal)
        elif scope["type"] == "websocket":
            await self._app(scope, receive, send)
        elif scope["path"] == "/" and self._query_token(scope):
            await self._let_in(send)
        else:
            await self._app(scope, receive, self._sealed(scope, send))

    def _refusal(self, scope: Scope) -> tuple[int, str] | None:
        hosts = _header(scope, b"host")
        if len(hosts) != 1 or hosts[0].lower() not in self._hosts:
            return FORBIDDEN, "this address is not the studio's: open the one it printed"
        origins = _header(scope, b"origin")
        needs_origin = scope["type"] == "websocket" or scope["method"] not in SAFE_METHODS
        if needs_origin and origins != [f"http://{hosts[0]}"]:
            return FORBIDDEN, "only the studio's own page may do this"
        sites = _header(scope, b"sec-fetch-site")
        if needs_origin and any(site not in ("same-origin", "none") for site in sites):
            return FORBIDDEN, "only the studio's own page may do this"
        if scope["path"].startswith(OPEN_PATHS) and not needs_origin:
            return None
        if not (self._cookie_token(scope) or (scope["path"] == "/" and self._query_token(scope))):
            return UNAUTHORIZED, (
                "this page does not have the studio's token: open the address that "
                "`realdrag studio` printed when it was started last"
            )
        return None

    def _query_token(self, scope: Scope) -> bool:
        values = parse_qs(scope["query_string"].decode("latin-1")).get("token", [])
        return any(hmac.compare_digest(value.encode(), self._token) for value in values)

    def _cookie_token(self, scope: Scope) -> bool:
        try:
            cookies = SimpleCookie("; ".join(_header(scope, b"cookie")))
        except CookieError:
            return False
        found = cookies.get(self._cookie)
        return found is not None and hmac.compare_digest(found.value.encode(), self._token)

    async def _let_in(self, send: Send) -> None:
        cookie = f"{self._cookie}={self._token.decode()}; Path=/; HttpOnly; SameSite=Strict"
        headers = [(b"location", b"/"), (b"set-cookie", cookie.encode())]
        headers += [(b"cache-control", b"no-store"), *self._headers]
        await send({"type": "http.response.start", "status": 303, "headers": headers})
        await send({"type": "http.response.body", "body": b""})

    async def _refuse(
        self, scope: Scope, receive: Receive, send: Send, status: int, message: str
    ) -> None:
        if scope["type"] == "websocket":
            await receive()
            await send({"type": "websocket.close", "code": POLICY_VIOLATION, "reason": "refused"})
            return
        if scope["path"] == "/":
            body, kind = message.encode(), b"text/plain; charset=utf-8"
        else:
            answer = {"event": "error", "kind": "Refused", "message": message}
            body, kind = json.dumps(answer).encode(), b"application/json"
        headers = [(b"content-type", kind), *self._headers]
        await send({"type": "http.response.start", "status": status, "headers": headers})
        await send({"type": "http.response.body", "body": body})

    def _sealed(self, scope: Scope, send: Send) -> Send:
        async def sealed(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = [*message.get("headers", []), *self._headers]
                if not any(name == b"cache-control" for name, _ in headers):
                    headers.append((b"cache-control", b"no-cache"))
                message = {**message, "headers": headers}
            await send(message)

        return sealed


def _header(scope: Scope, name: bytes) -> list[str]:
    pairs: Iterable[tuple[bytes, bytes]] = scope["headers"]
    return [value.decode("latin-1") for key, value in pairs if key.lower() == name]
