"""The studio in a real browser, as a person uses it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from tests.studio_pages import (
    BEGIN,
    button,
    choose_file,
    drag_mouse,
    name,
    needs_chromium,
    on_photo,
    open_ready,
    opened,
    wait_for,
)
from tests.studio_server import ENDLESS_DRAG, QUICK, RunningStudio, photo_bytes

expect = pytest.importorskip("playwright.sync_api").expect

pytest_plugins = ("tests.studio_pages",)
pytestmark = needs_chromium


def test_a_photo_is_uploaded_prepared_dragged_undone_and_saved(
    page: Any, server: RunningStudio
) -> None:
    choose_file(page, "My aunt.jpg", photo_bytes(seed=21))
    face = button(page, "Use face 1 of 2")
    face.wait_for()
    ident = name(page)
    server.ok("PUT", f"/{ident}/settings", QUICK)
    face.click()
    expect(page.locator(".status")).to_have_text(BEGIN)
    expect(page.locator(".divider")).to_be_hidden()

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
    expect(page.locator(".area-tools [role=status]")).to_contain_text("This may change")
    expect(page.locator(".chip.may")).to_be_visible()
    wait_for(lambda: server.ok("GET", f"/{ident}")["edit"]["mask"])

    button(page, "Start").click()
    expect(page.locator(".status")).to_have_attribute("data-tone", "strong")
    assert server.ok("GET", f"/{ident}")["edit"]["stop"] in (
        "held",
        "step_limit",
        "lost_track",
        "no_progress",
        "arrived",
    )
    assert (server.root / ident / "result.png").is_file()

    for label, suffix in (("The photo, JPEG", "jpg"), ("The points, JSON", "zip")):
        with page.expect_download() as download:
            button(page, label).click()
        assert download.value.suggested_filename.endswith(f".{suffix}")
        assert Path(download.value.path()).stat().st_size > 100

    button(page, "Undo").click()
    expect(page.locator(".status")).to_have_text("Press Start, and watch 2 points move.")
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
        "PUT",
        f"/{ident}/settings",
        {**QUICK, "drag": ENDLESS_DRAG},
    )
    drag_mouse(page, (0.3, 0.3), (0.6, 0.6))
    button(page, "Start").click()
    expect(page.locator(".status")).to_contain_text("Moving")
    page.reload()
    expect(page.locator(".status")).to_contain_text("Moving")
    expect(page.locator(".spot.handle")).to_have_count(1)
    button(page, "Pause").click()
    expect(page.locator(".status")).to_contain_text("Paused")
    button(page, "Continue").click()
    button(page, "Stop").click()
    expect(page.locator(".status")).to_contain_text("You stopped it")


def test_two_tabs_show_the_same_points(page: Any, browser: Any, server: RunningStudio) -> None:
    ident = open_ready(page, server, 23, "tabs.jpg")
    other = opened(browser, f"{server.origin}/#{ident}")
    expect(other.locator(".status")).to_have_text(BEGIN)
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
    expect(page.locator(".status")).to_contain_text("No face was found")
    ident = name(page)
    server.ok("PUT", f"/{ident}/settings", QUICK)
    button(page, "Mark eyes and mouth").click()
    place = on_photo(page)
    for xy in ((84, 60), (144, 60), (96, 120), (139, 120)):
        page.mouse.click(*place(*xy))
    expect(page.locator(".status")).to_have_text(BEGIN)
    assert server.ok("GET", f"/{ident}")["face"]["source"] == "file"


def test_a_photo_of_sixty_megapixels_is_shown_with_its_faces(
    page: Any, server: RunningStudio, tmp_path: Path
) -> None:
    path = tmp_path / "huge.jpg"
    Image.new("RGB", (10_000, 6_000), (120, 140, 160)).save(path, quality=70)
    page.locator(".drop-words").wait_for()
    page.set_input_files("#file", str(path))
    expect(button(page, "Use face 2 of 2")).to_be_visible()
    width = page.evaluate("() => Number(document.querySelector('.viewport').dataset.world[0])")
    assert width is not None


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
            ".filter((e) => e.clientWidth > 1 && e.scrollWidth > e.clientWidth + 1)"
            ".map((e) => e.textContent)"
        )
        assert cut == []
        nameless = page.evaluate(
            "() => [...document.querySelectorAll('button, input, select, a, [role=button]')]"
            ".filter((e) => !(e.textContent.trim() || e.ariaLabel || e.labels?.length))"
            ".map((e) => e.outerHTML)"
        )
        assert nameless == []
