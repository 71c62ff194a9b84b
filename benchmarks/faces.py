"""Networks, random faces, and where their landmarks are."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import cv2
import numpy as np
import torch
from torch import Tensor

from benchmarks.flow import SIZE, from_512
from benchmarks.section import Options
from inversion.faces.face import box_of, face_from_68
from inversion.faces.fan import FaceAlignmentUnavailable
from inversion.faces.finder import FaceFinder, load_finder
from inversion.faces.landmark_network import load_landmarker
from inversion.faces.landmarks import find_faces
from inversion.faces.no_face import NoFaceFound
from stylegan2.arrays import Float64Array
from stylegan2.formats.convert import load_network
from stylegan2.generator import Generator
from stylegan2.images import to_uint8
from stylegan2.latents import to_ws
from stylegan2.zoo import resolve

TRUNCATION_PSI = 0.7
"""Of random faces, where nothing else is said."""

FIVE_OF_68 = (36, 45, 30, 48, 54)
"""Outer corners of the eyes, tip of the nose, corners of the mouth, in iBUG order."""


@dataclass(frozen=True)
class RandomFace:
    """A face that the network made up: ws [1, num_ws, w_dim], picture [1, 3, R, R]."""

    ws: Tensor
    picture: Tensor


def load_generator(options: Options) -> Generator:
    """Load the network that was asked for."""
    generator = load_network(resolve(options.network), options.device)
    return generator.eval().requires_grad_(False)


@torch.no_grad()
def random_faces(
    generator: Generator, seed: int, truncation_psi: float = TRUNCATION_PSI
) -> Iterator[RandomFace]:
    """Yield faces without end, always the same ones for a seed."""
    rng = torch.Generator().manual_seed(seed)
    device = generator.mapping.w_avg.device
    while True:
        z = torch.randn(1, generator.config.z_dim, generator=rng).to(device)
        ws = to_ws(generator.mapping(z, truncation_psi), generator.num_ws)
        yield RandomFace(ws, generator.synthesis(ws))


class LandmarkDetector:
    """Places the 68 landmarks in pictures of one face: by face-alignment, else by what is here.

    That is the landmark network in the package, where the face finder sees a face. Pictures are
    brought to 512 pixels first.
    """

    def __init__(self) -> None:
        self._finder: FaceFinder | None = None
        self.name = "face-alignment"
        try:
            find_faces(np.zeros((64, 64, 3), np.uint8), "face-alignment")
        except NoFaceFound:
            pass
        except FaceAlignmentUnavailable:
            self._finder = load_finder()
            self.name = "the landmark network in the package"

    def find(self, picture: Tensor) -> Float64Array | None:
        """Return the landmarks [68, 2] of a picture [1, 3, R, R] in its own pixels.

        None when there is no face.
        """
        size = picture.shape[-1]
        mode = cv2.INTER_AREA if size > SIZE else cv2.INTER_CUBIC
        resized = cv2.resize(to_uint8(picture), (SIZE, SIZE), interpolation=mode)
        pixels = np.asarray(resized, np.uint8)
        if self._finder is not None:
            if not self._finder.find(pixels):
                return None
            # The network's faces lie in its pictures as aligned ones do.
            points = load_landmarker().landmarks68(pixels).astype(np.float64)
        else:
            try:
                face = find_faces(pixels, "face-alignment").faces[0]
            except NoFaceFound:
                return None
            assert face.landmarks68 is not None
            points = face.landmarks68
        return from_512(points, size)


def five_of(points: Float64Array) -> Float64Array:
    """Return eyes, nose and corners of the mouth [5, 2] of the 68."""
    return face_from_68(points, box_of(points[list(FIVE_OF_68)]), 1.0).eyes_mouth


def faces_with_landmarks(
    generator: Generator,
    detector: LandmarkDetector,
    seed: int,
    truncation_psi: float = TRUNCATION_PSI,
) -> Iterator[tuple[RandomFace, Float64Array]]:
    """Yield random faces whose landmarks are found, inside the picture, with these."""
    for face in random_faces(generator, seed, truncation_psi):
        points = detector.find(face.picture)
        if points is not None and points.min() >= 0 and points.max() <= generator.resolution - 1:
            yield face, points


def noise_floor(picture: Tensor, detector: LandmarkDetector) -> list[float]:
    """Return how wrongly the detector follows shifts of a picture, in pixels of 512.

    The picture is moved by known fractions of its pixels; each value is the mean error of the
    landmarks' displacement.
    """
    size = picture.shape[-1]
    first = detector.find(picture)
    if first is None:
        return []
    errors = []
    for shift in ((0.7, 0.4), (-1.6, 1.2), (3.5, -2.3)):
        x, y = (part * size / 128 for part in shift)
        pixels = picture[0].permute(1, 2, 0).cpu().numpy()
        matrix = np.array([[1.0, 0.0, x], [0.0, 1.0, y]])
        moved = cv2.warpAffine(
            pixels, matrix, (size, size), flags=cv2.INTER_CUBIC, borderMode=cv2.BORDER_REPLICATE
        )
        found = detector.find(torch.from_numpy(np.asarray(moved)).permute(2, 0, 1)[None])
        if found is not None:
            gap = np.linalg.norm(found - first - (x, y), axis=1).mean()
            errors.append(float(gap) * SIZE / size)
    return errors
