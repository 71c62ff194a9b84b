"""The studio's queue: whose turn it is, and that one photo never blocks another."""

from __future__ import annotations

import json
import threading
import time
import zlib
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from pipeline.machine.bench import Bench
from pipeline.progress import Event, Step
from pipeline.studio.tickets import Kind, Progress, Ticket
from pipeline.studio.worker import StudioBusy, Worker
from tests.studio_server import (
    ENDLESS_DRAG,
    QUICK,
    TUNED,
    RunningStudio,
    make_up_faces,
    photo_bytes,
    running_studio,
    tiny_network,
)

SLOW = {**QUICK, "invert": {"steps": 10_000, "start_samples": 4}}
"""A projection that does not come to an end."""

POINT = {"handle": [10.0, 12.0], "target": [18.0, 16.0]}


def wait_for(condition: Callable[[], Any], seconds: float = 120.0) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.01)


# ------------------------------------------------------------------------------- the worker alone


class Log:
    """A worker whose jobs write down what they do."""

    def __init__(self) -> None:
        self.done: list[str] = []
        self.ended: list[tuple[str, dict[str, Any] | None]] = []
        self.gates: dict[str, threading.Semaphore] = {}
        self.worker = Worker(Bench("cpu"), self._tell, self._over, lambda: None)

    def _tell(self, ticket: Ticket, event: Event) -> None:
        """Take no note."""

    def _over(self, ticket: Ticket, error: dict[str, Any] | None) -> None:
        self.ended.append((ticket.workspace, error))

    def start(self, name: str, kind: Kind, steps: int = 3, of: str | None = None) -> Ticket:
        """Begin a job of that name, of the workspace `of` (its namesake if left out)."""
        gate = self.gates[name] = threading.Semaphore(0)

        def job() -> Progress:
            try:
                for step in range(1, steps + 1):
                    gate.acquire()
                    self.done.append(f"{name} {step}")
                    yield Step(kind.value, step, steps, {})
            finally:
                self.done.append(f"{name} over")

        return self.worker.start(of or name, kind, job)

    def let(self, name: str, steps: int = 1) -> None:
        """Let a job do so many steps, and wait until it has."""
        seen = len(self.done)
        self.gates[name].release(steps)
        wait_for(lambda: len(self.done) >= seen + steps)


@pytest.fixture
def log() -> Iterator[Log]:
    made = Log()
    yield made
    for gate in made.gates.values():
        gate.release(1000)
    made.worker.close()


def test_a_drag_goes_between_two_steps_of_what_is_prepared_and_that_goes_on_after_it(
    log: Log,
) -> None:
    log.start("aunt", Kind.PREPARE)
    log.let("aunt")
    log.start("uncle", Kind.DRAG, steps=2)
    log.let("aunt")  # it is in the middle of this step
    log.gates["uncle"].release(2)
    wait_for(lambda: "uncle over" in log.done)
    log.gates["aunt"].release(1)
    wait_for(lambda: "aunt over" in log.done)
    assert log.done == [
        "aunt 1",
        "aunt 2",
        "uncle 1",
        "uncle 2",
        "uncle over",
        "aunt 3",
        "aunt over",
    ]


def test_photos_are_prepared_in_turn_and_faces_are_looked_for_at_once(log: Log) -> None:
    log.start("one", Kind.PREPARE, steps=2)
    log.let("one")
    log.start("two", Kind.PREPARE, steps=1)
    log.start("three", Kind.FIND, steps=1)
    third = log.worker.ticket_of("two")
    assert third is not None
    assert [each.workspace for each in log.worker.ahead_of(third)] == ["three", "one"]
    for name in ("one", "two", "three"):
        log.gates[name].release(5)
    wait_for(lambda: len(log.ended) == 3)
    assert [name for name, _ in log.ended] == ["three", "one", "two"]


def test_a_paused_job_lets_others_go_on(log: Log) -> None:
    paused = log.start("aunt", Kind.DRAG)
    log.let("aunt")
    log.worker.pause(paused)
    log.gates["aunt"].release(1)  # the step that it was in
    log.start("uncle", Kind.PREPARE, steps=1)
    log.gates["uncle"].release(1)
    wait_for(lambda: ("uncle", None) in log.ended)
    assert "aunt over" not in log.done
    log.worker.resume(paused)
    log.gates["aunt"].release(1)
    wait_for(lambda: ("aunt", None) in log.ended)


def test_a_job_that_waits_is_cancelled_without_having_begun(log: Log) -> None:
    log.start("aunt", Kind.PREPARE)
    waiting = log.start("uncle", Kind.PREPARE)
    log.worker.stop(waiting)
    log.let("aunt")
    wait_for(lambda: ("uncle", None) in log.ended)
    assert not any(each.startswith("uncle") for each in log.done)


def test_a_second_job_on_the_files_of_a_photo_is_refused_and_the_first_goes_on(log: Log) -> None:
    first = log.start("aunt", Kind.DRAG)
    log.let("aunt")
    for kind in (Kind.DRAG, Kind.PREPARE, Kind.FILM):
        with pytest.raises(StudioBusy, match="being dragged"):
            log.start("aunt", kind)
    assert log.worker.tickets() == [first]
    log.start("aunt", Kind.FIND, steps=1)  # that only reads


def test_a_drag_that_is_asked_for_during_preparation_waits_for_it(log: Log) -> None:
    first = log.start("aunt", Kind.PREPARE)
    log.let("aunt")
    second = log.start("aunt's drag", Kind.DRAG, of="aunt")
    assert log.worker.ahead_of(second) == [first]
    log.gates["aunt's drag"].release(3)
    log.gates["aunt"].release(2)
    wait_for(lambda: len(log.ended) == 2)
    assert log.done.index("aunt over") < log.done.index("aunt's drag 1")


def test_a_drag_that_waits_for_a_preparation_is_given_up_with_it(log: Log) -> None:
    first = log.start("aunt", Kind.PREPARE)
    log.let("aunt")
    log.start("aunt's drag", Kind.DRAG, of="aunt")
    log.worker.stop(first)
    log.gates["aunt"].release(1)
    wait_for(lambda: len(log.ended) == 2)
    assert "aunt's drag 1" not in log.done


# ------------------------------------------------------------------------------------ over HTTP


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningStudio]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("REALDRAG_HOME", str(tmp_path_factory.mktemp("home")))
        make_up_faces(patch)
        network = tiny_network(tmp_path_factory.mktemp("network"))
        with running_studio(tmp_path_factory.mktemp("photos"), network) as running:
            yield running


@pytest.fixture
def prepared_for_ever(server: RunningStudio, request: pytest.FixtureRequest) -> Iterator[str]:
    """A photo whose preparation does not come to an end."""
    ident = server.upload(photo_bytes(seed=zlib.crc32(request.node.name.encode())), "endless.jpg")
    server.ok("PUT", f"/{ident}/settings", SLOW)
    server.ok("POST", f"/{ident}/prepare", {"face": 1})
    wait_for(lambda: server.ok("GET", f"/{ident}")["jobs"]["prepare"]["stage"] == "invert")
    yield ident
    server.ok("POST", f"/{ident}/job", {"action": "stop"})
    server.idle(ident)


@pytest.fixture(scope="module")
def ready(server: RunningStudio) -> str:
    return server.ready(photo_bytes(seed=1), "ready.jpg")


def test_while_a_photo_is_prepared_another_is_dragged_and_faces_are_found(
    server: RunningStudio, ready: str, prepared_for_ever: str
) -> None:
    server.ok("PUT", f"/{ready}/points", {"points": [POINT]})
    server.ok("POST", f"/{ready}/drag")
    assert server.idle(ready)["edit"]["drag"]
    found = server.upload(photo_bytes(seed=2), "found.jpg")
    assert len(server.ok("GET", f"/{found}")["found"]["faces"]) == 2
    job = server.ok("GET", f"/{prepared_for_ever}")["jobs"]["prepare"]
    before = job["step"]
    wait_for(lambda: server.ok("GET", f"/{prepared_for_ever}")["jobs"]["prepare"]["step"] > before)


def test_a_photo_that_waits_says_for_which(server: RunningStudio, prepared_for_ever: str) -> None:
    ident = server.upload(photo_bytes(seed=3), "waiting.jpg")
    server.ok("PUT", f"/{ident}/settings", QUICK)
    server.ok("POST", f"/{ident}/prepare", {"face": 1})
    job = server.ok("GET", f"/{ident}")["jobs"]["prepare"]
    name = prepared_for_ever.removesuffix(".realdrag")
    assert not job["running"] and job["ahead"] == [{"name": name, "kind": "prepare"}]
    server.ok("POST", f"/{ident}/job", {"action": "stop"})
    assert not server.idle(ident)["ready"]


def track(server: RunningStudio, ident: str) -> Any:
    return server.ok("GET", f"/{ident}")["edit"]["points"][0]["track"]


def test_a_refused_drag_leaves_the_running_ones_tracks_and_picture_alone(
    server: RunningStudio, ready: str
) -> None:
    server.ok("PUT", f"/{ready}/settings", {**QUICK, "drag": ENDLESS_DRAG})
    server.ok("PUT", f"/{ready}/points", {"points": [POINT]})
    server.ok("POST", f"/{ready}/drag")
    wait_for(lambda: track(server, ready))
    server.ok("POST", f"/{ready}/job", {"action": "pause"})
    wait_for(lambda: not server.ok("GET", f"/{ready}")["jobs"]["drag"]["running"])
    before = track(server, ready)
    frame = server.studio.last_frame(ready)
    answer = server.client.post(f"/api/workspaces/{ready}/drag")
    assert answer.status_code == 409 and answer.json()["kind"] == "StudioBusy"
    assert track(server, ready) == before != []
    assert server.studio.last_frame(ready) == frame is not None
    server.ok("POST", f"/{ready}/job", {"action": "stop"})
    server.idle(ready)
    server.ok("PUT", f"/{ready}/settings", QUICK)
    server.ok("POST", f"/{ready}/reset")


def test_ten_photos_of_one_name_uploaded_at_once_are_all_taken(
    server: RunningStudio, prepared_for_ever: str
) -> None:
    def upload(seed: int) -> Any:
        data = photo_bytes(seed=100 + seed)
        return server.client.post("/api/workspaces", params={"name": "endless.jpg"}, content=data)

    with ThreadPoolExecutor(10) as pages:
        answers = list(pages.map(upload, range(10)))
    assert {answer.status_code for answer in answers} == {201}
    assert len({answer.json()["id"] for answer in answers}) == 10
    again = upload(0)
    assert again.status_code == 201 and not again.json()["fresh"]


def test_a_photo_that_is_being_prepared_is_opened_when_it_is_uploaded_again(
    server: RunningStudio, prepared_for_ever: str
) -> None:
    original = next((server.root / prepared_for_ever / "studio").glob("original.*"))
    answer = server.client.post("/api/workspaces", content=original.read_bytes())
    assert answer.status_code == 201, answer.text
    assert answer.json() == {"id": prepared_for_ever, "fresh": False}


def test_a_failed_job_is_told_until_something_else_is_done(
    server: RunningStudio, ready: str
) -> None:
    bad = {**TUNED, "tune": {"first_block": 8, "last_block": 4}}
    server.ok("PUT", f"/{ready}/settings", bad)
    server.ok("POST", f"/{ready}/prepare", {})
    failure = server.idle(ready)["failure"]
    assert failure["kind"] == "RecipeInvalid" and "block" in failure["message"]
    assert json.dumps(server.ok("GET", f"/{ready}")["failure"]) == json.dumps(failure)
    server.ok("PUT", f"/{ready}/settings", QUICK)
    server.ok("PUT", f"/{ready}/points", {"points": [POINT]})
    assert server.ok("GET", f"/{ready}")["failure"] is None
    server.ok("POST", f"/{ready}/reset")
