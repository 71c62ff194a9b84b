"""The score of an edit: what lowers it, and how far it agrees with an eye."""

from __future__ import annotations

import csv

import cv2
import numpy as np
import pytest
import skimage.data

from inversion.faces.alignment import align, ffhq_quad
from inversion.faces.face import Face
from inversion.faces.landmark_network import load_landmarker
from inversion.faces.shape68 import face_width
from pipeline.picture.plausibility import (
    BEST,
    FIGURES,
    TERMS,
    WEIGHTS,
    Plausibility,
    measures,
    plausibility,
    terms,
)
from stylegan2.arrays import Float64Array, UInt8Image
from tests.test_finder import ASTRONAUT
from tools import fit_plausibility


@pytest.fixture(scope="module")
def photo() -> UInt8Image:
    quad = ffhq_quad(Face(ASTRONAUT, None, (172, 56, 276, 176), "file", 1.0))
    return align(np.asarray(skimage.data.astronaut()), quad, 320).image


@pytest.fixture(scope="module")
def points(photo: UInt8Image) -> Float64Array:
    return load_landmarker().landmarks68(photo).astype(np.float64)


def pulled(
    image: UInt8Image, place: Float64Array, way: tuple[float, float], reach: float
) -> UInt8Image:
    """Pull what is at place along way, as a soft brush does."""
    y, x = np.mgrid[: len(image), : len(image)].astype(np.float32)
    far = np.hypot(x - place[0] - way[0], y - place[1] - way[1]) / reach
    near = (np.clip(1 - far, 0, 1) ** 4 * (4 * far + 1)).astype(np.float32)
    moved = cv2.remap(
        image, x - near * way[0], y - near * way[1], cv2.INTER_CUBIC, borderMode=cv2.BORDER_REFLECT
    )
    return np.asarray(moved, np.uint8)


def score_of(before: UInt8Image, after: UInt8Image) -> Plausibility:
    return plausibility(before, after, load_landmarker().landmarks68(after))


# --------------------------------------------------------------------------- what lowers it


def test_a_photo_that_nobody_edited_looks_like_a_photo(
    photo: UInt8Image, points: Float64Array
) -> None:
    untouched = plausibility(photo, photo.copy(), points)
    assert untouched.score == 3
    assert set(untouched.measures) == set(FIGURES)
    assert max(untouched.measures.values()) == 0


def test_a_longer_pull_looks_worse(photo: UInt8Image, points: Float64Array) -> None:
    width = face_width(points)
    scores = [
        score_of(photo, pulled(photo, points[57], (0, part * width), 0.3 * width)).score
        for part in (0.03, 0.08, 0.15)
    ]
    assert scores[0] > 2.5 and scores[0] > scores[1] > scores[2] and scores[2] < 1.6


def test_what_is_pulled_says_where(photo: UInt8Image, points: Float64Array) -> None:
    width = face_width(points)
    mouth = score_of(photo, pulled(photo, points[48], (-0.1 * width, 0), 0.3 * width)).measures
    eye = score_of(photo, pulled(photo, points[37], (0, -0.1 * width), 0.3 * width)).measures
    assert mouth["mouth"] > 3 * mouth["eyes"]
    assert eye["eyes"] > 3 * eye["mouth"]


def test_a_stain_and_a_ghost_are_left_over(photo: UInt8Image, points: Float64Array) -> None:
    stained = photo.copy()
    x, y = points[31].astype(int)
    cv2.circle(stained, (x - 25, y), 14, (120, 40, 150), -1)
    lower = np.roll(photo, 12, axis=0)
    ghost = (photo.astype(np.float32) * 0.5 + lower * 0.5).astype(np.uint8)
    for after in (stained, ghost):
        judged = plausibility(photo, after, points)
        assert judged.measures["left"] > 8
        assert judged.score < 2


def test_the_whole_face_may_go_along(photo: UInt8Image, points: Float64Array) -> None:
    far = pulled(photo, points[30], (22, 0), 2.5 * face_width(points))
    torn = pulled(photo, points[30], (22, 0), 0.25 * face_width(points))
    assert score_of(photo, far).score > score_of(photo, torn).score + 0.5


def test_grain_is_no_fault(photo: UInt8Image, points: Float64Array) -> None:
    noise = np.random.default_rng(0).normal(0, 3, photo.shape)
    grainy = np.clip(photo + noise, 0, 255).astype(np.uint8)
    assert plausibility(photo, grainy, points).score > 2.3


# --------------------------------------------------------------------------- how it behaves


def test_a_larger_crop_of_the_same_gets_about_the_same(
    photo: UInt8Image, points: Float64Array
) -> None:
    after = pulled(photo, points[57], (0, 0.1 * face_width(points)), 0.3 * face_width(points))
    large, larger = (
        np.asarray(cv2.resize(x, (512, 512), interpolation=cv2.INTER_CUBIC), np.uint8)
        for x in (photo, after)
    )
    there = (points + 0.5) * 512 / 320 - 0.5
    assert plausibility(large, larger, there).score == pytest.approx(
        plausibility(photo, after, points).score, abs=0.25
    )


def test_the_score_stays_between_broken_and_a_photo(
    photo: UInt8Image, points: Float64Array
) -> None:
    noise = np.random.default_rng(0).integers(0, 256, photo.shape, dtype=np.uint8)
    assert plausibility(photo, noise, points).score == 0


def test_other_shapes_are_named(photo: UInt8Image, points: Float64Array) -> None:
    for before, after, where in (
        (photo[:, :200], photo[:, :200], points),
        (photo, photo[:200, :200], points),
        (photo, photo, points[:5]),
    ):
        with pytest.raises(ValueError, match="must be"):
            measures(before, after, where)


# --------------------------------------------------------------------------- how it was fitted


def test_the_weights_are_those_that_the_scored_edits_give() -> None:
    scored = fit_plausibility.read_scores()
    weights = fit_plausibility.fit(scored.terms, scored.scores)
    assert weights == pytest.approx((BEST, *WEIGHTS), abs=0.006)
    assert len(WEIGHTS) == len(TERMS)
    assert min(weights) > 0


def test_unseen_people_are_ranked_as_the_eye_ranked_them() -> None:
    scored = fit_plausibility.read_scores()
    assert len(scored.scores) >= 200
    predicted = fit_plausibility.held_out(scored)
    moved = scored.by_method(fit_plausibility.MOVED_ONLY)
    assert fit_plausibility.rank_correlation(predicted, scored.scores) > 0.85
    assert fit_plausibility.rank_correlation(predicted[moved], scored.scores[moved]) > 0.8


def test_a_person_has_no_part_in_what_judges_them() -> None:
    scored = fit_plausibility.read_scores()
    photos = np.array(scored.photos)
    own = photos == photos[0]
    spoilt = fit_plausibility.Scored(
        scored.photos, scored.methods, np.where(own, 3 - scored.scores, scored.scores), scored.terms
    )
    same = fit_plausibility.held_out(spoilt)[own]
    np.testing.assert_array_equal(same, fit_plausibility.held_out(scored)[own])


def test_the_table_holds_scores_of_the_scale_and_no_paths() -> None:
    with open(fit_plausibility.TABLE, newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file, delimiter="\t"))
    assert {float(row["score"]) for row in rows} <= {half / 2 for half in range(7)}
    assert {row["scorer"] for row in rows} == {"model by eye"}
    assert {int(row["percent"]) for row in rows} >= {6, 15, 25}
    for row in rows:
        shown = BEST - float(np.array(WEIGHTS) @ terms({k: float(row[k]) for k in FIGURES}))
        assert float(row["ruler"]) == pytest.approx(min(3.0, max(0.0, shown)), abs=0.02)
