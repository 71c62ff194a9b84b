"""The web socket: what happens, sent to a page as it happens."""

from __future__ import annotations

import asyncio
import json
from contextlib import suppress
from typing import Any

from fastapi import APIRouter, WebSocket
from starlette.concurrency import run_in_threadpool
from starlette.websockets import WebSocketDisconnect, WebSocketState

from pipeline.studio.hub import Mailbox
from pipeline.studio.studio import Studio

routes = APIRouter()


@routes.websocket("/api/live")
async def live(socket: WebSocket) -> None:
    """Send what happens; the page says which workspace it shows, and when it has drawn."""
    studio: Studio = socket.app.state.studio
    await socket.accept()
    mailbox = Mailbox(asyncio.get_running_loop())
    studio.hub.join(mailbox)
    sender = asyncio.create_task(_send(socket, mailbox))
    try:
        # A page that is gone may show in sending first.
        while socket.application_state is WebSocketState.CONNECTED:
            said = _understood(await socket.receive_text())
            if "watch" in said:
                name = said["watch"] if isinstance(said["watch"], str) else None
                await run_in_threadpool(studio.show_to, mailbox, name)
            elif said.get("drawn"):
                mailbox.drawn()
    except (WebSocketDisconnect, KeyError):  # KeyError: it sent bytes
        pass
    finally:
        studio.hub.leave(mailbox)
        sender.cancel()


def _understood(text: str) -> dict[str, Any]:
    """Read what a page says; what is not understood says nothing."""
    with suppress(ValueError, RecursionError):
        said = json.loads(text)
        if isinstance(said, dict):
            return said
    return {}


async def _send(socket: WebSocket, mailbox: Mailbox) -> None:
    with suppress(WebSocketDisconnect, RuntimeError):
        while messages := await mailbox.take():
            for message in messages:
                if isinstance(message, bytes):
                    await socket.send_bytes(message)
                else:
                    await socket.send_text(message)
        await socket.close()
