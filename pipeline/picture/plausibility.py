"""How an edit of a face looks to an eye: 0 broken, 1 visible faults, 2 fine at a glance, 3 a photo.

Measured from two crops of a photo, before and after, whatever made the edit: how much the parts of
the face were stretched and squeezed, and what the photo's own pixels, moved, do not explain. The
weights are fitted to edits that were scored by eye without knowing what made them
(benchmarks/results/looks_scores.tsv, by `python -m tools.fit_plausibility`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

import numpy as np

from inversion.faces.alignment import whole
from inversion.faces.shape68 import (
    BROW_LEFT,
    BROW_RIGHT,
    EYE_LEFT,
    EYE_RIGHT,
    OUTER_MOUTH,
    Points,
    eye_distance,
)
from pipeline.picture.head_turn import HeadTurn, turn_seen
from pipeline.picture.optical_flow import moved, searched
from pipeline.picture.warp import warp
from stylegan2.arrays import Array, BoolImage, Float32Array, Float64Array, UInt8Image

BEST_SCORE = 3.0

FARTHEST, UNCOVERED = np.radians(22), np.radians(30)
"""A head that turns that far costs one of three points; so does turning back to the front by that
much: what was hidden and appears was never seen."""

SIDE = 320
"""Pixels a side at which crops are compared: about how large an eye sees a face."""

FIGURES = ("mouth", "eyes", "rest", "left")
"""What `measures` gives."""

TERMS = ("worse of mouth and eyes", "rest", "log of 1 + left")
"""What `terms` gives."""

BEST = 3.26
WEIGHTS = (0.88, 0.43, 0.31)
"""The score where nothing is wrong, before it is cut at 3, and what each term takes from it."""

_PARTS: Mapping[str, tuple[Sequence[int], ...]] = MappingProxyType(
    {"mouth": (OUTER_MOUTH,), "eyes": (EYE_LEFT + BROW_LEFT, EYE_RIGHT + BROW_RIGHT)}
)
_MARGIN = 0.25
"""Of the eye distance, across: a part is judged with half of that of the skin around it."""

_WORST_STRAINED, _WORST_LEFT = 400, 1500
"""Pixels that count, the worst ones: a fault is seen however much of the picture is good."""

_SOFT = 4.0
"""Pixels over which grey levels are averaged before they are compared: fine grain is no fault."""


@dataclass(frozen=True)
class Plausibility:
    """How an edit looks: score 0 (broken) to 3 (a photo), and the measures that it is made of."""

    score: float
    measures: Mapping[str, float]


def plausibility(
    before: UInt8Image,
    after: UInt8Image,
    landmarks: Points,
    landmarks_before: Points | None = None,
    new: BoolImage | None = None,
) -> Plausibility:
    """Score an edit as an eye does that sees both pictures; arguments as for `measures`.

    With landmarks_before, those of before, a head that turned is compared with the photo turned,
    not with the photo: foreshortened cheeks are no fault.
    """
    best = BEST_SCORE
    turn = None if landmarks_before is None else turn_seen(landmarks_before, landmarks)
    if turn is not None:
        side = len(before)
        before, best = warp(before, whole(side), turn.motion(side)), looks_of_turn(turn)
    found = measures(before, after, landmarks, new)
    score = BEST - float(np.array(WEIGHTS) @ terms(found))
    return Plausibility(min(best, max(0.0, score)), MappingProxyType(found))


def looks_of_turn(turn: HeadTurn) -> float:
    """Score a turn of a head as it looks at its best, 0 to 3."""
    before = turn.pose.yaw
    uncovered = max(0.0, abs(before) - abs(before + turn.yaw))
    worse = (turn.angle / FARTHEST) ** 2 + uncovered / UNCOVERED
    return max(0.0, float(BEST_SCORE - worse))


def terms(found: Mapping[str, float]) -> Float64Array:
    """Turn measures into what the score is linear in: [3] as TERMS, 0 where nothing changed."""
    part = max(found["mouth"], found["eyes"])
    return np.array([part, found["rest"], np.log1p(found["left"])])


def measures(
    before: UInt8Image, after: UInt8Image, landmarks: Points, new: BoolImage | None = None
) -> dict[str, float]:
    """Measure an edit; every figure is 0 where nothing changed, and more is worse.

    before, after: uint8 [S, S, 3], the same aligned crop. landmarks: [68, 2] xy, of after, in its
    pixels. "mouth", "eyes" (brows, too) and "rest" (of the picture): by what lengths were stretched
    or squeezed at the worst places, as a logarithm, along the optical flow between the two (dense
    inverse search, Kroeger et al., 2016). "left": grey levels of 255 by which after is off from
    before moved by that flow, at the worst places. new: bool [S, S], True where after shows what
    before does not have: nothing there counts. Raises ValueError for other shapes.
    """
    import cv2  # large; only an edit needs it

    square = before.ndim == 3 and before.shape[0] == before.shape[1] and before.shape[2] == 3
    if not square or after.shape != before.shape or np.shape(landmarks) != (68, 2):
        raise ValueError(
            f"before {before.shape} and after {after.shape} must be equal squares [S, S, 3], "
            f"landmarks {np.shape(landmarks)} must be [68, 2]"
        )
    points = (np.asarray(landmarks, np.float64) + 0.5) * (SIDE / len(before)) - 0.5
    a, b = _at_side(before), _at_side(after)
    grey_a, grey_b = (cv2.cvtColor(x, cv2.COLOR_RGB2GRAY) for x in (a, b))
    way = searched(grey_b, grey_a)
    strain = _strain(way)
    old = np.ones((SIDE, SIDE), np.bool_)
    if new is not None:
        old = cv2.resize(new.astype(np.uint8), (SIDE, SIDE), interpolation=cv2.INTER_NEAREST) == 0
    places = {name: place & old for name, place in _regions(points).items()}
    found = {name: _worst(strain[place], _WORST_STRAINED) for name, place in places.items()}
    off = _blurred(b, _SOFT) - _blurred(moved(a.astype(np.float32), way), _SOFT)
    found["left"] = _worst(np.abs(off).mean(axis=2)[old], _WORST_LEFT)
    return found


def _strain(way: Float32Array) -> Float32Array:
    """Return the larger of stretch and squeeze at each place, as a logarithm, from a way back."""
    smooth = _blurred(way, 1)
    (dxx, dyx), (dxy, dyy) = (
        (np.gradient(smooth[..., k], axis=1), np.gradient(smooth[..., k], axis=0)) for k in (0, 1)
    )
    squares = (1 + dxx) ** 2 + dyx**2 + dxy**2 + (1 + dyy) ** 2
    area = (1 + dxx) * (1 + dyy) - dyx * dxy
    spread = np.sqrt(np.maximum(squares**2 - 4 * area**2, 0))
    longest, shortest = (
        np.sqrt((squares + spread) / 2),
        np.sqrt(np.maximum(squares - spread, 0) / 2),
    )
    logs = [np.abs(np.log(np.maximum(length, 1e-3))) for length in (longest, shortest)]
    return _blurred(np.maximum(*logs), 2)


def _regions(points: Float64Array) -> dict[str, BoolImage]:
    import cv2

    margin = max(1, round(_MARGIN * eye_distance(points))) | 1
    kernel = np.ones((margin, margin), np.uint8)
    masks: dict[str, BoolImage] = {}
    for name, groups in _PARTS.items():
        mask = np.zeros((SIDE, SIDE), np.uint8)
        for group in groups:
            hull = cv2.convexHull(points[list(group)].astype(np.float32))
            cv2.fillConvexPoly(mask, np.round(hull).astype(np.int32), 1)
        masks[name] = np.asarray(cv2.dilate(mask, kernel)) > 0
    masks["rest"] = ~(masks["mouth"] | masks["eyes"])
    return masks


def _worst(values: Array, number: int) -> float:
    """Average the largest `number` values; what is not there counts as nothing."""
    if values.size > number:
        values = np.partition(values.ravel(), -number)[-number:]
    return float(values.sum()) / number


def _at_side(crop: UInt8Image) -> UInt8Image:
    import cv2

    crop = np.ascontiguousarray(crop)
    if len(crop) == SIDE:
        return crop
    how = cv2.INTER_AREA if len(crop) > SIDE else cv2.INTER_CUBIC
    return np.asarray(cv2.resize(crop, (SIDE, SIDE), interpolation=how), np.uint8)


def _blurred(field: Array, sigma: float) -> Float32Array:
    import cv2

    return np.asarray(cv2.GaussianBlur(field.astype(np.float32), (0, 0), sigma), np.float32)
