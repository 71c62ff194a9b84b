"""Serve the studio: to this machine only, unless it is asked for under another name."""

from __future__ import annotations

import asyncio
import secrets
import shutil
import socket
import tempfile
from collections.abc import Callable
from pathlib import Path

import h11
import uvicorn
from fastapi import FastAPI
from uvicorn.protocols.http.h11_impl import H11Protocol

from pipeline.studio.desk import Desk
from pipeline.studio.jobs import take_photo
from pipeline.studio.web.app import create_app
from pipeline.studio.web.guard import NAMES
from stylegan2.embedded import EMBEDDED

HOST = "127.0.0.1"
EVERYWHERE = "0.0.0.0"
SOCKET_MESSAGE_BYTES = 64 * 1024
SHUTDOWN_SECONDS = 5

REQUEST_SECONDS = 20.0
"""A connection that has not sent a whole request's head for so long is closed."""


class PortTaken(Exception):
    """Another program listens there."""


class PunctualProtocol(H11Protocol):
    """HTTP/1.1 that hangs up on who opens a connection and does not ask for anything."""

    _hanging_up: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Begin to wait for a request."""
        super().connection_made(transport)
        self._wait()

    def data_received(self, data: bytes) -> None:
        """Take what came in; go on waiting until it is a whole request's head."""
        super().data_received(data)
        if self.conn.their_state is h11.IDLE:
            self._wait()
        elif self._hanging_up is not None:
            self._hanging_up.cancel()
            self._hanging_up = None

    def connection_lost(self, exc: Exception | None) -> None:
        """Wait no longer."""
        if self._hanging_up is not None:
            self._hanging_up.cancel()
        super().connection_lost(exc)

    def _wait(self) -> None:
        if self._hanging_up is None:
            self._hanging_up = self.loop.call_later(REQUEST_SECONDS, self.transport.close)


def listen(port: int, address: str = HOST) -> socket.socket:
    """Listen on a port of this machine; 0 takes any that is free. Raises PortTaken.

    address is the one at which it can be reached, HOST for this machine only.
    """
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((address, port))
        listener.listen()
    except OSError as error:
        listener.close()
        raise PortTaken(
            f"port {port} cannot be used ({error.strerror}): choose another with --port, "
            "or leave it out"
        ) from error
    return listener


def serve(
    root: Path,
    *,
    photo: Path | None = None,
    port: int = 0,
    network: str = EMBEDDED,
    device: str = "auto",
    host: str | None = None,
    ready: Callable[[str], None],
) -> None:
    """Serve the photos of a folder until Ctrl-C; ready gets the address to open.

    host is the name, with or without a port, under which the page is opened elsewhere: that of
    this machine in its network, or that of a tunnel's other end. Raises PortTaken,
    PhotoUnreadable.
    """
    reached = HOST if host is None or is_here(host) else EVERYWHERE
    with listen(port, reached) as listener:
        port = listener.getsockname()[1]
        fragment = "" if photo is None else f"#{_taken(root, network, photo)}"
        token = secrets.token_urlsafe(24)
        hosts = () if host is None else (host,)
        app = create_app(root, token, port, network=network, device=device, hosts=hosts)
        name = host or HOST
        address = name if ":" in name else f"{name}:{port}"
        ready(f"http://{address}/?token={token}{fragment}")
        server_of(app).run(sockets=[listener])


def is_here(host: str) -> bool:
    """Tell whether a name means this machine itself: a tunnel's end is opened under such a one."""
    return host.split(":")[0].lower() in NAMES


def server_of(app: FastAPI) -> uvicorn.Server:
    """Return a server that is to be run on a listening socket."""
    config = uvicorn.Config(
        app,
        http=PunctualProtocol,
        log_level="warning",
        access_log=False,
        ws_max_size=SOCKET_MESSAGE_BYTES,
        ws_per_message_deflate=False,
        timeout_graceful_shutdown=SHUTDOWN_SECONDS,
        server_header=False,
    )
    return uvicorn.Server(config)


def _taken(root: Path, network: str, photo: Path) -> str:
    """Give a photo its workspace and return that's name."""
    from pipeline.picture.photo import read_photo

    read_photo(photo)
    with tempfile.TemporaryDirectory(prefix="realdrag-") as folder:
        copy = Path(shutil.copy(photo, Path(folder) / "upload"))
        workspace, _ = take_photo(Desk(root, network), copy, photo.name)
    return workspace.name
