"""Where the faces of a photo are: by face-alignment, or by the offline finder."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from inversion.faces.alignment import ffhq_quad, photo_to_aligned, placed
from inversion.faces.face import Face, box_of, face_from_68
from inversion.faces.fan import FaceAlignmentUnavailable, find_landmarks
from inversion.faces.no_face import NoFaceFound, nothing_found
from inversion.faces.search import Look, search
from stylegan2.arrays import UInt8Image
from stylegan2.downloads.transfer import OnProgress

SOURCES = ("auto", "face-alignment", "offline")

SMALL = 80
"""Faces narrower than this, in pixels, are said to be small."""


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
    """Find the faces in pixels uint8 [H, W, 3]; see `search` for where they are looked for.

    source "auto" is face-alignment where its weights are on disk or can be had, and the offline
    finder, with a notice, where not. Raises NoFaceFound, and FaceAlignmentUnavailable only for
    source "face-alignment".
    """
    if source not in SOURCES:
        raise ValueError(f"source must be one of {SOURCES}, got {source!r}")
    notices: tuple[str, ...] = ()
    if source != "offline":
        try:
            return _found(pixels, _by_library(device, on_progress), ())
        except FaceAlignmentUnavailable:
            if source == "face-alignment":
                raise
            notices = (
                "The built-in face finder places eyes and mouth, approximately: face-alignment "
                "cannot be used here (realdrag doctor says more).",
            )
    from inversion.faces.finder import load_finder

    finder = load_finder()

    def look(picture: UInt8Image, closely: bool) -> list[Face]:
        return [
            Face(np.asarray(points, np.float64), None, box_of(points), "finder", float(score))
            for points, score in finder.find(picture, closely=closely)
        ]

    return _found(pixels, look, notices)


def _by_library(device: str, on_progress: OnProgress | None) -> Look:
    def look(picture: UInt8Image, closely: bool) -> list[Face]:
        found = find_landmarks(picture, device, on_progress, closely=closely)
        return [face_from_68(each.points, each.box, each.score) for each in found]

    return look


def choose_face(faces: Sequence[Face], number: int | None) -> Face:
    """Return face number 1, 2, ... as find_faces lists them, or the largest. Raises NoFaceFound."""
    if not faces:
        raise NoFaceFound(nothing_found())
    if number is None:
        return faces[0]
    if not 1 <= number <= len(faces):
        raise NoFaceFound(
            f"There is no face {number}. Found, largest first: {describe_faces(faces)}."
        )
    return faces[number - 1]


def softness_notice(face: Face) -> str | None:
    """Say that a small face's result will be soft; None for one that is large enough."""
    width = face.box[2] - face.box[0]
    if width >= SMALL:
        return None
    return f"The face is only {width:.0f} pixels wide: the result will be soft."


def outside_notice(face: Face, width: int, height: int) -> str | None:
    """Say which parts of a face lie beside its photo; None for one that lies in it."""
    eyes, nose, mouth = face.eyes_mouth[:2], face.eyes_mouth[2:3], face.eyes_mouth[3:]
    beside = [
        name
        for name, points in (("an eye", eyes), ("the nose", nose), ("the mouth", mouth))
        if ((points < -0.5) | (points > (width - 0.5, height - 0.5))).any()
    ]
    if not beside:
        return None
    return (
        f"The photo ends before {' and '.join(beside)} of this face: what is asked of that cannot "
        "be seen, and the rest may look odd."
    )


def neighbours_notice(face: Face, faces: Sequence[Face]) -> str | None:
    """Say which other faces are so near that they may move, too; None where there are none."""
    quad = ffhq_quad(face)
    to_crop = photo_to_aligned(quad, 1)
    near = []
    for number, other in enumerate(faces, start=1):
        places = placed(to_crop, other.eyes_mouth) + 0.5
        inside = ((places > 0) & (places < 1)).all(axis=1)
        if other is not face and inside.any():
            near.append(f"face {number}")
    if not near:
        return None
    return (
        f"{' and '.join(near).capitalize()} lies so near that it may move a little with this one: "
        "a mask keeps it as it is."
    )


def describe_faces(faces: Sequence[Face]) -> str:
    """List faces for a person, numbered from 1: "face 1 at (120, 80), 200 x 210 pixels"."""
    lines = []
    for number, face in enumerate(faces, start=1):
        x0, y0, x1, y1 = face.box
        middle = f"({(x0 + x1) / 2:.0f}, {(y0 + y1) / 2:.0f})"
        lines.append(f"face {number} at {middle}, {x1 - x0:.0f} x {y1 - y0:.0f} pixels")
    return "; ".join(lines)


def _found(pixels: UInt8Image, look: Look, notices: tuple[str, ...]) -> FacesFound:
    faces, turn = search(pixels, look)
    if not faces:
        raise NoFaceFound(nothing_found(pixels))
    if turn:
        how = "upside down" if turn == 180 else "on its side"
        notices = (*notices, f"The photo lies {how}; it is edited as it lies.")
    largest_first = sorted(faces, key=lambda f: (f.box[2] - f.box[0]) * (f.box[1] - f.box[3]))
    return FacesFound(tuple(largest_first), largest_first[0].source, notices)
