"""What the studio does with too much, too slow and broken off: a short answer, a quiet terminal."""

from __future__ import annotations

import json
import socket
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from pipeline.studio.web import limits, serve
from tests.studio_server import (
    RunningStudio,
    make_up_faces,
    photo_bytes,
    running_studio,
    tiny_network,
)
from tests.test_studio_api import listening


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningStudio]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("REALDRAG_HOME", str(tmp_path_factory.mktemp("home")))
        make_up_faces(patch)
        network = tiny_network(tmp_path_factory.mktemp("network"))
        root: Path = tmp_path_factory.mktemp("photos")
        with running_studio(root, network) as running:
            yield running


@pytest.fixture(scope="module")
def ident(server: RunningStudio) -> str:
    return server.upload(photo_bytes(seed=1), "limits.jpg")


def head(server: RunningStudio, method: str, path: str, length: int) -> bytes:
    lines = [
        f"{method} {path} HTTP/1.1",
        f"Host: 127.0.0.1:{server.port}",
        f"Origin: {server.origin}",
        f"Cookie: {server.cookie}",
        f"Content-Length: {length}",
    ]
    return "\r\n".join([*lines, "", ""]).encode()


def answer_to(server: RunningStudio, data: bytes, seconds: float = 60.0) -> bytes:
    """Send bytes, and return all that comes back until the studio hangs up or has answered."""
    with socket.create_connection(("127.0.0.1", server.port), seconds) as connection:
        connection.sendall(data)
        return connection.recv(65536)


@pytest.mark.parametrize("announced", [True, False])
def test_json_of_many_bytes_is_refused_before_it_is_read(
    server: RunningStudio, ident: str, announced: bool
) -> None:
    many = b'{"points": [' + b"[0]," * limits.MAX_JSON + b"[0]]}"
    sent = many if announced else (many[i : i + 65536] for i in range(0, len(many), 65536))
    path = f"/api/workspaces/{ident}/points"
    try:
        answer = server.client.put(path, content=sent)
    except (httpx.WriteError, httpx.ReadError):  # it had hung up before all was sent
        return
    assert answer.status_code == 413
    assert answer.json()["kind"] == "BodyTooLarge" and "256 KB" in answer.json()["message"]


def test_json_that_is_nested_deeply_is_a_bad_request(server: RunningStudio, ident: str) -> None:
    deep = b"[" * 100_000 + b"]" * 100_000
    headers = {"Content-Type": "application/json"}
    path = f"/api/workspaces/{ident}/points"
    answer = server.client.put(path, content=deep, headers=headers)
    assert answer.status_code in (400, 422)


def test_a_socket_that_sends_deep_json_or_bytes_is_quiet_in_the_terminal(
    server: RunningStudio, ident: str, capfd: pytest.CaptureFixture[str]
) -> None:
    with listening(server) as page:
        page.send("[" * 20_000)
        page.send(json.dumps({"watch": ident}))
        assert json.loads(page.recv(60))["type"] == "state"
        page.send(b"bytes")
    time.sleep(0.3)
    assert "Traceback" not in capfd.readouterr().err


def test_a_tab_that_closes_in_the_middle_of_an_upload_is_quiet_in_the_terminal(
    server: RunningStudio, capfd: pytest.CaptureFixture[str]
) -> None:
    before = sorted(server.root.iterdir())
    for path in ("/api/workspaces?name=cut.jpg", "/api/workspaces/x.realdrag/points"):
        method = "POST" if "name" in path else "PUT"
        with socket.create_connection(("127.0.0.1", server.port), 60) as connection:
            connection.sendall(head(server, method, path, 10_000) + b"x" * 500)
    time.sleep(0.5)
    assert server.client.get("/api/studio").status_code == 200
    assert "Traceback" not in capfd.readouterr().err
    assert sorted(server.root.iterdir()) == before


@pytest.mark.parametrize("path", ["/api/workspaces?name=slow.jpg", "/api/demo"])
def test_a_body_that_stalls_is_given_up(
    server: RunningStudio, path: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "STALLED_SECONDS", 0.2)
    assert b" 408 " in answer_to(server, head(server, "POST", path, 1000) + b"begun")


@pytest.mark.parametrize("sent", [b"", b"GET /api/st", b"GET / HTTP/1.1\r\nHost: x\r\n"])
def test_a_connection_that_asks_for_nothing_is_closed(
    server: RunningStudio, sent: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(serve, "REQUEST_SECONDS", 0.2)
    assert answer_to(server, sent) == b""
