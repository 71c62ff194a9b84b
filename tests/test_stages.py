"""What the stages put on disk, and what they hand to each other."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from drag.config import DragConfig
from drag.points import DragPoint
from drag.session import DragSession
from drag.stopping import StopReason
from inversion.config import OFFLINE_PERCEPTUAL
from inversion.encoder_weights import encoder_for
from pipeline.commands.console import Console
from pipeline.disk.artifact import Artifact, read_artifact
from pipeline.disk.storage import read_sealed
from pipeline.disk.workspace import STATE
from pipeline.failures import BAD_INPUT, MACHINE, OK
from pipeline.machine.bench import Bench
from pipeline.picture.composite import paste_back
from pipeline.picture.motion import Motion
from pipeline.picture.warp import warp
from pipeline.progress import Event, Step
from pipeline.stages.artifact_files import (
    DELTA,
    DRAG,
    LATENT,
    read_inversion,
    read_pixels,
    read_target,
    read_tensors,
    read_tuned,
    render,
)
from pipeline.stages.work import Work
from pti.optimizer import WARM_UP
from pti.tuning import QUICK
from stylegan2.checkpoint import weights_hash
from stylegan2.images import to_uint8
from tests.conftest import Run
from tests.factories import tiny_generator
from tests.pipeline_cases import QUICK_INVERT, SIZE, Case, make_photo, make_points

PALETTE_ERROR = 15
"""Mean difference that 256 colours make in a picture of coloured noise."""


def current(case: Case, stage: str, workspace: str = "photo.realdrag") -> Artifact:
    folder = case.folder / workspace
    fingerprint = read_sealed(folder / STATE)["current"][stage]
    return read_artifact(folder / "artifacts" / f"{stage}-{fingerprint[:16]}")


def current_from(case: Case, drag: Artifact) -> Artifact:
    """The drag that another one went on from."""
    return read_artifact(case.workspace / "artifacts" / f"drag-{drag.request.inputs['from'][:16]}")


def pixels(path: Path) -> np.ndarray[Any, np.dtype[np.uint8]]:
    with Image.open(path) as image:
        return np.array(image.convert("RGB"))


def session(case: Case) -> DragSession:
    """A drag of the finished case, from a bench that has loaded nothing yet."""
    bench = Bench("cpu")
    invert, tune = current(case, "invert"), current(case, "tune")
    inversion = read_inversion(invert, "cpu")
    generator = read_tuned(bench, invert, tune)
    point = DragPoint((4.0, 4.0), (9.0, 4.0))
    return DragSession(
        generator, inversion.w_pivot, inversion.noise_consts, [point], DragConfig(steps=3)
    )


def test_the_picture_at_step_0_of_a_drag_is_tuned_png_bit_for_bit(finished: Case) -> None:
    started = session(finished)
    tuned = pixels(finished.workspace / "tuned.png")
    assert np.array_equal(to_uint8(started.picture()), tuned)
    started.step()
    assert not np.array_equal(to_uint8(started.picture()), tuned)


def test_the_pictures_are_rendered_from_what_is_on_disk(finished: Case) -> None:
    bench = Bench("cpu")
    invert, tune = current(finished, "invert"), current(finished, "tune")
    inversion = read_inversion(invert, "cpu")
    base = bench.generator(invert.request.hints["network"], invert.request.config["weights"])
    inverted = pixels(finished.workspace / "inverted.png")
    assert np.array_equal(to_uint8(render(base, inversion)), inverted)
    tuned = read_tuned(bench, invert, tune)
    assert np.array_equal(
        to_uint8(render(tuned, inversion)), pixels(finished.workspace / "tuned.png")
    )
    drag = current(finished, "drag")
    ws = read_tensors(drag, DRAG)["ws"]
    edited = tuned.synthesis(ws, inversion.noise_consts)
    assert np.array_equal(to_uint8(edited), read_pixels(drag, "network.png"))


def test_the_noise_that_was_projected_is_kept_and_takes_half_its_size(finished: Case) -> None:
    tensors = read_tensors(current(finished, "invert"), LATENT)
    noise = {name: each for name, each in tensors.items() if name.startswith("noise.")}
    own = tiny_generator(SIZE).synthesis.noise_consts()
    assert {name.removeprefix("noise.") for name in noise} == set(own)
    for name, each in noise.items():
        assert each.dtype == torch.float16
        assert not torch.allclose(each.float(), own[name.removeprefix("noise.")], atol=1e-2)


def test_a_tuned_generator_is_stored_as_a_difference(finished: Case) -> None:
    delta = read_tensors(current(finished, "tune"), DELTA)
    assert delta
    assert not any(name.startswith("mapping.") for name in delta)


def test_every_manifest_names_network_distance_landmarks_and_why_it_stopped(
    finished: Case,
) -> None:
    expected = weights_hash(tiny_generator(SIZE))
    for stage in ("invert", "tune", "drag"):
        info = current(finished, stage).info
        assert info["weights"] == expected
        assert info["network"].endswith("tiny.safetensors")
        assert info["perceptual"] == OFFLINE_PERCEPTUAL
        assert info["landmark_source"] in ("none", ["none"])
        # The photo's points arrive although the network's do not in so few steps.
        assert info["stop"] == ("arrived" if stage == "drag" else "step_limit")
    for stage in ("invert", "tune"):
        for when in ("before", "after"):
            measured = current(finished, stage).info["fidelity"][when]
            assert set(measured) == {"perceptual", "l2", "psnr", "ms_ssim"}
    manifest = current(finished, "tune").manifest
    assert manifest["machine"]["device"] == "cpu"
    assert manifest["machine"]["threads"] >= 1
    assert manifest["software"]["torch"] == torch.__version__.split("+")[0]
    assert manifest["seconds"] > 0


def test_projection_and_tuning_bring_the_picture_nearer_to_the_photo(finished: Case) -> None:
    for stage in ("invert", "tune"):
        measured = current(finished, stage).info["fidelity"]
        assert measured["after"]["perceptual"] < measured["before"]["perceptual"]


def test_auto_is_settled_before_it_becomes_part_of_the_identity(case: Case, run: Run) -> None:
    arguments = [each if each != "offline" else "auto" for each in case.invert()]
    assert "auto" in arguments
    outcome = run(arguments)
    assert outcome.code == OK
    assert f"compared with the offline distance {OFFLINE_PERCEPTUAL}" in outcome.err
    assert current(case, "invert").request.config["perceptual"] == OFFLINE_PERCEPTUAL
    assert "Projection: already there" in run(arguments).err
    assert "Projection: already there" in run(case.invert()).err


def test_tuning_compares_as_the_projection_did_unless_told_otherwise(finished: Case) -> None:
    assert current(finished, "tune").request.config["perceptual"] == OFFLINE_PERCEPTUAL


def test_the_results_files_are_where_a_person_looks_for_them(finished: Case) -> None:
    shown = {path.name for path in finished.workspace.iterdir() if path.suffix in (".png", ".gif")}
    assert shown == {
        "aligned.png",
        "inverted.png",
        "tuned.png",
        "result.png",
        "compare.png",
        "drag.gif",
    }
    assert pixels(finished.workspace / "result.png").shape == pixels(finished.photo).shape
    height, width = pixels(finished.workspace / "compare.png").shape[:2]
    assert (width, height) == (2 * 48, 40)


def test_the_result_is_the_photo_moved_unless_the_networks_pixels_are_asked_for(
    finished: Case, run: Run
) -> None:
    photo, drag = pixels(finished.photo), current(finished, "drag")
    quad = np.array(current(finished, "align").info["quad"])
    motion = Motion(read_tensors(drag, DRAG)["motion"].numpy())
    assert np.array_equal(pixels(finished.workspace / "result.png"), warp(photo, quad, motion))
    assert run(finished.drag("--paste", "network")).code == OK
    made = read_pixels(current(finished, "drag"), "edited.png")
    assert np.array_equal(made, read_pixels(drag, "network.png")), "the same drag"
    pasted = paste_back(photo, quad, pixels(finished.workspace / "tuned.png"), made)
    assert np.array_equal(pixels(finished.workspace / "result.png"), pasted)


def test_a_target_far_outside_and_a_pin_are_where_they_can_be_in_the_end(
    finished: Case, run: Run
) -> None:
    far, pin = (
        {"handle": at, "target": to} for at, to in (([20, 20], [20, 900]), ([9, 9], [9, 9]))
    )
    points = {"version": 1, "space": "aligned", "points": [far, pin]}
    finished.points.write_text(json.dumps(points))
    assert run(finished.drag("--force")).code == OK
    drag = current(finished, "drag")
    assert drag.info["went"] == [[20, SIZE - 1], [9, 9]]
    assert read_tensors(drag, DRAG)["ws"].isfinite().all()


def test_a_drag_pulled_further_moves_the_photo_no_farther_than_its_targets(
    finished: Case, run: Run
) -> None:
    assert run(["drag", "--continue", "--steps", "2", "--device", "cpu"]).code == OK
    after = current(finished, "drag")
    assert after.info["went"] == after.info["targets"]
    motion = read_tensors(after, DRAG)["motion"].numpy()
    before = read_tensors(current_from(finished, after), DRAG)["motion"].numpy()
    assert np.abs(motion - before).max() < 0.02


@pytest.mark.parametrize(("paste", "begin"), [("photo", "aligned"), ("network", "tuned")])
def test_the_animation_shows_the_clean_face_from_the_beginning_on(
    finished: Case, run: Run, paste: str, begin: str
) -> None:
    assert run(finished.drag("--paste", paste)).code == OK
    with Image.open(finished.workspace / "drag.gif") as gif:
        assert gif.size == (SIZE, SIZE)
        assert getattr(gif, "n_frames", 1) > 1
        first = np.array(gif.convert("RGB")).astype(float)
    before = pixels(finished.workspace / f"{begin}.png").astype(float)
    assert np.abs(first - before).mean() < PALETTE_ERROR


@pytest.fixture
def stopping(monkeypatch: pytest.MonkeyPatch) -> Callable[[int], None]:
    """Let the user want to stop after some step of a drag, as Ctrl-C does."""

    wanted = [-1]
    tell = Console.tell

    def telling(self: Console, event: Event) -> None:
        tell(self, event)
        if isinstance(event, Step) and event.stage == "drag" and event.step == wanted[0]:
            self.bench.stop.set()

    monkeypatch.setattr(Console, "tell", telling)
    return lambda step: wanted.__setitem__(0, step)


def test_a_drag_that_is_stopped_keeps_its_last_step_as_the_result(
    finished: Case, run: Run, stopping: Callable[[int], None]
) -> None:
    whole = current(finished, "drag")
    stopping(3)
    outcome = run(finished.drag("--r1", "4"))
    assert outcome.code == OK
    assert "You stopped it. The picture is kept as it was. 3 steps" in outcome.out
    stopped = current(finished, "drag")
    assert stopped.info["stop"] == "cancelled"
    assert stopped.info["step"] == 3
    assert stopped.request.config["stopped_at"] == 3
    assert read_tensors(stopped, DRAG)["handles"].shape[0] == 4
    assert stopped.fingerprint != whole.fingerprint


def test_a_stopped_drag_that_looks_broken_farther_on_is_no_hit_for_the_whole_one_either(
    finished: Case, run: Run, stopping: Callable[[int], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pipeline.stages.drag.looks", lambda photo, moved: 0.0)
    stopping(3)
    assert run(finished.drag("--r1", "4")).code == OK
    stopped = current(finished, "drag")
    assert stopped.info["stop"] == "torn" and stopped.info["share"] < 1
    assert stopped.request.config["stopped_at"] == 3
    stopping(-1)
    assert run(finished.drag("--r1", "4")).code == OK
    assert current(finished, "drag").info["step"] > 3


def test_a_stopped_drag_is_no_hit_for_the_whole_one(
    finished: Case, run: Run, stopping: Callable[[int], None]
) -> None:
    stopping(2)
    assert run(finished.drag("--r1", "4")).code == OK
    stopping(-1)
    assert "All points have arrived." in run(finished.drag("--r1", "4")).out
    assert current(finished, "drag").info["step"] > 2


def test_a_damaged_stopped_drag_is_made_again_up_to_the_same_step(
    finished: Case, run: Run, stopping: Callable[[int], None]
) -> None:
    stopping(2)
    assert run(finished.drag("--r1", "4")).code == OK
    before = current(finished, "drag")
    picture = before.path("edited.png").read_bytes()
    before.path("edited.png").write_bytes(b"")
    stopping(-1)
    assert run(["drag", "--continue", "--steps", "1", "--device", "cpu"]).code == OK
    assert before.path("edited.png").read_bytes() == picture


def test_continuing_starts_from_the_last_result(finished: Case, run: Run) -> None:
    before = current(finished, "drag")
    more = make_points(finished.folder / "more.json", space="aligned")
    outcome = run(["drag", "--points", str(more), "--steps", "2", "--device", "cpu", "--continue"])
    assert outcome.code == OK
    after = current(finished, "drag")
    assert after.request.inputs["from"] == before.fingerprint
    first = pixels(after.path("drag.gif")).astype(float)
    assert np.abs(first - read_pixels(before, "edited.png").astype(float)).mean() < PALETTE_ERROR


def test_continuing_without_points_pulls_the_same_ones_further(finished: Case, run: Run) -> None:
    before = current(finished, "drag")
    assert run(["drag", "--continue", "--steps", "4", "--device", "cpu"]).code == OK
    after = current(finished, "drag")
    assert after.info["targets"] == before.info["targets"]
    starts = [point[:2] for point in after.request.config["points"]]
    assert starts == before.info["handles"]


def test_the_same_points_again_start_from_the_tuned_picture(finished: Case, run: Run) -> None:
    first = current(finished, "drag").fingerprint
    assert run(["drag", "--continue", "--steps", "2", "--device", "cpu"]).code == OK
    assert run(finished.drag()).code == OK
    assert current(finished, "drag").fingerprint == first


def test_there_must_be_a_drag_to_continue(case: Case, run: Run) -> None:
    assert run(case.invert()).code == OK
    assert run(case.tune()).code == OK
    outcome = run(["drag", "--continue"])
    assert outcome.code == BAD_INPUT
    assert "has no drag result yet" in outcome.err


@pytest.fixture
def two(finished: Case, run: Run) -> list[str]:
    """A second photo beside the finished one; the options that name both workspaces."""
    make_photo(finished.folder / "other.png", seed=9)
    arguments = finished.invert()
    arguments[1] = "other.png"
    assert run(arguments).code == OK
    return ["-w", "photo.realdrag", "-w", "other.realdrag"]


def test_several_photos_are_tuned_into_one_generator_kept_in_each_workspace(
    finished: Case, run: Run, two: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert run(finished.tune(*two)).code == OK
    kept = [current(finished, "tune", name) for name in ("photo.realdrag", "other.realdrag")]
    assert kept[0].manifest == kept[1].manifest
    assert len(kept[0].info["photos"]) == 2
    for name, artifact in zip(("photo", "other"), kept, strict=True):
        folder = finished.folder / f"{name}.realdrag"
        invert = current(finished, "invert", folder.name)
        generator = read_tuned(Bench("cpu"), invert, artifact)
        own = to_uint8(render(generator, read_inversion(invert, "cpu")))
        assert np.array_equal(own, pixels(folder / "tuned.png"))
        assert run(finished.drag("-w", folder.name)).code == OK

    def refuse(work: Work) -> None:
        raise AssertionError("computed again")

    monkeypatch.setattr("pipeline.jobs.obtain.compute", refuse)
    backwards = ["-w", "other.realdrag", "-w", "photo.realdrag"]
    assert run(finished.tune(*backwards)).code == OK


def test_a_photo_tuned_alone_and_together_are_different_results(
    finished: Case, run: Run, two: list[str]
) -> None:
    alone = current(finished, "tune").fingerprint
    assert run(finished.tune(*two)).code == OK
    assert current(finished, "tune").fingerprint != alone
    assert run(finished.tune("-w", "photo.realdrag")).code == OK
    assert current(finished, "tune").fingerprint == alone


def test_photos_inverted_with_different_networks_cannot_be_tuned_together(
    finished: Case, run: Run
) -> None:
    from stylegan2.checkpoint import save_generator

    save_generator(tiny_generator(SIZE, seed=3), finished.folder / "other.safetensors")
    make_photo(finished.folder / "other.png", seed=9)
    arguments = finished.invert()
    arguments[1], arguments[3] = "other.png", "other.safetensors"
    assert run(arguments).code == OK
    outcome = run(finished.tune("-w", "photo.realdrag", "-w", "other.realdrag"))
    assert outcome.code == MACHINE
    assert "only for one network" in outcome.err


def test_blocks_that_the_network_does_not_have_cannot_be_tuned(finished: Case, run: Run) -> None:
    outcome = run(finished.tune("--first-block", "256"))
    assert outcome.code == BAD_INPUT
    assert "it has 4, 8, 16, 32" in outcome.err


def test_a_mask_keeps_a_copy_of_itself_and_changes_the_result(finished: Case, run: Run) -> None:
    plain = current(finished, "drag")
    mask = np.zeros((40, 48), np.uint8)
    mask[5:25, 5:30] = 255
    Image.fromarray(mask).save(finished.folder / "mask.png")
    make_points(finished.points, mask="mask.png")
    assert run(finished.drag()).code == OK
    masked = current(finished, "drag")
    assert masked.path("mask.png").read_bytes() == (finished.folder / "mask.png").read_bytes()
    assert masked.request.inputs["mask"].startswith("sha256:")
    assert not torch.equal(read_tensors(masked, DRAG)["ws"], read_tensors(plain, DRAG)["ws"])
    (finished.folder / "mask.png").unlink()
    masked.path("edited.png").write_bytes(b"")
    assert run(["drag", "--continue", "--steps", "1", "--device", "cpu"]).code == OK
    assert masked.path("edited.png").stat().st_size > 0


def test_an_all_white_mask_means_what_it_says_with_a_notice(finished: Case, run: Run) -> None:
    Image.new("L", (48, 40), 255).save(finished.folder / "mask.png")
    make_points(finished.points, mask="mask.png")
    outcome = run(finished.drag())
    assert outcome.code == OK
    assert "note: the mask is all white" in outcome.err


def test_landmarks_of_the_users_own_place_the_crop(case: Case, run: Run) -> None:
    landmarks = case.folder / "landmarks.json"
    landmarks.write_text(json.dumps({"eyes": [[18, 14], [30, 14]], "mouth": [[20, 26], [28, 26]]}))
    arguments = [*case.invert("--landmarks", "landmarks.json")]
    del arguments[arguments.index("--align") : arguments.index("--align") + 2]
    assert run(arguments).code == OK
    info = current(case, "align").info
    assert info["landmark_source"] == "file"
    assert info["faces"][0]["eyes_mouth"][0] == [18.0, 14.0]
    landmarks.unlink()
    current(case, "align").path("aligned.png").write_bytes(b"")
    assert run(case.tune()).code == OK


def test_the_position_where_a_photo_was_taken_is_dropped_unless_asked_for(
    case: Case, run: Run
) -> None:
    exif = Image.Exif()
    exif[0x0110] = "Camera"
    exif.get_ifd(0x8825)[2] = (52.0, 31.0, 0.0)
    photo = case.folder / "photo.jpg"
    with Image.open(case.photo) as image:
        image.save(photo, exif=exif.tobytes())
    placed = Case(case.folder, photo, case.network, case.points)
    for arguments in (placed.invert(), placed.tune(), placed.drag()):
        assert run(arguments).code == OK
    for keep, found in (([], False), (["--keep-gps"], True)):
        assert run(placed.drag(*keep)).code == OK
        with Image.open(case.workspace / "result.png") as result:
            written = result.getexif()
            assert written[0x0110] == "Camera"
            assert bool(written.get_ifd(0x8825)) is found
    assert run(placed.drag("--strip-metadata")).code == OK
    with Image.open(case.workspace / "result.png") as result:
        assert not result.getexif()
    outcome = run(placed.drag("--strip-metadata", "--keep-gps"))
    assert outcome.code == BAD_INPUT and "choose one" in outcome.err


def test_a_result_of_eight_bits_says_that_the_photo_had_sixteen(case: Case, run: Run) -> None:
    import cv2

    photo = case.folder / "deep.png"
    deep = np.random.default_rng(0).integers(0, 65536, (40, 48, 3), dtype=np.uint16)
    assert cv2.imwrite(str(photo), deep)
    placed = Case(case.folder, photo, case.network, case.points)
    for arguments in (placed.invert(), placed.tune()):
        assert run(arguments).code == OK
    outcome = run(placed.drag("--format", "jpg"))
    assert outcome.code == OK and "16 bits a channel, the result 8" in outcome.err
    assert "16 bits" not in run(placed.drag()).err
    result = cv2.imread(str(placed.workspace / "result.png"), cv2.IMREAD_UNCHANGED)
    assert result is not None and result.dtype == np.uint16
    assert (result % 257 != 0).mean() > 0.9  # not eight bits that were spread


def test_written_pictures_say_that_a_network_made_them(finished: Case) -> None:
    mark = b"compositeWithTrainedAlgorithmicMedia"
    for name in ("inverted.png", "tuned.png", "result.png", "compare.png", "drag.gif"):
        assert mark in (finished.workspace / name).read_bytes(), name
    assert mark not in (finished.workspace / "aligned.png").read_bytes()


def test_equal_seeds_give_equal_bytes_and_other_seeds_other_ones(case: Case, run: Run) -> None:
    latents = []
    for name, seed in (("a", "5"), ("b", "5"), ("c", "6")):
        workspace = f"{name}.realdrag"
        assert run(case.invert("--seed", seed, "-w", workspace)).code == OK
        latents.append(current(case, "invert", workspace).path(LATENT).read_bytes())
    assert latents[0] == latents[1]
    assert latents[0] != latents[2]


def test_the_embedded_networks_pivot_is_what_its_encoder_sees_and_tuning_steps_are_long(
    case: Case, run: Run
) -> None:
    command = ["invert", str(case.photo), "--network", "embedded", *QUICK_INVERT]
    assert run(command).code == OK
    inverted = current(case, "invert")
    assert (inverted.info["start"], inverted.info["space"], inverted.info["steps"]) == (
        "encoder",
        "w+",
        0,
    )
    pivot = read_inversion(inverted, "cpu").w_pivot
    encoder = encoder_for(inverted.request.config["weights"])
    assert encoder is not None
    assert torch.equal(pivot, encoder.ws(read_target(current(case, "align"), "cpu"), 14))
    assert not torch.allclose(pivot[:, 0], pivot[:, -1])
    assert run(["tune", "--steps", "1", "--locality-weight", "0", "--device", "cpu"]).code == OK
    delta = read_tensors(current(case, "tune"), DELTA)
    name = "synthesis.b64.conv1.weight"
    step = (delta[name].float() * delta[f"{name}.scale"]).square().mean().sqrt()
    # A gradient of lower rank than the weight makes the step shorter.
    assert 0.5 < float(step) / (QUICK.orthogonal_rate / WARM_UP) < 1.05
    assert "synthesis.b16.conv1.weight" not in delta


def test_what_moves_the_photo_itself_has_arrived_even_where_the_network_gave_up(
    finished: Case, run: Run
) -> None:
    outcome = run(finished.drag())
    assert outcome.out.startswith(StopReason.ARRIVED.words)
    info = current(finished, "drag").info
    assert info["pixels"] == "photo" and info["distances"] == [0, 0]
    assert all(went == target for went, target in zip(info["went"], info["targets"], strict=True))
