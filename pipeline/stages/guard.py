"""How far a photo can be moved before it would look broken."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from inversion.faces.landmark_network import load_landmarker
from inversion.faces.shape68 import mouth_width
from pipeline.picture.inner_mouth import InnerMouth
from pipeline.picture.motion import in_region
from pipeline.picture.outlines import filled_hull
from pipeline.picture.plausibility import BEST_SCORE, plausibility
from pipeline.stages.moved import Moved
from pipeline.stages.moving_photo import XY, MovingPhoto
from stylegan2.arrays import BoolImage, Float32Array, UInt8Image
from stylegan2.sizes import Size

HOLDS = 1.4
"""An edit below this score looks broken (pipeline/picture/plausibility.py). Of 224 edits scored by
eye it stops all 39 that got 0, 26 of 28 that got .5, half of those with 1 or 1.5, and 1 of 111
that got 2 or more."""

NO_FACE = 1.3
"""How what no face does looks at best: worse than what holds."""

SEEN_WIDER = 1.02
"""A mouth is not found wider than it was by less than this factor for sure."""

WIDEST = 1.3
"""No mouth is wider than this, by the eye distance: of 2516 faces one in a thousand has more than
1.21. Smiles and mouths drawn wider look like masks, however clean their pixels are."""

SHRUNK = 0.3
"""An area that comes from less than this share of itself is drawn out, or folded."""

TORN = 0.005
"""What is no face has no score: it tears where more than this share of what moves is drawn out."""

LEAST = 0.3
"""A way is not shortened below this share: less would be no answer to what was asked."""

HALVINGS = 3
"""Tries to find the share; each takes as long as the motion itself."""

BETTER = 0.25
"""The network's pixels are taken where they look better than the photo's own by this much: about
as far as a score is off."""


@dataclass(frozen=True)
class Held:
    """A motion, the share of the way that it goes, and how it looks, 0 to 3."""

    moved: Moved
    share: float
    looks: float

    @property
    def broken(self) -> bool:
        """Whether an eye would call it broken."""
        return self.looks < HOLDS


def as_far_as_it_holds(made: Callable[[float], Moved], score: Callable[[Moved], float]) -> Held:
    """Return the farthest motion that does not look broken.

    made gives the motion for a share of the way. Where even LEAST looks broken, it is that.
    """
    whole = made(1.0)
    best, high = Held(whole, 1.0, score(whole)), 1.0
    if not best.broken:
        return best
    low = LEAST
    for _ in range(HALVINGS):
        share = round((low + high) / 2, 2)
        moved = made(share)
        tried = Held(moved, share, score(moved))
        if tried.broken:
            high = share
        else:
            best, low = tried, share
    if low == LEAST:
        least = made(LEAST)
        best = Held(least, LEAST, score(least))
    return best


def has_score(photo: MovingPhoto) -> bool:
    """Return whether pictures of it can be scored: what is no face has no landmarks."""
    return photo.face is not None


def looks(photo: MovingPhoto, moved: Moved) -> float:
    """Score the photo once it moved; what is no face is whole (3) or torn (0)."""
    if photo.face is None:
        return 0.0 if _drawn_out(moved) > TORN else BEST_SCORE
    mouth = moved.mouth
    new = mouth.new() if isinstance(mouth, InnerMouth) else None
    return looks_of_picture(photo, photo.shown(moved), new)


def looks_of_picture(photo: MovingPhoto, edited: UInt8Image, new: BoolImage | None = None) -> float:
    """Score an edit of the aligned face, uint8 [H, W, 3]; 3 where it is no face.

    new: bool [H, W], True where the photo had nothing like it.
    """
    if photo.face is None:
        return BEST_SCORE
    after = load_landmarker().landmarks68(edited)
    score = plausibility(photo.aligned, edited, after, photo.face, new).score
    if mouth_width(after) > max(WIDEST, mouth_width(photo.face) * SEEN_WIDER):
        return min(score, NO_FACE)
    return score


def where_it_tears(moved: Moved, ends: Sequence[XY], size: Size) -> int:
    """Return the number, from 1, of the point whose end is nearest to the worst place."""
    areas = _areas(moved)
    row, column = np.unravel_index(int(areas.argmin()), areas.shape)
    on_grid = in_region(np.array(ends), size, len(areas))
    return int(np.hypot(*(on_grid - (column, row)).T).argmin()) + 1


def _drawn_out(moved: Moved) -> float:
    """Return the share of what moves that is drawn out."""
    moving = np.abs(moved.motion.way).max(axis=2) > 1e-3
    return float((_areas(moved)[moving] < SHRUNK).mean()) if moving.any() else 0.0


def _areas(moved: Moved) -> Float32Array:
    """Return the areas of the motion; what lies in a new mouth shows nothing of the photo."""
    areas = moved.motion.areas()
    if moved.mouth is not None:
        n = len(areas)
        mouth = filled_hull((n, n), in_region(moved.mouth.ends, moved.mouth.size, n))
        areas = np.where(mouth, np.float32(1), areas)
    return areas
