"""Which network moves a face: chosen on the page, from a list that the studio makes."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from drag.points import transform
from pipeline.disk.places import open_workspace
from pipeline.studio.desk import Desk
from pipeline.studio.networks import listed_network, listed_networks
from pipeline.studio.sketch import load_sketch
from stylegan2.zoo import UnknownNetwork
from tests.studio_pages import button, choose_file, name, needs_chromium, open_ready, wait_for
from tests.studio_server import QUICK, RunningStudio, photo_bytes, tiny_network

expect = pytest.importorskip("playwright.sync_api").expect

pytest_plugins = ("tests.studio_pages",)

LARGER = "tiny-64.safetensors"
POINT = {"handle": [10.0, 12.0], "target": [18.0, 16.0]}


@pytest.fixture(autouse=True)
def larger(server: RunningStudio) -> Iterator[Path]:
    """Put a network of twice the size into the studio's folder."""
    yield tiny_network(server.root, 64)


def place_in_photo(state: dict[str, Any], xy: list[float]) -> tuple[float, float]:
    matrix = np.linalg.inv(np.array(state["face"]["photo_to_aligned"]))
    return transform(matrix, (xy[0], xy[1]))


def choose(server: RunningStudio, ident: str, network: str) -> Any:
    server.ok("POST", f"/{ident}/network", {"network": network})
    return server.idle(ident)


# ------------------------------------------------------------------------------------ the list


def test_the_list_has_what_is_in_the_package_downloaded_or_in_the_folder(
    tmp_path: Path, home: Path
) -> None:
    (tmp_path / "mine.PKL").touch()
    (tmp_path / "notes.txt").touch()
    (tmp_path / "folder.pt").mkdir()
    listed = listed_networks(Desk(tmp_path, "embedded"))
    assert list(listed) == ["embedded", "embedded-128", "mine.PKL"]
    assert listed["embedded"].resolution == 256
    assert listed["mine.PKL"].recipe_name == str(tmp_path / "mine.PKL")
    assert str(tmp_path) not in str([each.to_json() for each in listed.values()])


def test_the_network_that_the_studio_was_started_with_comes_first_and_is_meant_by_its_name(
    tmp_path: Path, home: Path
) -> None:
    elsewhere = tmp_path / "elsewhere"
    for folder in (elsewhere, tmp_path / "here"):
        folder.mkdir()
        (folder / "same.pt").touch()
    listed = listed_networks(Desk(tmp_path / "here", f"{elsewhere / 'same.pt'}#3"))
    assert next(iter(listed)) == "same.pt#3"
    listed = listed_networks(Desk(tmp_path / "here", str(elsewhere / "same.pt")))
    assert listed["same.pt"].recipe_name == str(elsewhere / "same.pt")


@pytest.mark.parametrize(
    "wanted", ["/etc/passwd", "../secret.pkl", "ffhq-1024", "http://example.org/a.pkl", "mine"]
)
def test_what_is_not_listed_cannot_be_chosen(tmp_path: Path, home: Path, wanted: str) -> None:
    with pytest.raises(UnknownNetwork, match="take one of the list"):
        listed_network(Desk(tmp_path, "embedded"), wanted)


# ------------------------------------------------------------------------------- for one photo


def test_another_network_makes_the_face_anew_with_the_points_where_they_were(
    server: RunningStudio,
) -> None:
    ident = server.ready(photo_bytes(seed=801), "anew.jpg")
    server.ok("PUT", f"/{ident}/points", {"points": [POINT]})
    before = server.ok("GET", f"/{ident}")
    server.ok("POST", f"/{ident}/drag")
    assert server.idle(ident)["edit"]["drag"]

    after = choose(server, ident, LARGER)
    assert after["network"] == LARGER
    assert after["ready"] and after["face"]["width"] == 64
    assert after["edit"]["drag"] is None and after["failure"] is None
    assert not (server.root / ident / "result.png").exists()
    (point,) = after["edit"]["points"]
    for end in ("handle", "target"):
        assert place_in_photo(after, point[end]) == pytest.approx(
            place_in_photo(before, POINT[end]), abs=0.1
        )
    made = open_workspace(server.root / ident).read_state()
    assert made is not None
    inverted = made.request("invert")
    assert inverted is not None and inverted.hints["network"].endswith(LARGER)

    server.ok("POST", f"/{ident}/drag")
    assert server.idle(ident)["edit"]["drag"]


def test_who_goes_back_to_a_network_finds_what_was_made_with_it(server: RunningStudio) -> None:
    ident = server.ready(photo_bytes(seed=802), "back.jpg")
    before = server.ok("GET", f"/{ident}")
    choose(server, ident, LARGER)
    after = choose(server, ident, before["network"])
    assert after["made"] == before["made"]


def test_a_photo_keeps_its_network_when_the_studio_is_started_with_another(
    server: RunningStudio, larger: Path
) -> None:
    ident = server.ready(photo_bytes(seed=803), "keeps.jpg")
    kept = load_sketch(server.root / ident)
    desk = Desk(server.root, str(larger))
    recipe = desk.recipe(open_workspace(server.root / ident), kept)
    assert recipe.network == server.studio.desk.network


def test_a_file_that_holds_no_network_is_named_and_another_can_be_chosen(
    server: RunningStudio,
) -> None:
    (server.root / "letter.pkl").write_bytes(b"Dear aunt, this is no network.")
    ident = server.ready(photo_bytes(seed=804), "letter.jpg")
    before = server.ok("GET", f"/{ident}")["network"]
    failed = choose(server, ident, "letter.pkl")
    assert failed["failure"]["kind"] == "UnsupportedNetwork" and not failed["ready"]
    assert choose(server, ident, before)["ready"]
    (server.root / "letter.pkl").unlink()


@pytest.mark.parametrize("wanted", ["/etc/passwd", "../photo.jpg", "ffhq-1024", ""])
def test_a_page_cannot_have_a_file_read_by_its_path(server: RunningStudio, wanted: str) -> None:
    ident = server.ready(photo_bytes(seed=805), "path.jpg")
    answer = server.client.post(f"/api/workspaces/{ident}/network", json={"network": wanted})
    assert answer.status_code in (404, 422)
    upload = {"name": "path.jpg", "network": wanted}
    answer = server.client.post("/api/workspaces", params=upload, content=photo_bytes(seed=806))
    assert answer.status_code == 404
    assert (
        server.client.put(
            f"/api/workspaces/{ident}/settings", json={"network": "embedded"}
        ).status_code
        == 422
    )


# ---------------------------------------------------------------------------------- on the page


@needs_chromium
def test_the_network_of_a_photo_is_changed_on_its_page(page: Any, server: RunningStudio) -> None:
    ident = open_ready(page, server, 807, "changed.jpg")
    server.ok("PUT", f"/{ident}/points", {"points": [POINT]})
    expect(page.locator(".points-list li")).to_have_count(1)
    page.get_by_text("This face", exact=True).click()
    button(page, "Network: tiny-32.safetensors").click()
    dialog = page.get_by_role("dialog", name="Network")
    expect(dialog).to_contain_text("is prepared anew")
    expect(dialog.get_by_role("radio", name="tiny-32.safetensors")).to_be_checked()
    expect(button(page, "Use this network")).to_be_disabled()
    dialog.get_by_role("radio", name=LARGER).check()
    button(page, "Use this network").click()
    expect(button(page, f"Network: {LARGER}")).to_be_visible()
    expect(page.locator(".points-list li")).to_have_count(1)
    wait_for(lambda: server.ok("GET", f"/{ident}")["ready"])
    assert server.ok("GET", f"/{ident}")["face"]["width"] == 64


@needs_chromium
def test_new_photos_take_the_network_that_was_chosen_on_the_first_page(
    page: Any, server: RunningStudio
) -> None:
    button(page, "tiny-32.safetensors").click()
    dialog = page.get_by_role("dialog", name="Network")
    expect(dialog.get_by_role("radio", name="Faces, 256 pixels")).to_be_visible()
    dialog.get_by_role("radio", name=LARGER).focus()
    page.keyboard.press("Space")
    button(page, "Use this network").click()
    page.reload()
    expect(button(page, LARGER)).to_be_visible()
    choose_file(page, "new.jpg", photo_bytes(seed=808))
    button(page, "Use face 1 of 2").wait_for()
    ident = name(page)
    server.ok("PUT", f"/{ident}/settings", QUICK)
    assert server.ok("GET", f"/{ident}")["network"] == LARGER
    button(page, "Use face 1 of 2").click()
    wait_for(lambda: server.ok("GET", f"/{ident}")["ready"])
    assert server.ok("GET", f"/{ident}")["face"]["width"] == 64
    page.evaluate("() => localStorage.clear()")
