"""The studio under a finger: sizes of what is pressed, the magnifier, a phone on its side."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from tests.studio_pages import (
    Fingers,
    button,
    needs_chromium,
    on_face,
    open_ready,
    opened,
    wait_for,
)
from tests.studio_server import RunningStudio, photo_bytes

expect = pytest.importorskip("playwright.sync_api").expect

pytest_plugins = ("tests.studio_pages",)
pytestmark = needs_chromium

FINGER = 44
"""Pixels that a finger needs, each way or in all: WCAG 2.2, 2.5.5."""

SMALL = """
(finger) => [...document.querySelectorAll("button, select, summary, a, input, label.row, .drop")]
  .filter((e) => e.checkVisibility({ visibilityProperty: true, opacityProperty: true }))
  .filter((e) => !e.matches("[type=checkbox], [type=radio], .unseen"))
  .filter((e) => !(document.querySelector("dialog[open]") && !e.closest("dialog[open]")))
  .map((e) => [e, e.getBoundingClientRect()])
  .filter(([, box]) => box.width > 0 && (box.height < finger - 0.5 || box.width < finger - 0.5))
  .map(([e, box]) => `${e.outerHTML.slice(0, 90)} ${box.width} x ${box.height}`)
"""


@pytest.fixture
def phone(browser: Any, server: RunningStudio) -> Iterator[Any]:
    page = opened(browser, server.address)
    page.set_viewport_size({"width": 390, "height": 844})
    page.fingers = Fingers(page)
    yield page
    page.close()
    assert not page.errors, page.errors


def test_everything_that_can_be_pressed_is_as_large_as_a_finger(
    phone: Any, server: RunningStudio
) -> None:
    assert phone.evaluate("() => matchMedia('(pointer: coarse)').matches")
    server.upload(photo_bytes(seed=821), "card.jpg")
    button(phone, "More about card").wait_for()
    assert phone.evaluate(SMALL, FINGER) == []
    button(phone, "More about card").click()
    assert phone.evaluate(SMALL, FINGER) == []
    ident = open_ready(phone, server, 822, "finger.jpg")
    place = on_face(phone)
    phone.fingers.send("touchStart", [place(0.3, 0.3)])
    phone.fingers.send("touchMove", [place(0.6, 0.6)])
    phone.fingers.send("touchEnd")
    wait_for(lambda: server.points(ident))
    phone.get_by_text("What may change", exact=True).click()
    phone.get_by_text("This face", exact=True).click()
    assert phone.evaluate(SMALL, FINGER) == []
    button(phone, "Settings").click()
    phone.locator("dialog[open]").wait_for()
    assert phone.evaluate(SMALL, FINGER) == []
    phone.locator("dialog .wide").click()
    phone.get_by_role("dialog", name="Network").wait_for()
    assert phone.evaluate(SMALL, FINGER) == []


def test_what_is_under_a_finger_is_shown_beside_it_until_it_leaves(
    phone: Any, server: RunningStudio
) -> None:
    open_ready(phone, server, 823, "loupe.jpg")
    loupe, (x, y) = phone.locator(".loupe"), on_face(phone)(0.5, 0.8)
    expect(loupe).to_be_hidden()
    phone.fingers.send("touchStart", [(x, y)])
    phone.fingers.send("touchMove", [(x + 12, y)])
    expect(loupe).to_be_visible()
    box = loupe.bounding_box()
    assert box["y"] + box["height"] < y  # above it
    drawn = "(canvas) => canvas.getContext('2d').getImageData(60, 60, 1, 1).data[3]"
    assert loupe.evaluate(drawn) == 255
    high = phone.locator(".viewport").bounding_box()["y"] + 20
    phone.fingers.send("touchMove", [(x, high)])
    wait_for(lambda: loupe.bounding_box()["y"] > high)  # below it, where there is no room above
    phone.fingers.send("touchEnd")
    expect(loupe).to_be_hidden()


def test_a_phone_on_its_side_shows_the_whole_face_and_covers_none_of_it(
    phone: Any, server: RunningStudio
) -> None:
    ident = open_ready(phone, server, 824, "side.jpg")
    server.ok("PUT", f"/{ident}/points", {"points": [{"handle": [5, 5], "target": [20, 20]}]})
    phone.set_viewport_size({"width": 844, "height": 390})
    expect(phone.locator(".points-list li")).to_have_count(1)
    phone.wait_for_timeout(300)
    place = on_face(phone)
    for u in (0.1, 0.5, 0.9):
        for v in (0.1, 0.5, 0.75, 0.9):
            x, y = place(u, v)
            over = phone.evaluate(
                "([x, y]) => Boolean(document.elementFromPoint(x, y)?.closest('.viewport'))", [x, y]
            )
            assert over, (u, v)
    for each in ("Start", "Undo", "Compare", "Network’s picture"):
        box = phone.locator(".photo-page").get_by_role("button", name=each).first.bounding_box()
        assert box["x"] + box["width"] <= 844 and box["y"] + box["height"] <= 390, each
