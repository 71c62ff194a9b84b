"""The studio without a mouse: keys, what is announced, files of points."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.studio_pages import button, drag_mouse, needs_chromium, open_ready, wait_for
from tests.studio_server import ENDLESS_DRAG, QUICK, RunningStudio

expect = pytest.importorskip("playwright.sync_api").expect

pytest_plugins = ("tests.studio_pages",)
pytestmark = needs_chromium

WATCH_ANNOUNCEMENTS = """
() => {
  window.announced = [];
  const said = document.querySelector(".state [role=status]");
  new MutationObserver(() => window.announced.push([performance.now(), said.textContent]))
    .observe(said, { childList: true, characterData: true, subtree: true });
}
"""


def press_until_focused(page: Any, name: str, key: str = "Tab") -> None:
    """Go on with a key until what has that name has the focus."""
    for _ in range(60):
        page.keyboard.press(key)
        said = page.evaluate(
            "() => document.activeElement.ariaLabel || document.activeElement.textContent"
        )
        if said.strip() == name:
            return
    raise AssertionError(f"{name} cannot be reached by {key}")


def test_a_point_is_set_moved_dragged_and_the_photo_saved_by_keys_alone(
    page: Any, server: RunningStudio
) -> None:
    ident = open_ready(page, server, 831, "keys-only.jpg")
    press_until_focused(page, "Add a point")
    page.keyboard.press("Enter")
    wait_for(lambda: server.points(ident))
    # What has been added can be moved at once.
    wait_for(lambda: page.evaluate("() => document.activeElement.dataset.end") == "handle")
    before = server.points(ident)[0]["handle"]
    page.keyboard.press("Shift+ArrowUp")
    wait_for(lambda: server.points(ident)[0]["handle"] != before)
    press_until_focused(page, "Start", "Shift+Tab")
    page.keyboard.press("Enter")
    expect(page.locator(".status")).to_have_attribute("data-tone", "strong")
    server.idle(ident)
    press_until_focused(page, "Save the photo")
    with page.expect_download() as download:
        page.keyboard.press("Enter")
    assert download.value.suggested_filename.startswith("keys-only-edited.")


def test_brackets_change_the_brush_and_other_keys_the_tool(
    page: Any, server: RunningStudio
) -> None:
    open_ready(page, server, 832, "brackets.jpg")
    size = page.locator("#brush-size")
    page.keyboard.press("a")
    expect(button(page, "Area")).to_have_attribute("aria-pressed", "true")
    before = int(size.input_value())
    page.keyboard.press("]")
    larger = int(size.input_value())
    page.keyboard.press("[")
    page.keyboard.press("[")
    assert larger > before > int(size.input_value())
    page.keyboard.press("m")
    expect(button(page, "Move")).to_have_attribute("aria-pressed", "true")
    page.keyboard.press("p")
    expect(button(page, "Points")).to_have_attribute("aria-pressed", "true")


def test_a_drag_is_announced_at_most_once_a_second(page: Any, server: RunningStudio) -> None:
    ident = open_ready(page, server, 833, "announced.jpg")
    server.ok("PUT", f"/{ident}/settings", {**QUICK, "drag": ENDLESS_DRAG})
    drag_mouse(page, (0.3, 0.3), (0.6, 0.6))
    wait_for(lambda: server.points(ident))
    page.evaluate(WATCH_ANNOUNCEMENTS)
    button(page, "Start").click()
    wait_for(lambda: page.evaluate("() => window.announced"))
    page.wait_for_timeout(2500)
    button(page, "Stop").click()
    expect(page.locator(".status")).to_have_attribute("data-tone", "strong")
    expect(page.locator(".state [role=status]")).to_contain_text("You stopped it")
    times = [time for time, _ in page.evaluate("() => window.announced")]
    assert all(later - time > 950 for time, later in zip(times, times[1:], strict=False))


def test_a_points_file_is_loaded_and_another_file_is_refused(
    page: Any, server: RunningStudio
) -> None:
    ident = open_ready(page, server, 834, "points-file.jpg")
    pairs = [{"handle": [10, 11], "target": [20, 21]}, {"handle": [5, 6], "target": [7, 8]}]
    content = {"version": 1, "space": "aligned", "points": pairs}
    field = page.get_by_label("Load a points file").and_(page.locator("input"))

    def give(name: str, data: str) -> None:
        field.set_input_files(
            {"name": name, "mimeType": "application/json", "buffer": data.encode()}
        )

    give("points.json", json.dumps(content))
    expect(page.locator(".points-list li")).to_have_count(2)
    assert server.points(ident) == pairs
    give("letter.json", "Dear aunt")
    expect(page.get_by_role("alert")).to_have_text("letter.json is not a points file.")
    assert server.points(ident) == pairs
