"""How much a request may send, and how long it may take over it."""

from __future__ import annotations

import asyncio
from contextlib import suppress

from fastapi.responses import JSONResponse
from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from pipeline.failures import failure_of, to_json

UPLOADS = "/api/workspaces"
MAX_UPLOAD = 256 * 1024 * 1024
"""Bytes that a photo may have."""

LIKENESS = "/controls/like"
"""How addresses end that take another photo."""

MASKS = "/mask"
MAX_MASK = 4 * 1024 * 1024

MAX_JSON = 256 * 1024
"""Bytes that anything else may have."""

STALLED_SECONDS = 30.0
"""A body of which nothing more comes for so long is given up."""


class BodyTooLarge(Exception):
    """What was sent has too many bytes."""


class BodyStalled(Exception):
    """What was being sent did not come to its end."""


class BodyLimits:
    """ASGI middleware: a body ends after so many bytes, and when it stalls.

    It is counted as it comes in, whatever the request says of its length. A photo is passed on
    piece by piece; anything else is taken in whole before anybody reads it as JSON.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on, with its body watched."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        watched = _watched(receive, _limit(scope["path"]), _announced(scope))
        if _takes_photo(scope["path"]):
            await self._app(scope, watched, send)
            return
        try:
            body = await _whole(watched)
        except ClientDisconnect:
            return  # nobody is there to be answered
        except (BodyTooLarge, BodyStalled) as error:
            answer = JSONResponse(to_json(error), failure_of(error).http_status)
            await answer(scope, receive, send)
            return
        await self._app(scope, _again(body, receive), send)


def _takes_photo(path: str) -> bool:
    return path == UPLOADS or (path.startswith(UPLOADS) and path.endswith(LIKENESS))


def _limit(path: str) -> int:
    if _takes_photo(path):
        return MAX_UPLOAD
    return MAX_MASK if path.endswith(MASKS) else MAX_JSON


def _announced(scope: Scope) -> int:
    for name, value in scope["headers"]:
        if name.lower() == b"content-length":
            with suppress(ValueError):
                return int(value)
    return 0


def _watched(receive: Receive, limit: int, announced: int) -> Receive:
    size = announced
    counted, complete = 0, False

    async def watched() -> Message:
        nonlocal counted, complete
        if complete:  # what comes now is that the page is gone, whenever that is
            return await receive()
        if size <= limit:
            try:
                message = await asyncio.wait_for(receive(), STALLED_SECONDS)
            except asyncio.TimeoutError:
                raise BodyStalled("nothing more of this came: send it again") from None
            counted += len(message.get("body", b""))
            complete = not message.get("more_body", False)
        if max(size, counted) > limit:
            unit = f"{limit // 2**20} MB" if limit >= 2**20 else f"{limit // 2**10} KB"
            raise BodyTooLarge(f"this is larger than {unit}: make it smaller first")
        return message

    return watched


async def _whole(receive: Receive) -> bytes:
    pieces = []
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise ClientDisconnect
        pieces.append(message.get("body", b""))
        if not message.get("more_body", False):
            return b"".join(pieces)


def _again(body: bytes, receive: Receive) -> Receive:
    given = False

    async def again() -> Message:
        nonlocal given
        if given:
            return await receive()
        given = True
        return {"type": "http.request", "body": body, "more_body": False}

    return again
