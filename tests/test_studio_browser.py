"""The studio in a real browser, as a person uses it."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from drag.stopping import StopRule
from pipeline.studio.serve import listen
from tests.studio_server import (
    QUICK,
    TOKEN,
    RunningStudio,
    find_two_faces,
    photo_bytes,
    running_studio,
    tiny_network,
)

playwright = pytest.importorskip("playwright.sync_api")
expect = playwright.expect

CHROMIUM = shutil.which("chromium") or "/usr/bin/chromium"
ARGUMENTS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)
SECONDS = 40_000

pytestmark = pytest.mark.skipif(
    not Path(CHROMIUM).exists(), reason=f"there is no Chromium at {CHROMIUM}"
)


@pytest.fixture(scope="module")
def network(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_network(tmp_path_factory.mktemp("network"))


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory, network: Path) -> Iterator[RunningStudio]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("REALDRAG_HOME", str(tmp_path_factory.mktemp("home")))
        patch.setattr("inversion.landmarks.find_faces", find_two_faces)
        patch.setattr("pipeline.stages.align.find_faces", find_two_faces)
        # Tests that need a drag to go on give it a tiny learning rate; it must not end for that.
        patch.setattr("drag.session.StopRule", partial(StopRule, patience=100_000))
        with running_studio(tmp_path_factory.mktemp("photos"), network) as running:
            yield running


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with tempfile.TemporaryDirectory() as profile, playwright.sync_playwright() as driver:
        context = driver.chromium.launch_persistent_context(
            profile,
            executable_path=CHROMIUM,
            args=ARGUMENTS,
            timeout=SECONDS,
            viewport={"width": 1100, "height": 760},
        )
        context.set_default_timeout(SECONDS)
        expect.set_options(timeout=SECONDS)
        yield context
        context.close()


@pytest.fixture
def page(browser: Any, server: RunningStudio) -> Iterator[Any]:
    page = opened(browser, server.address)
    yield page
    page.close()
    assert page.errors == []


def opened(browser: Any, address: str) -> Any:
    """Open a page that takes note of its own errors, and of what it loads from elsewhere."""
    page = browser.new_page()
    page.errors = []
    origin = "/".join(address.split("/")[:3])
    page.on("pageerror", lambda error: page.errors.append(str(error)))
    page.on(
        "request",
        lambda request: (
            request.url.startswith((origin, "blob:" + origin)) or page.errors.append(request.url)
        ),
    )
    page.goto(address)
    return page


def choose_file(page: Any, name: str, data: bytes) -> None:
    page.locator(".drop-words").wait_for()
    page.set_input_files("#file", {"name": name, "mimeType": "image/jpeg", "buffer": data})


def name(page: Any) -> str:
    """Return the workspace's id that the page shows."""
    return str(page.evaluate("() => decodeURIComponent(location.hash.slice(1))"))


def on_face(page: Any) -> Callable[[float, float], tuple[float, float]]:
    """Return where a place of the face, in shares of its width, is on the screen."""
    box = page.locator(".viewport").bounding_box()
    side = min(box["width"], box["height"]) - 16
    left, top = box["x"] + (box["width"] - side) / 2, box["y"] + (box["height"] - side) / 2
    return lambda u, v: (left + u * side, top + v * side)


def drag_mouse(page: Any, start: tuple[float, float], end: tuple[float, float]) -> None:
    place = on_face(page)
    page.mouse.move(*place(*start))
    page.mouse.down()
    page.mouse.move(*place((start[0] + end[0]) / 2, (start[1] + end[1]) / 2))
    page.mouse.move(*place(*end))
    page.mouse.up()


def wait_for(condition: Callable[[], Any], seconds: float = 120.0) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.05)


def open_ready(page: Any, server: RunningStudio, seed: int, file: str) -> str:
    """Open a photo that has been prepared already."""
    ident = server.ready(photo_bytes(seed=seed), file)
    page.goto(f"{server.origin}/#{ident}")
    expect(page.locator(".status")).to_have_text("Set a point to begin.")
    return ident


def button(page: Any, label: str) -> Any:
    return page.get_by_role("button", name=label, exact=True)


def test_a_photo_is_uploaded_prepared_dragged_undone_and_saved(
    page: Any, server: RunningStudio
) -> None:
    choose_file(page, "My aunt.jpg", photo_bytes(seed=21))
    face = button(page, "Use face 1 of 2")
    face.wait_for()
    ident = name(page)
    server.ok("PUT", f"/{ident}/settings", {**QUICK, "tune": {"steps": 40, "patience": 0}})
    face.click()
    expect(page.locator(".stages .now")).to_be_visible()
    expect(page.locator(".compare-bar")).to_be_visible()
    button(page, "Compare").click()
    expect(page.locator(".compare-bar")).to_be_hidden()

    drag_mouse(page, (0.3, 0.4), (0.5, 0.5))
    expect(page.locator(".points-list li")).to_have_count(1)
    drag_mouse(page, (0.7, 0.6), (0.6, 0.75))
    expect(page.locator(".points-list li")).to_have_count(2)
    wait_for(lambda: len(server.ok("GET", f"/{ident}")["edit"]["points"]) == 2)
    first = server.ok("GET", f"/{ident}")["edit"]["points"][0]
    assert first["handle"] == pytest.approx([0.3 * 32 - 0.5, 0.4 * 32 - 0.5], abs=0.2)
    assert first["target"] == pytest.approx([0.5 * 32 - 0.5, 0.5 * 32 - 0.5], abs=0.2)

    button(page, "Area").click()
    drag_mouse(page, (0.2, 0.5), (0.8, 0.5))
    expect(page.locator(".mask-tools [role=status]")).to_contain_text("This may change")
    expect(page.locator(".chip.may")).to_be_visible()
    wait_for(lambda: server.ok("GET", f"/{ident}")["edit"]["mask"])

    button(page, "Start").click()
    expect(page.locator(".status")).to_have_class(re.compile("strong"))
    assert server.ok("GET", f"/{ident}")["drag"]["stop"] in ("step_limit", "lost_track", "arrived")
    assert (server.root / ident / "result.png").is_file()

    for label, suffix in (("The photo, JPEG", "jpg"), ("The points, File", "zip")):
        with page.expect_download() as download:
            button(page, label).click()
        assert download.value.suggested_filename.endswith(f".{suffix}")
        assert Path(download.value.path()).stat().st_size > 100

    button(page, "Undo").click()
    expect(page.locator(".status")).to_have_text("Press Start, and watch it move.")
    page.keyboard.press("Control+z")
    expect(page.locator(".chip.may")).to_be_hidden()
    page.keyboard.press("Control+z")
    expect(page.locator(".points-list li")).to_have_count(1)
    page.keyboard.press("Control+Shift+z")
    expect(page.locator(".points-list li")).to_have_count(2)


def test_a_reload_in_the_middle_of_a_drag_shows_it_going_on(
    page: Any, server: RunningStudio
) -> None:
    ident = open_ready(page, server, 22, "reload.jpg")
    server.ok(
        "PUT", f"/{ident}/settings", {**QUICK, "drag": {"steps": 9000, "learning_rate": 1e-7}}
    )
    drag_mouse(page, (0.3, 0.3), (0.6, 0.6))
    button(page, "Start").click()
    expect(page.locator(".status")).to_contain_text("Step")
    page.reload()
    expect(page.locator(".status")).to_contain_text("Step")
    expect(page.locator(".spot.handle")).to_have_count(1)
    button(page, "Pause").click()
    expect(page.locator(".status")).to_contain_text("Paused")
    button(page, "Continue").click()
    button(page, "Stop").click()
    expect(page.locator(".status")).to_contain_text("You stopped it")


def test_two_tabs_show_the_same_points(page: Any, browser: Any, server: RunningStudio) -> None:
    ident = open_ready(page, server, 23, "tabs.jpg")
    other = opened(browser, f"{server.origin}/#{ident}")
    expect(other.locator(".status")).to_have_text("Set a point to begin.")
    page.bring_to_front()
    drag_mouse(page, (0.2, 0.2), (0.4, 0.3))
    expect(other.locator(".points-list li")).to_have_count(1)
    other.get_by_role("button", name="Clear all").click()
    expect(page.locator(".points-list li")).to_have_count(0)
    other.close()
    assert other.errors == []


def test_points_can_be_set_and_moved_with_the_keyboard_alone(
    page: Any, server: RunningStudio
) -> None:
    ident = open_ready(page, server, 24, "keys.jpg")
    add = button(page, "Add a point")
    add.focus()
    page.keyboard.press("Enter")
    wait_for(lambda: server.ok("GET", f"/{ident}")["edit"]["points"])
    before = server.ok("GET", f"/{ident}")["edit"]["points"][0]
    page.locator(".spot.handle").focus()
    for _ in range(4):
        page.keyboard.press("ArrowLeft")

    def moved() -> bool:
        points = server.ok("GET", f"/{ident}")["edit"]["points"]
        return bool(points[0]["handle"][0] == pytest.approx(before["handle"][0] - 2))

    wait_for(moved)
    page.locator(".spot.handle").focus()
    page.keyboard.press("Delete")
    wait_for(lambda: not server.ok("GET", f"/{ident}")["edit"]["points"])


def test_what_is_wrong_with_a_photo_is_said(page: Any, server: RunningStudio) -> None:
    choose_file(page, "letter.txt", b"Dear aunt, this is no photo.")
    alert = page.get_by_role("alert").filter(has_text="letter.txt is not a picture")
    expect(alert).to_be_visible()
    choose_file(page, "night.jpg", photo_bytes(seed=25, light=20))
    expect(page.get_by_role("heading", name="No face was found")).to_be_visible()
    ident = name(page)
    server.ok("PUT", f"/{ident}/settings", QUICK)
    button(page, "Mark eyes and mouth").click()
    box = page.locator("img.whole").bounding_box()
    for u, v in ((0.35, 0.3), (0.6, 0.3), (0.4, 0.6), (0.58, 0.6)):
        page.mouse.click(box["x"] + u * box["width"], box["y"] + v * box["height"])
    expect(page.locator(".compare-bar")).to_be_visible()
    assert server.ok("GET", f"/{ident}")["face"]["source"] == "file"


def test_a_photo_of_sixty_megapixels_is_shown_with_its_faces(
    page: Any, server: RunningStudio, tmp_path: Path
) -> None:
    path = tmp_path / "huge.jpg"
    Image.new("RGB", (10_000, 6_000), (120, 140, 160)).save(path, quality=70)
    page.locator(".drop-words").wait_for()
    page.set_input_files("#file", str(path))
    expect(button(page, "Use face 2 of 2")).to_be_visible()
    wait_for(lambda: page.locator("img.whole").evaluate("(image) => image.naturalWidth") == 2048)


@pytest.mark.parametrize(("width", "height"), [(390, 844), (1280, 800)])
def test_nothing_is_cut_and_every_control_has_a_name(
    page: Any, server: RunningStudio, width: int, height: int
) -> None:
    ident = server.ready(photo_bytes(seed=21), "My aunt.jpg")
    page.set_viewport_size({"width": width, "height": height})
    for address, sign in ((f"#{ident}", ".panel"), ("", ".drop")):
        page.goto(f"{server.origin}/{address}")
        page.locator(sign).wait_for()
        assert page.evaluate("() => document.documentElement.scrollWidth") <= width
        cut = page.evaluate(
            "() => [...document.querySelectorAll('button, p, h1, h2, span, label')]"
            ".filter((e) => e.clientWidth && e.scrollWidth > e.clientWidth + 1)"
            ".map((e) => e.textContent)"
        )
        assert cut == []
        nameless = page.evaluate(
            "() => [...document.querySelectorAll('button, input, select, a, [role=button]')]"
            ".filter((e) => !(e.textContent.trim() || e.ariaLabel || e.labels?.length))"
            ".map((e) => e.outerHTML)"
        )
        assert nameless == []


def test_a_server_killed_in_the_middle_of_a_drag_loses_nothing(
    browser: Any, network: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("REALDRAG_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    root = tmp_path / "photos"
    root.mkdir()
    with running_studio(root, network) as before:
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr("inversion.landmarks.find_faces", find_two_faces)
            patch.setattr("pipeline.stages.align.find_faces", find_two_faces)
            ident = before.ready(photo_bytes(seed=26), "killed.jpg")
        slow = {**QUICK, "drag": {"steps": 9000, "learning_rate": 1e-7}}
        before.ok("PUT", f"/{ident}/settings", slow)
    with listen(0) as free:
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "tests.studio_server", str(root), str(network), str(port)]
    address = f"http://127.0.0.1:{port}/?token={TOKEN}"
    with started(command):
        page = opened(browser, address)
        page.goto(f"http://127.0.0.1:{port}/#{ident}")
        expect(page.locator(".status")).to_have_text("Set a point to begin.")
        drag_mouse(page, (0.3, 0.3), (0.6, 0.6))
        button(page, "Start").click()
        expect(page.locator(".status")).to_contain_text("Step")
    expect(page.locator("#offline")).to_contain_text("does not answer")
    with started(command):
        expect(page.locator("#offline")).to_be_hidden()
        expect(page.locator(".status")).to_contain_text("closed during a drag")
        expect(page.locator(".points-list li")).to_have_count(1)
        page.close()
    sketch = json.loads((root / ident / "studio" / "sketch.json").read_text())
    assert sketch["running"] == "drag" and len(sketch["edits"]) == 2


class started:
    """Run a server of its own, and kill it without a warning."""

    def __init__(self, command: list[str]) -> None:
        self._command = command

    def __enter__(self) -> None:
        self._process = subprocess.Popen(self._command, stdout=subprocess.PIPE, text=True)
        assert self._process.stdout is not None
        assert self._process.stdout.readline() == "listening\n"

    def __exit__(self, *error: object) -> None:
        self._process.kill()
        self._process.wait()
        assert self._process.stdout is not None
        self._process.stdout.close()
