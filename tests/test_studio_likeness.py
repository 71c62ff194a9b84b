"""As in that photo, on the page: another photo sets the sliders."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

from pipeline.controls.likeness import amounts_like
from pipeline.controls.macros import moved_face
from pipeline.controls.measures import measures
from pipeline.controls.table import CONTROLS
from pipeline.studio.controls import with_both_sides
from pipeline.studio.web import limits
from stylegan2.arrays import Float64Array
from tests.studio_pages import button, needs_chromium, open_ready, wait_for
from tests.studio_server import RunningStudio, photo_bytes
from tests.test_studio_parts import landmarks, set_controls, smile

pytest_plugins = ("tests.studio_pages",)

SMILING = {"smile": 0.5, "brows": 0.4, "turn": 0.6}


def other_face(*_: Any) -> Float64Array:
    """The face of the other photo: the shown one's, smiling and turned, twice as large."""
    return 2 * moved_face(np.array(landmarks()), SMILING)


@pytest.fixture(autouse=True)
def faces(monkeypatch: pytest.MonkeyPatch, server: RunningStudio) -> Iterator[None]:
    monkeypatch.setattr(
        "pipeline.studio.landmarks.FaceLandmarks.of", lambda self, workspace: landmarks()
    )
    monkeypatch.setattr("pipeline.jobs.controls.face_of_photo", other_face)
    yield


def like(server: RunningStudio, ident: str, **asked: Any) -> Any:
    return server.client.post(
        f"/api/workspaces/{ident}/controls/like", params=asked, content=photo_bytes(seed=9)
    )


def test_the_sliders_of_the_parts_follow_another_photo_and_others_stay(
    server: RunningStudio,
) -> None:
    ident = server.ready(photo_bytes(seed=301), "like.jpg")
    server.ok("PUT", f"/{ident}/controls", {"controls": {"jaw": 0.2, "brows": -0.3, "smile": -1}})
    answer = like(server, ident, parts="mouth")
    assert answer.status_code == 200, answer.text
    found = set_controls(server, ident)
    assert found["smile"] == pytest.approx(0.5, abs=0.12)
    assert (found["jaw"], found["brows"]) == (0.2, -0.3)
    assert "turn" not in found
    server.ok("POST", f"/{ident}/undo")
    assert set_controls(server, ident)["smile"] == -1


def test_strength_and_pose_are_taken_as_they_are_asked(server: RunningStudio) -> None:
    ident = server.ready(photo_bytes(seed=302), "strength.jpg")
    assert like(server, ident, parts="mouth,pose", strength=0.5).status_code == 200
    found = set_controls(server, ident)
    assert 0.1 < found["smile"] < 0.4
    assert found["turn"] > 0.1
    assert like(server, ident, parts="mouth", strength=0).status_code == 200
    assert "smile" not in set_controls(server, ident)


@pytest.mark.parametrize(
    ("asked", "words"),
    [({"parts": "ears"}, "no part 'ears'"), ({"parts": ","}, "a part of it"),
     ({"strength": 3}, "strength")],
)  # fmt: skip
def test_what_cannot_be_taken_over_is_said(
    server: RunningStudio, asked: dict[str, Any], words: str
) -> None:
    ident = server.upload(photo_bytes(seed=301), "like.jpg")
    answer = like(server, ident, **asked)
    assert answer.status_code == 422
    assert words in answer.text


def test_a_file_that_is_no_photo_is_called_by_its_name(
    server: RunningStudio, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.undo()
    monkeypatch.setattr(
        "pipeline.studio.landmarks.FaceLandmarks.of", lambda self, workspace: landmarks()
    )
    ident = server.upload(photo_bytes(seed=301), "like.jpg")
    answer = server.client.post(
        f"/api/workspaces/{ident}/controls/like", params={"file": "notes.txt"}, content=b"hello"
    )
    assert answer.status_code == 415
    assert "notes.txt" in answer.json()["message"]


def test_another_photo_may_be_as_large_as_a_photo(server: RunningStudio) -> None:
    ident = server.upload(photo_bytes(seed=301), "like.jpg")
    large = photo_bytes(seed=9) + bytes(2 * limits.MAX_JSON)
    address = f"/api/workspaces/{ident}/controls/like"
    assert server.client.post(address, content=large).status_code == 200


def test_what_both_sides_do_is_one_slider_and_a_wink_stays_one_sided() -> None:
    face = np.array(landmarks())
    both = with_both_sides({"smile_left": 0.5, "smile_right": 0.46, "mouth": 0.1})
    assert both == {"smile": 0.48, "mouth": 0.1}
    wink = {"eye_left": -0.6, "eye_right": -0.1}
    found = with_both_sides(wink)
    assert found == {"eyes": -0.1, "eye_left": -0.5}
    one, other = measures(moved_face(face, wink)), measures(moved_face(face, found))
    for side in ("eye opening, left", "eye opening, right"):
        assert other[side] == pytest.approx(one[side], abs=1e-6)
    assert with_both_sides({"brow_left": 0.4, "brow_right": -0.4}) == {
        "brow_left": 0.4, "brow_right": -0.4
    }  # fmt: skip
    assert set(with_both_sides(amounts_like(face, other_face()))) <= CONTROLS.keys()


@needs_chromium
def test_a_photo_is_chosen_and_parts_and_strength_change_what_is_taken(
    page: Any, server: RunningStudio
) -> None:
    ident = open_ready(page, server, 303, "page.jpg")
    expect = pytest.importorskip("playwright.sync_api").expect
    expect(smile(page)).to_be_enabled()
    expect(page.get_by_label("Strength")).to_be_hidden()
    expect(button(page, "As in a photo …")).to_be_enabled()
    photo = {"name": "other.jpg", "mimeType": "image/jpeg", "buffer": photo_bytes(seed=9)}
    page.get_by_label("Choose a photo: this face then looks as that one does").set_input_files(
        photo
    )
    wait_for(lambda: set_controls(server, ident).get("smile", 0) > 0.3)
    whole = set_controls(server, ident)["smile"]
    expect(page.locator(".chip.preview")).to_be_visible()
    assert float(smile(page).input_value()) == pytest.approx(whole, abs=0.03)
    page.get_by_label("Strength").fill("0.5")
    wait_for(lambda: 0 < set_controls(server, ident).get("smile", 0) < 0.8 * whole)
    assert "turn" not in set_controls(server, ident)
    page.get_by_label("Head", exact=True).check()
    wait_for(lambda: "turn" in set_controls(server, ident))
    button(page, "All to the middle").click()
    wait_for(lambda: set_controls(server, ident) == {})
