"""The 68 points on aligned faces: what they mean, where they are placed, how they are learnt."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from dataclasses import FrozenInstanceError
from importlib import resources
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import skimage.data
import torch
from PIL import Image
from safetensors.torch import load_file

from inversion.faces.alignment import align, ffhq_quad, photo_to_aligned
from inversion.faces.face import Face
from inversion.faces.landmark_network import Landmarker, landmarker_from, load_landmarker
from inversion.faces.shape68 import (
    EYE_LEFT,
    EYE_RIGHT,
    MIRRORED68,
    REGIONS,
    eye_distance,
    eye_openings,
    face_width,
    mouth_opening,
    mouth_width,
    yaw,
)
from stylegan2.arrays import Float64Array, UInt8Image
from tests.test_finder import ASTRONAUT
from tools import train_landmarks
from tools.landmark_data import (
    AlignedFaces,
    draw_sample,
    fill_mouth,
    load_aligned,
    other_lids,
    other_mouth,
    placed,
    split,
)

Points = npt.NDArray[np.floating[Any]]


@pytest.fixture(scope="module", autouse=True)
def _one_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def landmarker() -> Landmarker:
    return load_landmarker()


@pytest.fixture(scope="module")
def quad() -> Float64Array:
    return ffhq_quad(Face(ASTRONAUT, None, (172, 56, 276, 176), "file", 1.0))


@pytest.fixture(scope="module")
def aligned(quad: Float64Array) -> UInt8Image:
    return align(np.asarray(skimage.data.astronaut()), quad, 256).image


@pytest.fixture(scope="module")
def points(landmarker: Landmarker, aligned: UInt8Image) -> Float64Array:
    return landmarker.landmarks68(aligned).astype(np.float64)


def off(found: Points, wanted: Points) -> float:
    """Return the mean distance in eye distances."""
    return float(np.hypot(*(found - wanted).T).mean()) / eye_distance(wanted)


def drawn_face(size: int = 256) -> Float64Array:
    """Make 68 points that lie roughly as in a face, in a crop of this size."""
    turn = np.linspace(np.pi, 0, 17)
    jaw = np.stack([0.5 + 0.3 * np.cos(turn), 0.45 + 0.45 * np.sin(turn)], axis=-1)
    brows = [(x, 0.36) for x in (0.28, 0.32, 0.36, 0.40, 0.44, 0.56, 0.60, 0.64, 0.68, 0.72)]
    nose = [(0.5, y) for y in (0.46, 0.51, 0.56, 0.61)]
    nose += [(x, 0.64) for x in (0.45, 0.475, 0.5, 0.525, 0.55)]
    lids = [(-0.05, 0), (-0.02, -0.02), (0.02, -0.02), (0.05, 0), (0.02, 0.02), (-0.02, 0.02)]
    eyes = [(middle + x, 0.45 + y) for middle in (0.375, 0.625) for x, y in lids]
    around = np.linspace(np.pi, -np.pi, 13)[:-1]
    outer = np.stack([0.5 + 0.12 * np.cos(around), 0.76 - 0.05 * np.sin(around)], axis=-1)
    around = np.linspace(np.pi, -np.pi, 9)[:-1]
    inner = np.stack([0.5 + 0.1 * np.cos(around), 0.76 - 0.02 * np.sin(around)], axis=-1)
    every: Float64Array = np.concatenate([jaw, brows, nose, eyes, outer, inner]) * size
    return every


# --------------------------------------------------------------------------- names and measures


def test_every_point_but_the_lids_belongs_to_one_region() -> None:
    parts = [k for name, own in REGIONS.items() if name != "lids" for k in own]
    assert sorted(parts) == list(range(68))
    assert set(REGIONS["lids"]) <= set(REGIONS["eyes"])


def test_mirroring_a_symmetric_face_changes_no_place() -> None:
    face = drawn_face()
    back = face[list(MIRRORED68)] * (-1, 1) + (256, 0)
    np.testing.assert_allclose(back, face, atol=1e-9)


def test_measures_do_not_change_with_size_place_and_tilt_of_the_face() -> None:
    face = drawn_face()
    z = (face[:, 0] + 1j * face[:, 1]) * 1.7 * np.exp(0.3j) + 20 - 9j
    other = np.stack([z.real, z.imag], axis=-1)
    for measure in (mouth_opening, mouth_width, yaw):
        assert measure(other) == pytest.approx(measure(face), abs=1e-9)
    assert eye_openings(other) == pytest.approx(eye_openings(face))
    assert face_width(other) == pytest.approx(1.7 * face_width(face))


def test_measures_tell_an_opened_mouth_a_shut_eye_and_a_turned_head() -> None:
    face = drawn_face()
    opened, shut, turned = face.copy(), face.copy(), face.copy()
    opened[[65, 66, 67], 1] += 20
    shut[[37, 38]] = face[[41, 40]]
    turned[30, 0] += 10
    assert mouth_opening(opened) > mouth_opening(face) + 0.2
    assert eye_openings(shut)[0] == 0
    assert eye_openings(shut)[1] == pytest.approx(eye_openings(face)[1])
    assert yaw(face) == pytest.approx(0, abs=1e-6)
    assert yaw(turned) > 3


def test_names_and_measures_need_no_torch() -> None:
    code = "import sys, inversion.faces.shape68; print('torch' in sys.modules)"
    told = subprocess.run(
        [sys.executable, "-c", code],
        cwd=Path(__file__).parent.parent,
        capture_output=True,
        text=True,
        check=True,
    )
    assert told.stdout.strip() == "False"


# --------------------------------------------------------------------------- what is placed


def test_eyes_nose_and_mouth_lie_where_a_person_marked_them(
    points: Float64Array, quad: Float64Array
) -> None:
    to_crop = photo_to_aligned(quad, 256)
    marked = ASTRONAUT @ to_crop[:2, :2].T + to_crop[:2, 2]
    found = np.stack(
        [
            points[list(EYE_LEFT)].mean(axis=0),
            points[list(EYE_RIGHT)].mean(axis=0),
            *points[[30, 48, 54]],
        ]
    )
    assert np.hypot(*(found - marked).T).mean() < 0.06 * eye_distance(points)


@pytest.mark.parametrize("size", [64, 128, 200, 512, 1024])
def test_a_crop_of_any_size_gives_the_same_places(
    landmarker: Landmarker, aligned: UInt8Image, points: Float64Array, size: int
) -> None:
    picture = Image.fromarray(aligned).resize((size, size), Image.Resampling.LANCZOS)
    found = landmarker.landmarks68(np.asarray(picture))
    assert found.dtype == np.float32
    assert off((found + 0.5) * (256 / size) - 0.5, points) < (0.02 if size >= 128 else 0.05)


def test_a_mirrored_crop_gives_mirrored_points(
    landmarker: Landmarker, aligned: UInt8Image, points: Float64Array
) -> None:
    found = landmarker.landmarks68(np.ascontiguousarray(aligned[:, ::-1]))
    assert off(found[list(MIRRORED68)] * (-1, 1) + (255, 0), points) < 1e-3


def test_the_points_follow_a_crop_that_is_off(
    landmarker: Landmarker, aligned: UInt8Image, points: Float64Array
) -> None:
    shifted = np.roll(aligned, (6, -9), axis=(0, 1))
    assert off(landmarker.landmarks68(shifted), points + (-9, 6)) < 0.04


def test_the_lips_points_follow_a_mouth_that_was_opened(
    landmarker: Landmarker, aligned: UInt8Image, points: Float64Array
) -> None:
    shape = points.copy()
    shape[[55, 56, 57, 58, 59, 65, 66, 67], 1] += 14
    shape[[6, 7, 8, 9, 10], 1] += 10
    opened, wanted = placed(aligned, points, shape, 1, 0)
    opened = fill_mouth(opened, wanted, np.random.default_rng(1))
    found = landmarker.landmarks68(opened)
    assert mouth_opening(found) - mouth_opening(points) > 0.5 * (
        mouth_opening(wanted) - mouth_opening(points)
    )
    assert off(found, wanted) < 0.06


def test_the_photo_is_left_as_it_was_and_may_be_read_only(
    landmarker: Landmarker, aligned: UInt8Image
) -> None:
    pixels = aligned.copy()
    pixels.flags.writeable = False
    landmarker.landmarks68(pixels[:, ::-1])
    np.testing.assert_array_equal(pixels, aligned)


@pytest.mark.parametrize(
    "pixels",
    [
        np.zeros((64, 64), np.uint8),
        np.zeros((64, 65, 3), np.uint8),
        np.zeros((64, 64, 3), np.float32),
        np.zeros((8, 8, 3), np.uint8),
    ],
)
def test_another_shape_or_type_is_named(landmarker: Landmarker, pixels: UInt8Image) -> None:
    with pytest.raises(ValueError, match="expected uint8"):
        landmarker.landmarks68(pixels)


def test_a_landmarker_cannot_be_changed_and_is_loaded_once(landmarker: Landmarker) -> None:
    with pytest.raises(FrozenInstanceError):
        landmarker.network = landmarker.network  # type: ignore[misc]
    assert load_landmarker() is landmarker


def test_the_weights_take_less_than_two_megabytes() -> None:
    path = resources.files("inversion.faces") / "weights" / "landmarks.safetensors"
    assert len(path.read_bytes()) < 2e6


# --------------------------------------------------------------------------- training


def faces_of(number: int) -> AlignedFaces:
    """Make grey pictures of as many people, all with the same points."""
    images = np.full((number, 256, 256, 3), 90, np.uint8)
    people = tuple(f"p{k}" for k in range(number))
    return AlignedFaces(images, np.stack([drawn_face()] * number), np.zeros(number), people)


@pytest.mark.parametrize("k", [8, 20, 30, 40, 50, 57])
def test_a_warped_picture_moves_with_its_points(k: int) -> None:
    own = drawn_face()
    x, y = own[k].round().astype(int)
    dotted = np.full((256, 256, 3), 90, np.uint8)
    dotted[y - 2 : y + 3, x - 2 : x + 3] = 250
    shape = other_mouth(own, own * (1, 1.05), 1.0)
    shape[17:22] += (6, -9)
    image, points = placed(dotted, own, shape, complex(1.05 * np.exp(0.06j)), 3 - 2j)
    weight = image[..., 0].astype(float) - 90
    rows, columns = np.mgrid[:256, :256]
    middle = [(weight * columns).sum() / weight.sum(), (weight * rows).sum() / weight.sum()]
    np.testing.assert_allclose(middle, points[k], atol=1.2)
    assert k != 20 or np.hypot(*(points[k] - own[k])) > 5


def test_borrowed_shapes_open_mouths_and_shut_eyes() -> None:
    own = drawn_face()
    other = own.copy()
    other[[55, 56, 57, 58, 59, 65, 66, 67], 1] += 20
    opened = other_mouth(own, other, 1.0)
    assert mouth_opening(opened) > mouth_opening(own) + 0.1
    assert opened[8, 1] > own[8, 1] + 5
    shut = other_lids(own, (0.0, 1.0))
    assert eye_openings(shut)[0] == pytest.approx(0)
    assert eye_openings(shut)[1] == pytest.approx(eye_openings(own)[1])


def test_samples_have_their_points_in_the_networks_pixels_and_differ() -> None:
    faces = faces_of(3)
    often, wide = np.full(3, 1 / 3), np.arange(3)
    rng = np.random.default_rng(0)
    drawn = [draw_sample(rng, faces, often, wide) for _ in range(12)]
    for pixels, xy in drawn:
        assert pixels.shape == (128, 128, 3) and pixels.dtype == np.uint8
        assert xy.shape == (68, 2) and 20 < eye_distance(xy) < 50
        assert xy[36, 0] < xy[45, 0]
    assert len({xy.tobytes() for _, xy in drawn}) == 12


def make_folder(folder: Path, faces: int) -> Path:
    """Write a folder laid out as the trainer wants it, with noise for faces."""
    (folder / "aligned").mkdir(parents=True)
    rng = np.random.default_rng(0)
    ids = [f"{i:05d}" for i in range(faces)]
    lines = ["id\tyaw\tperson"]
    for name in ids:
        noise = rng.integers(0, 256, (64, 64, 3), dtype=np.uint8)
        Image.fromarray(noise).save(folder / "aligned" / f"{name}.jpg")
        lines.append(f"{name}\t0.0\tperson{name}")
    (folder / "index.tsv").write_text("\n".join(lines) + "\n", encoding="utf-8")
    np.savez(
        folder / "landmarks.npz", id=np.array(ids), aligned68=drawn_face(64)[None].repeat(faces, 0)
    )
    return folder


def test_pictures_of_any_size_are_stored_at_256_with_their_points(tmp_path: Path) -> None:
    faces = load_aligned(make_folder(tmp_path, 2))
    assert faces.images.shape == (2, 256, 256, 3)
    np.testing.assert_allclose(faces.points[0], (drawn_face(64) + 0.5) * 4 - 0.5)


def test_nobody_is_both_trained_on_and_held_out() -> None:
    faces = faces_of(9)
    trained, held_out = split(faces, 4)
    assert len(held_out) == 4 and len(trained) == 5
    assert set(trained.people).isdisjoint(held_out.people)


def test_training_starts_from_the_finders_features_and_goes_on_from_its_checkpoint(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder, out = make_folder(tmp_path / "faces", 4), tmp_path / "out"
    fixed = [str(folder), "--out", str(out), "--batch", "2", "--workers", "0", "--held-out", "1"]
    train_landmarks.main([*fixed, "--steps", "1"])
    # Some versions read from the file only when asked, and it is about to be another.
    first = {name: each.clone() for name, each in load_file(out / "landmarks.safetensors").items()}
    start = train_landmarks.started().state_dict()
    assert torch.allclose(
        first["to32.2.unit.conv.weight"].float(), start["to32.2.unit.conv.weight"], atol=0.01
    )
    assert torch.load(out / "landmarks.pt", weights_only=True)["step"] == 1
    train_landmarks.main([*fixed, "--steps", "3"])
    assert torch.load(out / "landmarks.pt", weights_only=True)["step"] == 3
    second = load_file(out / "landmarks.safetensors")
    assert any(not torch.equal(first[name], second[name]) for name in first)
    capsys.readouterr()
    train_landmarks.main([*fixed, "--measure-only"])
    assert "mouth" in capsys.readouterr().out
    found = landmarker_from(second).landmarks68(np.zeros((128, 128, 3), np.uint8))
    assert np.isfinite(found).all()


def test_what_lies_outside_the_picture_is_not_learnt() -> None:
    network = train_landmarks.started()
    pixels = torch.zeros(1, 128, 128, 3, dtype=torch.uint8)
    inside = torch.from_numpy(drawn_face(128)).float()[None]
    outside = inside.clone()
    outside[0, 8] = torch.tensor([60.0, 200.0])
    farther = inside.clone()
    farther[0, 8] = torch.tensor([60.0, 900.0])
    with torch.no_grad():
        losses = [train_landmarks.loss_of(network, pixels, xy)[0] for xy in (outside, farther)]
    assert losses[0].item() == pytest.approx(losses[1].item())
    assert losses[0].item() > 0
