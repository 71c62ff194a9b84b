"""The align stage: a photo becomes a face at the network's resolution."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from inversion.faces.alignment import AlignedFace, align, align_none, ffhq_quad, photo_to_aligned
from inversion.faces.landmarks import (
    Face,
    FacesFound,
    choose_face,
    describe_faces,
    find_faces,
    read_landmarks,
)
from pipeline.disk.artifact import bytes_hash, file_input
from pipeline.disk.workspace import WorkspaceInvalid
from pipeline.picture.photo import Photo, read_photo
from pipeline.progress import Job, Notice
from pipeline.stages import Task
from pipeline.stages.artifact_files import png_bytes

FINDER = "finder"
"""What landmarks.Face.source calls the offline finder."""


def run(task: Task) -> Job[Mapping[str, Any]]:
    """Write aligned.png and a copy of the photo; settles landmark_source."""
    config = task.request.config
    path = task.files["photo"]
    photo = read_photo(path)
    data = path.read_bytes()
    if file_input(bytes_hash(data)) != task.request.inputs["photo"]:
        raise WorkspaceInvalid(f"{path} was changed while it was being read: run invert again")
    name = f"photo{path.suffix.lower()}"
    task.draft.write(name, data)
    size = config["size"]
    if config["align"] == "none":
        found, face = None, None
        aligned = align_none(photo.pixels, size)
    else:
        found, face = yield from _face(task, photo)
        aligned = align(photo.pixels, ffhq_quad(face), size)
    task.draft.write("aligned.png", png_bytes(aligned.image))
    task.draft.info.update(_facts(name, photo, aligned, size, found, face))
    return {} if face is None else {"landmark_source": face.source}


def _face(task: Task, photo: Photo) -> Job[tuple[FacesFound, Face]]:
    """Find or read the face that is meant."""
    if "landmarks" in task.files:
        face = read_landmarks(task.files["landmarks"])
        task.draft.write("landmarks.json", task.files["landmarks"].read_bytes())
        return FacesFound((face,), face.source), face
    source = task.request.config["landmark_source"]
    found = find_faces(
        photo.pixels,
        "offline" if source == FINDER else source,
        task.bench.device,
        task.bench.downloading,
    )
    for notice in found.notices:
        yield Notice(notice)
    number = task.request.config["face"]
    face = choose_face(found.faces, number)
    if len(found.faces) > 1:
        taken = f"taking face {number}" if number else "taking the largest; choose with --face N"
        yield Notice(f"{len(found.faces)} faces found ({describe_faces(found.faces)}): {taken}")
    return found, face


def _facts(
    name: str,
    photo: Photo,
    aligned: AlignedFace,
    size: int,
    found: FacesFound | None,
    face: Face | None,
) -> dict[str, Any]:
    height, width = photo.pixels.shape[:2]
    faces = [] if found is None else found.faces
    return {
        "photo": name,
        "photo_size": [width, height],
        "size": size,
        "quad": aligned.quad.tolist(),
        "photo_to_aligned": photo_to_aligned(aligned.quad, size).tolist(),
        "landmark_source": "none" if face is None else face.source,
        "face": next((n for n, each in enumerate(faces, start=1) if each is face), None),
        "faces": [
            {
                "box": [float(v) for v in each.box],
                "eyes_mouth": np.asarray(each.eyes_mouth, np.float64).tolist(),
                "score": float(each.score),
            }
            for each in faces
        ],
    }
