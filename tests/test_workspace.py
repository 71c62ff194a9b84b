"""One photo's folder: reuse, damage, locks."""

from __future__ import annotations

import json
import shutil
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from filelock import FileLock

from drag.config import DragConfig
from pipeline.disk.storage import read_sealed
from pipeline.disk.workspace import STATE
from pipeline.failures import BAD_INPUT, MACHINE, OK
from pipeline.jobs.requests import drag_settings
from pipeline.stage_table import STAGES
from pipeline.stages.work import Work, compute
from tests.conftest import Run
from tests.pipeline_cases import Case, make_photo


@pytest.fixture
def computed(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Names of the stages that had to compute, in order."""
    names: list[str] = []

    def counting(work: Work) -> object:
        names.append(work.request.stage)
        return compute(work)

    monkeypatch.setattr("pipeline.jobs.obtain.compute", counting)
    return names


def current(case: Case) -> dict[str, str]:
    found = read_sealed(case.workspace / STATE)["current"]
    assert isinstance(found, dict)
    return found


def artifact(case: Case, stage: str) -> Path:
    (folder,) = case.workspace.glob(f"artifacts/{stage}-{current(case)[stage][:16]}")
    return folder


def contents(folder: Path) -> dict[str, bytes]:
    """Files of an artifact without its manifest, which tells the time."""
    return {
        path.name: path.read_bytes() for path in folder.iterdir() if path.name != "manifest.json"
    }


def test_a_second_run_computes_nothing_and_says_so(
    finished: Case, run: Run, computed: list[str]
) -> None:
    for arguments in (finished.invert(), finished.tune(), finished.drag()):
        outcome = run(arguments)
        assert outcome.code == OK
        assert "already there" in outcome.err
        assert "done in" not in outcome.err
    assert computed == []


def test_changing_only_r1_reuses_the_tuned_generator(
    finished: Case, run: Run, computed: list[str]
) -> None:
    assert run(finished.drag("--r1", "5")).code == OK
    assert computed == ["drag", "result"]


def test_changing_only_the_format_reuses_the_drag(
    finished: Case, run: Run, computed: list[str]
) -> None:
    assert run(finished.drag("--format", "jpg")).code == OK
    assert computed == ["result"]
    assert (finished.workspace / "result.jpg").exists()
    assert not (finished.workspace / "result.png").exists()


def test_another_seed_computes_what_depends_on_it_and_the_old_one_is_still_there(
    finished: Case, run: Run, computed: list[str]
) -> None:
    before = current(finished)
    assert run(finished.invert("--seed", "1")).code == OK
    assert computed == ["invert"]
    assert set(current(finished)) == {"align", "invert"}
    assert not (finished.workspace / "tuned.png").exists()
    outcome = run(finished.drag("--paste", "network"))
    assert outcome.code == BAD_INPUT
    assert "run `realdrag tune` first" in outcome.err
    computed.clear()
    for arguments in (finished.invert(), finished.tune(), finished.drag()):
        assert run(arguments).code == OK
    assert computed == []
    assert current(finished) == before
    assert (finished.workspace / "tuned.png").exists()


def test_edit_reuses_what_the_three_commands_made(
    finished: Case, run: Run, computed: list[str]
) -> None:
    assert run(finished.drag("--paste", "network")).code == OK
    computed.clear()
    arguments = ["edit", *finished.invert()[1:4], "--points", "points.json"]
    arguments += ["--align", "none", "--perceptual", "offline", "--device", "cpu"]
    arguments += ["--invert-steps", "6", "--invert-start-samples", "20"]
    arguments += ["--tune-steps", "5", "--tune-locality-pool", "4", "--drag-steps", "6"]
    assert run([*arguments, "--paste", "network"]).code == OK
    assert computed == []


def test_a_face_is_dragged_without_tuning_and_tuning_later_leaves_that_result(
    case: Case, run: Run, computed: list[str]
) -> None:
    assert run(case.invert()).code == OK
    computed.clear()
    assert run(case.drag()).code == OK
    assert computed == ["drag", "result"]
    untuned = current(case)
    assert run(case.tune()).code == OK
    assert {name: current(case)[name] for name in untuned} == untuned
    assert run(case.drag()).code == OK
    assert current(case)["drag"] != untuned["drag"], "the tuned network's motion is another"
    assert run(case.invert("--seed", "1")).code == OK
    assert set(current(case)) == {"align", "invert"}


def test_two_photos_with_one_name_get_two_workspaces(case: Case, run: Run) -> None:
    (case.folder / "other").mkdir()
    other = make_photo(case.folder / "other" / "photo.png", seed=5)
    assert run(case.invert()).code == OK
    second = case.invert()
    second[1] = str(other)
    outcome = run(second)
    assert outcome.out.startswith("photo-2.realdrag:")
    assert run(second).out.startswith("photo-2.realdrag:")
    assert run(case.invert()).out.startswith("photo.realdrag:")
    assert run(["tune", "--steps", "1", "--locality-pool", "1"]).err.startswith(
        "workspace: photo.realdrag"
    )


def test_the_same_photo_from_elsewhere_finds_its_workspace(
    finished: Case, run: Run, computed: list[str]
) -> None:
    (finished.folder / "moved").mkdir()
    shutil.move(finished.photo, finished.folder / "moved" / "photo.png")
    arguments = finished.invert()
    arguments[1] = "moved/photo.png"
    assert run(arguments).out.startswith("photo.realdrag:")
    assert computed == []


def test_a_workspace_of_another_photo_is_refused(finished: Case, run: Run) -> None:
    make_photo(finished.folder / "other.png", seed=5)
    arguments = finished.invert("-w", "photo.realdrag")
    arguments[1] = "other.png"
    outcome = run(arguments)
    assert outcome.code == MACHINE
    assert "is the workspace of another photo" in outcome.err


def test_a_renamed_workspace_goes_on_working(finished: Case, run: Run, computed: list[str]) -> None:
    finished.workspace.rename(finished.folder / "meine Änderung.realdrag")
    assert run(finished.drag("--r1", "5")).code == OK
    assert computed == ["drag", "result"]


@pytest.mark.parametrize("stage", STAGES)
def test_a_flipped_byte_in_any_file_is_named_and_the_artifact_made_again(
    finished: Case, run: Run, computed: list[str], stage: str
) -> None:
    folder = artifact(finished, stage)
    before = contents(folder)
    for name in sorted(path.name for path in folder.iterdir()):
        data = bytearray((folder / name).read_bytes())
        data[len(data) // 2] ^= 4
        (folder / name).write_bytes(data)
        outcome = run(finished.drag())
        assert outcome.code == OK
        assert f"the artifact {folder.name} is damaged: {name}" in outcome.err
        assert "was moved to damaged/" in outcome.err
        assert computed == [stage]
        assert contents(folder) == before
        computed.clear()
    assert run(finished.drag()).code == OK
    assert computed == []


def test_several_damaged_artifacts_are_made_again_in_order(
    finished: Case, run: Run, computed: list[str]
) -> None:
    before = {stage: contents(artifact(finished, stage)) for stage in STAGES}
    for stage in STAGES:
        (artifact(finished, stage) / "manifest.json").write_text("{}")
    assert run(finished.drag()).code == OK
    assert computed == list(STAGES)
    assert {stage: contents(artifact(finished, stage)) for stage in STAGES} == before


def test_a_workspace_needs_neither_the_original_photo_nor_points_to_mend_itself(
    finished: Case, run: Run, computed: list[str]
) -> None:
    finished.photo.unlink()
    (artifact(finished, "align") / "aligned.png").write_bytes(b"")
    assert run(finished.tune()).code == OK
    assert computed == ["align"]


def test_a_photo_that_is_lost_altogether_is_named(finished: Case, run: Run) -> None:
    state = read_sealed(finished.workspace / STATE)
    original = Path(state["requests"][current(finished)["align"]]["hints"]["photo"])
    original.rename(original.with_name("elsewhere.png"))
    try:
        (artifact(finished, "align") / "photo.png").write_bytes(b"")
        outcome = run(finished.tune())
    finally:
        original.with_name("elsewhere.png").rename(original)
    assert outcome.code == MACHINE
    assert "the photo this was made from is gone" in outcome.err


def test_a_damaged_workspace_file_is_pieced_together(
    finished: Case, run: Run, computed: list[str]
) -> None:
    before = current(finished)
    path = finished.workspace / STATE
    path.write_bytes(path.read_bytes().replace(b'"tune"', b'"tuna"'))
    outcome = run(finished.drag())
    assert outcome.code == OK
    assert "workspace.json is damaged" in outcome.err
    assert computed == []
    assert current(finished) == before


def test_a_lost_workspace_file_is_no_loss_of_work(
    finished: Case, run: Run, computed: list[str]
) -> None:
    (finished.workspace / STATE).unlink()
    for arguments in (finished.invert(), finished.tune(), finished.drag()):
        assert run(arguments).code == OK
    assert computed == []


def test_a_picture_at_the_top_that_was_changed_is_put_back(finished: Case, run: Run) -> None:
    for name in ("aligned.png", "tuned.png", "result.png"):
        before = (finished.workspace / name).read_bytes()
        (finished.workspace / name).write_bytes(b"scribble")
        assert run(finished.drag()).code == OK
        assert (finished.workspace / name).read_bytes() == before


@pytest.fixture
def holding(finished: Case) -> Iterator[threading.Event]:
    """Hold the workspace's lock from elsewhere until the event is set."""
    release, held = threading.Event(), threading.Event()

    def hold() -> None:
        with FileLock(finished.workspace / "lock", thread_local=False):
            said = {"pid": 4711, "command": "realdrag tune"}
            (finished.workspace / "lock.json").write_text(json.dumps(said))
            held.set()
            release.wait(20)

    thread = threading.Thread(target=hold)
    thread.start()
    assert held.wait(20)
    yield release
    release.set()
    thread.join()


def test_a_second_process_waits_and_says_for_whom(
    finished: Case, run: Run, holding: threading.Event
) -> None:
    threading.Timer(0.5, holding.set).start()
    started = time.monotonic()
    outcome = run(finished.drag())
    assert outcome.code == OK
    assert time.monotonic() - started >= 0.4
    assert "photo.realdrag is in use by process 4711 (realdrag tune); waiting" in outcome.err


def test_the_lock_of_a_process_that_died_holds_nobody_up(finished: Case, run: Run) -> None:
    (finished.workspace / "lock").write_text("")
    (finished.workspace / "lock.json").write_text('{"pid": 1, "command": "realdrag tune"}')
    assert "in use" not in run(finished.drag()).err


def test_leftovers_of_killed_processes_are_swept_away(finished: Case, run: Run) -> None:
    draft = finished.workspace / "artifacts" / ".draft-tune-0-1-2"
    draft.mkdir()
    (draft / "delta.safetensors").write_bytes(b"half")
    part = finished.workspace / ".result.png.99.part"
    part.write_bytes(b"half")
    assert run(finished.drag()).code == OK
    assert not draft.exists()
    assert not part.exists()


def test_commands_without_a_workspace_say_what_to_do(case: Case, run: Run) -> None:
    for arguments in (case.tune(), case.drag()):
        outcome = run(arguments)
        assert outcome.code == BAD_INPUT
        assert "run `realdrag edit PHOTO` or `invert PHOTO` first" in outcome.err
    outcome = run(case.tune("-w", "nowhere.realdrag"))
    assert outcome.code == MACHINE
    assert "nowhere.realdrag is not a workspace" in outcome.err
    assert not (case.folder / "nowhere.realdrag").exists()


def test_a_setting_that_does_not_count_for_the_method_is_no_part_of_the_fingerprint() -> None:
    assert "learning_rate" not in drag_settings(DragConfig())
    assert "learning_rate" in drag_settings(DragConfig(method="draggan"))


def test_what_another_version_made_is_used_while_it_is_whole_and_not_made_again_as_its_own(
    finished: Case, run: Run, computed: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    later = {name: replace(stage, version=stage.version + 1) for name, stage in STAGES.items()}
    monkeypatch.setattr("pipeline.stage_table.STAGES", later)
    for module in ("obtain", "prepare", "drag", "requests"):
        monkeypatch.setattr(f"pipeline.jobs.{module}.STAGES", later)
    assert run(finished.drag()).code == OK
    assert computed == ["drag", "result"]
    (artifact(finished, "tune") / "delta.safetensors").write_bytes(b"damaged")
    outcome = run(finished.drag("--r1", "5"))
    assert outcome.code == MACHINE
    assert "made by another version of realdrag" in outcome.err
    assert "run `realdrag tune` again" in outcome.err
