"""What the studio's page must never do again: trap a person, or say what is not so."""

from __future__ import annotations

import re
from typing import Any

import pytest

from tests.studio_pages import (
    BEGIN,
    PRESS_START,
    button,
    choose_file,
    drag_mouse,
    drag_to_the_end,
    name,
    needs_chromium,
    on_aligned,
    on_face,
    open_ready,
    wait_for,
)
from tests.studio_server import ENDLESS_DRAG, QUICK, TUNED, RunningStudio, photo_bytes

expect = pytest.importorskip("playwright.sync_api").expect

pytest_plugins = ("tests.studio_pages",)
pytestmark = needs_chromium

MOVES = {**QUICK, "drag": {"steps": 4, "method": "draggan", "learning_rate": 0.05}}
"""Newton takes a step back that brings no handle nearer, which a random network's may not."""

ENDLESS = {**QUICK, "drag": ENDLESS_DRAG}
SLOW = {**QUICK, "invert": {"steps": 10_000, "start_samples": 4}}


def status(page: Any) -> Any:
    return page.locator(".status")


def wait_for_points(server: RunningStudio, ident: str, count: int) -> None:
    wait_for(lambda: len(server.points(ident)) == count)


# ------------------------------------------------------------- the first press, one true sentence


def test_the_first_press_after_preparation_sets_a_point(page: Any, server: RunningStudio) -> None:
    choose_file(page, "first press.jpg", photo_bytes(seed=101))
    face = button(page, "Use face 1 of 2")
    face.wait_for()
    ident = name(page)
    server.ok("PUT", f"/{ident}/settings", QUICK)
    face.click()
    expect(status(page)).to_have_text(BEGIN)
    drag_mouse(page, (0.3, 0.4), (0.5, 0.5))
    wait_for_points(server, ident, 1)
    expect(status(page)).to_have_text(PRESS_START)


def test_points_are_set_and_a_drag_is_asked_for_while_the_face_is_prepared(
    page: Any, server: RunningStudio
) -> None:
    ident = server.upload(photo_bytes(seed=102), "meanwhile.jpg")
    slow = {"steps": 200, "patience": 200, "perceptual_threshold": 0.0, "l2_threshold": 0.0}
    server.ok("PUT", f"/{ident}/settings", {**TUNED, "tune": slow})
    page.goto(f"{server.origin}/#{ident}")
    button(page, "Use face 1 of 2").click()
    expect(page.locator(".status-hint")).to_have_text("You can set points meanwhile.")
    drag_mouse(page, (0.3, 0.4), (0.5, 0.5))
    wait_for_points(server, ident, 1)
    button(page, "Start").click()
    expect(page.locator(".status-hint")).to_contain_text("begins as soon as the face is ready")
    expect(status(page)).to_have_attribute("data-tone", "strong")
    assert server.ok("GET", f"/{ident}")["edit"]["drag"]


def test_the_sentence_is_about_the_present_and_not_about_the_last_drag(
    page: Any, server: RunningStudio
) -> None:
    ident = open_ready(page, server, 103, "sentence.jpg")
    server.ok("PUT", f"/{ident}/settings", MOVES)
    drag_mouse(page, (0.3, 0.3), (0.8, 0.8))
    wait_for_points(server, ident, 1)
    drag_to_the_end(page, server)
    ended = status(page).text_content()
    drag_mouse(page, (0.2, 0.8), (0.3, 0.9))
    wait_for_points(server, ident, 2)
    expect(status(page)).to_have_text("Press Go on, and watch it move.")
    button(page, "Undo").click()
    expect(status(page)).to_have_text(ended)
    button(page, "Clear all").click()
    expect(status(page)).to_have_text("This is your picture. Save it, or set another point.")
    button(page, "Start over from the unedited photo").click()
    expect(status(page)).to_have_text(BEGIN)


def test_tracks_of_points_that_are_gone_or_elsewhere_are_gone(
    page: Any, server: RunningStudio
) -> None:
    ident = open_ready(page, server, 104, "tracks.jpg")
    server.ok("PUT", f"/{ident}/settings", MOVES)
    drag_mouse(page, (0.3, 0.3), (0.7, 0.7))
    drag_mouse(page, (0.8, 0.2), (0.5, 0.3))
    wait_for_points(server, ident, 2)
    drag_to_the_end(page, server)
    tracks = page.locator("polyline.track:not(.under)")
    expect(tracks).to_have_count(2)
    button(page, "Remove point 1").click()
    expect(tracks).to_have_count(1)
    button(page, "Undo").click()
    expect(tracks).to_have_count(2)
    page.locator(".spot.handle[data-index='1']").focus()
    page.keyboard.press("Shift+ArrowDown")
    expect(tracks).to_have_count(1)


def test_points_keep_their_numbers(page: Any, server: RunningStudio) -> None:
    ident = open_ready(page, server, 105, "numbers.jpg")
    server.ok("PUT", f"/{ident}/settings", MOVES)
    for v in (0.2, 0.5, 0.8):
        drag_mouse(page, (0.2, v), (0.4, v))
    wait_for_points(server, ident, 3)
    button(page, "Remove point 1").click()
    badges = page.locator(".points-list .badge")
    expect(badges).to_have_text(["2", "3"])
    expect(page.locator(".points .number")).to_have_text(["2", "3"])
    drag_to_the_end(page, server)
    expect(badges).to_have_text(["2", "3"])
    page.reload()
    expect(badges).to_have_text(["2", "3"])
    drag_mouse(page, (0.7, 0.2), (0.8, 0.2))
    expect(badges).to_have_text(["2", "3", "4"])


def test_a_paused_drag_can_be_continued_and_says_so(page: Any, server: RunningStudio) -> None:
    ident = open_ready(page, server, 106, "paused.jpg")
    server.ok("PUT", f"/{ident}/settings", ENDLESS)
    drag_mouse(page, (0.3, 0.3), (0.6, 0.6))
    wait_for_points(server, ident, 1)
    button(page, "Start").click()
    expect(status(page)).to_contain_text("Moving")
    pause = button(page, "Pause")
    shape = pause.locator("path").get_attribute("d")
    pause.click()
    expect(status(page)).to_contain_text("Paused")
    expect(pause).to_be_hidden()
    goes_on = button(page, "Continue")
    assert goes_on.locator("path").get_attribute("d") != shape
    goes_on.click()
    expect(pause).to_be_visible()
    button(page, "Stop").click()
    expect(status(page)).to_contain_text("You stopped it")


def test_a_target_is_moved_while_paused_and_the_drag_goes_on_from_there(
    page: Any, server: RunningStudio
) -> None:
    ident = open_ready(page, server, 163, "steered.jpg")
    server.ok("PUT", f"/{ident}/settings", ENDLESS)
    drag_mouse(page, (0.3, 0.3), (0.6, 0.6))
    wait_for_points(server, ident, 1)
    button(page, "Start").click()
    expect(status(page)).to_contain_text("Moving")
    drag_mouse(page, (0.6, 0.6), (0.7, 0.4))  # nothing is moved while it runs
    button(page, "Pause").click()
    expect(status(page)).to_contain_text("Paused")
    before = server.ok("GET", f"/{ident}")["edit"]
    drag_mouse(page, (0.6, 0.6), (0.6, 0.4))
    (was,) = before["points"]

    def is_moved() -> bool:
        (point,) = server.ok("GET", f"/{ident}")["edit"]["points"]
        return bool(point["target"][1] < was["target"][1] - 5)

    wait_for(is_moved)
    state = server.idle(ident)
    assert state["edit"]["drag"] is not None and not state["jobs"]
    assert state["edit"]["points"][0]["number"] == was["number"]
    expect(button(page, "Go on")).to_be_enabled()
    server.ok("PUT", f"/{ident}/settings", MOVES)
    drag_to_the_end(page, server)


def test_progress_is_how_far_the_points_have_come(page: Any, server: RunningStudio) -> None:
    ident = open_ready(page, server, 107, "progress.jpg")
    server.ok("PUT", f"/{ident}/settings", ENDLESS)
    drag_mouse(page, (0.3, 0.3), (0.6, 0.6))
    wait_for_points(server, ident, 1)
    button(page, "Start").click()
    expect(status(page)).to_contain_text("px to go")
    button(page, "Pause").click()
    # Half of the way in the tenth of 300 steps is half of it, and not a thirtieth.
    share = page.evaluate(
        """async () => {
          const { statusOf } = await import("/static/status.js");
          const points = [{ handle: [0, 0], target: [8, 6] }];
          const drag = { distance: 5, step: 10, total: 300, stage: "drag", running: true,
            ahead: [], kind: "drag" };
          const page = { pending: false, choosing: false, marks: null };
          return statusOf({ jobs: { drag }, edit: { points } }, page).share;
        }"""
    )
    assert share == pytest.approx(0.5)
    assert page.locator(".controls progress").get_attribute("value") is not None
    button(page, "Stop").click()


# --------------------------------------------------------------------- pictures in their order

WATCH = """
() => {
  const canvas = document.querySelector("canvas.picture");
  const hash = () => {
    const { data } = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height);
    let sum = 0;
    for (let i = 0; i < data.length; i += 41) sum = (sum * 31 + data[i]) >>> 0;
    return sum;
  };
  window.seen = [hash()];
  const look = () => {
    const now = hash();
    if (now !== window.seen.at(-1)) window.seen.push(now);
    if (!window.enough) requestAnimationFrame(look);
  };
  requestAnimationFrame(look);
}
"""


@pytest.mark.parametrize("view", ["photo", "network"])
def test_no_picture_is_followed_by_an_older_one(
    page: Any, server: RunningStudio, view: str
) -> None:
    ident = open_ready(page, server, 107 + len(view) * 100, f"order {view}.jpg")
    server.ok("PUT", f"/{ident}/settings", MOVES)
    drag_mouse(page, (0.3, 0.3), (0.6, 0.6))
    wait_for_points(server, ident, 1)
    page.keyboard.press("h")
    if view == "network":
        page.keyboard.press("f")
    page.wait_for_timeout(500)
    page.evaluate(WATCH)
    drag_to_the_end(page, server)
    page.wait_for_timeout(1500)
    page.evaluate("() => { window.enough = true; }")
    seen = page.evaluate("() => window.seen")
    assert len(seen) > 2
    assert len(set(seen)) == len(seen), "a picture came back after a newer one"


def test_a_frame_that_comes_late_is_not_shown(page: Any, server: RunningStudio) -> None:
    ident = open_ready(page, server, 109, "late.jpg")
    server.ok("PUT", f"/{ident}/settings", ENDLESS)
    drag_mouse(page, (0.3, 0.3), (0.6, 0.6))
    wait_for_points(server, ident, 1)
    page.keyboard.press("f")
    button(page, "Start").click()
    expect(status(page)).to_contain_text("Moving")
    button(page, "Pause").click()
    expect(status(page)).to_contain_text("Paused")
    job = server.ok("GET", f"/{ident}")["jobs"]["drag"]["number"]
    late = page.evaluate(
        """async ([job, seq]) => {
          const { Seen } = await import("/static/seen.js");
          const shown = { seq: 7, job, bitmap: null, field: null };
          const seen = Object.assign(Object.create(Seen.prototype), { live: shown,
            page: { state: { jobs: { drag: { number: job } } } } });
          return !seen.frame({ job, seq, handles: [] }, null, null) && seen.live === shown;
        }""",
        [job, 3],
    )
    assert late
    button(page, "Stop").click()


def test_the_face_is_shown_as_soon_as_it_is_cut_out(page: Any, server: RunningStudio) -> None:
    ident = server.upload(photo_bytes(seed=110), "at once.jpg")
    server.ok("PUT", f"/{ident}/settings", SLOW)
    page.goto(f"{server.origin}/#{ident}")
    button(page, "Use face 1 of 2").click()
    on_face(page)
    state = server.ok("GET", f"/{ident}")
    assert state["jobs"]["prepare"] and "invert" not in state["made"]
    expect(page.locator("canvas.live")).to_be_visible()
    button(page, "Cancel").click()
    button(page, "Go on where it was").wait_for()
    server.ok("PUT", f"/{ident}/settings", QUICK)


# ---------------------------------------------------------------------------- the queue is seen


def test_a_photo_that_waits_says_for_what_and_can_be_taken_out_of_the_queue(
    page: Any, server: RunningStudio
) -> None:
    first = server.upload(photo_bytes(seed=111), "first of two.jpg")
    second = server.upload(photo_bytes(seed=112), "second of two.jpg")
    for ident in (first, second):
        server.ok("PUT", f"/{ident}/settings", SLOW)
        server.ok("POST", f"/{ident}/prepare", {"face": 1})
    page.goto(f"{server.origin}/#{second}")
    expect(status(page)).to_have_text("Waits its turn: first-of-two is being prepared.")
    page.goto(server.origin)
    card = page.get_by_role("link", name="second-of-two")
    expect(card).to_contain_text("Waits for 1 other photo")
    card.click()
    button(page, "Cancel").click()
    expect(status(page)).not_to_contain_text("Waits")
    server.ok("POST", f"/{first}/job", {"action": "stop"})
    server.idle(first)


# ------------------------------------------------------------------------- messages that go away


def test_what_went_wrong_goes_away_and_does_not_follow_to_other_photos(
    page: Any, server: RunningStudio
) -> None:
    server.upload(photo_bytes(seed=113), "another.jpg")
    choose_file(page, "letter.txt", b"Dear aunt, this is no photo.")
    alert = page.get_by_role("alert").filter(has_text="letter.txt is not a picture")
    expect(alert).to_be_visible()
    page.get_by_role("link", name="another").click()
    expect(alert).to_have_count(0)
    page.goto(server.origin)
    choose_file(page, "letter.txt", b"Dear aunt, this is no photo.")
    expect(alert).to_be_visible()
    choose_file(page, "fine.jpg", photo_bytes(seed=114))
    expect(alert).to_have_count(0)


def test_a_failed_preparation_is_said_once_where_it_belongs(
    page: Any, server: RunningStudio
) -> None:
    ident = open_ready(page, server, 115, "failing.jpg")
    bad = {**TUNED, "tune": {"first_block": 8, "last_block": 4}}
    server.ok("PUT", f"/{ident}/settings", bad)
    server.ok("POST", f"/{ident}/prepare", {})
    expect(status(page)).to_have_attribute("data-tone", "bad")
    expect(status(page)).to_contain_text("block")
    page.reload()
    expect(status(page)).to_contain_text("block")
    server.ok("PUT", f"/{ident}/settings", QUICK)
    drag_mouse(page, (0.3, 0.3), (0.6, 0.6))
    expect(status(page)).to_have_text(PRESS_START)


def test_on_a_phone_messages_cover_nothing(page: Any, server: RunningStudio) -> None:
    ident = server.ready(photo_bytes(seed=116), "phone.jpg")
    page.set_viewport_size({"width": 390, "height": 844})
    page.goto(f"{server.origin}/#{ident}")
    expect(status(page)).to_have_text(BEGIN)
    page.evaluate(
        """async () => {
          const { toast } = await import("/static/dom.js");
          toast("Something went wrong, and this says so at some length on a phone.");
        }"""
    )  # an error goes with the next answer, which may come just now
    page.locator(".toast").wait_for()
    box = page.locator(".toast").bounding_box()
    for other in (".toolbar", ".viewport", ".controls"):
        page.locator(other).wait_for()
        there = page.locator(other).bounding_box()
        assert box["y"] + box["height"] <= there["y"] + 1, other


# ------------------------------------------------------------------------------------ several tabs


def test_two_tabs_do_not_overwrite_each_others_points_in_the_middle_of_a_gesture(
    page: Any, browser: Any, server: RunningStudio
) -> None:
    ident = open_ready(page, server, 117, "two tabs.jpg")
    place = on_face(page)
    page.mouse.move(*place(0.2, 0.2))
    page.mouse.down()
    page.mouse.move(*place(0.3, 0.25), steps=3)
    other = {"handle": [20.0, 20.0], "target": [24.0, 22.0]}
    server.ok("PATCH", f"/{ident}/points", {"what": "add", "put": [other]})
    expect(page.locator(".spot.handle")).to_have_count(2)
    page.mouse.move(*place(0.4, 0.3), steps=3)
    page.mouse.up()
    wait_for_points(server, ident, 2)
    assert server.points(ident)[0] == other
    expect(page.locator(".points-list .badge")).to_have_text(["1", "2"])


def test_a_point_that_another_tab_takes_away_is_let_go(page: Any, server: RunningStudio) -> None:
    ident = open_ready(page, server, 118, "let go.jpg")
    drag_mouse(page, (0.2, 0.2), (0.5, 0.3))
    wait_for_points(server, ident, 1)
    place = on_face(page)
    page.mouse.move(*place(0.5, 0.3))
    page.mouse.down()
    page.mouse.move(*place(0.6, 0.5), steps=3)
    server.ok("PATCH", f"/{ident}/points", {"what": "remove", "remove": [1]})
    expect(page.locator(".spot.handle")).to_have_count(0)
    page.mouse.up()
    page.wait_for_timeout(300)
    assert server.points(ident) == []


def test_two_brushes_at_once_both_paint(page: Any, server: RunningStudio) -> None:
    import io

    import numpy as np
    from PIL import Image

    ident = open_ready(page, server, 119, "two brushes.jpg")
    page.keyboard.press("a")
    place = on_face(page)
    page.mouse.move(*place(0.2, 0.2))
    page.mouse.down()
    page.mouse.move(*place(0.3, 0.2), steps=3)
    stroke = np.zeros((32, 32), np.uint8)
    stroke[24:28, 4:8] = 255
    buffer = io.BytesIO()
    Image.fromarray(stroke).save(buffer, "PNG")
    path = f"/api/workspaces/{ident}/mask"
    put = server.client.put(f"{path}?how=paint", content=buffer.getvalue())
    assert put.status_code == 200
    page.mouse.up()

    def both() -> bool:
        answer = server.client.get(path)
        painted = np.asarray(Image.open(io.BytesIO(answer.content)).convert("L")) > 127
        return bool(painted[25, 5] and painted[6, 8])

    wait_for(both)


def test_a_page_of_a_studio_that_is_no_more_asks_once_and_says_so(
    page: Any, browser: Any, server: RunningStudio
) -> None:
    page.locator(".drop").wait_for()
    asked: list[str] = []

    def locked(route: Any) -> None:
        asked.append(route.request.url)
        route.fulfill(status=401)

    page.route("**/api/studio", locked)
    page.evaluate(
        """async () => {
          const { Live } = await import("/static/api.js");
          window.told = [];
          const up = (...given) => window.told.push(given);
          new Live({ message() {}, frame() {}, up }).socket.close();
        }"""
    )
    wait_for(lambda: page.evaluate("() => window.told.some(([up]) => !up)"))
    page.wait_for_timeout(1500)
    assert len(asked) == 1
    assert page.evaluate("() => window.told.at(-1)") == [False, True, True]


# --------------------------------------------------------------------------- photos come and go


def test_a_photo_is_renamed_and_deleted_from_the_page(page: Any, server: RunningStudio) -> None:
    ident = server.upload(photo_bytes(seed=120), "unwanted.jpg")
    page.goto(server.origin)
    button(page, "More about unwanted").click()
    page.get_by_label("Name").fill("my aunt")
    button(page, "Rename").click()
    expect(page.get_by_role("link", name="my-aunt")).to_be_visible()
    assert not (server.root / ident).exists() and (server.root / "my-aunt.realdrag").is_dir()
    button(page, "More about my-aunt").click()
    button(page, "Delete …").click()
    button(page, "Delete it").click()
    expect(page.get_by_role("link", name="my-aunt")).to_have_count(0)
    wait_for(lambda: not (server.root / "my-aunt.realdrag").exists())


def test_a_page_whose_photo_is_deleted_goes_home(page: Any, server: RunningStudio) -> None:
    ident = server.upload(photo_bytes(seed=121), "going.jpg")
    page.goto(f"{server.origin}/#{ident}")
    button(page, "Use face 1 of 2").wait_for()
    answer = server.client.delete(f"/api/workspaces/{ident}")
    assert answer.status_code == 200
    expect(page.locator(".drop")).to_be_visible()
    expect(page.get_by_role("alert").filter(has_text="no such photo")).to_be_visible()


def test_a_photo_that_is_being_prepared_is_deleted_all_the_same(
    page: Any, server: RunningStudio
) -> None:
    ident = server.upload(photo_bytes(seed=122), "deleted at work.jpg")
    server.ok("PUT", f"/{ident}/settings", SLOW)
    server.ok("POST", f"/{ident}/prepare", {"face": 1})
    wait_for(lambda: server.ok("GET", f"/{ident}")["jobs"]["prepare"]["stage"] == "invert")
    assert server.client.delete(f"/api/workspaces/{ident}").status_code == 200
    assert not (server.root / ident).exists()


def test_drags_that_nothing_comes_back_to_are_deleted(page: Any, server: RunningStudio) -> None:
    ident = server.ready(photo_bytes(seed=123), "pruned.jpg")
    server.ok("PUT", f"/{ident}/settings", MOVES)
    folder = server.root / ident / "artifacts"
    for x in (16.0, 17.0, 18.0):
        point = {"handle": [10.0, 12.0], "target": [x, 16.0]}
        server.ok("PUT", f"/{ident}/points", {"points": [point]})
        server.ok("POST", f"/{ident}/drag")
        server.idle(ident)
        for _ in range(2):  # the drag, and the point before it
            server.ok("POST", f"/{ident}/undo")
    server.ok("POST", f"/{ident}/redo")
    assert len(list(folder.glob("drag-*"))) == len(list(folder.glob("result-*"))) == 1
    state = server.ok("POST", f"/{ident}/redo")
    assert re.fullmatch(r"[0-9a-f]{64}", state["edit"]["drag"])
    assert state["edit"]["stop"] is not None


def test_a_point_that_the_area_keeps_says_so_before_a_drag(
    page: Any, server: RunningStudio
) -> None:
    ident = open_ready(page, server, 131, "kept.jpg")
    drag_mouse(page, (0.3, 0.3), (0.6, 0.3))
    wait_for_points(server, ident, 1)
    said = page.locator(".drift-hint")
    button(page, "Area").click()
    drag_mouse(page, (0.2, 0.8), (0.8, 0.8))
    expect(said).to_contain_text("The area keeps this place")
    expect(page.locator(".spot.handle")).to_have_attribute(
        "aria-label", re.compile("The area keeps this place")
    )
    drag_mouse(page, (0.2, 0.3), (0.6, 0.3))
    expect(said.get_by_text("The area keeps this place")).to_have_count(0)


def test_a_point_that_is_moved_before_the_studio_has_answered_stays_one_point(
    page: Any, server: RunningStudio
) -> None:
    ident = open_ready(page, server, 132, "fast.jpg")
    held: list[Any] = []
    page.route("**/points", lambda route: route.continue_() if held else held.append(route))
    drag_mouse(page, (0.3, 0.3), (0.5, 0.5))
    turn = "() => true"  # requests are answered here only while the page is asked something
    wait_for(lambda: page.evaluate(turn) and held)
    drag_mouse(page, (0.5, 0.5), (0.7, 0.6))
    held[0].continue_()
    expect(page.locator(".points-list li")).to_have_count(1)
    wait_for(
        lambda: page.evaluate(turn) and [p for p in server.points(ident) if p["target"][0] > 20]
    )
    (pair,) = server.points(ident)
    assert pair["handle"] == pytest.approx(on_aligned(0.3, 0.3), abs=0.3)
    assert pair["target"] == pytest.approx(on_aligned(0.7, 0.6), abs=0.3)
