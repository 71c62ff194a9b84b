"""The studio names the parts of a face, takes hold of them, and has movements ready."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import pytest

from tests.studio_pages import (
    SIZE,
    button,
    drag_mouse,
    needs_chromium,
    on_aligned,
    on_face,
    open_ready,
    wait_for,
)
from tests.studio_server import RunningStudio

expect = pytest.importorskip("playwright.sync_api").expect

pytest_plugins = ("tests.studio_pages",)
pytestmark = needs_chromium


def ring(centre: tuple[float, float], radii: tuple[float, float], count: int) -> list[list[float]]:
    """Put points around a place, in shares of the face, beginning on the left, over the top."""
    turns = [math.pi - 2 * math.pi * i / count for i in range(count)]
    return [
        [centre[0] + radii[0] * math.cos(turn), centre[1] - radii[1] * math.sin(turn)]
        for turn in turns
    ]


def landmarks() -> list[list[float]]:
    """Return 68 landmarks of a plain face, in pixels of the aligned one."""
    jaw = [[0.5 - 0.28 * math.cos(math.pi * i / 16), 0.5 + 0.34 * math.sin(math.pi * i / 16)]
           for i in range(17)]  # fmt: skip
    brows = [[x, 0.38] for x in (0.26, 0.3, 0.34, 0.38, 0.42, 0.58, 0.62, 0.66, 0.7, 0.74)]
    nose = [[0.5, y] for y in (0.47, 0.51, 0.55, 0.6)]
    nose += [[x, 0.63] for x in (0.45, 0.475, 0.5, 0.525, 0.55)]
    eyes = ring((0.36, 0.46), (0.05, 0.02), 6) + ring((0.64, 0.46), (0.05, 0.02), 6)
    mouth = ring((0.5, 0.72), (0.1, 0.04), 12) + ring((0.5, 0.72), (0.07, 0.015), 8)
    return [on_aligned(*xy) for xy in (*jaw, *brows, *nose, *eyes, *mouth)]


@pytest.fixture(autouse=True)
def face(monkeypatch: pytest.MonkeyPatch, server: RunningStudio) -> Iterator[None]:
    monkeypatch.setattr(
        "pipeline.studio.landmarks.FaceLandmarks.of", lambda self, workspace: landmarks()
    )
    yield


def test_hovering_names_what_a_press_would_take(page: Any, server: RunningStudio) -> None:
    open_ready(page, server, 201, "hover.jpg")
    button(page, "Smile").wait_for()
    expect(button(page, "Smile")).to_be_enabled()
    place, chip = on_face(page), page.locator(".chip.part")
    for where, name in (
        ((0.36, 0.46), "Left eye"),
        ((0.41, 0.72), "Left corner of the mouth"),
        ((0.5, 0.84), "Chin"),
        ((0.66, 0.38), "Right brow"),
        ((0.5, 0.3), "Head"),
    ):
        page.mouse.move(*place(*where))
        expect(chip).to_have_text(name)
        expect(chip).to_be_visible()
    page.mouse.move(*place(0.03, 0.03))
    expect(chip).to_be_hidden()


def test_a_press_near_a_part_that_holds_well_takes_that_part(
    page: Any, server: RunningStudio
) -> None:
    ident = open_ready(page, server, 202, "snap.jpg")
    expect(button(page, "Smile")).to_be_enabled()
    corner = landmarks()[48]
    drag_mouse(page, (0.412, 0.725), (0.362, 0.675))
    wait_for(lambda: server.points(ident))
    (pair,) = server.points(ident)
    assert pair["handle"] == pytest.approx(corner, abs=0.02)
    way = -0.05 * SIZE
    assert pair["target"] == pytest.approx([v + way for v in corner], abs=0.1)
    drag_mouse(page, (0.2, 0.2), (0.3, 0.2))
    wait_for(lambda: len(server.points(ident)) == 2)
    assert server.points(ident)[1]["handle"] == pytest.approx(on_aligned(0.2, 0.2), abs=0.1)


def test_a_smile_is_one_press_and_a_slider(page: Any, server: RunningStudio) -> None:
    ident = open_ready(page, server, 203, "smile.jpg")
    button(page, "Smile").click()
    wait_for(lambda: len(server.points(ident)) == 4)
    left, right, *held = server.points(ident)
    assert left["handle"] == pytest.approx(landmarks()[48], abs=0.02)
    assert left["target"][0] < left["handle"][0] and right["target"][0] > right["handle"][0]
    assert left["target"][1] < left["handle"][1] and right["target"][1] < right["handle"][1]
    assert all(pair["handle"] == pair["target"] for pair in held)
    expect(page.locator(".chip.preview")).to_be_visible()
    expect(button(page, "Start")).to_be_enabled()
    page.get_by_label("How far", exact=True).fill("200")
    wait_for(lambda: server.points(ident)[0]["target"][0] < left["target"][0] - 0.5)
    twice = server.points(ident)[0]
    for now, once, start in zip(twice["target"], left["target"], left["handle"], strict=True):
        assert now - start == pytest.approx(2 * (once - start), abs=0.05)
    button(page, "As far as at first").click()
    wait_for(lambda: server.points(ident)[0]["target"] == pytest.approx(left["target"], abs=0.02))
    button(page, "Raise brows").click()
    wait_for(lambda: len(server.points(ident)) == 6)


def test_a_point_is_pinned_and_mirrored(page: Any, server: RunningStudio) -> None:
    ident = open_ready(page, server, 204, "pin.jpg")
    expect(button(page, "Smile")).to_be_enabled()
    drag_mouse(page, (0.2, 0.3), (0.25, 0.35))
    wait_for(lambda: server.points(ident))
    button(page, "Mirror point 1 to the other side").click()
    wait_for(lambda: len(server.points(ident)) == 2)
    first, second = server.points(ident)
    for end in ("handle", "target"):
        x, y = first[end]
        assert second[end] == pytest.approx([SIZE - 1 - x, y], abs=0.1)
    pin = button(page, "Hold point 2 where it is")
    pin.click()
    wait_for(lambda: server.points(ident)[1]["target"] == server.points(ident)[1]["handle"])
    expect(pin).to_have_attribute("aria-pressed", "true")
    expect(button(page, "Start")).to_be_enabled()
    button(page, "Remove point 1").click()
    expect(button(page, "Start")).to_be_disabled()


ELASTIC = """
async ([pairs, size]) => {
  const { Elastic } = await import("/static/elastic.js");
  const about = await (await fetch("/api/studio")).json();
  const { n, way } = new Elastic(about.elastic).field(pairs, size, null);
  return { n, way: [...way] };
}
"""


def test_the_elastic_preview_is_the_plain_motion_of_the_result(
    page: Any, server: RunningStudio
) -> None:
    import numpy as np

    from drag.points import DragPoint
    from pipeline.picture.motion import plain_motion

    pairs = [((100.0, 180.0), (92.0, 172.0)), ((156.0, 180.0), (166.0, 174.0))]
    told = page.evaluate(ELASTIC, [[{"handle": h, "target": t} for h, t in pairs], 256])
    mine = np.array(told["way"]).reshape(told["n"], told["n"], 2)
    theirs = plain_motion([DragPoint(h, t) for h, t in pairs], 256).on(told["n"]).way
    assert np.abs(theirs).max() > 0.02
    assert np.abs(mine - theirs).max() < 0.0015  # half a pixel of the face
