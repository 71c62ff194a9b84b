"""The benchmark of looks: where its edits lie, and how scores become tables."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import skimage.data
from PIL import Image

from benchmarks.looks import Case, _alike, _openings, _read_scores, _ruled, _section
from benchmarks.looks_edits import edits_of
from benchmarks.section import Mean, SectionSkipped
from inversion.faces.alignment import align, ffhq_quad
from inversion.faces.face import Face
from inversion.faces.landmark_network import load_landmarker
from inversion.faces.shape68 import face_width
from tests.test_finder import ASTRONAUT
from tests.test_mouth import face

KEY = [
    (strength, edit, way, photo)
    for strength, edit in (("6%", "turn"), ("6%", "smile"), ("15%", "turn"))
    for way in ("realdrag", "plain warp")
    for photo in ("a", "b")
]


def test_edits_go_as_far_as_their_name_says_whatever_the_faces_roll() -> None:
    for turned in (0.0, 30.0):
        points = face(14, turned=turned)
        edits = {(edit.strength, edit.name): edit for edit in edits_of(points, 256)}
        for share in (0.06, 0.15, 0.25):
            turn = edits[f"{share:.0%}", "turn"]
            for point in turn.points:
                way = np.subtract(point.target, point.handle)
                along = points[42:48].mean(axis=0) - points[36:42].mean(axis=0)
                along /= np.linalg.norm(along)
                np.testing.assert_allclose(way, share * face_width(points) * along, atol=1e-6)
        mask = edits["6%", "mouth wider"].movable_mask
        assert mask is not None
        for point in edits["6%", "mouth wider"].points:
            x, y = np.rint(point.target).astype(int)
            assert mask[y, x]


def test_only_an_open_mouth_is_opened_far_or_shut() -> None:
    names = {edit.name for edit in edits_of(face(1), 256) if edit.strength != "6%"}
    assert "mouth shut" not in names and "mouth open" not in names
    assert "mouth shut" in {edit.name for edit in edits_of(face(14), 256)}


def test_scores_are_read_in_any_order_and_become_means_and_broken_counts(tmp_path: Path) -> None:
    path = tmp_path / "scores.txt"
    given = {number: number % 4 for number in range(1, len(KEY) + 1)}
    path.write_text("\n".join(f"{n} {s}" for n, s in reversed(given.items())) + "\n\n")
    scores = _read_scores(path, KEY)
    assert scores == {each: number % 4 for number, each in enumerate(KEY, start=1)}
    ruled = {each: 0.5 * score for each, score in scores.items()}
    section = _section(scores, ruled, ["realdrag", "plain warp"], 2)
    near, far = section.tables
    assert near.header == ("way", "turn", "smile", "all", "broken", "ruler")
    rows = {row[0]: row for row in near.rows}
    turn = rows["realdrag"][1]
    assert isinstance(turn, Mean) and turn.mean == 1.5
    assert rows["plain warp"][-2] == "2 of 4"
    eye, ruler = rows["realdrag"][-3], rows["realdrag"][-1]
    assert isinstance(eye, Mean) and isinstance(ruler, Mean) and ruler.mean == eye.mean / 2
    assert far.title == "15% of the face's width"


@pytest.mark.parametrize(
    ("text", "words"), [("1 3\n", "no score of 2, 3"), ("1 4\n", "is no score: 0, 1, 2 or 3")]
)
def test_scores_that_are_wrong_or_missing_are_named(tmp_path: Path, text: str, words: str) -> None:
    path = tmp_path / "scores.txt"
    path.write_text(text)
    with pytest.raises(SectionSkipped, match=words):
        _read_scores(path, KEY)
    assert _read_scores(tmp_path / "none.txt", KEY) is None


def test_photos_that_are_all_alike_are_left_out(tmp_path: Path) -> None:
    index = tmp_path / "index.tsv"
    index.write_text("id\tsource\nd00\t18f\nd01\tlondon-neutral\n")
    assert _alike(index) == {"d01"}
    assert _alike(tmp_path / "none.tsv") == set()


def test_crops_are_ruled_against_their_photos(tmp_path: Path) -> None:
    pixels = np.asarray(skimage.data.astronaut())
    quad = ffhq_quad(Face(ASTRONAUT, None, (172, 56, 276, 176), "file", 1.0))
    crop = align(pixels, quad, 320).image
    case = Case("a", pixels, quad, align(pixels, quad, 256).image, np.zeros((68, 2)))
    stained = crop.copy()
    stained[150:230, 100:200] = (150, 20, 160)
    made = {}
    for way, picture in (("realdrag", crop), ("plain warp", stained)):
        made["6%", "turn", way, "a"] = tmp_path / f"{way}.png"
        Image.fromarray(picture).save(tmp_path / f"{way}.png")
    ruled = _ruled([case], made)
    assert ruled["6%", "turn", "realdrag", "a"] == 3
    assert ruled["6%", "turn", "plain warp", "a"] < 1


def test_an_edit_that_left_the_eye_as_it_was_is_told_from_one_that_shut_it(tmp_path: Path) -> None:
    pixels = np.asarray(skimage.data.astronaut())
    quad = ffhq_quad(Face(ASTRONAUT, None, (172, 56, 276, 176), "file", 1.0))
    crop = align(pixels, quad, 320).image
    case = Case("a", pixels, quad, align(pixels, quad, 256).image, np.zeros((68, 2)))
    marks = load_landmarker().landmarks68(crop)
    (left, top), (right, bottom) = marks[42:48].min(axis=0), marks[42:48].max(axis=0)
    shut = crop.copy()
    rows = slice(round(float(top)) - 2, round(float(bottom)) + 2)
    skin = np.median(
        crop[rows.stop : rows.stop + 8, round(float(left)) : round(float(right))], (0, 1)
    )
    shut[rows, round(float(left)) - 2 : round(float(right)) + 2] = skin
    made = {}
    for way, picture in (("plain warp", crop), ("realdrag", shut)):
        path = tmp_path / f"{way}.png"
        Image.fromarray(picture).save(path)
        made["special", "wink", way, "a"] = path
    table = _openings([case], made)
    (plain, none, _, _), (ours, left_open, _, _) = table.rows
    assert (plain, ours) == ("plain warp", "realdrag")
    assert isinstance(none, Mean) and none.mean == pytest.approx(1.0, abs=1e-6)
    assert isinstance(left_open, Mean) and left_open.mean < 0.9
