"""The studio's editor in a real browser: touch, keys, brush, settings, history, saving."""

from __future__ import annotations

import io
import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from drag.config import DragConfig
from drag.distinctness import HandleCheck
from pipeline.disk.artifact import read_artifact
from stylegan2.arrays import BoolImage
from tests.studio_pages import (
    PRESS_START,
    SIZE,
    Fingers,
    button,
    drag_mouse,
    drag_to_the_end,
    needs_chromium,
    on_aligned,
    on_face,
    on_photo,
    open_ready,
    picture,
    wait_for,
)
from tests.studio_server import ENDLESS_DRAG, QUICK, RunningStudio

expect = pytest.importorskip("playwright.sync_api").expect

pytest_plugins = ("tests.studio_pages",)
pytestmark = needs_chromium

NEAR = 0.25
"""Pixels of the face by which a place may differ that went over the screen."""


def points(server: RunningStudio, ident: str) -> list[dict[str, list[float]]]:
    return server.points(ident)


def wait_for_points(server: RunningStudio, ident: str, count: int) -> list[Any]:
    wait_for(lambda: len(points(server, ident)) == count)
    return points(server, ident)


# --------------------------------------------------------------------------------------- touch


def fingers_on(page: Any) -> Fingers:
    fingers = Fingers(page)
    picture(page)  # what a finger presses grows, and the picture has another place then
    return fingers


def test_a_finger_sets_a_point_by_two_taps_and_moves_it(page: Any, server: RunningStudio) -> None:
    ident = open_ready(page, server, 51, "taps.jpg")
    fingers, place = fingers_on(page), on_face(page)
    fingers.tap(place(0.3, 0.4))
    expect(page.locator(".handle.pending")).to_have_count(1)
    assert points(server, ident) == []
    fingers.tap(place(0.5, 0.6))
    (pair,) = wait_for_points(server, ident, 1)
    assert pair["handle"] == pytest.approx(on_aligned(0.3, 0.4), abs=NEAR)
    assert pair["target"] == pytest.approx(on_aligned(0.5, 0.6), abs=NEAR)

    fingers.move((place(0.3, 0.4), place(0.2, 0.7)))
    wait_for(lambda: points(server, ident)[0]["handle"] != pair["handle"])
    (moved,) = points(server, ident)
    assert moved["handle"] == pytest.approx(on_aligned(0.2, 0.7), abs=NEAR)
    assert moved["target"] == pair["target"]


def test_a_finger_sets_a_point_by_dragging(page: Any, server: RunningStudio) -> None:
    ident = open_ready(page, server, 52, "finger.jpg")
    fingers, place = fingers_on(page), on_face(page)
    fingers.move((place(0.7, 0.3), place(0.6, 0.5)))
    (pair,) = wait_for_points(server, ident, 1)
    assert pair["handle"] == pytest.approx(on_aligned(0.7, 0.3), abs=NEAR)
    assert pair["target"] == pytest.approx(on_aligned(0.6, 0.5), abs=NEAR)


def test_two_fingers_zoom_and_set_no_point(page: Any, server: RunningStudio) -> None:
    ident = open_ready(page, server, 53, "pinch.jpg")
    fingers, place = fingers_on(page), on_face(page)
    before = picture(page)
    fingers.move((place(0.45, 0.5), place(0.25, 0.5)), (place(0.55, 0.5), place(0.75, 0.5)))
    assert picture(page) != before
    assert points(server, ident) == []
    # Apart five times as far: what lay 0.05 from the middle lies 0.25 from it.
    fingers.tap(place(0.75, 0.5))
    fingers.tap(place(0.25, 0.5))
    (pair,) = wait_for_points(server, ident, 1)
    assert pair["handle"] == pytest.approx(on_aligned(0.55, 0.5), abs=NEAR)
    assert pair["target"] == pytest.approx(on_aligned(0.45, 0.5), abs=NEAR)


# ------------------------------------------------------------------------------ zoom, pan, keys


def test_the_wheel_zooms_where_the_mouse_is_and_points_stay_true(
    page: Any, server: RunningStudio
) -> None:
    ident = open_ready(page, server, 54, "wheel.jpg")
    before = on_face(page)
    x, y = (round(v) for v in before(0.45, 0.55))  # a browser's wheel is at a whole pixel
    page.mouse.move(x, y)
    for _ in range(4):
        page.mouse.wheel(0, -120)
    page.wait_for_timeout(300)
    after = on_face(page)
    assert after(0.45, 0.55) == pytest.approx(before(0.45, 0.55), abs=3)
    zoom = np.exp(4 * 120 / 300)
    across = [place(0.4, 0.2)[0] - place(0.2, 0.2)[0] for place in (before, after)]
    assert across[1] == pytest.approx(zoom * across[0], rel=0.01)
    drag_mouse(page, (0.4, 0.5), (0.5, 0.55))
    (pair,) = wait_for_points(server, ident, 1)
    assert pair["handle"] == pytest.approx(on_aligned(0.4, 0.5), abs=NEAR)
    assert pair["target"] == pytest.approx(on_aligned(0.5, 0.55), abs=NEAR)


def test_the_hand_pans_a_zoomed_picture_and_show_all_takes_it_back(
    page: Any, server: RunningStudio
) -> None:
    ident = open_ready(page, server, 55, "pan.jpg")
    whole = picture(page)
    for _ in range(3):
        button(page, "Zoom in").click()
    zoomed = picture(page)
    button(page, "Move").click()
    drag_mouse(page, (0.5, 0.5), (0.7, 0.6))
    panned = picture(page)
    assert len({whole, zoomed, panned}) == 3
    assert points(server, ident) == []
    button(page, "Show the whole face").click()
    assert picture(page) == whole
    page.keyboard.press("+")
    assert picture(page) != whole
    page.keyboard.press("-")
    page.keyboard.press("0")
    assert picture(page) == whole


def test_keys_move_either_end_remove_one_point_and_take_a_half_one_back(
    page: Any, server: RunningStudio
) -> None:
    ident = open_ready(page, server, 56, "keyboard.jpg")
    drag_mouse(page, (0.2, 0.2), (0.4, 0.3))
    drag_mouse(page, (0.7, 0.7), (0.6, 0.8))
    first, second = wait_for_points(server, ident, 2)
    page.locator(".spot.target[data-index='1']").focus()
    page.keyboard.press("Shift+ArrowLeft")
    page.keyboard.press("ArrowUp")
    wait_for(lambda: points(server, ident)[1] != second)
    moved = points(server, ident)[1]
    x, y = second["target"]
    assert moved == {"handle": second["handle"], "target": pytest.approx([x - 5, y - 0.5])}
    page.locator(".spot.handle[data-index='0']").focus()
    page.keyboard.press("Backspace")
    assert wait_for_points(server, ident, 1) == [moved]
    page.locator(".viewport").focus()
    page.mouse.click(*on_face(page)(0.5, 0.2))
    expect(page.locator(".handle.pending")).to_have_count(1)
    page.keyboard.press("Escape")
    expect(page.locator(".handle.pending")).to_have_count(0)
    assert points(server, ident) == [moved]
    assert first not in points(server, ident)


def test_one_point_is_removed_and_all_are_cleared_by_their_buttons(
    page: Any, server: RunningStudio
) -> None:
    ident = open_ready(page, server, 57, "buttons.jpg")
    for v in (0.2, 0.5, 0.8):
        drag_mouse(page, (0.2, v), (0.4, v))
    three = wait_for_points(server, ident, 3)
    expect(page.locator(".points-list li").first).to_contain_text("px to go")
    button(page, "Remove point 2").click()
    assert wait_for_points(server, ident, 2) == [three[0], three[2]]
    button(page, "Clear all").click()
    wait_for_points(server, ident, 0)
    button(page, "Undo").click()
    assert wait_for_points(server, ident, 2) == [three[0], three[2]]


# --------------------------------------------------------------------------------------- brush


def mask(server: RunningStudio, ident: str) -> BoolImage | None:
    answer = server.client.get(f"/api/workspaces/{ident}/mask")
    if answer.status_code == 404:
        return None
    with Image.open(io.BytesIO(answer.content)) as image:
        return np.asarray(image.convert("L")) > 127


def changed_mask(page: Any, server: RunningStudio, ident: str, action: Any) -> Any:
    """Do something to the mask, and return it as the studio has it then."""
    before = server.ok("GET", f"/{ident}")["edit"]["mask"]
    action()
    wait_for(lambda: server.ok("GET", f"/{ident}")["edit"]["mask"] != before)
    return mask(server, ident)


def test_the_brush_paints_erases_fills_inverts_clears_and_is_undone(
    page: Any, server: RunningStudio
) -> None:
    ident = open_ready(page, server, 58, "brush.jpg")
    page.keyboard.press("a")
    expect(page.locator(".chip.may")).to_be_visible()
    size = page.get_by_label("Size")

    def do(action: Any) -> Any:
        return changed_mask(page, server, ident, action)

    size.fill("12")
    thin = do(lambda: drag_mouse(page, (0.2, 0.5), (0.8, 0.5)))
    rows, columns = np.nonzero(thin)
    assert columns.min() == pytest.approx(0.2 * SIZE, abs=4)
    assert columns.max() == pytest.approx(0.8 * SIZE, abs=4)
    assert rows.mean() == pytest.approx(0.5 * SIZE - 0.5, abs=0.6)
    button(page, "Undo").click()
    expect(page.locator(".area-tools [role=status]")).to_contain_text("Everything may change")
    assert mask(server, ident) is None

    size.fill("40")
    thick = do(lambda: drag_mouse(page, (0.2, 0.5), (0.8, 0.5)))
    assert thick.sum() > 1.8 * thin.sum()
    button(page, "Erase").click()
    size.fill("5")
    erased = do(lambda: drag_mouse(page, (0.5, 0.1), (0.5, 0.9)))
    assert erased.sum() < thick.sum() and not (erased & ~thick).any()
    assert not erased[:, SIZE // 2].any()
    inverted = do(lambda: button(page, "Invert").click())
    assert (inverted == ~erased).all()
    assert do(lambda: button(page, "Fill").click()).all()
    assert do(lambda: button(page, "Clear").click()) is None
    assert do(lambda: button(page, "Undo").click()).all()
    assert (do(lambda: button(page, "Undo").click()) == inverted).all()
    assert do(lambda: button(page, "Redo").click()).all()


def test_an_eraser_on_nothing_takes_from_the_whole_face(page: Any, server: RunningStudio) -> None:
    ident = open_ready(page, server, 59, "eraser.jpg")
    button(page, "Area").click()
    button(page, "Erase").click()
    left = changed_mask(page, server, ident, lambda: drag_mouse(page, (0.45, 0.5), (0.55, 0.5)))
    assert left[0].all() and left[-1].all() and not left[SIZE // 2, SIZE // 2]


# ------------------------------------------------------------------------------------ settings


def test_settings_are_changed_used_by_the_drag_and_reset(page: Any, server: RunningStudio) -> None:
    ident = open_ready(page, server, 60, "settings.jpg")
    button(page, "Settings").click()
    drawer = page.get_by_role("dialog", name="Settings")
    for label, value in (("Most steps", "3"), ("Size of what is pulled", "40")):
        field = drawer.get_by_label(label, exact=True).first
        field.fill(value)
        field.press("Tab")
    wait_for(lambda: server.ok("GET", f"/{ident}")["settings"]["drag"] == {"steps": 3, "r1": 40})
    button(page, "Close").click()
    drag_mouse(page, (0.3, 0.3), (0.8, 0.8))
    wait_for_points(server, ident, 1)
    drag_to_the_end(page, server)
    made = server.ok("GET", f"/{ident}")["made"]["drag"]
    manifest = read_artifact(server.root / ident / "artifacts" / f"drag-{made}").manifest
    used = manifest["request"]["config"]["drag"]
    standard = DragConfig()
    assert (used["steps"], used["r1"], used["r2"]) == (3, 40, standard.r2)

    button(page, "Settings").click()
    button(page, "Reset: Size of what is pulled").click()
    wait_for(lambda: server.ok("GET", f"/{ident}")["settings"]["drag"] == {"steps": 3})
    expect(drawer.get_by_label("Size of what is pulled", exact=True)).to_have_value("")
    button(page, "Reset all").click()
    wait_for(lambda: server.ok("GET", f"/{ident}")["settings"] == {})
    expect(drawer.get_by_label("Most steps").first).to_have_value(str(standard.steps))


def test_a_setting_out_of_range_is_not_taken(page: Any, server: RunningStudio) -> None:
    ident = open_ready(page, server, 61, "range.jpg")
    before = server.ok("GET", f"/{ident}")["settings"]
    button(page, "Settings").click()
    field = page.get_by_role("dialog").get_by_label("How far a point is looked for", exact=True)
    field.fill("-3")
    field.press("Tab")
    assert field.evaluate("(input) => !input.validity.valid")
    assert server.ok("GET", f"/{ident}")["settings"] == before


# ------------------------------------------------------------------------- drags and their views


@pytest.fixture
def dragged(page: Any, server: RunningStudio, request: pytest.FixtureRequest) -> str:
    """A photo that has been dragged once."""
    ident = open_ready(page, server, 62, "dragged.jpg")
    drag_mouse(page, (0.3, 0.3), (0.8, 0.8))
    wait_for_points(server, ident, 1)
    # Newton takes a step back that brings no handle nearer, which a random network's may not.
    moves = {"steps": 4, "method": "draggan", "learning_rate": 0.05}
    server.ok("PUT", f"/{ident}/settings", {**QUICK, "drag": moves})
    drag_to_the_end(page, server)
    return ident


@pytest.fixture(autouse=True)
def fresh_history(server: RunningStudio) -> Any:
    """Leave the photo that several tests drag as it was tuned."""
    yield
    if (server.root / "dragged.realdrag").exists():
        server.idle("dragged.realdrag")
        server.ok("POST", "/dragged.realdrag/reset")


def test_a_drag_is_undone_and_redone_with_its_picture(
    page: Any, server: RunningStudio, dragged: str
) -> None:
    after = server.ok("GET", f"/{dragged}")
    moved = picture(page)
    button(page, "Undo").click()
    expect(page.locator(".status")).to_have_text(PRESS_START)
    assert server.ok("GET", f"/{dragged}")["edit"]["drag"] is None
    wait_for(lambda: picture(page) != moved)
    page.keyboard.press("Control+y")
    expect(page.locator(".status")).to_have_attribute("data-tone", "strong")
    again = server.ok("GET", f"/{dragged}")
    assert again["edit"] == {**after["edit"], "redo": None}
    assert again["made"] == after["made"]
    wait_for(lambda: picture(page) == moved)


def test_several_drags_follow_one_another_and_are_undone_one_by_one(
    page: Any, server: RunningStudio, dragged: str
) -> None:
    first = server.ok("GET", f"/{dragged}")
    drag_to_the_end(page, server)
    second = server.ok("GET", f"/{dragged}")
    drag_mouse(page, (0.2, 0.8), (0.3, 0.9))
    wait_for_points(server, dragged, 2)
    drag_to_the_end(page, server)
    third = server.ok("GET", f"/{dragged}")

    def before(state: Any) -> str:
        folder = server.root / dragged / "artifacts" / f"drag-{state['made']['drag']}"
        return str(read_artifact(folder).request.inputs.get("from"))

    def shows(state: Any) -> Callable[[], bool]:
        return lambda: bool(
            server.ok("GET", f"/{dragged}")["edit"]["drag"] == state["edit"]["drag"]
        )

    assert before(second) == first["edit"]["drag"]
    assert before(third) == second["edit"]["drag"]
    assert len({state["made"]["result"] for state in (first, second, third)}) == 3
    # The third drag, the point set before it, the second drag.
    for state in (second, second, first):
        button(page, "Undo").click()
        wait_for(shows(state))
    kept = [(each["handle"], each["target"]) for each in first["edit"]["points"]]
    assert [(each["handle"], each["target"]) for each in points(server, dragged)] == kept
    result = (server.root / dragged / "result.png").read_bytes()
    made = f"result-{first['made']['result']}"
    assert result == (server.root / dragged / "artifacts" / made / "result.png").read_bytes()


def test_holding_a_key_or_a_button_shows_the_picture_as_it_was(
    page: Any, server: RunningStudio, dragged: str
) -> None:
    page.locator(".viewport").focus()
    edited = picture(page)
    page.keyboard.down("c")
    expect(page.locator(".chip.before")).to_be_visible()
    expect(page.locator(".points")).to_be_hidden()
    before = picture(page)
    assert before != edited
    page.keyboard.up("c")
    expect(page.locator(".chip.before")).to_be_hidden()
    assert picture(page) == edited
    hold = button(page, "Hold to compare").bounding_box()
    page.mouse.move(hold["x"] + 9, hold["y"] + 9)
    page.mouse.down()
    assert picture(page) == before
    page.mouse.up()
    assert picture(page) == edited


def test_the_divider_shows_before_and_after_and_leaves_the_picture_to_points(
    page: Any, server: RunningStudio, dragged: str
) -> None:
    button(page, "Compare").click()
    thumb = page.get_by_role("slider", name="Before and after")
    shown = []
    for keys in (["Home"], ["End"], ["ArrowLeft"] * 25):
        for key in keys:
            thumb.press(key)
        shown.append(picture(page))
    assert len({*shown}) == 3
    page.keyboard.down("c")
    assert picture(page) == shown[1]
    page.keyboard.up("c")
    assert picture(page) == shown[2]
    thumb.press("Home")
    box, view = thumb.bounding_box(), page.locator(".viewport").bounding_box()
    y = box["y"] + box["height"] / 2
    page.mouse.move(box["x"] + box["width"] / 2, y)
    page.mouse.down()
    page.mouse.move(view["x"] + view["width"] / 2, y, steps=3)
    page.mouse.up()
    expect(thumb).to_have_attribute("aria-valuenow", "50")
    assert len(points(server, dragged)) == 1
    drag_mouse(page, (0.15, 0.2), (0.2, 0.25))
    wait_for_points(server, dragged, 2)
    expect(page.locator(".divider")).to_be_hidden()


def test_the_networks_picture_is_one_button_away_and_takes_points_too(
    page: Any, server: RunningStudio, dragged: str
) -> None:
    server.ok("PUT", f"/{dragged}/points", {"points": []})
    expect(page.locator(".points-list li")).to_have_count(0)
    photo = picture(page)
    page.keyboard.press("f")
    network = button(page, "Network’s picture")
    expect(network).to_have_attribute("aria-pressed", "true")
    expect(page.locator(".chip.network")).to_have_text("The network’s picture")
    wait_for(lambda: picture(page) != photo)
    drag_mouse(page, (0.4, 0.4), (0.5, 0.5))
    (pair,) = wait_for_points(server, dragged, 1)
    for end, share in (("handle", 0.4), ("target", 0.5)):
        assert pair[end] == pytest.approx(on_aligned(share, share), abs=NEAR)
    drag_to_the_end(page, server)
    page.keyboard.press("f")
    expect(network).to_have_attribute("aria-pressed", "false")


def test_a_place_of_the_photo_is_the_same_place_of_the_face(
    page: Any, server: RunningStudio, dragged: str
) -> None:
    state = server.ok("GET", f"/{dragged}")
    matrix = np.array(state["face"]["photo_to_aligned"])
    u, v = ((matrix @ [96.0, 80.0, 1.0])[:2] + 0.5) / SIZE
    assert on_face(page)(u, v) == pytest.approx(on_photo(page)(96.0, 80.0), abs=0.05)


# -------------------------------------------------------------------------------------- saving

STARTS = {
    "png": b"\x89PNG", "jpg": b"\xff\xd8\xff", "gif": b"GIF8", "webp": b"RIFF", "json": b"{",
}  # fmt: skip


@pytest.mark.parametrize(
    ("label", "file"),
    [
        ("The photo, PNG", "dragged-edited.png"),
        ("The photo, JPEG", "dragged-edited.jpg"),
        ("Before | after, PNG", "dragged-before-after.png"),
        ("The face only, PNG", "dragged-face.png"),
        ("The face only, JPEG", "dragged-face.jpg"),
        ("The film, MP4", "dragged-film.mp4"),
        ("The film, WebP", "dragged-film.webp"),
        ("The film, GIF", "dragged-film.gif"),
        ("The points, JSON", "dragged-points.json"),
    ],
)
def test_everything_is_saved_by_its_button(
    page: Any, server: RunningStudio, dragged: str, label: str, file: str
) -> None:
    data = saved(page, label, file)
    suffix = file.rsplit(".", 1)[-1]
    if suffix == "mp4":
        assert data[4:8] == b"ftyp"
    else:
        assert data.startswith(STARTS[suffix])
    if suffix in ("png", "jpg"):
        with Image.open(io.BytesIO(data)) as image:
            whole = "edited" in file
            assert (image.size == (240, 200)) == whole
    if suffix == "json":
        assert json.loads(data)["points"] == server.points(dragged)


def saved(page: Any, label: str, file: str) -> bytes:
    with page.expect_download() as download:
        button(page, label).click()
    assert download.value.suggested_filename == file
    return Path(download.value.path()).read_bytes()


def test_films_are_saved_with_their_points_when_that_is_ticked(
    page: Any, server: RunningStudio, dragged: str
) -> None:
    clean = saved(page, "The film, WebP", "dragged-film.webp")
    page.get_by_label("with points and tracks drawn in").check()
    drawn = saved(page, "The film, WebP", "dragged-film-with-points.webp")
    first, second = (
        np.asarray(Image.open(io.BytesIO(data)).convert("RGB")).astype(int)
        for data in (clean, drawn)
    )
    assert 0 < (np.abs(first - second).max(axis=2) > 60).mean() < 0.05


# ------------------------------------------------------------------------- points that may drift


@pytest.fixture
def flat_on_the_left(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let handles drift in the left half of the face; two pixels right of the middle they hold."""

    def check(features: Any, handles: Any, resolution: int) -> list[HandleCheck]:
        middle = resolution / 2
        return [
            HandleCheck(1.0) if x > middle else HandleCheck(0.01, (middle + 2, y))
            for x, y in handles
        ]

    monkeypatch.setattr("drag.distinctness.check_handles", check)


def test_a_point_that_may_drift_is_marked_and_moved_by_the_keyboard_to_where_it_holds(
    page: Any, server: RunningStudio, flat_on_the_left: None
) -> None:
    ident = open_ready(page, server, 71, "drifting.jpg")
    drag_mouse(page, (0.8, 0.3), (0.9, 0.3))
    drag_mouse(page, (0.4, 0.6), (0.2, 0.7))
    first, second = wait_for_points(server, ident, 2)
    expect(page.locator("circle.drifts")).to_have_count(1)
    expect(page.locator(".drift-hint")).to_contain_text("Little texture")
    handle = page.locator(".spot.handle[data-index='1']")
    expect(handle).to_have_attribute("aria-label", re.compile("may drift"))
    expect(page.locator(".spot.handle[data-index='0']")).not_to_have_attribute(
        "aria-label", re.compile("may drift")
    )

    button(page, "Move point 2 to a better place").focus()
    page.keyboard.press("Enter")
    wait_for(lambda: points(server, ident)[1] != second)
    kept, moved = points(server, ident)
    assert kept == first
    assert moved["handle"] == pytest.approx([18.0, second["handle"][1]], abs=0.01)
    way = np.subtract(moved["handle"], second["handle"])
    assert np.subtract(moved["target"], second["target"]) == pytest.approx(way)
    expect(page.locator(".drift-hint")).to_have_count(0)
    expect(page.locator("circle.drifts")).to_have_count(0)
    expect(handle).to_be_focused()

    page.keyboard.press("Control+z")
    wait_for(lambda: points(server, ident) == [first, second])
    expect(page.locator(".drift-hint")).to_have_count(1)


def test_a_finger_moves_a_point_that_may_drift(
    page: Any, server: RunningStudio, flat_on_the_left: None
) -> None:
    ident = open_ready(page, server, 72, "drifting too.jpg")
    drag_mouse(page, (0.4, 0.6), (0.2, 0.7))
    wait_for_points(server, ident, 1)
    box = button(page, "Move point 1 to a better place").bounding_box()
    Fingers(page).tap((box["x"] + box["width"] / 2, box["y"] + box["height"] / 2))
    wait_for(lambda: points(server, ident)[0]["handle"][0] == pytest.approx(18.0, abs=0.01))


def test_where_there_is_no_better_place_the_hint_says_so_and_goes_while_dragging(
    page: Any, server: RunningStudio, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        "drag.distinctness.check_handles", lambda features, handles, size: [HandleCheck(0.0)]
    )
    ident = open_ready(page, server, 73, "flat.jpg")
    drag_mouse(page, (0.4, 0.6), (0.2, 0.7))
    wait_for_points(server, ident, 1)
    expect(page.locator(".drift-hint")).to_contain_text("No better place is near")
    expect(page.locator(".drift-hint button")).to_have_count(0)
    server.ok("PUT", f"/{ident}/settings", {**QUICK, "drag": ENDLESS_DRAG})
    button(page, "Start").click()
    expect(page.locator(".status")).to_contain_text("Moving")
    expect(page.locator(".drift-hint")).to_have_count(0)
    button(page, "Stop").click()
    expect(page.locator(".drift-hint")).to_have_count(1)
