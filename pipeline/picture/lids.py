"""Where the lids of an eye are, and an eye that shuts.

Landmarks of lids are off by a good part of an eye's opening: a lid that is moved by them takes some
of the eyeball along, and leaves some of it open. So the edges of both lids are looked for in the
picture, from the landmarks on; and where they meet, the picture ends on each side as sharply as it
does between an upper lid's lashes and a lower lid.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from drag.points import DragPoint
from inversion.faces.alignment import aligned_to_photo, photo_to_aligned, placed
from inversion.faces.shape68 import axes_between
from pipeline.picture.brush import FINE
from pipeline.picture.motion import REGION, Motion
from pipeline.picture.outlines import bounds_of, laid_over, maps_of, read_at
from pipeline.picture.smoothstep import smoothstep
from stylegan2.arrays import Array, Float32Array, Float64Array, UInt8Image
from stylegan2.sizes import Size, longer_side

RAISED = 0.3
"""How much of an eye's opening the lower lid closes when the upper one is pulled."""

LEAST_RAISED, MOST_RAISED = 0.2, 0.6
"""The same where both are pulled."""

LASHES = 0.07
"""Lashes, and the lid's rim, below an upper lid's edge, by the eye's width: they go along."""

PINS = (0.3, 0.7)
"""Where along the eye the lids' edges are pinned: lids bend as one piece between."""

APART = 0.02
"""Both edges are pinned this far from the line where they meet, by the eye's width."""

SOFT = 0.02
"""Softness of that line, by the eye's width."""

BESIDE = 1.5
"""Cells of a motion's grid within which it does not show how sharply the lids meet."""

MIDDLE, OFF, OVER = 0.22, (0.03, 0.12), 0.3
"""Between its pins a motion is only about right: what comes to the middle of the line, this share
of it to either side, is put right by so much at most, from above and from below, fading so far
away, by the eye's width. Below dark lashes nobody sees a dark eye; above skin anybody does."""

RIM = 0.03
"""A lower lid is taken from so far below its edge: that is wet, and shines."""

AWAY = 0.1
"""So much farther away, by the eye's width, a mask must not keep anything."""

ENDS = 0.06
"""The line begins and ends softly, over this share of it."""

STEPS = 33
"""Places along an eye."""

# The picture around an eye, in eye widths and in pixels: what the edges are looked for in.
_SIDE = 96
_AROUND = 0.2
_ABOVE = 0.8

_BULGES = np.linspace(-0.6, 0.4, 19)
_SKEWS = np.linspace(-0.15, 0.15, 7)
"""How far an edge may lie from the landmarks, by the eye's opening, up and down and askew."""

_PRICES = 4.0, 12.0
"""Grey levels that an edge must be clearer by, to lie so far from the landmarks."""

_ACROSS = 0.05
"""An edge is looked at from so far above and below, by the eye's width."""

_CLEAREST, _CLEAR = 25.0, 7.0
"""Grey levels: more is not clearer; less is no edge, but hair or dark glasses."""

_LEAST_OPENING = 0.12
"""Of the opening, by the eye's width, that the search reckons with."""


@dataclass(frozen=True)
class Lids:
    """The edges of both lids from the left corner to the right one, [33, 2] each.

    In pixels of the picture.
    """

    upper: Float64Array
    lower: Float64Array

    @property
    def corners(self) -> Float64Array:
        """The ends of both: [2, 2]."""
        return self.upper[[0, -1]]

    @property
    def around(self) -> Float64Array:
        """What lies around all that changes when the eye shuts: [66, 2]."""
        _, down, width = axes_between(*self.corners)
        beyond = (OVER + AWAY) * width * down
        return np.concatenate([self.upper - beyond, self.lower + beyond])

    def meeting(self, raised: float) -> Float64Array:
        """Return where they meet when the lower lid goes up by that share: [33, 2]."""
        return self.lower + raised * (self.upper - self.lower)

    @property
    def lashes(self) -> Float64Array:
        """Where the upper lid's lashes end: [33, 2]."""
        _, down, width = axes_between(*self.corners)
        openings = ((self.lower - self.upper) @ down).clip(0)
        ends: Float64Array = self.upper + np.minimum(LASHES * width, openings / 2)[:, None] * down
        return ends

    def shutting(self, raised: float) -> list[DragPoint]:
        """Return where both edges go when the eye shuts: a few points of each."""
        _, down, width = axes_between(*self.corners)
        line, lashes, pins = self.meeting(raised), self.lashes, []
        for i in (round(share * (STEPS - 1)) for share in PINS):
            apart = APART * width * down
            pins += [
                DragPoint.between(lashes[i], line[i] - apart),
                DragPoint.between(self.lower[i], line[i] + apart),
            ]
        return pins

    def moved(self, motion: Motion, size: Size) -> Lids:
        """Return the same after a motion of a crop of that size."""
        return Lids(motion.goes(self.upper, size), motion.goes(self.lower, size))


def find_lids(pixels: UInt8Image, eye: Float64Array) -> Lids | None:
    """Find the edges of an eye's lids; None where no eye is to be seen.

    pixels: uint8 [H, W, 3]. eye: its six landmarks [6, 2] in iBUG's order, in pixels of it.
    """
    import cv2  # large; only an edit needs it

    along, down, width = axes_between(eye[0], eye[3])
    places = (eye - eye[0]) @ np.column_stack([along, down]) / width
    if width < 2 or not (np.diff(places[:4, 0]) > 0).all():
        return None
    share = np.linspace(0, 1, STEPS)
    upper, lower = (_through(places[edge], share) for edge in ([0, 1, 2, 3], [0, 5, 4, 3]))
    opening = max(float((lower - upper).max()), _LEAST_OPENING)
    lab = cv2.cvtColor(_around(pixels, eye[0], along, down, width), cv2.COLOR_RGB2LAB)
    lab = lab.astype(np.float32)
    under = _ABOVE + float(lower.max())
    below = lab[int((under + 0.1) * _SIDE) : int((under + 0.3) * _SIDE), _SIDE // 2 : -_SIDE // 2]
    if not below.size:
        return None
    # Skin is darker or lighter than what it is beside; how far a colour is from skin is surer.
    off = ((lab - np.median(below.reshape(-1, 3), axis=0)) * (0.5, 1.5, 1.5)) ** 2
    clear_upper, upper = _edge(lab[..., 0], upper, opening)
    clear_lower, lower = _edge(np.sqrt(off.sum(axis=2)), lower, opening)
    if min(clear_upper, clear_lower) < _CLEAR:
        return None
    line = eye[0] + width * share[:, None] * along
    return Lids(
        line + width * upper[:, None] * down,
        line + width * np.maximum(upper, lower)[:, None] * down,
    )


def _through(places: Float64Array, at: Float64Array) -> Float64Array:
    """Return the heights of a cubic through places [4, 2]."""
    x, y = places.T
    heights: Float64Array = np.polynomial.Polynomial.fit(x, y, 3)(at)
    return heights


def _around(
    pixels: UInt8Image, corner: Float64Array, along: Float64Array, down: Float64Array, width: float
) -> UInt8Image:
    """Return the picture around an eye, level and of a fixed size."""
    import cv2

    y, x = np.mgrid[0 : round(2 * _ABOVE * _SIDE), 0 : round((1 + 2 * _AROUND) * _SIDE)] / _SIDE
    places = corner + width * ((x - _AROUND)[..., None] * along + (y - _ABOVE)[..., None] * down)
    bounds = bounds_of(places.reshape(-1, 2), 2, pixels.shape[:2])
    (x0, y0), (x1, y1) = bounds or ((0, 0), pixels.shape[1::-1])
    part = np.ascontiguousarray(pixels[y0:y1, x0:x1])
    if width > _SIDE:
        part = np.asarray(cv2.GaussianBlur(part, (0, 0), 0.6 * width / _SIDE), np.uint8)
    level = cv2.remap(
        part, *maps_of(places - (x0, y0)), cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE
    )
    return np.asarray(level, np.uint8)


def _edge(levels: Array, heights: Float64Array, opening: float) -> tuple[float, Float64Array]:
    """Find where levels fall most clearly from above to below, near heights [33]."""
    import cv2

    levels = np.asarray(cv2.GaussianBlur(levels, (0, 0), 0.02 * _SIDE), np.float32)
    share = np.linspace(0, 1, STEPS)
    bulge = 4 * share * (1 - share)
    bulges, skews = (each.reshape(-1, 1) for each in np.meshgrid(_BULGES, _SKEWS))
    tried = heights + opening * bulge * (bulges + 2 * (2 * share - 1) * skews)

    def read(at: Float64Array) -> Float32Array:
        places = np.stack([np.broadcast_to(share + _AROUND, at.shape), at + _ABOVE], axis=-1)
        return np.asarray(cv2.remap(levels, *maps_of(places * _SIDE), cv2.INTER_LINEAR))

    fall = (read(tried - _ACROSS) - read(tried + _ACROSS)).clip(0, _CLEAREST)
    clear = fall[:, 4:-4].mean(axis=1)
    best = int(
        (clear - _PRICES[0] * np.abs(bulges[:, 0]) - _PRICES[1] * np.abs(skews[:, 0])).argmax()
    )
    return float(clear[best]), tried[best]


@dataclass(frozen=True)
class ShutEye:
    """An eye that is shut, in pixels of a crop of that size.

    number: 0 for the left one of the picture, 1 for the right one. line: where its lids meet,
    [33, 2]. upper and lower: what meets there, where it was in the photo, [33, 2] each: the ends of
    the lashes, and the lower lid's edge.
    """

    number: int
    size: Size
    line: Float64Array
    upper: Float64Array
    lower: Float64Array

    def put(
        self, pixels: UInt8Image, moved: UInt8Image, quad: Float64Array, motion: Motion
    ) -> UInt8Image:
        """Let the lids meet in a photo that moved: uint8 [H, W, 3]; quad as in AlignedFace.

        A motion's grid is too coarse to say how: what it says of either lid goes on to the line.
        """
        to_photo, to_crop = aligned_to_photo(quad, self.size), photo_to_aligned(quad, self.size)
        line, upper, lower = (
            placed(to_photo, each) for each in (self.line, self.upper, self.lower)
        )
        along, down, width = axes_between(line[0], line[-1])
        beside = BESIDE * REGION * longer_side(self.size) / FINE * float(np.hypot(*to_photo[:2, 0]))
        box = bounds_of(line, OVER * width + beside, moved.shape[:2])
        if box is None or width < 2:
            return moved
        (x0, y0), (x1, y1) = box
        y, x = np.mgrid[y0:y1, x0:x1].astype(np.float64)
        places = np.stack([x, y], axis=-1)
        across, height = places @ along, places @ down
        meets = np.interp(across, line @ along, line @ down)

        def sources(at: Float64Array) -> Float64Array:
            """Return where the motion of those heights says that all places come from."""
            there = places + (at - height)[..., None] * down
            in_crop = placed(to_crop, there.reshape(-1, 2))
            ways = motion.at(in_crop, self.size)
            from_there = placed(to_photo, in_crop + ways).reshape(places.shape)
            return places + from_there - there

        then, below_then, width_then = axes_between(lower[0], lower[-1])
        start, end = line[0] @ along, line[-1] @ along
        middle = 1 - smoothstep(np.abs((across - start) / (end - start) - 0.5) / MIDDLE)

        def read(at: Float64Array, edge: Float64Array, most: float) -> Float32Array:
            """Read the photo there, so that the edge comes to the line."""
            source = sources(at)
            on_line = source + (meets - height)[..., None] * down
            should = np.interp(on_line @ then, edge @ then, edge @ below_then)
            off = (on_line @ below_then - should)[middle > 0.5]
            off = (
                np.median(off).clip(-most * width_then, most * width_then) * middle
                if off.size
                else 0 * middle
            )
            fade = 1 - smoothstep(np.abs(height - meets) / (OVER * width))
            return read_at(pixels, source - (off * fade)[..., None] * below_then)

        above = read(np.minimum(height, meets - beside), upper, OFF[0])
        below = read(np.maximum(height, meets + beside), lower, OFF[1])
        share = np.clip((meets - height) / (2 * max(SOFT * width, 0.5)) + 0.5, 0, 1)[..., None]
        shut = below + (above - below) * share
        mask = smoothstep((across - start) / (ENDS * width))
        mask *= smoothstep((end - across) / (ENDS * width))
        mask *= 1 - smoothstep((np.abs(height - meets) - OVER * width) / beside)
        return laid_over(moved, (x0, y0), shut, mask)


def shut_eye(
    number: int, seen: Lids, lids: Lids, raised: float, motion: Motion, size: Size
) -> ShutEye:
    """Return the eye as it is after a motion that shuts it and may move the head, too.

    seen are its lids in the photo, lids are the same where that motion finds them.
    """
    along, down, width = axes_between(*lids.corners)
    ends = motion.goes(lids.corners, size)
    along_there, down_there, width_there = axes_between(*ends)
    own = (lids.meeting(raised) - lids.corners[0]) @ np.column_stack([along, down])
    line = ends[0] + own * (width_there / width) @ np.stack([along_there, down_there])
    _, down, width = axes_between(*seen.corners)
    return ShutEye(number, size, line, seen.lashes, seen.lower + RIM * width * down)
