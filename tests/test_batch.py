"""Many photos: which ones, what becomes of each, and that a batch goes on after anything."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from pipeline.batch.batch import run_batch
from pipeline.batch.drive import Tally, drive
from pipeline.batch.engine import Outcome
from pipeline.batch.ledger import Ledger, Record
from pipeline.batch.local import LocalEngine
from pipeline.batch.photo_list import ForAll, read_photos
from pipeline.batch.photos import (
    PLAN,
    BatchPhoto,
    ListInvalid,
    labelled,
    photos_in,
    plain_name,
    shard,
)
from pipeline.batch.ray_engine import RayEngine, RayMissing
from pipeline.batch.report import page, table
from pipeline.commands.batch import run
from pipeline.commands.root import main
from pipeline.controls.presets import ControlsInvalid
from pipeline.disk.storage import StorageFailed
from pipeline.failures import BAD_INPUT, MACHINE, NO_FACE, OK, SOME_FAILED
from pipeline.jobs.prepare import tune_together
from pipeline.machine.bench import Bench
from pipeline.progress import Event, follow
from pipeline.settings.recipe import Recipe
from tests.pipeline_cases import Case, make_case, make_photo

POINTS = {
    "version": 1,
    "space": "aligned",
    "points": [{"handle": [12, 14], "target": [16, 15]}],
}
EVERY = ForAll(POINTS, {}, Recipe())


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """A folder with three photos, one of them further down, and what is none."""
    folder = tmp_path / "photos"
    (folder / "more").mkdir(parents=True)
    for seed, name in enumerate(("a.png", "b.png", "more/a.png")):
        make_photo(folder / name, seed=seed)
    (folder / "notes.txt").write_text("no photo")
    (folder / ".hidden.png").write_bytes(b"")
    (folder / "a.realdrag").mkdir()
    make_photo(folder / "a.realdrag" / "aligned.png")
    return folder


# ---------------------------------------------------------------------------------- which photos


def test_a_folder_gives_its_photos_with_names_of_their_own(photos: Path) -> None:
    found = read_photos(photos, EVERY)
    assert [each.path.relative_to(photos).as_posix() for each in found] == [
        "a.png",
        "b.png",
        "more/a.png",
    ]
    names = [each.name for each in found]
    assert len(set(names)) == 3 and names[1] == "b"
    assert names == [each.name for each in read_photos(photos, EVERY)]


def test_a_line_of_a_list_may_want_its_own_of_everything(photos: Path) -> None:
    (photos / "mask.png").write_bytes(b"")
    own = {**POINTS, "points": [{"handle": [1, 2], "target": [3, 4]}]}
    (photos / "own.json").write_text(json.dumps(own))
    lines = [
        {"photo": "a.png", "name": "anna", "face": 2, "settings": {"drag": {"steps": 7}}},
        {"photo": "b.png", "points": "own.json", "mask": "mask.png"},
        {"photo": "b.png", "points": own},
        {"photo": "b.png", "controls": {"smile": 0.5}},
    ]
    listed = photos / "list.jsonl"
    listed.write_text("\n\n".join(json.dumps(line) for line in lines))
    first, second, third, fourth = read_photos(listed, EVERY)
    assert first.name == "anna" and first.points == POINTS
    assert first.recipe["align"]["face"] == 2 and first.recipe["drag"]["steps"] == 7
    assert second.points == {**own, "mask": str(photos / "mask.png")}
    assert third.points == own
    assert fourth.points is None and fourth.controls == {"smile": 0.5}
    assert len({second.name, third.name, fourth.name}) == 3


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("{", "line 1: it is not JSON"),
        ('["a.png"]', "line 1: it needs at least"),
        ('{"photo": "a.png", "mood": 1}', "mood: unknown"),
        ('{"photo": "a.png", "points": 3}', "points is a points file's path"),
        ('{"photo": "a.png", "settings": {"drag": {"steps": -1}}}', "line 1: "),
        ('{"photo": "a.png", "settings": 1}', "settings is an object"),
        ('{"photo": "a.png", "name": "../a"}', "name is a file name"),
        ('{"photo": "a.png", "controls": 1}', "controls is an object"),
        ("", "is empty"),
        ('{"photo": "a\\u0000.jpg"}', "cannot be a file's name"),
        ('{"photo": "\\ud800.jpg"}', "cannot be a file's name"),
        ('{"photo": "a.png", "name": "a\\u0000b"}', "name is a file name"),
        ('{"photo": "a.png", "points": "nope.json"}', "line 1: .*nope.json"),
        ('{"photo": "a.png", "points": "/dev/zero"}', "not a file"),
        ("[" * 100_000, "line 1: it is not JSON"),
    ],
)
def test_a_list_that_cannot_be_used_says_which_line_and_why(
    photos: Path, line: str, said: str
) -> None:
    listed = photos / "list.jsonl"
    listed.write_text(line)
    with pytest.raises(ListInvalid, match=said):
        read_photos(listed, EVERY)


def test_a_photo_for_which_nothing_says_what_moves_is_named(photos: Path) -> None:
    with pytest.raises(ListInvalid, match=r"a\.png: there is nothing to say what moves"):
        read_photos(photos, ForAll(None, {}, Recipe()))
    assert read_photos(photos, ForAll(None, {"smile": 1.0}, Recipe()))
    (photos / "list.jsonl").write_text('{"photo": "a.png", "controls": {"smle": 1}}')
    with pytest.raises(ControlsInvalid, match="did you mean smile"):
        read_photos(photos / "list.jsonl", EVERY)


def test_a_folder_without_photos_and_a_place_without_anything_are_told(tmp_path: Path) -> None:
    with pytest.raises(ListInvalid, match="holds no photos"):
        read_photos(tmp_path, EVERY)
    with pytest.raises(ListInvalid, match="neither a folder"):
        read_photos(tmp_path / "gone", EVERY)


def test_photos_keep_their_names_when_others_of_the_same_name_come(photos: Path) -> None:
    first = read_photos(photos, EVERY)
    names = {label: each.name for label, each in labelled(first, photos)}
    make_photo(photos / "b.jpg", seed=7)
    make_photo(photos / "more" / "B.png", seed=8)
    after = {each.path: each.name for each in read_photos(photos, EVERY, names)}
    assert all(after[each.path] == each.name for each in first)
    assert len({name.casefold() for name in after.values()}) == 5


def test_outputs_of_batches_are_no_photos(photos: Path) -> None:
    out = photos / "out"
    out.mkdir()
    (out / PLAN).write_text("{}")
    make_photo(out / "a.png")
    assert len(photos_in(photos)) == 3
    with pytest.raises(ListInvalid, match="is the output of a batch"):
        photos_in(out)
    job = run_batch(photos, EVERY, photos, lambda: Scripted({}))
    with pytest.raises(ListInvalid, match="holds the photos"):
        follow(job, lambda event: None)


@pytest.mark.parametrize("stem", ["x" * 240, "a\x1b[31mred", "line\nbreak", "bad\udcff", "ü" * 100])
def test_a_name_that_a_disk_or_a_screen_does_not_take_becomes_one_that_they_do(stem: str) -> None:
    name = plain_name(stem)
    assert name.isprintable() and len(name.encode()) <= 120 and plain_name(name) == name


def test_every_photo_is_in_one_share_whoever_asks(photos: Path) -> None:
    for seed in range(20):
        make_photo(photos / f"{seed}.png", seed=seed)
    found = read_photos(photos, EVERY)
    shares = [shard(found, index, 3) for index in (1, 2, 3)]
    assert sorted(each.name for share in shares for each in share) == sorted(
        each.name for each in found
    )
    assert all(shares)


def test_an_exchanged_photo_and_other_points_ask_for_another_edit(photos: Path) -> None:
    first = read_photos(photos, EVERY)[0].request
    moved = {**POINTS, "points": [{"handle": [12, 14], "target": [17, 15]}]}
    assert read_photos(photos, ForAll(moved, {}, Recipe()))[0].request != first
    assert read_photos(photos, EVERY)[0].request == first
    make_photo(photos / "a.png", seed=9)
    assert read_photos(photos, EVERY)[0].request != first


# ------------------------------------------------------------------------- what becomes of photos


class Scripted:
    """An engine whose outcomes are written down: for each photo, one after the other."""

    def __init__(self, script: dict[str, list[Any]]) -> None:
        self.script = script
        self.given: list[str] = []
        self.closed = False
        self._waiting: list[BatchPhoto] = []

    @property
    def free(self) -> int:
        return 2 - len(self._waiting)

    def submit(self, photo: BatchPhoto) -> None:
        self.given.append(photo.name)
        self._waiting.append(photo)

    def wait(self, seconds: float) -> list[Outcome]:
        photo = self._waiting.pop(0)
        answer = self.script.get(photo.name, [{"status": "done"}]).pop(0)
        return [Outcome(photo, None, True) if answer == "late" else Outcome(photo, answer)]

    def close(self) -> None:
        self.closed = True


Driven = Callable[..., tuple[Tally, Scripted]]


@pytest.fixture
def driven(photos: Path, tmp_path: Path) -> Driven:
    """Run the driver with a script over the three photos; the middle one is called b."""

    def run(*b: Any, **how: Any) -> tuple[Tally, Scripted]:
        ledger = Ledger(tmp_path / "out")
        ledger.prepare()
        engine = Scripted({"b": list(b)})
        job = drive(read_photos(photos, EVERY), ledger, lambda: engine, **how)
        return follow(job, lambda event: None), engine

    return run


def records(folder: Path) -> dict[str, Any]:
    return {each.name: each for each in Ledger(folder / "out").all()}


def test_a_photo_that_kills_its_worker_gets_one_other_try(driven: Driven, tmp_path: Path) -> None:
    tally, engine = driven(None, {"status": "done"})
    assert (tally.done, tally.failed) == (3, 0)
    assert engine.given.count("b") == 2 and engine.given[-1] == "b" and engine.closed
    assert records(tmp_path)["b"].killed == 1


def test_a_photo_that_kills_two_workers_is_left_alone(driven: Driven, tmp_path: Path) -> None:
    tally, _ = driven(None, None)
    assert (tally.done, tally.failed) == (2, 1)
    assert records(tmp_path)["b"].status == "quarantined"
    again, engine = driven()
    assert again.before == 3 and engine.given == []
    once_more, engine = driven({"status": "done"}, retry_failed=True)
    assert engine.given == ["b"] and once_more.failed == 0


def test_a_photo_that_takes_too_long_is_told_from_one_that_fails(
    driven: Driven, tmp_path: Path
) -> None:
    driven("late")
    late = records(tmp_path)["b"]
    assert (late.status, late.kind) == ("timed_out", "TimedOut")
    driven({"status": "failed", "kind": "NoFaceFound", "exit_code": 3, "message": "x"},
           retry_failed=True)  # fmt: skip
    assert records(tmp_path)["b"].kind == "NoFaceFound"


def test_the_result_of_another_edit_is_taken_away_before_this_one(
    photos: Path, tmp_path: Path
) -> None:
    ledger = Ledger(tmp_path / "out")
    ledger.prepare()
    photo = read_photos(photos, EVERY)[1]
    old = tmp_path / "out" / "b.png"
    old.write_bytes(b"old")
    ledger.save(Record(photo.name, "", "another edit", "done", output="b.png"))
    follow(drive([photo], ledger, lambda: Scripted({"b": ["late"]})), lambda event: None)
    assert not old.exists()


def test_a_full_disk_ends_the_batch_and_the_photo_waits_for_the_next_run(
    driven: Driven, tmp_path: Path
) -> None:
    full = {"status": "failed", "kind": "StorageFailed", "exit_code": 5, "message": "it is full"}
    with pytest.raises(StorageFailed, match="it is full"):
        driven(full)
    assert records(tmp_path)["b"].status == "waiting"
    _, engine = driven({"status": "done"})
    assert "b" in engine.given


def test_the_report_groups_failures_and_keeps_html_and_formulas_out(
    driven: Driven, tmp_path: Path
) -> None:
    driven({"status": "failed", "kind": "NoFaceFound", "exit_code": 3, "message": "<b>no</b> face"})
    known = list(Ledger(tmp_path / "out").all())
    text = page(known)
    assert "2 of 3 photos are done" in text and "Failed: NoFaceFound (1)" in text
    assert "&lt;b&gt;no&lt;/b&gt; face" in text and "<b>no" not in text
    assert "http" not in text
    assert ",failed,NoFaceFound," in table(known)


# ------------------------------------------------------------------------------ with real workers


@pytest.fixture(scope="module")
def case(tmp_path_factory: pytest.TempPathFactory) -> Case:
    return make_case(tmp_path_factory.mktemp("batch"))


def command(case: Case, source: Path, output: Path, *more: str) -> list[str]:
    points = source.parent / "points.json"
    points.write_text(json.dumps(POINTS))
    quick = ["--align", "none", "--invert-steps", "4", "--invert-start-samples", "4"]
    return [
        "batch", str(source), "-o", str(output), "--points", str(points),
        "--network", str(case.network), "--perceptual", "offline", "--device", "cpu",
        *quick, "--drag-steps", "3", "--workers", "2", *more,
    ]  # fmt: skip


def test_a_folder_is_edited_once_and_what_fails_is_said(
    case: Case, photos: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    (photos / "broken.jpg").write_bytes(b"no picture")
    output = tmp_path / "out"
    assert main(command(case, photos, output)) == SOME_FAILED
    known = records(tmp_path)
    assert known["broken"].exit_code == NO_FACE
    done = [each for each in known.values() if each.status == "done"]
    assert len(done) == 3
    for each in done:
        assert (output / each.output).stat().st_size and "drag" in each.made
        assert (output / "compared" / f"{each.name}.jpg").is_file()
    assert (output / "report.html").is_file() and (output / "results.csv").is_file()
    capfd.readouterr()
    assert main(["batch", "status", str(output), "--json"]) == OK
    told = json.loads(capfd.readouterr().out)
    assert (told["done"], told["failed"], told["waiting"]) == (3, 1, 0)

    before = (output / "b.png").stat().st_mtime_ns
    assert main(command(case, photos, output)) == SOME_FAILED
    assert (output / "b.png").stat().st_mtime_ns == before
    (photos / "broken.jpg").unlink()
    (output / "b.png").unlink()
    assert main(command(case, photos, output, "--shard", "1/1")) == OK
    again = records(tmp_path)["b"]
    assert again.made == [] and (output / "b.png").is_file()  # its workspace still has it


def test_photos_of_a_folder_are_tuned_into_one_generator_and_dragged_on_their_own(
    case: Case,
    photos: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    (photos / "broken.jpg").write_bytes(b"no picture")
    recipe = Recipe.from_json(
        {
            "network": str(case.network),
            "perceptual": "offline",
            "align": {"align": "none"},
            "invert": {"steps": 3, "start_samples": 4},
            "tune": {"steps": 3},
        }
    )
    heard: list[Event] = []
    job = tune_together(photos_in(photos), recipe, Bench("cpu"), parent=tmp_path)
    workspaces = follow(job, heard.append)
    tuned = {each.read_state().current["tune"] for each in workspaces}  # type: ignore[union-attr]
    assert len(workspaces) == 3 and len(tuned) == 1
    assert any("broken.jpg is left out" in str(event) for event in heard)
    drag = ["drag", "-p", "12,14:14,15", "--steps", "2", "--paste", "network", "--device", "cpu"]
    for each in workspaces:
        assert main([*drag, "-w", str(each.folder)]) == OK
    capsys.readouterr()
    assert main(["tune", "--network", "embedded"]) == BAD_INPUT
    assert "goes with --together" in capsys.readouterr().err
    (tmp_path / "empty").mkdir()
    assert main(["tune", "--together", "empty"]) == BAD_INPUT
    assert "holds no photos" in capsys.readouterr().err


def test_a_batch_offers_no_option_of_which_nothing_would_come() -> None:
    offered = {parameter.name for parameter in run.params}
    assert {"presets", "amounts"} <= offered
    assert offered.isdisjoint({"like_photo", "parts", "strength", "save_preset"})


def test_what_is_asked_wrongly_is_a_usage_error(
    case: Case, photos: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for wrong, said in (
        (["--shard", "3/2"], "is not a share"),
        (["--timeout", "soon"], "is not a time"),
        (["--workers", "many"], "neither auto nor"),
    ):
        assert main(command(case, photos, tmp_path / "out", *wrong)) == BAD_INPUT
        assert said in capsys.readouterr().err
    assert main(["batch", "status", str(tmp_path)]) == BAD_INPUT
    assert "is no output of realdrag batch" in capsys.readouterr().err


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[LocalEngine]:
    Ledger(tmp_path / "out").prepare()
    made = LocalEngine(tmp_path / "out", "cpu", 1, None)
    yield made
    made.close()


def outcome(engine: LocalEngine, seconds: float = 120) -> Outcome:
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if found := engine.wait(1):
            return found[0]
    raise TimeoutError


def test_a_killed_worker_is_told_and_replaced(engine: LocalEngine, photos: Path) -> None:
    photo = read_photos(photos, EVERY)[1]
    unreadable = BatchPhoto("x", photos / "gone.jpg", POINTS, {}, photo.recipe)
    engine.submit(photo)
    (child,) = psutil.Process().children(recursive=False)[-1:]
    child.kill()
    assert outcome(engine) == Outcome(photo, None)
    assert engine.free == 1
    engine.submit(unreadable)
    answer = outcome(engine).answer
    assert answer is not None and answer["kind"] == "PhotoUnreadable"


def test_a_worker_that_takes_too_long_is_ended(tmp_path: Path, photos: Path) -> None:
    engine = LocalEngine(tmp_path, "cpu", 1, 0.05)
    engine.submit(read_photos(photos, EVERY)[0])
    ended = outcome(engine)
    assert ended.timed_out and ended.answer is None and engine.free == 1
    engine.close()


def test_workers_end_with_a_driver_that_is_killed_and_nothing_is_done_twice(
    case: Case, photos: Path, tmp_path: Path
) -> None:
    for seed in range(4):
        make_photo(photos / f"{seed}.png", seed=20 + seed)
    arguments = [sys.executable, "-m", "pipeline", *command(case, photos, tmp_path / "out")]
    log = tmp_path / "out" / "log.jsonl"
    driver = subprocess.Popen(arguments)
    end = time.monotonic() + 120
    while not (log.exists() and '"ended"' in log.read_text()):
        assert time.monotonic() < end and driver.poll() is None
        time.sleep(0.02)
    workers = psutil.Process(driver.pid).children(recursive=True)
    driver.kill()
    driver.wait()
    _, alive = psutil.wait_procs(workers, timeout=20)
    assert workers and not alive
    assert subprocess.run(arguments).returncode == OK
    made = [
        (said["photo"], stage)
        for said in map(json.loads, log.read_text().splitlines())
        if said["event"] == "ended"
        for stage in said["made"]
    ]
    assert len(made) == len(set(made))
    assert {each.status for each in records(tmp_path).values()} == {"done"}


def test_ray_edits_what_local_workers_edit(case: Case, photos: Path, tmp_path: Path) -> None:
    ray = pytest.importorskip("ray")
    try:
        assert main(command(case, photos, tmp_path / "out", "--engine", "ray")) == OK
    finally:
        ray.shutdown()
    assert {each.status for each in records(tmp_path).values()} == {"done"}
    assert main(command(case, photos, tmp_path / "here")) == OK
    for name in records(tmp_path):
        ours = (tmp_path / "here" / f"{name}.png").read_bytes()
        assert (tmp_path / "out" / f"{name}.png").read_bytes() == ours


def test_a_cluster_without_realdrag_is_told_and_no_photo_is_blamed(
    photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ray = pytest.importorskip("ray")

    class NotInstalled:
        def __init__(self, *given: object) -> None:
            raise ModuleNotFoundError("No module named 'pipeline'")

        def edit(self, photo: object) -> None: ...

    monkeypatch.setattr("pipeline.batch.ray_engine.PhotoWorker", NotInstalled)
    try:
        engine = RayEngine(tmp_path, "cpu", 1, None)
        engine.submit(read_photos(photos, EVERY)[0])
        with pytest.raises(RayMissing, match="No module named 'pipeline'.*install realdrag"):
            for _ in range(60):
                engine.wait(1)
        engine.close()
    finally:
        ray.shutdown()


def test_a_machine_that_dies_costs_its_photo_one_try(
    case: Case, photos: Path, tmp_path: Path
) -> None:
    clusters = pytest.importorskip("ray.cluster_utils")
    for seed in range(6):
        make_photo(photos / f"{seed}.png", seed=20 + seed)
    cluster = clusters.Cluster(initialize_head=True, head_node_args={"num_cpus": 1})
    try:
        _, third = cluster.add_node(num_cpus=1), cluster.add_node(num_cpus=1)
        cluster.wait_for_nodes()
        arguments = command(case, photos, tmp_path / "out", "--engine", "ray")
        driver = subprocess.Popen(
            [sys.executable, "-m", "pipeline", *arguments, "--ray-address", cluster.address]
        )
        log = tmp_path / "out" / "log.jsonl"
        end = time.monotonic() + 120
        while not (log.exists() and '"ended"' in log.read_text()):
            assert time.monotonic() < end and driver.poll() is None
            time.sleep(0.05)
        cluster.remove_node(third, allow_graceful=False)
        assert driver.wait(timeout=180) == OK
    finally:
        cluster.shutdown()
    assert {each.status for each in records(tmp_path).values()} == {"done"}
    assert max(each.killed for each in records(tmp_path).values()) <= 1


def test_results_are_copied_to_any_address_and_only_when_they_are_new(
    case: Case, photos: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    import fsspec

    arguments = command(case, photos, tmp_path / "out", "--copy-to", "memory://edited")
    assert main(arguments) == OK
    bucket = fsspec.filesystem("memory")
    ours = {f"{name}.png" for name in records(tmp_path)}
    names = {Path(each).name for each in bucket.ls("/edited", detail=False)}
    assert names == {*ours, "report.html", "results.csv"}
    for name in ours:
        assert bucket.cat(f"/edited/{name}") == (tmp_path / "out" / name).read_bytes()
    gone, *_ = sorted(ours)
    bucket.pipe(f"/edited/{gone}", b"theirs")
    assert main(arguments) == OK
    assert bucket.cat(f"/edited/{gone}") == b"theirs"
    (tmp_path / "out" / gone).unlink()
    assert main(arguments) == OK
    assert bucket.cat(f"/edited/{gone}") == (tmp_path / "out" / gone).read_bytes()
    capsys.readouterr()
    assert main([*arguments[:-1], "nowhere://edited"]) == BAD_INPUT
    assert "nothing can be copied to nowhere://edited" in capsys.readouterr().err


def test_results_that_cannot_be_copied_are_kept_and_copied_by_the_next_run(
    case: Case, photos: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "there").write_text("a file where a folder should be")
    arguments = command(case, photos, tmp_path / "out", "--copy-to", str(tmp_path / "there"))
    assert main(arguments) == MACHINE
    said = capsys.readouterr().err
    assert "could not be copied" in said and "the same command copies what is missing" in said
    assert {each.status for each in records(tmp_path).values()} == {"done"}
    (tmp_path / "there").unlink()
    assert main(arguments) == OK
    for name in records(tmp_path):
        copy = tmp_path / "there" / f"{name}.png"
        assert copy.read_bytes() == (tmp_path / "out" / f"{name}.png").read_bytes()
