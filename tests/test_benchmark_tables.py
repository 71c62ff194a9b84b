"""What the papers' tables are made with: samples kept, trackers, others' files, real targets."""

from __future__ import annotations

import hashlib
import json
import math
import os
import pickle
from functools import partial
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import torch
from PIL import Image

from benchmarks import kept as kept_module
from benchmarks.dragbench import face_of_seed
from benchmarks.dragbench import run as run_dragbench
from benchmarks.draggan import PaperSettings, drag
from benchmarks.drags import SHAPES
from benchmarks.faces import five_of
from benchmarks.inverted import _identities
from benchmarks.kept import Kept
from benchmarks.locality import SETTINGS, changed
from benchmarks.looks import Case
from benchmarks.looks_edits import Edit
from benchmarks.measures import accuracy_index
from benchmarks.methods import DEFAULT, PAPER
from benchmarks.others import BenchmarkUnreadable, read_dragbench, read_freedragbench
from benchmarks.parts import longer, parts
from benchmarks.section import Options, SectionSkipped
from benchmarks.targets import Smile, compare, moved_area, similarity
from benchmarks.trackers import by_dis, load_raft
from drag.points import DragPoint
from inversion.perceptual import build_perceptual
from pti.config import TuningConfig
from stylegan2.arrays import Float64Array, UInt8Image
from stylegan2.downloads.known_file import KnownFile
from stylegan2.downloads.transfer import DownloadFailed
from stylegan2.images import to_tensor
from stylegan2.latents import to_ws
from tests.download_server import Site, serving
from tests.factories import tiny_generator


def options(folder: Path, seed: int = 1) -> Options:
    return Options(True, seed, "embedded", None, "cpu", folder / "work", folder, print)


# --------------------------------------------------------------------------- samples kept


def test_a_form_that_was_broken_off_goes_on_where_it_stopped(tmp_path: Path) -> None:
    made: list[str] = []

    def make(name: str) -> dict[str, Any]:
        if name == "third" and "third" not in made:
            made.append(name)
            raise KeyboardInterrupt
        made.append(name)
        return {"value": len(name), "unseen": math.nan}

    names = ("first", "second", "third")
    with pytest.raises(KeyboardInterrupt):
        for name in names:
            Kept(options(tmp_path), "paired", "hash").sample(name, partial(make, name))
    found = [
        Kept(options(tmp_path), "paired", "hash").sample(name, partial(make, name))
        for name in names
    ]
    assert made == ["first", "second", "third", "third"]
    assert [each["value"] for each in found] == [5, 6, 5]
    assert all(math.isnan(each["unseen"]) for each in found)


def test_samples_of_other_code_networks_and_seeds_are_measured_anew(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def sample(seed: int = 1, weights: str = "hash", value: int = 0) -> object:
        return Kept(options(tmp_path, seed), "paired", weights).sample("one", lambda: {"v": value})

    assert sample(value=1) == sample(value=2) == {"v": 1}
    assert sample(seed=2, value=3) == {"v": 3}
    assert sample(weights="other", value=4) == {"v": 4}
    monkeypatch.setattr(kept_module, "code_hash", lambda: "changed")
    assert sample(value=5) == {"v": 5}


# --------------------------------------------------------------------------- tracking by flow


def texture() -> UInt8Image:
    noise = np.random.default_rng(0).normal(size=(128, 128, 3)).astype(np.float32)
    smooth = cv2.GaussianBlur(noise, (0, 0), 3)
    scaled = (smooth - smooth.min()) / (smooth.max() - smooth.min()) * 255
    return np.asarray(scaled, np.uint8)


def shifted(picture: UInt8Image, x: float, y: float) -> UInt8Image:
    matrix = np.array([[1.0, 0.0, x], [0.0, 1.0, y]])
    return np.asarray(cv2.warpAffine(picture, matrix, (128, 128), flags=cv2.INTER_CUBIC), np.uint8)


def test_dis_follows_places_through_a_shift() -> None:
    places = np.array([[40.0, 50.0], [64.0, 64.0], [90.0, 80.0]])
    found = by_dis(texture(), shifted(texture(), 1.5, -1.0), places)
    np.testing.assert_allclose(found - places, [[1.5, -1.0]] * 3, atol=0.15)


def test_a_drag_asks_its_tracker_with_both_pictures_and_goes_by_what_it_says() -> None:
    generator = tiny_generator(64)
    ws = to_ws(torch.randn(1, 16, generator=torch.Generator().manual_seed(2)), generator.num_ws)
    asked: list[tuple[UInt8Image, UInt8Image, Float64Array]] = []

    def tracker(before: UInt8Image, now: UInt8Image, places: Float64Array) -> Float64Array:
        asked.append((before, now, places))
        return places + (2.0, 0.0)

    points = [DragPoint((20.0, 30.0), (26.0, 30.0))]
    made = drag(generator, ws, None, points, None, PaperSettings(), tracker)
    assert made.arrived
    assert made.steps == len(asked) == 3
    np.testing.assert_allclose(made.handles, [(26.0, 30.0)], atol=1e-4)
    known = np.concatenate([each[2] for each in asked])
    np.testing.assert_allclose(known, [[20.0, 30.0], [22.0, 30.0], [24.0, 30.0]])
    assert np.array_equal(asked[0][1], asked[1][0])
    assert not np.array_equal(asked[0][0], asked[0][1])


def test_raft_comes_through_the_downloader_and_follows_both_ways(tmp_path: Path) -> None:
    models = pytest.importorskip("torchvision.models.optical_flow")
    torch.manual_seed(0)
    torch.save(models.raft_small().state_dict(), tmp_path / "raft.pth")
    content = (tmp_path / "raft.pth").read_bytes()
    with serving(Site(content=content)) as site:
        known = KnownFile(f"{site.url}raft.pth", hashlib.sha256(content).hexdigest(), 4)
        tracker = load_raft(known, tmp_path / "hub")
        load_raft(known, tmp_path / "hub")
        assert len(site.requests) == 1
        with pytest.raises(DownloadFailed, match="not the known file"):
            load_raft(KnownFile(f"{site.url}other.pth", "0" * 64, 4), tmp_path / "hub")
    places = np.array([[40.0, 50.0], [64.0, 64.0]])
    found = tracker(texture(), shifted(texture(), 1.5, -1.0), places)
    assert found.shape == places.shape
    assert np.isfinite(found).all()


# --------------------------------------------------------------------------- the accuracy index


def test_what_was_moved_to_its_target_has_an_accuracy_index_of_nearly_nothing() -> None:
    before, after = to_tensor(texture(), "cpu"), to_tensor(shifted(texture(), 6.0, 0.0), "cpu")
    point = [DragPoint((60.0, 60.0), (66.0, 60.0))]
    assert accuracy_index(before, after, point) < 1e-3
    assert accuracy_index(before, before, point) > 1e-2


def test_the_accuracy_index_is_the_mean_squared_difference_of_the_patches() -> None:
    before, after = torch.zeros(1, 3, 512, 512), torch.zeros(1, 3, 512, 512)
    after[..., 200:203, 300:303] = 0.5  # a third of the square of 3 x 9 around (301, 201)
    point = [DragPoint((100.0, 100.0), (301.0, 201.0))]
    assert accuracy_index(before, after, point, 1) == pytest.approx(0.25)
    assert accuracy_index(before, after, point, 4) == pytest.approx(0.25 * 9 / 81)


# --------------------------------------------------------------------------- others' files


def write_dragbench(folder: Path, data: object) -> Path:
    sample = folder / "human" / "one"
    sample.mkdir(parents=True)
    Image.new("RGB", (40, 30)).save(sample / "original_image.png")
    (sample / "meta_data.pkl").write_bytes(pickle.dumps(data))
    return folder


def test_dragbench_is_read_as_handles_and_targets_by_turns_with_its_mask(tmp_path: Path) -> None:
    mask = np.zeros((30, 40), np.uint8)
    mask[5:20, 8:30] = 255
    points = [(10, 12), [20, 12], np.array([11, 15]), (np.int64(9), np.float64(14.5))]
    write_dragbench(tmp_path, {"prompt": "a face", "mask": mask, "points": points})
    (found,) = read_dragbench(tmp_path)
    assert found.name == "human/one"
    assert found.pixels.shape == (30, 40, 3)
    assert found.points == (DragPoint((10, 12), (20, 12)), DragPoint((11, 15), (9, 14.5)))
    assert np.array_equal(found.movable_mask, mask > 0)


class Hostile:
    def __reduce__(self) -> tuple[Any, ...]:
        return os.system, ("touch pwned",)


@pytest.mark.parametrize(
    "data",
    [
        Hostile(),
        {"mask": np.zeros((30, 40)), "points": [(1, 2), Hostile()]},
        {"mask": np.zeros((30, 40)), "points": [(1, 2)]},
        {"mask": np.zeros((30, 41)), "points": [(1, 2), (3, 4)]},
        {"mask": np.zeros((30, 40)), "points": [(1, 2), (3, "4")]},
        {"points": [(1, 2), (3, 4)]},
    ],
)
def test_a_dragbench_file_that_is_none_is_named_and_runs_nothing(
    data: object, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    write_dragbench(tmp_path / "bench", data)
    with pytest.raises(BenchmarkUnreadable, match=r"meta_data\.pkl"):
        list(read_dragbench(tmp_path / "bench"))
    assert not (tmp_path / "pwned").exists()


def test_freedragbench_is_read_from_y_and_x_of_512_pixels(tmp_path: Path) -> None:
    path = tmp_path / "faces.jsonl"
    points = {"handle": [[100, 200], [300.5, 7]], "target": [[110, 210], [300.5, 7]]}
    path.write_text(json.dumps({"seed": 42, "points": points}) + "\n\n")
    (found,) = read_freedragbench(path, 512)
    assert found.seed == 42
    assert found.points[0] == DragPoint((200, 100), (210, 110))
    (smaller,) = read_freedragbench(path, 256)
    assert smaller.points[1].handle == (3.25, 150.0)


@pytest.mark.parametrize(
    "line",
    [
        "[1, 2]",
        '{"seed": 1}',
        '{"seed": 1, "seed": 2, "points": {"handle": [[1, 2]], "target": [[1, 2]]}}',
        '{"seed": "1", "points": {"handle": [[1, 2]], "target": [[1, 2]]}}',
        '{"seed": 1, "points": {"handle": [[1, 2]], "target": []}}',
        '{"seed": 1, "points": {"handle": [[1, 2, 3]], "target": [[1, 2, 3]]}}',
        "{",
    ],
)
def test_a_line_that_is_no_drag_is_named(line: str, tmp_path: Path) -> None:
    path = tmp_path / "faces.jsonl"
    path.write_text(line)
    with pytest.raises(BenchmarkUnreadable, match=r"faces\.jsonl, line 1"):
        list(read_freedragbench(path, 512))


# --------------------------------------------------------------------------- real targets


def test_points_that_were_turned_scaled_and_shifted_are_laid_over_each_other() -> None:
    rng = np.random.default_rng(0)
    source = rng.uniform(0, 100, (8, 2))
    turn = np.array([[0.9, -0.3], [0.3, 0.9]])
    matrix = similarity(source, source @ turn.T + (5.0, -7.0))
    wanted = np.array([[0.9, -0.3, 5.0], [0.3, 0.9, -7.0], [0.0, 0.0, 1.0]])
    np.testing.assert_allclose(matrix, wanted, atol=1e-9)


def test_the_moved_area_is_the_hull_of_both_ends_and_what_is_near() -> None:
    points = (DragPoint((20.0, 20.0), (40.0, 20.0)), DragPoint((20.0, 40.0), (20.0, 40.0)))
    area = moved_area(Edit("smile", "real", points), 64, 3.0)
    assert area[20, 40]
    assert area[25, 25]
    assert area[17, 30]
    assert not area[16, 30]
    assert not area[40, 40]


def test_an_edit_is_compared_inside_where_it_moved_and_outside_apart() -> None:
    real = texture()
    face = np.random.default_rng(1).uniform(20, 100, (68, 2))
    smile = Smile(Case("one", real, np.zeros((4, 2)), real, face), real, face)
    area = np.zeros((128, 128), bool)
    area[30:60, 30:60] = True
    crop = real.copy()
    crop[40:50, 40:50] = 255 - crop[40:50, 40:50]
    found = compare(crop, smile, range(68), area, build_perceptual("offline", "cpu"))
    assert found["inside"] > 0
    assert found["difference inside"] > 1
    assert found["outside"] == pytest.approx(0.0, abs=1e-6)
    assert found["difference outside"] == 0.0


# --------------------------------------------------------------------------- the tables' rows


def test_rows_that_are_the_method_as_it_is_share_their_samples() -> None:
    rows = parts(tiny_generator(64), {"optical flow": by_dis})
    usual = {row.part for row in rows if row.label == PAPER}
    assert usual == {"tracker", "features", "r1", "space", "moving ws", "mask", "way"}
    assert {row.part for row in rows if row.label == DEFAULT} == usual - {"tracker", "space"}
    others = [row.label for row in rows if row.label not in (PAPER, DEFAULT)]
    assert len(others) == len(set(others))


def test_a_way_that_is_three_times_as_long_is_the_same_drag_farther() -> None:
    handles, circle = longer(SHAPES["brows up"], 3.0)
    assert circle == SHAPES["brows up"][1]
    np.testing.assert_allclose([each.move for each in handles], [(0.0, -0.36)] * 2)
    assert [each.beside for each in handles] == [(0.0, -0.32)] * 2


def test_identity_is_how_far_a_crop_is_from_its_own_photo(tmp_path: Path) -> None:
    names = ["d01_photo", "d01_W+", "d02_photo", "d02_W+", "d03_W+"]
    embedding = np.array([[0.0, 0], [3, 4], [1, 1], [1, 1], [9, 9]])
    np.savez(tmp_path / "measured.npz", name=names, embedding=embedding)
    assert _identities(tmp_path / "measured.npz") == {"d01_W+": 5.0, "d02_W+": 0.0}
    assert _identities(tmp_path / "none.npz") == {}


@pytest.mark.parametrize(("distance", "threshold"), [("lpips-vgg", 0.06), ("realdrag-v2", 0.0)])
def test_pti_stops_early_only_by_the_distance_its_threshold_is_of(
    distance: str, threshold: float
) -> None:
    base = TuningConfig(steps=60)
    assert changed(base, SETTINGS["PTI"], True, distance).perceptual_threshold == threshold
    assert changed(base, SETTINGS["default"], True, distance) == base


def test_a_seeds_face_is_that_of_numpys_old_random_numbers() -> None:
    generator = tiny_generator(32)
    z = np.random.RandomState(7).randn(1, generator.config.z_dim)
    w = generator.mapping(torch.from_numpy(z).float(), truncation_psi=0.7)
    assert torch.equal(face_of_seed(generator, 7).ws[:, 0], w)


def test_without_others_files_the_section_says_where_they_belong(tmp_path: Path) -> None:
    with pytest.raises(SectionSkipped, match="freedragbench"):
        run_dragbench(options(tmp_path))


def test_the_five_are_the_middles_of_the_eyes_nose_and_corners_of_the_mouth() -> None:
    points = np.arange(136, dtype=np.float64).reshape(68, 2)
    assert five_of(points)[:, 0].tolist() == [77.0, 89.0, 60.0, 96.0, 108.0]
