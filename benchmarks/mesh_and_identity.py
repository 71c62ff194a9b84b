"""`python benchmarks/mesh_and_identity.py FOLDER`: look at crops with networks of others.

Runs in an environment of its own, for what it needs goes badly with ours (NumPy below 2):
`pip install mediapipe==0.10.21 dlib-bin face-recognition-models 'setuptools<81'`, which is the
extra `measures`. Nothing of this project is imported. Every PNG of FOLDER/crops gets 478 points of
a face mesh (mediapipe, Apache-2.0) and an embedding of who it is (dlib, Boost licence; its weights,
CC0); both go to FOLDER/measured.npz, with NaN where no face is found.
"""

from __future__ import annotations

import sys
from pathlib import Path

import dlib
import face_recognition_models
import mediapipe
import numpy as np
from PIL import Image

MESH_POINTS, EMBEDDING = 478, 128


def main(folder: Path) -> None:
    """Measure what lies in folder/crops and was not measured before."""
    names, meshes, embeddings = _kept(folder / "measured.npz")
    fresh = sorted({path.stem for path in (folder / "crops").glob("*.png")} - set(names))
    find_mesh = mediapipe.solutions.face_mesh.FaceMesh(
        static_image_mode=True, max_num_faces=1, refine_landmarks=True
    )
    find_face = dlib.get_frontal_face_detector()
    find_points = dlib.shape_predictor(
        face_recognition_models.pose_predictor_five_point_model_location()
    )
    recognise = dlib.face_recognition_model_v1(
        face_recognition_models.face_recognition_model_location()
    )
    for number, name in enumerate(fresh, start=1):
        with Image.open(folder / "crops" / f"{name}.png") as image:
            pixels = np.array(image.convert("RGB"))
        mesh = np.full((MESH_POINTS, 2), np.nan)
        found = find_mesh.process(pixels).multi_face_landmarks
        if found:
            mesh = np.array([[p.x, p.y] for p in found[0].landmark]) * pixels.shape[1::-1] - 0.5
        boxes = find_face(pixels, 1)
        # A crop that is aligned shows the face in its middle, whether it is found or not.
        side = len(pixels)
        box = boxes[0] if boxes else dlib.rectangle(side // 4, side // 3, 3 * side // 4, side - 40)
        embedding = recognise.compute_face_descriptor(pixels, find_points(pixels, box))
        names.append(name)
        meshes.append(mesh)
        embeddings.append(np.array(embedding))
        if number % 50 == 0 or number == len(fresh):
            print(f"{number} of {len(fresh)}", flush=True)
            np.savez(folder / "measured.npz", name=names, mesh=meshes, embedding=embeddings)


def _kept(path: Path) -> tuple[list[str], list[np.ndarray], list[np.ndarray]]:
    if not path.is_file():
        return [], [], []
    with np.load(path, allow_pickle=False) as kept:
        return kept["name"].tolist(), list(kept["mesh"]), list(kept["embedding"])


if __name__ == "__main__":
    main(Path(sys.argv[1]))
