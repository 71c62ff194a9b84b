"""The command line: what it says, what it writes, and how it ends."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import click
import numpy as np
import pytest
from click.testing import CliRunner
from PIL import Image
from skimage import data

from drag.config import DragConfig
from drag.distinctness import HandleCheck
from drag.stopping import StopReason
from pipeline.commands.console import Console
from pipeline.commands.options import config_from_options, config_options
from pipeline.disk.workspace import Workspace
from pipeline.failures import BAD_INPUT, BUG, CANCELLED, NO_FACE, OK, WEIGHTS
from pipeline.settings.recipe import PARTS
from pipeline.settings.schema import settings
from stylegan2.checkpoint import load_generator
from stylegan2.formats.latents import read_latents
from tests.conftest import Run
from tests.pipeline_cases import SIZE, Case, make_points

ROOT = Path(__file__).parent.parent


def events(out: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in out.splitlines()]


def untouched(case: Case) -> bool:
    """Tell whether the case's folder holds only what it was made with."""
    return {path.name for path in case.folder.iterdir()} <= {
        "photo.png",
        "tiny.safetensors",
        "points.json",
        "text.jpg",
        "mask.png",
    }


def test_help_names_the_three_commands_and_every_exit_code(run: Run) -> None:
    outcome = run(["--help"])
    assert outcome.code == OK
    for line in ("realdrag invert photo.jpg", "realdrag tune", "realdrag drag --points"):
        assert line in outcome.out
    for code in (0, 1, 2, 3, 4, 5, 130):
        assert f"  {code:3}  " in outcome.out


def test_options_are_grouped_under_headings(run: Run) -> None:
    out = run(["edit", "--help"]).out
    order = [out.index(f"\n{name}:\n") for name in ("Options", "Face", "Projection", "Tuning")]
    assert order == sorted(order)
    assert "--drag-r1" in out
    assert "pixels of a 512 image" in out or "px of a 512 picture" in out


def test_every_setting_is_an_option_with_its_default_shown(run: Run) -> None:
    out = " ".join(run(["drag", "--help"]).out.split())
    for setting in settings(DragConfig):
        assert f"--{setting.name.replace('_', '-')}" in out
        default = setting.default
        if default is None:
            assert "left out, " in setting.help and setting.help.split("; ")[0] in out
            continue
        shown = default if isinstance(default, str) else f"{default:g}"
        assert f"[default {shown}" in out


@pytest.mark.parametrize("part", PARTS)
def test_options_that_are_left_out_give_the_default_config(part: str) -> None:
    built: list[Any] = []

    @click.command()
    @config_options(PARTS[part], "Group")
    def command(**options: Any) -> None:
        built.append(config_from_options(PARTS[part], options))

    outcome = CliRunner().invoke(command, [], standalone_mode=False)
    assert outcome.exception is None
    assert built == [PARTS[part]()]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["drag", "--r2", "-1", "-p", "1,1:2,2"], "r2 must be at least 0.1, got -1"),
        (["drag", "--steps", "many", "-p", "1,1:2,2"], "'many' is not a valid integer"),
        (["drag", "--r3", "1"], "No such option"),
        (["drag"], "say what to move"),
        (["drag", "-p", "1,1"], "is not X,Y:X,Y"),
        (["drag", "-p", "1,1:2,2", "--points", "points.json"], "not both"),
        (["edit", "photo.png"], "say what to move"),
        (["drag", "-p", "1,1:2,2", "-o", "face.gif"], "end the name in .png, .jpg"),
        (["drag", "-p", "1,1:2,2", "-o", "face.jpg", "--format", "png"], "leave out the format"),
        (["drag", "-p", "1,1:2,2", "-o", "nowhere/face.jpg"], "there is no folder nowhere"),
        (["edit", "photo.png", "-p", "1,1:2,2", "-o", "photo.png"], "is the photo itself"),
        (["frobnicate"], "No such command"),
        (["invert"], "Missing argument"),
        (["models", "convert", "tiny.safetensors", "out.pkl"], "should end in .safetensors"),
        (["models", "export", "out.safetensors", "--edited"], "end the name in .npz"),
    ],
)
def test_a_bad_command_line_is_exit_code_2_in_words_and_in_json(
    case: Case, run: Run, arguments: list[str], message: str
) -> None:
    outcome = run(arguments)
    assert outcome.code == BAD_INPUT
    assert message in outcome.err
    (event,) = events(run([*arguments, "--json"]).out)
    assert event["event"] == "error"
    assert event["exit_code"] == BAD_INPUT
    assert message in event["message"]
    assert untouched(case)


def test_json_is_one_object_a_line_from_the_first_step_to_done(finished: Case, run: Run) -> None:
    outcome = run(finished.drag("--r1", "5", "--json"))
    assert outcome.code == OK
    told = events(outcome.out)
    assert [event["event"] for event in told] == [
        "started",
        *["step"] * 6,
        "stage",
        "started",
        *["step"] * 2,
        "stage",
        "done",
    ]
    assert [e["step"] for e in told if e["event"] == "step" and e["stage"] == "drag"] == [
        *range(1, 7)
    ]
    assert told[7]["info"]["stop"] == "arrived"
    assert told[7]["reused"] is False
    done = told[-1]
    assert done["stop"] == "arrived" and done["distances"] == [0, 0]
    assert Path(done["pictures"]["result.png"]).exists()


def test_words_go_to_stderr_and_only_the_outcome_to_stdout(finished: Case, run: Run) -> None:
    outcome = run(finished.tune())
    assert outcome.out == "photo.realdrag: " + ", ".join(
        ("aligned.png", "inverted.png", "tuned.png", "drag.gif", "result.png", "compare.png\n")
    )
    assert outcome.err.splitlines()[0] == "workspace: photo.realdrag"
    assert "\r" not in outcome.err


def test_points_on_the_command_line_are_the_same_as_in_a_file(finished: Case, run: Run) -> None:
    arguments = [
        "drag", "-p", "12,14:16,15", "--point", "24.5,20:22,22", "--steps", "6", "--device", "cpu"
    ]  # fmt: skip
    assert "Dragging: already there" in run(arguments).err


def test_the_result_is_written_to_the_file_that_is_named_in_its_format(
    finished: Case, run: Run
) -> None:
    wanted = finished.folder / "edited.jpg"
    wanted.write_text("an older one")
    outcome = run(finished.drag("-o", "edited.jpg"))
    assert outcome.code == OK
    assert outcome.out.splitlines()[-1] == "written: edited.jpg"
    assert wanted.read_bytes() == (finished.workspace / "result.jpg").read_bytes()
    with Image.open(wanted) as picture:
        assert picture.format == "JPEG"
    again = run(finished.drag("-o", "other.webp", "--json"))
    assert events(again.out)[-1]["output"] == "other.webp"
    with Image.open(finished.folder / "other.webp") as picture:
        assert picture.format == "WEBP"


def bad_points(folder: Path, **changes: Any) -> None:
    data: dict[str, Any] = {
        "version": 1,
        "space": "photo",
        "points": [{"handle": [12, 14], "target": [16, 15]}],
    }
    (folder / "points.json").write_text(json.dumps({**data, **changes}))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"points": [{"handle": [500, 14], "target": [16, 15]}]}, "point 1: handle (500, 14)"),
        ({"points": [{"handle": [12, 14], "target": [12, 14]}]}, "so nothing would move"),
        ({"points": [{"handle": [float("nan"), 1], "target": [1, 1]}]}, "point 1: handle: x"),
        (
            {
                "points": [
                    {"handle": [1, 1], "target": [2, 2]},
                    {"handle": [1, 1], "target": [3, 3]},
                ]
            },
            "point 2",
        ),
        ({"colour": "red"}, "unknown key 'colour'"),
        ({"mask": "absent.png"}, "absent.png"),
        ({"mask": "mask.png"}, "it is 7 x 7 pixels"),
    ],
    ids=["handle", "only pins", "nan", "duplicate", "key", "no mask", "mask size"],
)
@pytest.mark.parametrize("command", ["drag", "edit"])
def test_bad_points_are_named_and_nothing_is_written(
    case: Case, finished: Case, run: Run, changes: dict[str, Any], message: str, command: str
) -> None:
    place = finished if command == "drag" else case
    os.chdir(place.folder)
    Image.new("L", (7, 7), 255).save(place.folder / "mask.png")
    bad_points(place.folder, **changes)
    before = {path: path.stat().st_mtime_ns for path in place.workspace.rglob("*.safetensors")}
    if command == "drag":
        outcome = run(place.drag())
    else:
        outcome = run([
            "edit", "photo.png", "--network", str(place.network), "--points", "points.json",
            "--align", "none", "--perceptual", "offline", "--invert-steps", "1",
            "--invert-start", "mean", "--tune-steps", "1", "--tune-locality-weight", "0",
        ])  # fmt: skip
    assert outcome.code == BAD_INPUT
    assert message in outcome.err
    assert "Traceback" not in outcome.err
    after = {path: path.stat().st_mtime_ns for path in place.workspace.rglob("*.safetensors")}
    assert after == before
    if command == "edit":
        assert untouched(case)


@pytest.mark.parametrize("content", [b"just words", b"", b"\xff\xd8\xff\xe0 cut off"])
def test_a_file_that_is_no_photo_is_exit_code_3_and_leaves_nothing(
    case: Case, run: Run, content: bytes
) -> None:
    (case.folder / "text.jpg").write_bytes(content)
    arguments = case.invert()
    arguments[1] = "text.jpg"
    outcome = run(arguments)
    assert outcome.code == NO_FACE
    assert "text.jpg" in outcome.err
    assert untouched(case)


def test_a_photo_that_is_not_there_is_named(case: Case, run: Run) -> None:
    arguments = case.invert()
    arguments[1] = "absent.jpg"
    outcome = run(arguments)
    assert outcome.code == NO_FACE
    assert "absent.jpg is not there" in outcome.err
    assert untouched(case)


def test_a_picture_without_a_face_is_exit_code_3_says_what_to_do_and_leaves_nothing(
    case: Case, run: Run
) -> None:
    arguments = case.invert("--landmark-source", "offline")
    del arguments[arguments.index("--align") : arguments.index("--align") + 2]
    outcome = run(arguments)
    assert outcome.code == NO_FACE
    assert "--landmarks" in outcome.err
    assert "--align none" in outcome.err
    assert untouched(case)


@pytest.mark.parametrize("network", ["ffhq-9999", "points.json", "ffhq-256"])
def test_a_network_that_cannot_be_had_is_exit_code_4(case: Case, run: Run, network: str) -> None:
    arguments = case.invert()
    arguments[3] = network
    (event,) = events(run([*arguments, "--json"]).out)
    assert event["exit_code"] == WEIGHTS
    assert network in event["message"]
    assert untouched(case)


def test_a_device_that_is_not_there_is_refused_with_what_is(case: Case, run: Run) -> None:
    import torch

    missing = "mps" if not torch.backends.mps.is_available() else "cuda"
    outcome = run(case.invert("--device", missing))
    assert outcome.code == BAD_INPUT
    assert f"no {missing} device" in outcome.err
    assert untouched(case)


def test_a_bug_keeps_its_traceback_and_says_where_to_report(
    finished: Case, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(self: Workspace) -> None:
        raise ZeroDivisionError("oops")

    monkeypatch.setattr(Workspace, "lock", broken)
    outcome = run(finished.tune())
    assert outcome.code == BUG
    assert "Traceback" in outcome.err
    assert "ZeroDivisionError: oops" in outcome.err
    assert "report it" in outcome.err
    (event,) = events(run(finished.tune("--json")).out)
    assert (event["kind"], event["exit_code"]) == ("Bug", BUG)


def test_ctrl_c_is_exit_code_130_and_keeps_what_is_finished(
    case: Case, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    tell = Console.tell

    def interrupting(self: Console, event: Any) -> None:
        tell(self, event)
        if event.event == "step" and event.stage == "invert" and event.step == 3:
            self._interrupted(2, None)

    with monkeypatch.context() as patch:
        patch.setattr(Console, "tell", interrupting)
        outcome = run(case.invert())
    assert outcome.code == CANCELLED
    assert "cancelled; what was finished is kept" in outcome.err
    again = run(case.invert())
    assert "Face: already there" in again.err
    assert "Projection: done" in again.err


def test_the_first_ctrl_c_of_a_drag_keeps_its_step_and_the_second_gives_it_up(
    finished: Case, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    tell = Console.tell
    presses = [1]

    def interrupting(self: Console, event: Any) -> None:
        tell(self, event)
        if event.event == "step" and event.stage == "drag" and event.step == 2:
            while presses[0]:
                presses[0] -= 1
                self._interrupted(2, None)

    monkeypatch.setattr(Console, "tell", interrupting)
    outcome = run(finished.drag("--r1", "5"))
    assert outcome.code == OK
    assert "You stopped it. The picture is kept as it was. 2 steps" in outcome.out
    presses[0] = 2
    assert run(finished.drag("--r1", "6")).code == CANCELLED


def test_cache_hits_never_load_torch(finished: Case, home: Path, run: Run) -> None:
    Image.fromarray(data.astronaut()[0:300, 90:360]).save("portrait.png")
    embedded = ["edit", "portrait.png", "-p", "120,120:126,120", "--device", "cpu"]
    assert run(embedded).code == OK
    for arguments in (finished.invert(), finished.tune(), finished.drag(), embedded):
        code = (
            "import sys; from pipeline.commands.root import main; code = main(sys.argv[1:]); "
            "sys.exit(99 if 'torch' in sys.modules else code)"
        )
        told = subprocess.run(
            [sys.executable, "-c", code, *arguments],
            env={**os.environ, "PYTHONPATH": str(ROOT)},
            cwd=finished.folder,
            capture_output=True,
            text=True,
        )
        assert told.returncode == OK, told.stderr
        assert "already there" in told.stderr


def test_ls_lists_workspaces_with_what_they_hold(finished: Case, run: Run) -> None:
    outcome = run(["ls"])
    assert outcome.code == OK
    assert outcome.out.startswith("photo.realdrag  photo.png  align, invert, tune, drag, result  ")
    (event,) = events(run(["ls", "--json"]).out)
    (row,) = event["workspaces"]
    assert row["stages"] == ["align", "invert", "tune", "drag", "result"]
    (finished.workspace / "workspace.json").write_text("{")
    assert "damaged" in run(["ls"]).out


def test_ls_of_an_empty_folder_says_so(case: Case, run: Run) -> None:
    assert run(["ls"]).out == "no workspaces in .\n"


def test_doctor_says_what_is_there_and_what_will_be_used(case: Case, run: Run) -> None:
    outcome = run(["doctor"])
    assert outcome.code == OK
    for word in ("memory", "torch", "face-alignment", "lpips-vgg", "device", "switched off"):
        assert word in outcome.out
    (event,) = events(run(["doctor", "--json", "--device", "cpu"]).out)
    assert event["in use"]["device"] == "cpu"


def test_models_list_names_every_known_network(run: Run) -> None:
    (event,) = events(run(["models", "list", "--json"]).out)
    names = {row["name"]: row for row in event["networks"]}
    assert {"embedded", "ffhq-1024", "afhqcat-512"} <= names.keys()
    assert names["ffhq-1024"]["here"] is False
    assert "non-commercial" in run(["models", "list"]).out


def test_models_info_describes_a_file(case: Case, run: Run) -> None:
    (event,) = events(run(["models", "info", "tiny.safetensors", "--json"]).out)
    assert event["resolution"] == SIZE
    assert event["num_ws"] == 8
    assert len(event["weights"]) == 64


def test_models_convert_and_export_write_what_other_tools_read(finished: Case, run: Run) -> None:
    network = str(finished.network)
    outcome = run(["models", "convert", network, "same.safetensors", "--layout", "nvidia"])
    assert outcome.code == OK
    assert load_generator(finished.folder / "same.safetensors").resolution == SIZE

    assert run(["models", "export", "tuned.safetensors"]).code == OK
    tuned = load_generator(finished.folder / "tuned.safetensors")
    for name, edited in (("w.npz", []), ("edited.npz", ["--edited"])):
        assert run(["models", "export", name, *edited]).code == OK
    ws = read_latents(finished.folder / "w.npz", tuned.num_ws, tuned.w_dim)
    edited_ws = read_latents(finished.folder / "edited.npz", tuned.num_ws, tuned.w_dim)
    assert not (ws == edited_ws).all()
    picture = tuned.synthesis(ws)[0].permute(1, 2, 0) * 127.5 + 127.5
    with Image.open(finished.workspace / "tuned.png") as image:
        shown = np.array(image.convert("RGB")).astype(float)
    rendered = picture.round().clamp(0, 255).numpy()
    assert np.abs(rendered - shown).max() <= 1


def test_several_commands_at_once_leave_the_pipe_they_print_to_alone(finished: Case) -> None:
    """A reader that goes away early (head) is no failure."""
    told = subprocess.run(
        f"{sys.executable} -m pipeline --help | head -1",
        shell=True,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
    )
    assert told.stdout.startswith("Usage: realdrag")
    assert "Traceback" not in told.stderr


def test_points_files_and_masks_of_the_aligned_face_work_too(finished: Case, run: Run) -> None:
    make_points(finished.points, space="aligned", mask="mask.png")
    mask = Image.new("L", (SIZE, SIZE), 255)
    mask.paste(0, (0, 0, SIZE, 4))
    mask.save(finished.folder / "mask.png")
    assert run(finished.drag()).code == OK


def test_the_demo_writes_a_portrait_whose_points_lie_on_its_face(tmp_path: Path) -> None:
    from drag.points import to_aligned
    from inversion.faces.alignment import ffhq_quad, photo_to_aligned
    from inversion.faces.landmarks import find_faces
    from pipeline.jobs.demo import write_demo
    from pipeline.picture.photo import read_photo

    photo, points = write_demo(tmp_path / "demo")
    pixels = read_photo(photo).pixels
    assert pixels.shape == (512, 512, 3)
    face = find_faces(pixels, "offline").faces[0]
    matrix = photo_to_aligned(ffhq_quad(face), 128)
    nose, chin = to_aligned(points, matrix, 128, (512, 512)).points
    (nose_x, nose_y), (_, chin_y) = nose.handle, chin.handle
    found_x, found_y = (matrix @ [*face.eyes_mouth[2], 1.0])[:2]
    assert abs(nose_x - found_x) < 6
    assert abs(nose_y - found_y) < 6
    assert found_y + 20 < chin_y < 120
    before = photo.read_bytes()
    write_demo(tmp_path / "demo")
    assert photo.read_bytes() == before


def with_holds(monkeypatch: pytest.MonkeyPatch, *holds: HandleCheck) -> None:
    """Let the handles of a drag hold like that."""
    monkeypatch.setattr("pipeline.stages.handle_checks.check_handles", lambda *given: list(holds))


def test_a_handle_that_may_drift_is_named_before_the_drag_with_a_better_point_in_the_photo(
    finished: Case, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    # A photo of 48 x 40 pixels in the middle of a face of 32 x 32: 1.5 pixels each, 4 above it.
    with_holds(monkeypatch, HandleCheck(0.5), HandleCheck(0.0321, (15.5, 19.5)))
    outcome = run(finished.drag("--r1", "7"))
    assert outcome.code == OK
    told = (
        "note: point 2 at (24.5, 20) has little texture around it and may drift; "
        "(23.5, 25.5) is a nearby point that holds better"
    )
    assert told in outcome.err.splitlines()
    assert "point 1" not in outcome.err
    assert outcome.err.index("point 2") < outcome.err.index("Dragging: done")

    lines = events(run(finished.drag("--r1", "8", "--json")).out)
    (notice,) = (event for event in lines if event["event"] == "notice")
    assert notice.pop("text") in told
    assert notice == {
        "event": "notice",
        "point": 2,
        "handle": [24.5, 20.0],
        "kind": "drift",
        "distinctness": 0.032,
        "better": [23.5, 25.5],
    }


def test_a_drag_says_what_its_points_cannot_do_and_what_became_of_them(
    finished: Case, run: Run
) -> None:
    points = [
        {"handle": [12, 14], "target": [16, 15]},
        {"handle": [30, 20], "target": [32, 22]},
        {"handle": [16, 24], "target": [24.5, 24]},
        {"handle": [8, 16], "target": [8, 99]},
        {"handle": [10, 10], "target": [10, 10]},
    ]
    Image.fromarray(np.pad(np.full((40, 20), 255, np.uint8), ((0, 0), (0, 28)))).save("mask.png")
    data = {"version": 1, "space": "photo", "points": points, "mask": "mask.png"}
    finished.points.write_text(json.dumps(data))
    lines = events(run(finished.drag("--json")).out)
    told = {
        line["point"]: (line["kind"], line["handle"], line["text"])
        for line in lines
        if line["event"] == "notice" and "point" in line and line["kind"] != "drift"
    }
    assert told.keys() == {2, 3, 4}
    assert told[2][:2] == ("held", [30.0, 20.0])
    assert "point 2 at (30, 20) lies where the mask keeps the picture" in told[2][2]
    assert told[3][0] == "hidden" and "its target (24.5, 24)" in told[3][2]
    assert told[4][0] == "clamped" and "its target (8, 99) lies outside the face crop" in told[4][2]
    done = lines[-1]
    assert 2 in done["held"] and done["distances"][1] > 1.5 and 5 not in done["held"]
    assert "(held by the mask)" in run(finished.drag("--force")).out


def test_a_better_point_is_named_in_the_space_of_the_points_file(
    finished: Case, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_points(finished.points, space="aligned")
    with_holds(monkeypatch, HandleCheck(0.01), HandleCheck(0.01, (15.5, 19.5)))
    told = run(finished.drag()).err
    assert "point 1 at (12, 14) has little texture" in told
    assert "may drift; there is no better point near it" in told
    assert "point 2 at (24.5, 20)" in told
    assert "(15.5, 19.5) is a nearby point" in told
    again = run(["drag", "--continue", "--steps", "3", "--device", "cpu"]).err
    assert "(15.5, 19.5) is a nearby point" in again


def test_a_better_point_that_is_not_in_the_photo_is_not_offered(
    finished: Case, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    with_holds(monkeypatch, HandleCheck(0.5), HandleCheck(0.01, (15.5, 1.0)))
    assert "there is no better point near it" in run(finished.drag("--r1", "9")).err


def test_handles_that_hold_are_passed_over_in_silence(
    finished: Case, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    with_holds(monkeypatch, HandleCheck(0.5), HandleCheck(0.5))
    assert "note:" not in run(finished.drag("--r1", "10")).err


def test_a_setting_that_does_not_count_for_the_method_is_refused_and_says_why(
    finished: Case, run: Run
) -> None:
    outcome = run(finished.drag("--learning-rate", "0.01"))
    assert outcome.code == BAD_INPUT
    assert "learning_rate does not count for the method newton" in outcome.err


def test_more_moving_latents_than_the_network_has_are_refused_with_its_number(
    finished: Case, run: Run
) -> None:
    outcome = run(finished.drag("--num-moving-ws", "9"))
    assert outcome.code == BAD_INPUT
    assert "num_moving_ws must be at most 8, as many latents as this network has" in outcome.err


def test_a_drag_ends_with_its_reason_in_words(finished: Case, run: Run) -> None:
    outcome = run(finished.drag("--paste", "network"))
    assert outcome.out.startswith(StopReason.STEP_LIMIT.words)
    assert "6 steps, " in outcome.out and "pixels of the face left to go" in outcome.out
