"""Where the faces of a photo are: by face-alignment, or by the offline finder."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from inversion.faces.fan import FaceAlignmentUnavailable, find_landmarks
from stylegan2.arrays import Array, Float64Array, UInt8Image
from stylegan2.downloads.transfer import OnProgress

Box = tuple[float, float, float, float]

SOURCES = ("auto", "face-alignment", "offline")

# iBUG's 68 points: which are the eyes, the tip of the nose and the mouth's corners. "Left" is the
# left of the picture.
_EYE_LEFT, _EYE_RIGHT = slice(36, 42), slice(42, 48)
_NOSE_TIP, _MOUTH_LEFT, _MOUTH_RIGHT = 30, 48, 54
_OTHERWISE = (
    "Mark eyes and mouth yourself with --landmarks FILE, or take the picture as it is "
    "with --align none."
)


class NoFaceFound(Exception):
    """There is no face in the picture, or not the one asked for."""


@dataclass(frozen=True)
class Face:
    """A face in a photo; all coordinates xy in pixel indices, the first pixel's centre is (0, 0).

    eyes_mouth: float64 [5, 2], eye at the left of the picture, eye at the right, nose tip, mouth
    corner at the left, mouth corner at the right (as they lie when the face is upright).
    landmarks68: float64 [68, 2] in iBUG order, or None. box: (x0, y0, x1, y1).
    source: "face-alignment", "finder" or "file". score: 0 to 1.
    """

    eyes_mouth: Float64Array
    landmarks68: Float64Array | None
    box: Box
    source: str
    score: float


@dataclass(frozen=True)
class FacesFound:
    """The faces of a photo, largest first; notices are for the user to read."""

    faces: tuple[Face, ...]
    source: str
    notices: tuple[str, ...] = ()


def find_faces(
    pixels: UInt8Image,
    source: str = "auto",
    device: str = "cpu",
    on_progress: OnProgress | None = None,
) -> FacesFound:
    """Find the faces in upright pixels uint8 [H, W, 3].

    source "auto" is face-alignment where its weights are on disk or can be had, and the offline
    finder, with a notice, where not. Raises NoFaceFound, and FaceAlignmentUnavailable only for
    source "face-alignment".
    """
    if source not in SOURCES:
        raise ValueError(f"source must be one of {SOURCES}, got {source!r}")
    notices: tuple[str, ...] = ()
    if source != "offline":
        try:
            found = find_landmarks(pixels, device, on_progress)
        except FaceAlignmentUnavailable:
            if source == "face-alignment":
                raise
            notices = (
                "The built-in face finder places eyes and mouth, approximately: face-alignment "
                "cannot be used here (realdrag doctor says more).",
            )
        else:
            return _found([face_from_68(f.points, f.box, f.score) for f in found], (), pixels)
    from inversion.faces.finder import load_finder

    found5 = load_finder().find(pixels)
    faces = [
        Face(np.asarray(points, np.float64), None, box_of(points), "finder", float(score))
        for points, score in found5
    ]
    return _found(faces, notices, pixels)


def choose_face(faces: Sequence[Face], number: int | None) -> Face:
    """Return face number 1, 2, ... as find_faces lists them, or the largest. Raises NoFaceFound."""
    if not faces:
        raise NoFaceFound(f"No face was found. {_OTHERWISE}")
    if number is None:
        return faces[0]
    if not 1 <= number <= len(faces):
        raise NoFaceFound(
            f"There is no face {number}. Found, largest first: {describe_faces(faces)}."
        )
    return faces[number - 1]


def describe_faces(faces: Sequence[Face]) -> str:
    """List faces for a person, numbered from 1: "face 1 at (120, 80), 200 x 210 pixels"."""
    lines = []
    for number, face in enumerate(faces, start=1):
        x0, y0, x1, y1 = face.box
        middle = f"({(x0 + x1) / 2:.0f}, {(y0 + y1) / 2:.0f})"
        lines.append(f"face {number} at {middle}, {x1 - x0:.0f} x {y1 - y0:.0f} pixels")
    return "; ".join(lines)


def face_from_68(
    points: Float64Array, box: Box, score: float, source: str = "face-alignment"
) -> Face:
    """Make a Face of 68 points in iBUG order; an eye is the mean of its six points, as in FFHQ."""
    eyes_mouth = np.stack(
        [
            points[_EYE_LEFT].mean(axis=0),
            points[_EYE_RIGHT].mean(axis=0),
            points[_NOSE_TIP],
            points[_MOUTH_LEFT],
            points[_MOUTH_RIGHT],
        ]
    )
    return Face(eyes_mouth, points, box, source, score)


def _found(faces: list[Face], notices: tuple[str, ...], pixels: UInt8Image) -> FacesFound:
    if not faces:
        height, width = pixels.shape[:2]
        raise NoFaceFound(f"No face was found in this {width} x {height} picture. {_OTHERWISE}")
    largest_first = sorted(faces, key=lambda f: (f.box[2] - f.box[0]) * (f.box[1] - f.box[3]))
    return FacesFound(tuple(largest_first), largest_first[0].source, notices)


def box_of(eyes_mouth: Array) -> Box:
    """Put a box around a face known by five points, brows to chin."""
    eyes = eyes_mouth[:2].mean(axis=0)
    mouth = eyes_mouth[3:].mean(axis=0)
    half = max(np.hypot(*(eyes_mouth[1] - eyes_mouth[0])), np.hypot(*(mouth - eyes))) * 1.1
    middle = eyes + 0.55 * (mouth - eyes)
    return (*(middle - half).tolist(), *(middle + half).tolist())
