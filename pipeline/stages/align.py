"""The align stage: a photo becomes a face at the network's resolution."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from inversion.faces.alignment import AlignedFace, align, align_none, ffhq_quad, photo_to_aligned
from inversion.faces.face import Face
from inversion.faces.landmarks import (
    FacesFound,
    choose_face,
    describe_faces,
    find_faces,
    neighbours_notice,
    outside_notice,
    softness_notice,
)
from inversion.faces.landmarks_file import read_landmarks
from pipeline.disk.artifact import file_input
from pipeline.picture.photo import Photo, PhotoUnreadable, read_photo
from pipeline.progress import Job, Notice
from pipeline.stages.artifact_files import png_bytes
from pipeline.stages.work import Work
from stylegan2.arrays import Float64Array

FINDER = "finder"
"""What landmarks.Face.source calls the offline finder."""


def run(work: Work) -> Job[Mapping[str, Any]]:
    """Write aligned.png and a copy of the photo; settles landmark_source."""
    config = work.request.config
    path = work.files["photo"]
    photo = read_photo(path)
    name = f"photo{path.suffix.lower()}"
    if file_input(work.draft.copy(path, name)) != work.request.inputs["photo"]:
        raise PhotoUnreadable(path, "was changed while it was being read: run invert again")
    size = config["size"]
    if config["align"] == "none":
        found, face = None, None
        aligned = align_none(photo.pixels, size)
        if (cropped := _cropped(photo, aligned.quad)) is not None:
            yield Notice(cropped)
    else:
        found, face = yield from _face(work, photo)
        aligned = align(photo.pixels, ffhq_quad(face), size)
    work.draft.write("aligned.png", png_bytes(aligned.image))
    work.draft.info.update(_facts(name, photo, aligned, size, found, face))
    return {} if face is None else {"landmark_source": face.source}


def _cropped(photo: Photo, quad: Float64Array) -> str | None:
    """Say how much of a photo lies beside a crop, if it is more than a twentieth."""
    whole = np.array(photo.pixels.shape[1::-1])
    low, high = (quad.min(axis=0) + 0.5).clip(0), (quad.max(axis=0) + 0.5).clip(None, whole)
    taken = high - low
    left_out = 1 - float(np.prod(taken / whole))
    if left_out < 0.05:
        return None
    return (
        f"the network's pictures have another shape: of the photo's {whole[0]} x {whole[1]} "
        f"pixels the middle {taken[0]:.0f} x {taken[1]:.0f} can be dragged; to drag another part, "
        "crop the photo around it"
    )


def _face(work: Work, photo: Photo) -> Job[tuple[FacesFound, Face]]:
    """Find or read the face that is meant."""
    if "landmarks" in work.files:
        face = read_landmarks(work.files["landmarks"])
        work.draft.write("landmarks.json", work.files["landmarks"].read_bytes())
        return FacesFound((face,), face.source), face
    source = work.request.config["landmark_source"]
    found = find_faces(
        photo.pixels,
        "offline" if source == FINDER else source,
        work.bench.device,
        work.bench.downloading,
    )
    yield from map(Notice, found.notices)
    number = work.request.config["face"]
    face = choose_face(found.faces, number)
    height, width = photo.pixels.shape[:2]
    for notice in (
        softness_notice(face),
        outside_notice(face, width, height),
        neighbours_notice(face, found.faces),
    ):
        if notice is not None:
            yield Notice(notice)
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
