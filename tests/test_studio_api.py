"""The studio over HTTP: its door, its jobs, and bad input to every route."""

from __future__ import annotations

import asyncio
import io
import json
import math
import time
from collections.abc import Iterator, MutableMapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
import torch
from PIL import Image
from starlette.websockets import WebSocket
from torch import Tensor
from websockets.exceptions import InvalidStatus
from websockets.sync.client import ClientConnection, connect

from drag.distinctness import LEAST, distinctness, handle_features
from drag.points import read_points
from pipeline.disk.artifact import read_artifact
from pipeline.disk.places import open_workspace
from pipeline.disk.storage import replace_file
from pipeline.jobs.film import LEAST_FRAMES, LEAST_SIDE, SIDE
from pipeline.picture.closeup import closeup
from pipeline.picture.photo import Photo, read_photo
from pipeline.stages.artifact_files import base_generator, read_inversion
from pipeline.studio.hub import FRAMES_IN_FLIGHT, Mailbox
from pipeline.studio.saving import GAP
from pipeline.studio.web import limits
from pipeline.studio.web.app import create_app
from pipeline.studio.web.live import live
from stylegan2.generator import Generator, NoiseConsts
from tests.studio_server import (
    ENDLESS_DRAG,
    QUICK,
    TOKEN,
    TUNED,
    RunningStudio,
    make_up_faces,
    photo_bytes,
    running_studio,
    tiny_network,
)

POINT = {"handle": [10.0, 12.0], "target": [18.0, 16.0]}


@pytest.fixture(scope="module")
def network(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_network(tmp_path_factory.mktemp("network"))


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory, network: Path) -> Iterator[RunningStudio]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("REALDRAG_HOME", str(tmp_path_factory.mktemp("home")))
        make_up_faces(patch)
        with running_studio(tmp_path_factory.mktemp("photos"), network) as running:
            yield running


@pytest.fixture(scope="module")
def ready(server: RunningStudio) -> str:
    return server.ready(photo_bytes(seed=1), "Grandmother at the sea.jpg")


@pytest.fixture
def fresh(server: RunningStudio, ready: str) -> str:
    server.ok("POST", f"/{ready}/reset")
    return ready


def put_points(server: RunningStudio, ident: str, *points: dict[str, Any]) -> Any:
    return server.ok("PUT", f"/{ident}/points", {"points": list(points)})


def drag(server: RunningStudio, ident: str) -> Any:
    server.ok("POST", f"/{ident}/drag")
    return server.idle(ident)


def mask_png(size: int = 32, white: tuple[int, int, int, int] | None = (4, 4, 28, 28)) -> bytes:
    image = Image.new("L", (size, size), 0)
    if white is not None:
        image.paste(255, white)
    buffer = io.BytesIO()
    image.save(buffer, "PNG")
    return buffer.getvalue()


def listening(server: RunningStudio, **changes: Any) -> ClientConnection:
    headers = {"Cookie": changes.pop("cookie", server.cookie)}
    return connect(
        f"ws://127.0.0.1:{server.port}/api/live",
        origin=changes.pop("origin", server.origin),
        additional_headers=headers,
        proxy=None,
        max_size=None,
    )


# ------------------------------------------------------------------------------------ the door


def bare(server: RunningStudio, **headers: str) -> httpx.Client:
    return httpx.Client(base_url=server.origin, headers=headers, trust_env=False)


def test_the_opened_address_lets_in_and_hides_its_token(server: RunningStudio) -> None:
    with bare(server) as client:
        assert client.get("/api/studio").status_code == 401
        answer = client.get("/", params={"token": TOKEN})
        assert answer.status_code == 303
        assert answer.headers["location"] == "/"
        cookie = answer.headers["set-cookie"]
        assert "HttpOnly" in cookie and "SameSite=Strict" in cookie
        assert client.get("/api/studio").status_code == 200


@pytest.mark.parametrize("token", ["", "wrong", TOKEN + "x", "ü"])
def test_a_wrong_token_is_refused(server: RunningStudio, token: str) -> None:
    with bare(server) as client:
        answer = client.get("/", params={"token": token})
        assert answer.status_code == 401
        assert "realdrag studio" in answer.text
        assert "set-cookie" not in answer.headers


@pytest.mark.parametrize("host", ["evil.example", "127.0.0.1", "127.0.0.1:1", "localhost.evil:80"])
def test_a_foreign_host_is_refused_even_with_the_token(server: RunningStudio, host: str) -> None:
    with bare(server, Host=host, Cookie=server.cookie) as client:
        assert client.get("/api/studio").status_code == 403
        assert client.get("/static/app.js").status_code == 403


def test_localhost_is_as_good_as_its_number(server: RunningStudio) -> None:
    with bare(server, Host=f"localhost:{server.port}", Cookie=server.cookie) as client:
        assert client.get("/api/studio").status_code == 200


@pytest.mark.parametrize("origin", ["http://evil.example", "null", "http://127.0.0.1:1", None])
def test_a_post_from_a_foreign_origin_is_refused(server: RunningStudio, origin: str | None) -> None:
    headers = {"Cookie": server.cookie} | ({} if origin is None else {"Origin": origin})
    with bare(server, **headers) as client:
        assert client.post("/api/workspaces", content=photo_bytes()).status_code == 403
        assert client.get("/api/studio").status_code == 200


@pytest.mark.parametrize(
    "changes",
    [{"origin": "http://evil.example"}, {"origin": None}, {"cookie": "other=1"}],
    ids=["foreign origin", "no origin", "no token"],
)
def test_a_foreign_web_socket_is_refused(server: RunningStudio, changes: dict[str, Any]) -> None:
    with pytest.raises(InvalidStatus), listening(server, **changes):
        pass


def test_every_answer_forbids_what_comes_from_elsewhere(server: RunningStudio) -> None:
    for path in ("/", "/static/app.js", "/api/studio", "/api/nothing"):
        answer = server.client.get(path)
        policy = answer.headers["content-security-policy"]
        assert "default-src 'none'" in policy and "script-src 'self';" in policy
        assert answer.headers["x-content-type-options"] == "nosniff"
    assert "http" not in server.client.get("/").text.replace("http-equiv", "")


def test_static_files_do_not_lead_out_of_their_folder(server: RunningStudio) -> None:
    for path in ("/static/../app.py", "/static/%2e%2e/app.py", "/static/..%2fapp.py"):
        assert server.client.get(path).status_code == 404


# ------------------------------------------------------------------------------------- uploads


def test_an_upload_is_named_after_its_file_and_never_a_path(server: RunningStudio) -> None:
    ident = server.upload(photo_bytes(seed=7), "../../etc/pass wd?.jpg")
    assert ident == "pass-wd.realdrag"
    assert (server.root / ident / "studio" / "original.jpg").is_file()


def test_a_photo_uploaded_twice_is_the_same_workspace(server: RunningStudio) -> None:
    first = server.upload(photo_bytes(seed=8), "twice.jpg")
    second = server.upload(photo_bytes(seed=8), "twice.jpg")
    other = server.upload(photo_bytes(seed=9), "twice.jpg")
    assert first == second != other


def test_the_portrait_that_comes_along_is_one_workspace(server: RunningStudio) -> None:
    answers = [server.client.post("/api/demo") for _ in range(2)]
    assert [answer.status_code for answer in answers] == [201, 201]
    assert [answer.json()["fresh"] for answer in answers] == [True, False]
    ident = answers[0].json()["id"]
    assert ident == answers[1].json()["id"] == "eileen-collins.realdrag"
    assert server.idle(ident)["photo"]["width"] == 512


def test_pages_that_ask_for_a_new_photo_at_once_all_get_it(
    server: RunningStudio, monkeypatch: pytest.MonkeyPatch
) -> None:
    ident = server.upload(photo_bytes(seed=77), "asked by many.jpg")
    decoded = []

    def reading(path: Path) -> Photo:
        decoded.append(path)
        return read_photo(path)

    monkeypatch.setattr("pipeline.studio.pictures.read_photo", reading)
    address = f"/api/workspaces/{ident}/pictures/photo"
    with ThreadPoolExecutor(8) as pages:
        answers = list(pages.map(lambda _: server.client.get(address), range(8)))
    assert {answer.status_code for answer in answers} == {200}
    assert len({answer.content for answer in answers}) == 1
    assert len(decoded) == 1


def test_threads_that_write_one_file_leave_a_whole_one(tmp_path: Path) -> None:
    path, contents = tmp_path / "file", [bytes([i]) * 100_000 for i in range(8)]
    with ThreadPoolExecutor(8) as writers:
        list(writers.map(lambda data: replace_file(path, data), contents * 4))
    assert path.read_bytes() in contents
    assert [each.name for each in tmp_path.iterdir()] == ["file"]


@pytest.mark.parametrize(
    ("data", "status"),
    [
        (b"", 415),
        (b"just words", 415),
        (b"\x89PNG\r\n\x1a\n broken", 415),
        (photo_bytes()[:500], 415),
    ],
    ids=["empty", "text", "broken png", "cut jpeg"],
)
def test_what_is_no_photo_is_refused_in_words(
    server: RunningStudio, data: bytes, status: int
) -> None:
    before = sorted(server.root.iterdir())
    answer = server.client.post("/api/workspaces", params={"name": "letter.txt"}, content=data)
    assert answer.status_code == status
    assert answer.json()["message"].startswith("letter.txt")
    assert "/tmp" not in answer.json()["message"]
    assert sorted(server.root.iterdir()) == before


def test_a_picture_that_unpacks_to_too_much_is_refused(server: RunningStudio) -> None:
    buffer = io.BytesIO()
    Image.new("1", (20_000, 20_000)).save(buffer, "PNG")
    answer = server.client.post("/api/workspaces", content=buffer.getvalue())
    assert answer.status_code == 415
    assert "too large" in answer.json()["message"]


def test_too_many_bytes_are_refused_whether_announced_or_not(
    server: RunningStudio, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "MAX_UPLOAD", 2**20)
    big = b"x" * (2**20 + 1)
    assert server.client.post("/api/workspaces", content=big).status_code == 413
    pieces = (big[i : i + 2**16] for i in range(0, len(big), 2**16))
    assert server.client.post("/api/workspaces", content=pieces).status_code == 413


def test_a_photo_without_a_face_can_be_marked_by_hand(server: RunningStudio) -> None:
    ident = server.upload(photo_bytes(seed=3, light=20), "night.jpg")
    state = server.ok("GET", f"/{ident}")
    assert state["found"]["faces"] == []
    server.ok("PUT", f"/{ident}/settings", QUICK)
    wrong = {"landmarks": {"eyes": [[90, 60], [90, 60]], "mouth": [[95, 120], [145, 120]]}}
    answer = server.client.post(f"/api/workspaces/{ident}/prepare", json=wrong)
    assert answer.status_code == 422 and "face" in answer.json()["message"]
    marks = {"eyes": [[90, 60], [150, 60]], "mouth": [[95, 120], [145, 120]]}
    server.ok("POST", f"/{ident}/prepare", {"landmarks": marks})
    state = server.idle(ident)
    assert state["ready"] and state["face"]["source"] == "file"


# ----------------------------------------------------------------------------- points and drags


def test_points_lie_in_the_workspace_as_the_command_line_reads_them(
    server: RunningStudio, fresh: str
) -> None:
    put_points(server, fresh, POINT)
    server.client.put(f"/api/workspaces/{fresh}/mask", content=mask_png()).raise_for_status()
    read = read_points(server.root / fresh / "points.json")
    assert read.space == "aligned"
    assert read.points[0].handle == (10.0, 12.0)
    assert read.mask_path == server.root / fresh / "mask.png"
    assert read.mask_path is not None and read.mask_path.read_bytes()
    server.ok("POST", f"/{fresh}/reset")
    assert not (server.root / fresh / "points.json").exists()


@pytest.mark.parametrize(
    "points",
    [
        [POINT, POINT],
        [{"handle": [99, 12], "target": [10, 12]}],
        [{"handle": [10], "target": [1, 2]}],
        [{"handle": [10, 12]}],
        "no list",
    ],
    ids=["twice", "outside", "one number", "no target", "words"],
)
def test_bad_points_are_refused_and_change_nothing(
    server: RunningStudio, fresh: str, points: Any
) -> None:
    answer = server.client.put(f"/api/workspaces/{fresh}/points", json={"points": points})
    assert answer.status_code == 422
    assert answer.json()["message"]
    assert server.ok("GET", f"/{fresh}")["edit"]["points"] == []


def test_a_pin_holds_its_place_and_a_target_beyond_the_face_comes_to_its_edge(
    server: RunningStudio, fresh: str
) -> None:
    pin = {"handle": [10.0, 12.0], "target": [10.0, 12.0]}
    put_points(server, fresh, pin)
    answer = server.client.post(f"/api/workspaces/{fresh}/drag")
    assert answer.status_code == 409 and "holds its place" in answer.json()["message"]
    put_points(server, fresh, pin, {"handle": [20.0, 20.0], "target": [99.0, -7.0]})
    assert server.points(fresh) == [pin, {"handle": [20.0, 20.0], "target": [31.0, 0.0]}]


def test_the_studio_says_how_each_handle_holds_on_the_shown_face(
    server: RunningStudio, fresh: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = []

    def counting(generator: Generator, noise_consts: NoiseConsts | None, ws: Tensor) -> Tensor:
        asked.append(ws)
        return handle_features(generator, noise_consts, ws)

    monkeypatch.setattr("drag.distinctness.handle_features", counting)
    monkeypatch.setattr(server.studio.drift, "_kept", {})
    assert server.ok("GET", f"/{fresh}/drift") == []
    other = {"handle": [20.0, 9.5], "target": [22.0, 9.0]}
    put_points(server, fresh, POINT, other)
    held = server.ok("GET", f"/{fresh}/drift")
    assert [each["handle"] for each in held] == [POINT["handle"], other["handle"]]
    put_points(server, fresh, POINT)
    assert server.ok("GET", f"/{fresh}/drift") == held[:1]
    assert len(asked) == 1

    workspace = server.studio.desk.workspace(fresh)
    made = server.studio.desk.current(workspace, "invert")
    assert made is not None
    inversion = read_inversion(made, "cpu")
    generator = base_generator(server.studio.bench, made)
    features = handle_features(generator, inversion.noise_consts, inversion.w_pivot)
    (value,) = distinctness(features, [(10.0, 12.0)], 32)
    assert held[0]["distinctness"] == pytest.approx(value, abs=1e-3)
    assert held[0]["may_drift"] == (value < LEAST)

    drag(server, fresh)
    (after,) = server.ok("GET", f"/{fresh}/drift")
    assert len(asked) == 2 and not torch.equal(asked[1], asked[0])
    assert after["handle"] == server.ok("GET", f"/{fresh}")["edit"]["points"][0]["handle"]


def test_a_handle_that_may_drift_comes_with_a_better_place_if_there_is_one(
    server: RunningStudio, fresh: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    put_points(server, fresh, POINT)
    monkeypatch.setattr("drag.distinctness.LEAST", 1e6)
    (held,) = server.ok("GET", f"/{fresh}/drift")
    assert held["may_drift"] and held["better"] is None
    monkeypatch.setattr("drag.distinctness.AMPLE", 0.0)
    (held,) = server.ok("GET", f"/{fresh}/drift")
    better = {"handle": held["better"], "target": POINT["target"]}
    assert 0 < math.dist(held["better"], POINT["handle"]) <= 3
    put_points(server, fresh, better)
    monkeypatch.setattr("drag.distinctness.LEAST", 0.0)
    (held,) = server.ok("GET", f"/{fresh}/drift")
    assert not held["may_drift"] and held["better"] is None


def test_how_handles_hold_is_not_worked_out_while_a_drag_moves_them(
    server: RunningStudio, fresh: str
) -> None:
    put_points(server, fresh, POINT)
    server.ok("PUT", f"/{fresh}/settings", {**QUICK, "drag": ENDLESS_DRAG})
    server.ok("POST", f"/{fresh}/drag")
    answer = server.client.get(f"/api/workspaces/{fresh}/drift")
    server.ok("POST", f"/{fresh}/job", {"action": "stop"})
    server.idle(fresh)
    server.ok("PUT", f"/{fresh}/settings", QUICK)
    assert answer.status_code == 409
    assert answer.json()["kind"] == "StudioBusy"


@pytest.mark.parametrize("data", [b"no picture", mask_png(16)], ids=["words", "another size"])
def test_a_bad_mask_is_refused(server: RunningStudio, fresh: str, data: bytes) -> None:
    answer = server.client.put(f"/api/workspaces/{fresh}/mask", content=data)
    assert answer.status_code == 422
    assert "/tmp" not in answer.json()["message"]


def test_an_empty_body_takes_the_mask_away(server: RunningStudio, fresh: str) -> None:
    path = f"/api/workspaces/{fresh}/mask"
    assert server.client.put(path, content=mask_png()).json()["edit"]["mask"]
    assert server.client.get(path).status_code == 200
    assert server.client.put(path, content=b"").json()["edit"]["mask"] is None
    assert server.client.get(path).status_code == 404


def test_undo_and_redo_go_through_points_and_drags(server: RunningStudio, fresh: str) -> None:
    top = server.root / fresh
    put_points(server, fresh, POINT)
    first = drag(server, fresh)
    second = drag(server, fresh)
    assert first["edit"]["drag"] and second["edit"]["drag"] not in (None, first["edit"]["drag"])
    state = server.ok("POST", f"/{fresh}/undo")
    assert state["edit"]["drag"] == first["edit"]["drag"]
    shown = open_workspace(top).read_state()
    assert shown is not None and shown.current["drag"] == first["edit"]["drag"]
    state = server.ok("POST", f"/{fresh}/undo")
    assert state["edit"]["drag"] is None and server.points(fresh) == [POINT]
    assert not (top / "result.png").exists()
    state = server.ok("POST", f"/{fresh}/undo")
    assert state["edit"]["points"] == []
    for _ in range(3):
        state = server.ok("POST", f"/{fresh}/redo")
    assert state["edit"] == second["edit"]
    assert (top / "result.png").is_file()


def test_a_second_drag_starts_from_the_first(server: RunningStudio, fresh: str) -> None:
    put_points(server, fresh, POINT)
    first = drag(server, fresh)
    second = drag(server, fresh)
    folder = server.root / fresh / "artifacts" / f"drag-{second['made']['drag']}"
    assert read_artifact(folder).request.inputs["from"] == first["edit"]["drag"]


def test_a_drag_can_be_paused_continued_and_stopped(server: RunningStudio, fresh: str) -> None:
    settings = {**QUICK, "drag": ENDLESS_DRAG}
    server.ok("PUT", f"/{fresh}/settings", settings)
    put_points(server, fresh, POINT)
    server.ok("POST", f"/{fresh}/drag")
    busy = server.client.post(f"/api/workspaces/{fresh}/drag")
    assert busy.status_code == 409 and busy.json()["kind"] == "StudioBusy"
    assert server.client.post(f"/api/workspaces/{fresh}/undo").status_code == 409
    assert server.ok("POST", f"/{fresh}/job", {"action": "pause"})["jobs"]["drag"]["paused"]
    wait_for(lambda: not server.ok("GET", f"/{fresh}")["jobs"]["drag"]["running"])
    before = server.ok("GET", f"/{fresh}")["jobs"]["drag"]["step"]
    time.sleep(0.3)
    assert server.ok("GET", f"/{fresh}")["jobs"]["drag"]["step"] == before
    server.ok("POST", f"/{fresh}/job", {"action": "continue"})
    wait_for(lambda: server.ok("GET", f"/{fresh}")["jobs"]["drag"]["step"] > before)
    server.ok("POST", f"/{fresh}/job", {"action": "stop"})
    state = server.idle(fresh)
    server.ok("PUT", f"/{fresh}/settings", QUICK)
    assert state["edit"]["stop"] == "cancelled"
    assert (server.root / fresh / "result.png").is_file()


def test_a_tuning_that_is_cancelled_leaves_the_studio_alive(server: RunningStudio) -> None:
    ident = server.upload(photo_bytes(seed=11), "patience.jpg")
    server.ok("PUT", f"/{ident}/settings", {**TUNED, "tune": {"steps": 10_000, "patience": 10_000}})
    server.ok("POST", f"/{ident}/prepare", {"face": 2})
    wait_for(lambda: server.ok("GET", f"/{ident}")["jobs"]["prepare"]["stage"] == "tune")
    server.ok("POST", f"/{ident}/job", {"action": "stop"})
    state = server.idle(ident)
    assert "invert" in state["made"] and "tune" not in state["made"]
    server.ok("PUT", f"/{ident}/settings", TUNED)
    server.ok("POST", f"/{ident}/prepare", {})
    assert "tune" in server.idle(ident)["made"]


def test_a_job_that_fails_is_told_and_leaves_the_studio_alive(
    server: RunningStudio, fresh: str
) -> None:
    with listening(server) as socket:
        socket.send(json.dumps({"watch": fresh}))
        server.ok(
            "PUT", f"/{fresh}/settings", {**TUNED, "tune": {"first_block": 8, "last_block": 4}}
        )
        server.ok("POST", f"/{fresh}/prepare", {})
        told = wait_message(socket, "state", lambda said: said["state"]["failure"])
        error = told["state"]["failure"]
    assert error["kind"] == "RecipeInvalid" and "block" in error["message"]
    server.ok("PUT", f"/{fresh}/settings", QUICK)
    assert server.idle(fresh)["ready"]


def test_the_studio_goes_on_where_the_command_line_was(server: RunningStudio, fresh: str) -> None:
    from drag.points import DragPoint, PointsFile
    from pipeline.jobs.drag import DragRequest, drag
    from pipeline.machine.bench import Bench
    from pipeline.progress import follow
    from pipeline.settings.recipe import Recipe

    workspace = open_workspace(server.root / fresh)
    asked = DragRequest(PointsFile("aligned", (DragPoint((5.0, 6.0), (9.0, 9.0)),)))
    recipe = Recipe.from_json({"drag": {"steps": 2}})
    dragged = follow(drag(workspace, asked, recipe, Bench("cpu")), lambda event: None)
    state = server.ok("GET", f"/{fresh}")
    assert state["edit"]["drag"] == dragged.fingerprint
    assert state["edit"]["points"][0]["target"] == [9.0, 9.0]
    assert server.ok("POST", f"/{fresh}/undo")["edit"]["drag"] is None


# ---------------------------------------------------------------------------------------- live


def test_two_pages_see_the_same_drag(server: RunningStudio, fresh: str) -> None:
    point = {"handle": [11.0, 12.0], "target": [18.0, 16.0]}  # never dragged before: no hit
    put_points(server, fresh, point)
    with listening(server) as one, listening(server) as other:
        for socket in (one, other):
            socket.send(json.dumps({"watch": fresh}))
            (shown,) = wait_message(socket, "state")["state"]["edit"]["points"]
            assert shown == {**point, "number": 1, "track": []}
        server.ok("POST", f"/{fresh}/drag")
        for socket in (one, other):
            head, jpeg = wait_frame(socket)
            assert head["workspace"] == fresh and head["stage"] == "drag"
            assert len(head["handles"]) == len(head["distances"]) == 1
            assert Image.open(io.BytesIO(jpeg)).size == (32, 32)
        for socket in (one, other):
            wait_message(socket, "state", lambda said: said["state"]["edit"]["drag"])
    server.idle(fresh)


def test_a_page_that_draws_nothing_is_sent_no_more_pictures(
    server: RunningStudio, fresh: str
) -> None:
    put_points(server, fresh, {"handle": [12.0, 12.0], "target": [18.0, 16.0]})
    with listening(server) as socket:
        socket.send(json.dumps({"watch": fresh}))
        server.ok("POST", f"/{fresh}/drag")
        frames = 0
        while True:
            said = socket.recv(timeout=120)
            if isinstance(said, bytes):
                frames += 1
                continue
            plain = json.loads(said)
            if plain["type"] == "state" and plain["state"]["edit"]["drag"]:
                break
    assert 1 <= frames <= FRAMES_IN_FLIGHT
    server.idle(fresh)


@pytest.mark.parametrize("said", ["no json", "[]", "3", '{"watch": 5}', '{"watch": "none"}', "{}"])
def test_nonsense_on_the_web_socket_harms_nobody(server: RunningStudio, said: str) -> None:
    with listening(server) as socket:
        socket.send(said)
    assert server.client.get("/api/studio").status_code == 200


def test_a_mailbox_keeps_only_the_latest_of_each_kind() -> None:
    import asyncio

    async def run() -> list[str | bytes]:
        mailbox = Mailbox(asyncio.get_running_loop())
        for number in range(1000):
            mailbox.put("job", f"job {number}")
            mailbox.put("frame", f"frame {number}".encode())
        return await mailbox.take()

    assert asyncio.run(run()) == ["job 999", b"frame 999"]


# -------------------------------------------------------------------------------------- saving


def test_the_result_is_saved_in_full_size_and_every_format(
    server: RunningStudio, fresh: str
) -> None:
    path = f"/api/workspaces/{fresh}/save"
    for what in ("picture", "animation"):
        answer = server.client.get(f"{path}/{what}")
        assert answer.status_code == 409 and "dragged" in answer.json()["message"]
    assert server.client.get(f"{path}/points").status_code == 409
    put_points(server, fresh, POINT)
    drag(server, fresh)
    for suffix, kind in (("png", "PNG"), ("jpg", "JPEG")):
        data = server.client.get(f"{path}/picture", params={"format": suffix}).content
        with Image.open(io.BytesIO(data)) as image:
            assert (image.format, image.size) == (kind, (240, 200))
        assert b"compositeWithTrainedAlgorithmicMedia" in data
    aligned = server.studio.desk.aligned(server.studio.desk.workspace(fresh))
    part = closeup(aligned.info["quad"], (240, 200))
    face = server.client.get(f"{path}/picture", params={"what": "face"}).content
    assert Image.open(io.BytesIO(face)).size == (part.width, part.height)
    both = server.client.get(f"{path}/picture", params={"what": "compare"}).content
    assert Image.open(io.BytesIO(both)).size == (2 * part.width + GAP, part.height)
    gif = Image.open(io.BytesIO(server.client.get(f"{path}/animation?format=gif").content))
    assert gif.format == "GIF"
    points = server.client.get(f"{path}/points")
    assert points.json()["points"][0]["target"] == POINT["target"]
    server.client.put(f"/api/workspaces/{fresh}/mask", content=mask_png()).raise_for_status()
    assert server.client.get(f"{path}/points").headers["content-type"] == "application/zip"


def test_the_film_shows_every_step_clean_or_with_its_points(
    server: RunningStudio, fresh: str
) -> None:
    import av

    put_points(server, fresh, POINT)
    drag(server, fresh)
    pictures = []
    for annotated in (False, True):
        answer = server.client.get(
            f"/api/workspaces/{fresh}/save/animation", params={"annotated": annotated}
        )
        assert answer.headers["content-type"] == "video/mp4"
        with av.open(io.BytesIO(answer.content)) as film:
            frames = [frame.to_ndarray(format="rgb24") for frame in film.decode(video=0)]
        assert max(frames[0].shape) in range(LEAST_SIDE - 2, SIDE + 3)
        pictures.append(frames[0])
    difference = np.abs(pictures[0].astype(int) - pictures[1]).max(axis=2) > 60
    assert 0 < difference.mean() < 0.05


def test_a_webp_shows_the_drag_in_full_size_clean_or_with_its_points(
    server: RunningStudio, fresh: str
) -> None:
    put_points(server, fresh, POINT)
    made = drag(server, fresh)["made"]["drag"]
    artifact = read_artifact(server.root / fresh / "artifacts" / f"drag-{made}")
    steps = int(artifact.info["steps"])
    firsts, data = [], b""
    for annotated in (False, True):
        answer = server.client.get(
            f"/api/workspaces/{fresh}/save/animation",
            params={"format": "webp", "annotated": annotated},
        )
        assert answer.headers["content-type"] == "image/webp"
        assert answer.headers["x-suffix"] == "webp"
        data = answer.content
        with Image.open(io.BytesIO(data)) as film:
            assert film.format == "WEBP" and max(film.size) >= LEAST_SIDE - 2
            assert 1 < getattr(film, "n_frames", 1) <= max(steps + 1, LEAST_FRAMES)
            assert film.info["loop"] == 0
            firsts.append(np.asarray(film.convert("RGB")).astype(int))
    difference = np.abs(firsts[0] - firsts[1]).max(axis=2) > 60
    assert 0 < difference.mean() < 0.05
    assert b"compositeWithTrainedAlgorithmicMedia" in data


# ----------------------------------------------------------------------------- bad input, routes

NAMES = ["nothing.realdrag", "..", "..%2f..%2fetc", "%00", "x" * 300, ".realdrag"]


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize(
    ("method", "rest"),
    [
        ("GET", ""), ("POST", "/faces"), ("POST", "/prepare"), ("POST", "/drag"), ("POST", "/job"),
        ("PUT", "/points"), ("PUT", "/mask"), ("GET", "/mask"), ("POST", "/undo"),
        ("GET", "/drift"),
        ("PUT", "/settings"), ("GET", "/pictures/photo"), ("GET", "/save/picture"),
        ("GET", "/save/animation"), ("GET", "/save/points"),
    ],
)  # fmt: skip
def test_a_workspace_that_is_not_there_is_not_found(
    server: RunningStudio, method: str, rest: str, name: str
) -> None:
    answer = server.client.request(method, f"/api/workspaces/{name}{rest}", json={})
    assert answer.status_code in (404, 405, 422), answer.text


@pytest.mark.parametrize(
    ("method", "rest", "body"),
    [
        ("POST", "/prepare", {"face": 0}),
        ("POST", "/prepare", {"face": 1, "align": "none"}),
        ("POST", "/prepare", {"align": "auto"}),
        ("POST", "/prepare", {"landmarks": {"eyes": [[1, 2]], "mouth": [[1, 2], [3, 4]]}}),
        ("POST", "/job", {"action": "explode"}),
        ("POST", "/explode", {}),
        ("PUT", "/points", {}),
        ("PUT", "/points", {"points": [POINT], "more": 1}),
        ("PATCH", "/points", {"what": "explode"}),
        ("PATCH", "/points", {"what": "add", "put": [{**POINT, "number": 0}]}),
        ("PUT", "/points", {"points": [POINT] * 201}),
        ("PUT", "/settings", {"drag": {"steps": 0}}),
        ("PUT", "/settings", {"drag": {"speed": 1}}),
        ("PUT", "/settings", {"drag": 7}),
        ("PUT", "/settings", {"network": "/etc/passwd"}),
        ("PUT", "/settings", {"seed": -1}),
        ("GET", "/pictures/secret", None),
        ("GET", "/save/picture?format=exe", None),
        ("GET", "/save/animation?annotated=maybe", None),
    ],
)
def test_bad_input_is_refused_in_words(
    server: RunningStudio, fresh: str, method: str, rest: str, body: Any
) -> None:
    answer = server.client.request(method, f"/api/workspaces/{fresh}{rest}", json=body)
    assert answer.status_code == 422, answer.text
    assert answer.json()["message"]


def test_a_damaged_sketch_is_set_aside(server: RunningStudio, fresh: str) -> None:
    put_points(server, fresh, POINT)
    path = server.root / fresh / "studio" / "sketch.json"
    path.write_bytes(path.read_bytes().replace(b"12.0", b"13.0"))
    state = server.ok("GET", f"/{fresh}")
    assert state["edit"]["points"] == [] and state["ready"]
    assert list((server.root / fresh / "damaged").glob("sketch.json*"))
    server.ok("PUT", f"/{fresh}/settings", QUICK)


def wait_for(condition: Any, seconds: float = 120.0) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.03)


def wait_message(socket: ClientConnection, kind: str, wanted: Any = lambda said: True) -> Any:
    while True:
        said = socket.recv(timeout=120)
        if isinstance(said, bytes):
            socket.send('{"drawn": true}')
            continue
        plain = json.loads(said)
        if plain["type"] == kind and wanted(plain):
            return plain


def wait_frame(socket: ClientConnection) -> tuple[Any, bytes]:
    while True:
        said = socket.recv(timeout=120)
        if isinstance(said, bytes):
            length = int.from_bytes(said[:4], "big")
            socket.send('{"drawn": true}')
            head = json.loads(said[4 : 4 + length])
            cells = head["field"]["n"] ** 2 if head["field"] else 0
            return head, said[4 + length + 4 * cells :]


def test_a_page_that_is_gone_while_it_is_written_to_ends_quietly(tmp_path: Path) -> None:
    app = create_app(tmp_path, TOKEN, 1, network=str(tiny_network(tmp_path)), device="cpu")
    said = iter(["websocket.connect", "websocket.receive"])
    failed = asyncio.Event()

    async def receive() -> dict[str, Any]:
        kind = next(said)
        if kind == "websocket.receive":
            app.state.studio.hub.tell_all("state", {})
            await failed.wait()
        return {"type": kind, "text": "{}"}

    async def send(message: MutableMapping[str, Any]) -> None:
        if message["type"] == "websocket.send":
            failed.set()
            raise OSError("the page is gone")

    asyncio.run(live(WebSocket({"type": "websocket", "app": app}, receive, send)))
    app.state.studio.close()
