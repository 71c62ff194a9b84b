"""Every state of the studio's page, light and dark, held against axe-core's rules."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.studio_pages import (
    button,
    drag_mouse,
    needs_chromium,
    on_face,
    open_ready,
    wait_for,
)
from tests.studio_server import ENDLESS_DRAG, QUICK, RunningStudio, photo_bytes

expect = pytest.importorskip("playwright.sync_api").expect
axe = pytest.importorskip("axe_playwright_python")

pytest_plugins = ("tests.studio_pages",)
pytestmark = needs_chromium

AXE = (Path(axe.__file__).parent / "axe.min.js").read_text(encoding="utf-8")

RUN = """
async () => {
  const { violations } = await window.axe.run(document, { resultTypes: ["violations"] });
  return violations.map(({ id, nodes }) => `${id}: ${nodes.map(({ html }) => html).join(" | ")}`);
}
"""


def check(page: Any) -> None:
    """Hold what the page shows against the rules."""
    page.evaluate(AXE)
    found = page.evaluate(RUN)
    assert found == []


@pytest.fixture(params=["light", "dark"])
def seen(page: Any, request: pytest.FixtureRequest) -> Iterator[Any]:
    page.emulate_media(color_scheme=request.param, reduced_motion="reduce")
    page.seed = 300 if request.param == "light" else 400  # each scheme has photos of its own
    yield page


def test_the_first_page_and_its_cards(seen: Any, server: RunningStudio) -> None:
    seen.locator(".drop").wait_for()
    server.upload(photo_bytes(seed=seen.seed + 1), "card.jpg")
    button(seen, "More about card").wait_for()
    check(seen)
    button(seen, "More about card").click()
    button(seen, "Delete …").click()
    check(seen)


def test_choosing_and_marking_a_face(seen: Any, server: RunningStudio) -> None:
    ident = server.upload(photo_bytes(seed=seen.seed + 2), "choosing.jpg")
    seen.goto(f"{server.origin}/#{ident}")
    button(seen, "Use face 1 of 2").wait_for()
    check(seen)
    button(seen, "Mark eyes and mouth").click()
    expect(seen.locator(".status")).to_contain_text("1 of 4")
    check(seen)


def test_setting_points_and_painting(seen: Any, server: RunningStudio) -> None:
    ident = open_ready(seen, server, seen.seed + 3, "painting.jpg")
    check(seen)
    drag_mouse(seen, (0.3, 0.3), (0.6, 0.6))
    wait_for(lambda: server.points(ident))
    check(seen)
    button(seen, "Area").click()
    drag_mouse(seen, (0.2, 0.5), (0.8, 0.5))
    expect(seen.locator(".chip.may")).to_be_visible()
    check(seen)
    seen.keyboard.press("?")
    seen.locator("dialog[open]").wait_for()
    check(seen)
    seen.keyboard.press("Escape")
    button(seen, "Settings").click()
    seen.locator("dialog[open]").wait_for()
    check(seen)
    seen.locator("dialog .wide").click()
    seen.get_by_role("dialog", name="Network").wait_for()
    check(seen)


def test_dragging_and_what_comes_of_it(seen: Any, server: RunningStudio) -> None:
    ident = open_ready(seen, server, seen.seed + 4, "dragging.jpg")
    server.ok("PUT", f"/{ident}/settings", {**QUICK, "drag": ENDLESS_DRAG})
    on_face(seen)
    drag_mouse(seen, (0.3, 0.3), (0.6, 0.6))
    wait_for(lambda: server.points(ident))
    button(seen, "Start").click()
    expect(seen.locator(".status")).to_contain_text("Moving")
    check(seen)
    button(seen, "Stop").click()
    expect(seen.locator(".status")).to_have_attribute("data-tone", "strong")
    button(seen, "Compare").click()
    seen.get_by_role("slider", name="Before and after").wait_for()
    check(seen)


def test_messages(seen: Any, server: RunningStudio) -> None:
    seen.locator(".drop").wait_for()
    seen.evaluate(
        """async () => {
          const { toast } = await import("/static/dom.js");
          toast("A note.");
          toast("Something went wrong.", "error");
        }"""
    )
    check(seen)
