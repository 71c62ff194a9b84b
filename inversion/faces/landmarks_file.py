"""The user's own points: a landmarks file that says where eyes and mouth are."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np

from inversion.faces.face import Box, Face, box_of, face_from_68
from stylegan2.arrays import Float64Array


class LandmarksInvalid(Exception):
    """A landmarks file does not say where eyes and mouth are; reason says why not, in a clause."""

    def __init__(self, message: str, reason: str) -> None:
        super().__init__(message)
        self.reason = reason


def read_landmarks(path: str | Path) -> Face:
    """Read a landmarks file: one face in photo pixels.

    {"eyes": [[x, y], [x, y]], "mouth": [[x, y], [x, y]]}, pairs in any order, "nose": [x, y] if
    wished; or {"landmarks": [[x, y], ...]}, 68 points in iBUG order. Raises LandmarksInvalid.
    """
    path = Path(path)
    if path.exists() and not path.is_file():  # a pipe would be waited for, without an end
        raise LandmarksInvalid(f"The landmarks file {path} is not a file.", "they are not a file")
    try:
        content = json.loads(path.read_text(encoding="utf-8-sig"))
    except OSError as error:
        words = f"The landmarks file {path} cannot be read: {error}."
        raise LandmarksInvalid(words, "they cannot be read") from error
    except (ValueError, RecursionError) as error:
        raise LandmarksInvalid(f"{path} is not JSON: {error}.", "they are not JSON") from error
    if not isinstance(content, dict):
        raise _invalid(path, "it must hold an object")
    keys = set(content)
    if keys == {"landmarks"}:
        points = _points(content["landmarks"], 68, "landmarks", path)
        face = face_from_68(points, _around(points), 1.0, source="file")
        _check_geometry(face.eyes_mouth, path)
        return face
    if not {"eyes", "mouth"} <= keys <= {"eyes", "mouth", "nose"}:
        raise _invalid(path, f"its keys are {', '.join(sorted(map(str, keys))) or 'none'}")
    eyes = _points(content["eyes"], 2, "eyes", path)
    mouth = _points(content["mouth"], 2, "mouth", path)
    middle, chin = eyes.mean(axis=0), mouth.mean(axis=0)
    down = chin - middle
    # In a face that is not mirrored, down is a quarter turn clockwise from left to right.
    right = np.array([down[1], -down[0]])
    eyes = eyes[np.argsort(eyes @ right, kind="stable")]
    mouth = mouth[np.argsort(mouth @ right, kind="stable")]
    # The nose has no part in the alignment; six tenths of the way down is where it mostly is.
    given = _points([content["nose"]], 1, "nose", path)[0] if "nose" in content else None
    nose = middle + 0.6 * down if given is None else given
    eyes_mouth = np.stack([*eyes, nose, *mouth])
    _check_geometry(eyes_mouth, path)
    return Face(eyes_mouth, None, box_of(eyes_mouth), "file", 1.0)


def _around(points: Float64Array) -> Box:
    return (*points.min(axis=0).tolist(), *points.max(axis=0).tolist())


def _points(value: Any, count: int, key: str, path: Path) -> Float64Array:
    if not isinstance(value, list) or len(value) != count:
        raise _invalid(path, f'"{key}" must be a list of {count} points')
    for number, point in enumerate(value, start=1):
        pair = isinstance(point, list) and len(point) == 2
        if not pair or not all(type(v) in (int, float) and abs(v) < 1e6 for v in point):
            raise _invalid(path, f'point {number} of "{key}" must be [x, y] in pixels, is {point}')
    return np.array(value, dtype=np.float64)


def _check_geometry(eyes_mouth: Float64Array, path: Path) -> None:
    eye_to_eye = eyes_mouth[1] - eyes_mouth[0]
    eye_to_mouth = eyes_mouth[3:].mean(axis=0) - eyes_mouth[:2].mean(axis=0)
    across = eye_to_eye[0] * eye_to_mouth[1] - eye_to_eye[1] * eye_to_mouth[0]
    if np.hypot(*eye_to_eye) < 1 or np.hypot(*eye_to_mouth) < 1:
        raise _invalid(path, "eyes and mouth are less than a pixel apart")
    if across <= 0.1 * np.hypot(*eye_to_eye) * np.hypot(*eye_to_mouth):
        raise _invalid(path, "eyes and mouth do not lie as in a face that is not mirrored")


def _invalid(path: Path, reason: str) -> LandmarksInvalid:
    return LandmarksInvalid(
        f"{path} is no landmarks file: {reason}. It must be "
        '{"eyes": [[x, y], [x, y]], "mouth": [[x, y], [x, y]]} or {"landmarks": [68 x [x, y]]}, '
        "in pixels of the photo.",
        reason,
    )
