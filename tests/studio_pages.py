"""The studio's page in a real browser: fixtures, and what a person does there.

A test module takes the fixtures by `pytest_plugins = ("tests.studio_pages",)`. It has imported this
module by then, too late for pytest to rewrite its assertions: PYTEST_DONT_REWRITE.
"""

from __future__ import annotations

import re
import shutil
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from drag.stopping import StopRule
from tests.studio_server import (
    RunningStudio,
    make_up_faces,
    photo_bytes,
    running_studio,
    tiny_network,
)

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
XY = tuple[float, float]

SECONDS = 60_000
SIZE = 32
"""Pixels of the tiny network's face."""

BEGIN = "Press on the face and drag, or move a slider."
PRESS_START = "Press Start, and watch it move."
"""What the page says of a photo that is ready, and of one with a point."""

needs_chromium = pytest.mark.skipif(
    not Path(CHROMIUM).exists(), reason=f"there is no Chromium at {CHROMIUM}"
)


@pytest.fixture(scope="module")
def network(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_network(tmp_path_factory.mktemp("network"), SIZE)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory, network: Path) -> Iterator[RunningStudio]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("REALDRAG_HOME", str(tmp_path_factory.mktemp("home")))
        make_up_faces(patch)
        # Tests that need a drag to go on give it a tiny learning rate; it must not end for that.
        patch.setattr("drag.session.StopRule", partial(StopRule, patience=100_000))
        with running_studio(tmp_path_factory.mktemp("photos"), network) as running:
            yield running


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    from playwright.sync_api import expect, sync_playwright

    with tempfile.TemporaryDirectory() as profile, sync_playwright() as driver:
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
    assert not page.errors, page.errors


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
    """Choose a file in the dialog of the first page."""
    page.locator(".drop-words").wait_for()
    page.set_input_files("#file", {"name": name, "mimeType": "image/jpeg", "buffer": data})


def name(page: Any) -> str:
    """Return the workspace's id that the page shows."""
    return str(page.evaluate("() => decodeURIComponent(location.hash.slice(1))"))


def _on_screen(page: Any, of: str) -> Callable[[float, float], tuple[float, float]]:
    viewport = page.locator(".viewport")
    # No script is handed over as text: the page forbids that, which older browsers' drivers mind.
    page.locator(f".viewport[data-{of}]:not([data-{of}=''])").wait_for()
    a, b, c, d, e, f = (float(v) for v in viewport.get_attribute(f"data-{of}").split())
    box = viewport.bounding_box()
    return lambda x, y: (box["x"] + a * x + c * y + e, box["y"] + b * x + d * y + f)


def on_face(page: Any) -> Callable[[float, float], tuple[float, float]]:
    """Return where a place of the face, in shares of its width, is on the screen now."""
    place = _on_screen(page, "face")
    return lambda u, v: place(*on_aligned(u, v))


def on_photo(page: Any) -> Callable[[float, float], tuple[float, float]]:
    """Return where a place of the photo, in its pixels, is on the screen now."""
    place = _on_screen(page, "world")
    return lambda x, y: place(x + 0.5, y + 0.5)


def on_aligned(*share: float) -> list[float]:
    """Turn shares of the face's width into its pixels."""
    return [each * SIZE - 0.5 for each in share]


def drag_mouse(page: Any, start: tuple[float, float], end: tuple[float, float]) -> None:
    """Press at a place of the face, and let go at another."""
    place = on_face(page)
    page.mouse.move(*place(*start))
    page.mouse.down()
    page.mouse.move(*place((start[0] + end[0]) / 2, (start[1] + end[1]) / 2))
    page.mouse.move(*place(*end))
    page.mouse.up()


def wait_for(condition: Callable[[], Any], seconds: float = 120.0) -> None:
    """Wait until something holds."""
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.05)


def open_ready(page: Any, server: RunningStudio, seed: int, file: str) -> str:
    """Open a photo that has been prepared already."""
    from playwright.sync_api import expect

    ident = server.ready(photo_bytes(seed=seed), file)
    page.goto(f"{server.origin}/#{ident}")
    expect(page.locator(".status")).to_have_text(BEGIN)
    return ident


def drag_to_the_end(page: Any, server: RunningStudio) -> None:
    """Start a drag, and wait until the page tells how it ended."""
    from playwright.sync_api import expect

    ident = name(page)
    before = server.ok("GET", f"/{ident}")["edit"]["drag"]
    page.locator(".controls").get_by_role("button", name=re.compile("^(Start|Go on)$")).click()
    wait_for(lambda: server.ok("GET", f"/{ident}")["edit"]["drag"] != before)
    server.idle(ident)
    expect(page.locator(".status")).to_have_attribute("data-tone", "strong")


def button(page: Any, label: str) -> Any:
    """Find a button by its name."""
    return page.get_by_role("button", name=label, exact=True)


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


def picture(page: Any) -> bytes:
    """Return what the canvas shows, once it has been drawn."""
    page.evaluate("() => new Promise((done) => requestAnimationFrame(() => setTimeout(done, 50)))")
    shown: bytes = page.locator("canvas.picture").evaluate("(canvas) => canvas.toDataURL()")
    return shown


class Fingers:
    """Fingers on the screen, as the browser's own protocol gives them."""

    def __init__(self, page: Any) -> None:
        self._session = page.context.new_cdp_session(page)
        self._session.send(
            "Emulation.setTouchEmulationEnabled", {"enabled": True, "maxTouchPoints": 2}
        )

    def send(self, kind: str, places: Sequence[XY] = ()) -> None:
        """Tell the browser where all fingers are after a touchStart, touchMove or touchEnd."""
        touches = [{"x": x, "y": y, "id": i} for i, (x, y) in enumerate(places)]
        self._session.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": touches})

    def tap(self, place: XY) -> None:
        self.send("touchStart", [place])
        self.send("touchEnd")

    def move(self, *ways: tuple[XY, XY]) -> None:
        """Put a finger at the start of each way, and move all to the ends."""
        self.send("touchStart", [start for start, _ in ways])
        for share in (0.25, 0.5, 0.75, 1.0):
            self.send(
                "touchMove",
                [(a[0] + share * (b[0] - a[0]), a[1] + share * (b[1] - a[1])) for a, b in ways],
            )
        self.send("touchEnd")
