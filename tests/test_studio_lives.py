"""The studio as a program: started with a photo, cancelled, killed, seen from elsewhere."""

from __future__ import annotations

import http.server
import json
import os
import re
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from pipeline.studio.web.serve import listen
from tests.studio_pages import (
    BEGIN,
    PRESS_START,
    SIZE,
    button,
    choose_file,
    drag_mouse,
    drag_to_the_end,
    name,
    needs_chromium,
    on_photo,
    open_ready,
    opened,
    started,
    wait_for,
)
from tests.studio_server import (
    ENDLESS_DRAG,
    QUICK,
    TOKEN,
    TUNED,
    RunningStudio,
    make_up_faces,
    photo_bytes,
    running_studio,
)

expect = pytest.importorskip("playwright.sync_api").expect

pytest_plugins = ("tests.studio_pages",)
pytestmark = needs_chromium

ENDLESS = {**QUICK, "drag": ENDLESS_DRAG}


# ------------------------------------------------------------------------------------- started


def test_the_command_opens_a_page_with_its_photo(
    browser: Any, network: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("REALDRAG_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("REALDRAG_OFFLINE", "1")
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    photo = tmp_path / "My photo.png"
    Image.new("RGB", (120, 90), (90, 120, 150)).save(photo)
    command = ["studio", str(photo), "--no-browser", "--json", "--network", str(network)]
    process = subprocess.Popen(
        [sys.executable, "-m", "pipeline", *command, "--device", "cpu"],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[1])},
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    try:
        address = json.loads(process.stdout.readline())["address"]
        page = opened(browser, address)
        expect(page.locator("#title")).to_have_text("My-photo")
        assert name(page) == "My-photo.realdrag"
        assert TOKEN not in page.url and "token" not in page.url
        button(page, "Look for faces").click()
        expect(page.locator(".status")).to_contain_text("No face was found")
        left, right = on_photo(page)(0, 0)[0], on_photo(page)(120, 0)[0]
        assert right - left > 400  # it fills the room that there is
        page.close()
        assert page.errors == []
    finally:
        process.terminate()
        process.wait(30)
        process.stdout.close()


def test_a_photo_is_dropped_on_the_page(page: Any) -> None:
    page.locator(".drop-words").wait_for()
    data = list(photo_bytes(seed=71))
    page.evaluate(
        """(data) => {
          const files = new DataTransfer();
          files.items.add(new File([new Uint8Array(data)], "dropped.jpg", { type: "image/jpeg" }));
          document.querySelector(".home").dispatchEvent(
            new DragEvent("drop", { dataTransfer: files, bubbles: true, cancelable: true }));
        }""",
        data,
    )
    button(page, "Use face 1 of 2").wait_for()
    assert name(page) == "dropped.realdrag"


def test_earlier_photos_are_listed_and_open_where_they_were_left(
    page: Any, server: RunningStudio
) -> None:
    ident = open_ready(page, server, 72, "earlier.jpg")
    drag_mouse(page, (0.2, 0.2), (0.4, 0.3))
    wait_for(lambda: server.ok("GET", f"/{ident}")["edit"]["points"])
    page.locator("#home-link").click()
    card = page.get_by_role("link", name="earlier")
    expect(card).to_contain_text("Ready to drag")
    card.click()
    expect(page.locator(".points-list li")).to_have_count(1)
    expect(button(page, "Undo")).to_be_enabled()


# ----------------------------------------------------------------------------------- cancelled


def test_a_tuning_is_watched_cancelled_and_taken_up_again(page: Any, server: RunningStudio) -> None:
    choose_file(page, "cancelled.jpg", photo_bytes(seed=73))
    face = button(page, "Use face 1 of 2")
    face.wait_for()
    ident = name(page)
    slow = {"steps": 10_000, "patience": 10_000, "perceptual_threshold": 0.0, "l2_threshold": 0.0}
    server.ok("PUT", f"/{ident}/settings", {**TUNED, "tune": slow})
    face.click()
    expect(page.locator(".status")).to_have_text(
        re.compile(r"^Learning this face by heart\. At most .+ left\.$")
    )
    live = page.locator("canvas.live")
    wait_for(lambda: live.evaluate("(canvas) => canvas.width") == SIZE)
    button(page, "Cancel").click()
    expect(page.locator(".status")).to_have_text(BEGIN)
    made = server.idle(ident)["made"]
    assert "invert" in made and "tune" not in made
    server.ok("PUT", f"/{ident}/settings", TUNED)
    drag_mouse(page, (0.3, 0.3), (0.6, 0.6))
    drag_to_the_end(page, server)
    after = server.ok("GET", f"/{ident}")["made"]
    assert "tune" in after and after["invert"] == made["invert"]


def test_a_drag_that_is_stopped_keeps_its_picture_and_can_be_undone(
    page: Any, server: RunningStudio
) -> None:
    ident = open_ready(page, server, 74, "stopped.jpg")
    server.ok("PUT", f"/{ident}/settings", ENDLESS)
    drag_mouse(page, (0.3, 0.3), (0.6, 0.6))
    button(page, "Start").click()
    expect(page.locator(".status")).to_contain_text("Moving")
    button(page, "Stop").click()
    expect(page.locator(".status")).to_contain_text("You stopped it")
    expect(button(page, "The photo, PNG")).to_be_enabled()
    button(page, "Undo").click()
    expect(page.locator(".status")).to_have_text(PRESS_START)
    expect(page.locator(".points-list li")).to_have_count(1)


# -------------------------------------------------------------------------------------- killed


@pytest.fixture
def mortal(
    network: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[tuple[Path, str, list[str], int]]:
    """A folder with a photo that is ready, and the command that serves it."""
    monkeypatch.setenv("REALDRAG_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    root = tmp_path / "photos"
    root.mkdir()
    with running_studio(root, network) as before, pytest.MonkeyPatch.context() as patch:
        make_up_faces(patch)
        ident = before.ready(photo_bytes(seed=26), "killed.jpg")
    with listen(0) as free:
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "tests.studio_server", str(root), str(network), str(port)]
    yield root, ident, command, port


def change_settings(page: Any, settings: Any) -> None:
    page.evaluate(
        """settings => fetch(`/api/workspaces/${location.hash.slice(1)}/settings`, {
          method: "PUT", body: JSON.stringify(settings),
          headers: { "Content-Type": "application/json" } })""",
        settings,
    )


def test_a_server_killed_in_the_middle_of_a_drag_loses_nothing(
    browser: Any, mortal: tuple[Path, str, list[str], int]
) -> None:
    root, ident, command, port = mortal
    sketch = root / ident / "studio" / "sketch.json"
    with started(command):
        page = opened(browser, f"http://127.0.0.1:{port}/?token={TOKEN}")
        page.goto(f"http://127.0.0.1:{port}/#{ident}")
        expect(page.locator(".status")).to_have_text(BEGIN)
        change_settings(page, ENDLESS)
        drag_mouse(page, (0.3, 0.3), (0.6, 0.6))
        button(page, "Area").click()
        drag_mouse(page, (0.2, 0.5), (0.8, 0.5))
        wait_for(lambda: len(json.loads(sketch.read_text())["edits"]) == 3)
        button(page, "Start").click()
        expect(page.locator(".status")).to_contain_text("Moving")
        before = json.loads(sketch.read_text())
    expect(page.locator("#offline")).to_contain_text("does not answer")
    with started(command):
        expect(page.locator("#offline")).to_be_hidden()
        expect(page.locator(".status")).to_contain_text("closed during a drag")
        expect(page.locator(".points-list li")).to_have_count(1)
        expect(page.locator(".chip.may")).to_be_visible()
        after = json.loads(sketch.read_text())
        assert after["edits"] == before["edits"] and after["at"] == before["at"] == 2
        button(page, "Undo").click()
        expect(page.locator(".chip.may")).to_be_hidden()
        button(page, "Redo").click()
        expect(page.locator(".chip.may")).to_be_visible()
        change_settings(page, {**QUICK, "drag": {"steps": 3}})
        button(page, "Start").click()
        expect(page.locator(".status")).to_have_attribute("data-tone", "strong")
        page.close()
    assert page.errors == []
    done = json.loads(sketch.read_text())
    assert done["running"] is None
    assert done["edits"][-1]["drag"] and done["edits"][-1]["mask"] == before["edits"][-1]["mask"]


def test_a_server_killed_in_a_second_drag_goes_on_from_the_first(
    browser: Any, mortal: tuple[Path, str, list[str], int]
) -> None:
    root, ident, command, port = mortal
    sketch = root / ident / "studio" / "sketch.json"
    with started(command):
        page = opened(browser, f"http://127.0.0.1:{port}/?token={TOKEN}")
        page.goto(f"http://127.0.0.1:{port}/#{ident}")
        change_settings(page, {**QUICK, "drag": {"steps": 3}})
        drag_mouse(page, (0.3, 0.3), (0.8, 0.8))
        button(page, "Start").click()
        expect(page.locator(".status")).to_have_attribute("data-tone", "strong")
        first = json.loads(sketch.read_text())["edits"][-1]
        change_settings(page, ENDLESS)
        button(page, "Go on").click()
        expect(page.locator(".status")).to_contain_text("Moving")
    with started(command):
        expect(page.locator(".status")).to_contain_text("closed during a drag")
        assert json.loads(sketch.read_text())["edits"][-1] == first
        change_settings(page, {**QUICK, "drag": {"steps": 3}})
        button(page, "Go on").click()
        expect(page.locator(".status")).not_to_contain_text("closed during a drag")
        expect(page.locator(".status")).to_have_attribute("data-tone", "strong")
        page.close()
    second = json.loads(sketch.read_text())["edits"][-1]["drag"]
    manifest = root / ident / "artifacts" / f"drag-{second[:16]}" / "manifest.json"
    assert json.loads(manifest.read_text())["request"]["inputs"]["from"] == first["drag"]


# --------------------------------------------------------------------------- from other origins


class Elsewhere(http.server.BaseHTTPRequestHandler):
    """An empty page of another origin."""

    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "text/html")
        self.end_headers()
        self.wfile.write(b"<!doctype html><title>elsewhere</title>")

    def log_message(self, format: str, *given: Any) -> None:
        """Print nothing."""


def test_a_page_of_another_origin_can_do_nothing(
    page: Any, browser: Any, server: RunningStudio
) -> None:
    ident = open_ready(page, server, 75, "mine.jpg")
    drag_mouse(page, (0.2, 0.2), (0.4, 0.3))
    wait_for(lambda: server.ok("GET", f"/{ident}")["edit"]["points"])
    photos = len(server.client.get("/api/workspaces").json())
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Elsewhere) as other:
        thread = threading.Thread(target=other.serve_forever, daemon=True)
        thread.start()
        foreign = browser.new_page()
        foreign.goto(f"http://127.0.0.1:{other.server_port}/")
        tried = foreign.evaluate(
            """async ([origin, ident]) => {
              const post = (path) => fetch(`${origin}/api/${path}`,
                { method: "POST", mode: "no-cors", credentials: "include", body: "x" })
                .then((answer) => answer.type, () => "failed");
              const read = await fetch(`${origin}/api/studio`, { credentials: "include" })
                .then(() => "read", () => "failed");
              const socket = await new Promise((done) => {
                const live = new WebSocket(`${origin.replace("http", "ws")}/api/live`);
                live.onopen = () => done("open");
                live.onerror = () => done("failed");
              });
              return [await post(`workspaces/${ident}/reset`), await post("demo"), read, socket];
            }""",
            [server.origin, ident],
        )
        foreign.close()
        other.shutdown()
        thread.join()
    # What a post without CORS was answered cannot be seen; that it did nothing can.
    assert tried[2:] == ["failed", "failed"]
    assert len(server.ok("GET", f"/{ident}")["edit"]["points"]) == 1
    assert len(server.client.get("/api/workspaces").json()) == photos


def test_a_page_with_a_wrong_token_is_told_what_to_do(browser: Any, server: RunningStudio) -> None:
    context_cookies = browser.cookies(server.origin)
    browser.clear_cookies()
    page = browser.new_page()
    answer = page.goto(f"{server.origin}/?token=wrong")
    assert answer.status == 401
    assert "realdrag studio" in page.content()
    page.close()
    browser.add_cookies(context_cookies)
