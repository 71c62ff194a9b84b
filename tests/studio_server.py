"""A studio that really listens, in a thread of the test, with a tiny network."""

from __future__ import annotations

import io
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
from PIL import Image

from inversion.faces.face import Face
from inversion.faces.landmarks import FacesFound
from inversion.faces.no_face import NoFaceFound
from pipeline.studio.studio import Studio
from pipeline.studio.web.app import create_app
from pipeline.studio.web.guard import cookie_name
from pipeline.studio.web.serve import listen, server_of
from stylegan2.checkpoint import save_generator
from tests.factories import tiny_generator

TOKEN = "token-of-a-test"

ENDLESS_DRAG = {
    "method": "draggan",
    "steps": 9000,
    "patience": 9000,
    "learning_rate": 1e-7,
}
"""Small steps that arrive nowhere, and do not tire of it."""

QUICK = {
    "perceptual": "offline",
    "invert": {"steps": 4, "start_samples": 4},
    "tune": {"steps": 4},
    "drag": {"steps": 10},
}
"""Settings with which every stage takes a moment only."""

TUNED = {**QUICK, "result": {"paste": "network"}}
"""The same where the network's pixels are pasted, for which it has to be tuned."""


@dataclass
class RunningStudio:
    """A studio that listens, and a client that it lets in."""

    root: Path
    port: int
    studio: Studio
    client: httpx.Client

    @property
    def origin(self) -> str:
        """The address without the token."""
        return f"http://127.0.0.1:{self.port}"

    @property
    def address(self) -> str:
        """The address that a person opens."""
        return f"{self.origin}/?token={TOKEN}"

    @property
    def cookie(self) -> str:
        """The cookie that lets in."""
        return f"{cookie_name(self.port)}={TOKEN}"

    def upload(self, data: bytes, name: str = "photo.jpg") -> str:
        """Upload a photo and wait until its faces are found; returns the workspace's id."""
        answer = self.client.post("/api/workspaces", params={"name": name}, content=data)
        assert answer.status_code == 201, answer.text
        ident = str(answer.json()["id"])
        self.idle(ident)
        return ident

    def ready(self, data: bytes, name: str = "photo.jpg") -> str:
        """Upload a photo, and take it as far as points can be set."""
        ident = self.upload(data, name)
        self.ok("PUT", f"/{ident}/settings", QUICK)
        self.ok("POST", f"/{ident}/prepare", {"face": 1})
        assert self.idle(ident)["ready"]
        return ident

    def ok(self, method: str, path: str, body: Any = None) -> Any:
        """Ask something of a workspace that must succeed."""
        answer = self.client.request(method, f"/api/workspaces{path}", json=body)
        assert answer.status_code < 300, answer.text
        return answer.json()

    def points(self, ident: str) -> list[dict[str, list[float]]]:
        """Return a workspace's points: handles and targets."""
        shown = self.ok("GET", f"/{ident}")["edit"]["points"]
        return [{"handle": each["handle"], "target": each["target"]} for each in shown]

    def idle(self, ident: str, seconds: float = 240.0) -> Any:
        """Wait until nothing runs in a workspace, and return its state."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            state = self.ok("GET", f"/{ident}")
            if not state["jobs"]:
                return state
            time.sleep(0.03)
        raise TimeoutError(f"{ident} is still busy: {state['jobs']}")


@contextmanager
def running_studio(root: Path, network: Path, port: int = 0) -> Iterator[RunningStudio]:
    """Serve a folder's photos until the block is left."""
    with listen(port) as listener:
        port = listener.getsockname()[1]
        app = create_app(root, TOKEN, port, network=str(network), device="cpu")
        server = server_of(app)
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]}, daemon=True)
        thread.start()
        headers = {"Origin": f"http://127.0.0.1:{port}", "Cookie": f"{cookie_name(port)}={TOKEN}"}
        with httpx.Client(
            base_url=f"http://127.0.0.1:{port}", headers=headers, timeout=300, trust_env=False
        ) as client:
            yield RunningStudio(root, port, app.state.studio, client)
        server.should_exit = True
        thread.join(30)


def tiny_network(folder: Path, resolution: int = 32) -> Path:
    """Write a tiny network."""
    path = folder / f"tiny-{resolution}.safetensors"
    save_generator(tiny_generator(resolution), path)
    return path


def photo_bytes(width: int = 240, height: int = 200, *, seed: int = 0, light: int = 128) -> bytes:
    """Return a JPEG with soft colours; a dark one has no face for `find_two_faces`."""
    rng = np.random.default_rng(seed)
    coarse = rng.integers(-light // 2, light // 2, (8, 8, 3)) + light
    image = Image.fromarray(coarse.clip(0, 255).astype(np.uint8)).resize((width, height))
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=90)
    return buffer.getvalue()


def find_two_faces(
    pixels: Any, source: str = "auto", device: str = "cpu", on_progress: Any = None
) -> FacesFound:
    """Stand in for the search for faces: a large and a small one, none in a dark photo."""
    height, width = pixels.shape[:2]
    if pixels.mean() < 40:
        raise NoFaceFound("No face was found.")
    faces = []
    for x, y, half in ((0.4, 0.35, 0.1), (0.8, 0.4, 0.05)):
        across = np.array([[-1, 0], [1, 0], [0, 1], [-0.7, 2], [0.7, 2]]) * half * width
        points = across + np.array([x * width, y * height])
        low, high = points.min(axis=0) - 0.5 * half * width, points.max(axis=0)
        faces.append(Face(points, None, (*low.tolist(), *high.tolist()), "finder", 0.9))
    return FacesFound(tuple(faces), "finder", ("The faces are made up.",))


def make_up_faces(patch: pytest.MonkeyPatch) -> None:
    """Let pictures without a face have two, all of which the network knows, without parts."""
    # What imports it by name is loaded before it is replaced: it would keep what it got.
    for module in ("pipeline.controls.measured_faces", "realdrag.parts"):
        import_module(module)
    patch.setattr("pipeline.stages.align.find_faces", find_two_faces)
    patch.setattr("inversion.faces.landmarks.find_faces", find_two_faces)
    patch.setattr("pipeline.stages.moving_photo.on_face", lambda face, xy: True)
    patch.setattr("pipeline.studio.landmarks.FaceLandmarks.of", lambda self, workspace: [])


def main(root: Path, network: Path, port: int) -> None:
    """Serve in a process of its own, so that a test can kill it."""
    make_up_faces(pytest.MonkeyPatch())
    with listen(port) as listener:
        app = create_app(root, TOKEN, listener.getsockname()[1], network=str(network), device="cpu")
        print("listening", flush=True)
        server_of(app).run(sockets=[listener])


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3]))
