"""The studio names the parts of a face, takes hold of them, and has sliders for it."""

from __future__ import annotations

import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from pipeline.controls.presets import read_preset
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


def set_controls(server: RunningStudio, ident: str) -> dict[str, float]:
    found: dict[str, float] = server.ok("GET", f"/{ident}")["edit"]["controls"]
    return found


def smile(page: Any) -> Any:
    return page.get_by_label("Smile", exact=True)


@pytest.fixture(autouse=True)
def face(monkeypatch: pytest.MonkeyPatch, server: RunningStudio) -> Iterator[None]:
    monkeypatch.setattr(
        "pipeline.studio.landmarks.FaceLandmarks.of", lambda self, workspace: landmarks()
    )
    yield


def test_hovering_names_what_a_press_would_take(page: Any, server: RunningStudio) -> None:
    open_ready(page, server, 201, "hover.jpg")
    expect(smile(page)).to_be_enabled()
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
    expect(smile(page)).to_be_enabled()
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


def test_a_smile_is_one_slider_that_shows_at_once_what_it_does(
    page: Any, server: RunningStudio
) -> None:
    ident = open_ready(page, server, 203, "smile.jpg")

    def amounts() -> dict[str, float]:
        return set_controls(server, ident)

    expect(smile(page)).to_be_enabled()
    expect(button(page, "Start")).to_be_disabled()
    smile(page).fill("0.5")
    wait_for(lambda: amounts() == {"smile": 0.5})
    expect(page.locator(".chip.preview")).to_be_visible()
    expect(button(page, "Start")).to_be_enabled()
    page.get_by_text("More", exact=True).click()
    page.get_by_label("Nose wider", exact=True).fill("-0.25")
    wait_for(lambda: amounts() == {"smile": 0.5, "nose": -0.25})
    page.keyboard.press("Control+z")
    wait_for(lambda: amounts() == {"smile": 0.5})
    expect(page.get_by_label("Nose wider", exact=True)).to_have_value("0")
    button(page, "All to the middle").click()
    wait_for(lambda: amounts() == {})
    expect(smile(page)).to_have_value("0")
    expect(page.locator(".chip.preview")).to_be_hidden()


def test_presets_are_saved_and_loaded_and_refused_when_they_are_none(
    page: Any, server: RunningStudio, tmp_path: Path
) -> None:
    ident = open_ready(page, server, 206, "preset.jpg")
    expect(smile(page)).to_be_enabled()
    smile(page).fill("0.4")
    with page.expect_download() as saved:
        button(page, "Save preset").click()
    saved.value.save_as(tmp_path / "preset.json")
    assert read_preset(tmp_path / "preset.json") == {"smile": 0.4}
    other = tmp_path / "other.json"
    other.write_text('{"version": 1, "controls": {"turn": -0.3}}')
    page.get_by_label("Load a file with sliders").set_input_files(other)
    wait_for(lambda: set_controls(server, ident) == {"turn": -0.3})
    other.write_text('{"version": 1, "controls": {"grin": 1}}')
    page.get_by_label("Load a file with sliders").set_input_files(other)
    expect(page.get_by_text("There is no control 'grin'")).to_be_visible()


def test_a_point_is_pinned_and_mirrored(page: Any, server: RunningStudio) -> None:
    ident = open_ready(page, server, 204, "pin.jpg")
    expect(smile(page)).to_be_enabled()
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


@pytest.mark.parametrize("height", [256, 128])
def test_the_elastic_preview_is_the_plain_motion_of_the_result(
    page: Any, server: RunningStudio, height: int
) -> None:
    import numpy as np

    from drag.points import DragPoint
    from pipeline.picture.brush import plain_motion

    middle = height / 2
    pairs = [
        ((100.0, middle + 20), (92.0, middle + 12)),
        ((156.0, middle + 20), (166.0, middle + 14)),
    ]
    told = page.evaluate(ELASTIC, [[{"handle": h, "target": t} for h, t in pairs], [256, height]])
    mine = np.array(told["way"]).reshape(told["n"], told["n"], 2)
    theirs = plain_motion([DragPoint(h, t) for h, t in pairs], (height, 256)).on(told["n"]).way
    assert np.abs(theirs).max() > 0.02
    assert np.abs(mine - theirs).max() < 0.0015  # half a pixel of the face
